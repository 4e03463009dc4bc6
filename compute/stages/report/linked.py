"""A page of linked panels: stars chosen in one show in all. One file without any network."""

import base64
import json
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from compute.stages.report.motion_rows import Filters
from compute.stages.report.vpd import middle_of

__all__ = ["MOST", "View", "linked_page", "motion_views"]

MOST = 100_000  # stars of a page, the brightest
_SCRIPTS = ("linked_panel.js", "linked_input.js", "linked.js")


class View(NamedTuple):
    """One panel: its title, columns along x and y with their labels, and limits: left, right, top, bottom."""

    title: str
    x: str
    y: str
    x_label: str
    y_label: str
    limits: tuple[float, float, float, float]


def motion_views(rows: pd.DataFrame, filters: Filters) -> list[View]:
    """Colours and magnitudes, motions, and the sky; without colours, errors against magnitudes.

    `rows` are those of :func:`compute.stages.report.motion_rows.moving_rows`.
    """
    (middle, reach), faint, bright = middle_of(rows, 0.99), *_padded(rows["mag"], 1.0)[::-1]
    x, label = ("colour", filters.colour) if filters.red else ("error", "1-D error [mas/yr]")
    left, right = _padded(rows[x], 0.99)
    motions = (middle[0] + reach, middle[0] - reach, middle[1] + reach, middle[1] - reach)
    (east, west), (north, south) = _padded(rows["east"], 1.0)[::-1], _padded(rows["north"], 1.0)[::-1]
    return [
        View("Magnitudes", x, "mag", label, f"{filters.mag} [mag]", (left, right, bright, faint)),
        View("Motions", "pmra", "pmdec", "μα cos δ [mas/yr]", "μδ [mas/yr]", motions),
        View("Sky", "east", "north", "east [arcsec]", "north [arcsec]", (east, west, north, south)),
    ]


def linked_page(
    title: str, ids: ArrayLike, columns: Mapping[str, ArrayLike], views: Sequence[View],
    groups: Mapping[str, NDArray] | None = None,
) -> str:  # fmt: skip
    """The page, HTML that needs no other file.

    Parameters
    ----------
    ids
        (n,) int64, what is saved of the stars selected.
    columns
        (n,) values by name, shown in single precision; those without one are not shown where they are needed.
    groups
        (n,) truth values of named populations that can be selected at once.
    """
    data = {
        "ids": _base64(np.asarray(ids, "<i8")),
        "columns": {name: _base64(np.asarray(columns[name], "<f4")) for view in views for name in (view.x, view.y)},
        "panels": [
            {"id": f"panel{k}", "title": view.title, "x": view.x, "y": view.y, "xlabel": view.x_label,
             "ylabel": view.y_label, "limits": [float(edge) for edge in view.limits]}
            for k, view in enumerate(views)
        ],
        "groups": {
            name: _base64(np.packbits(np.asarray(mine, bool), bitorder="little"))
            for name, mine in (groups or {}).items()
        },
        "file": "stars.csv",
    }  # fmt: skip
    here = files("compute.stages.report")
    script = "\n".join(here.joinpath(name).read_text("utf-8") for name in _SCRIPTS)
    text = here.joinpath("linked.html").read_text("utf-8").replace("@script@", script)
    # Nothing in the data may end the element that holds it.
    return text.replace("@title@", escape(title)).replace("@data@", json.dumps(data).replace("<", "\\u003c"))


def _base64(values: NDArray) -> str:
    return base64.b64encode(values.tobytes()).decode()


def _padded(values: pd.Series, share: float) -> tuple[float, float]:
    """Limits that hold `share` of the values, with a margin."""
    known = values[np.isfinite(values)]
    if known.empty:
        return 0.0, 1.0
    low, high = known.quantile([(1 - share) / 2, (1 + share) / 2])
    margin = 0.04 * (high - low) or 0.5
    return float(low - margin), float(high + margin)
