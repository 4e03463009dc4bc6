"""Pages of motions: one for each field, and where the first page leads to them."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from compute.stages.report.linked import MOST
from compute.stages.report.motion_rows import Filters, best_range, clean
from compute.stages.report.page import Section, page, row_table

__all__ = ["motion_numbers", "motion_page", "motions_section"]

_LINKED = (
    "Stars chosen among magnitudes, motions or places show in all three; their numbers can be saved. The brightest "
    f"{MOST:,} are there."
)
_ERRORS = (
    "Unflagged stars. Blue: median error. Shaded: the one and a half magnitudes whose errors are least, and their "
    "median (as Libralato et al. 2023, Fig. 20). These are the stars' own errors; the zero point's is on top for all."
)
_COMPARED = (
    "The same stars here and in the other catalog, by its magnitudes; dispersions as observed, errors included (as "
    "Libralato et al. 2023, Fig. 21)."
)
_POPULATIONS = "Where the populations were chosen, and how they move; ellipses: Gaussians fitted, at two sigmas."
_PROJECTION = (
    "Motions of {} along the dashed line: the mean histogram of samples with noise added, and the Gaussians fitted to "
    "it (as Libralato et al. 2023, Fig. 23). Their widths hold the errors of the stars and the noise; dashed: the "
    "mixture fitted in two dimensions, widened alike. Without samples: counts of stars, and the mixture with its "
    "intrinsic dispersions, widened by the errors the stars have. A mixture's background is not drawn."
)
_MEMBERS = "Members of {} in black: near its middle, and within a circle around its motion that grows with magnitude."
_FINDING = "Stars by magnitude and colour. Orange: the part shown closer."
_TRENDS = (
    "Motions less their median against where stars were on the detector in the mean, and against magnitude, of the "
    "stars that epochs are aligned by. Points: weighted means with the errors their scatter gives, judged against zero."
)
_ZERO = "Added to relative motions, or known of them; an error common to all stars, not part of their own."
_KINEMATICS = (
    "Means, intrinsic dispersions and shares of populations and their components, errors of the stars removed."
)


def motion_numbers(rows: pd.DataFrame, motions: pd.DataFrame, filters: Filters) -> dict[str, Any]:
    """What the record of a field's motions tells.

    `rows` are those of :func:`compute.stages.report.motion_rows.moving_rows`, `motions` the MOTIONS they are from.
    """
    best = clean(rows)
    first, last, median = best_range(best["mag"].to_numpy(), best["error"].to_numpy())
    return {
        "stars": len(rows),
        "unflagged": len(best),
        "filter": filters.mag,
        "best": [first, last, median],
        "median": [float(best[name].median()) for name in ("pmra", "pmdec")],
        "baseline": float(motions["baseline"].median()) if len(motions) else np.nan,
        "epochs": int(motions["n_epochs"].max()) if len(motions) else 0,
        "absolute": bool(motions["absolute"].any()),
        "aligning": int(motions["aligning"].sum()),
    }


def motion_page(name: str, record: Mapping[str, Any]) -> str:
    """The page of one field's motions, that stands in the folder of its pictures."""
    lines = [{"of the motions": what, "": value} for what, value in _row(record).items()]
    link = f"<p><a href='{escape(record['linked'])}'>Linked view of the stars</a></p>"
    sections = [Section("In numbers", _LINKED, body=link + row_table(lines))]
    sections += _tables("Zero points", _ZERO, [_zero_row(one) for one in record["zero_points"]])
    for picture in record["pictures"]:
        kind, _, what = picture.removeprefix(f"{name}-").partition("-")
        title, text = _KINDS[kind]
        said = " ".join(filter(None, [text.format(what), record["notes"].get(picture)]))
        sections.append(Section(title.format(what), said, f"{picture}.png"))
    sections += _tables("Populations in numbers", _KINEMATICS, [_moving_row(one) for one in record["kinematics"]])
    trends = [_trend_row(detector, one) for detector, found in record["trends"].items() for one in found]
    sections += _tables("Trends in numbers", "The largest mean of the bins, and the chance of such a χ² by accident.",
                        trends)  # fmt: skip
    sections.append(Section("", "", body="<p><a href='../index.html'>All of the catalog</a></p>"))
    return page(f"Motions of {record['field']}", sections)


_KINDS = {
    "errors": ("Errors", _ERRORS),
    "compared": ("Against {}", _COMPARED),
    "populations": ("Populations", _POPULATIONS),
    "projection": ("Components of {}", _PROJECTION),
    "members": ("Members of {}", _MEMBERS),
    "finding": ("Finding chart", _FINDING),
    "trends": ("Trends on {}", _TRENDS),
}


def motions_section(records: Mapping[str, Mapping[str, Any]], folder: str) -> list[Section]:
    """What the first page tells of motions: nothing where there are none."""
    if not records:
        return []
    links = {record["field"]: f"{folder}/{name}.html" for name, record in records.items()}
    rows = [{"field": record["field"], **_row(record)} for record in records.values()]
    pictures = [
        Section(f"Motions of {record['field']}", _ERRORS, f"{folder}/{name}-errors.png")
        for name, record in records.items()
    ]
    return [
        Section("Motions", "Each field has its figures, and a linked view.", body=row_table(rows, links)),
        *pictures,
    ]


def _row(record: Mapping[str, Any]) -> dict[str, Any]:
    first, last, median = record["best"]
    known = median is not None
    return {
        "stars": record["stars"],
        "unflagged": record["unflagged"],
        "epochs": record["epochs"],
        "baseline [yr]": _number(record["baseline"], 2),
        "least median error [µas/yr]": f"{1e3 * median:.1f}" if known else None,
        "at": f"{record['filter']} {first:g} to {last:g}" if known else None,
        "median μα cos δ, μδ [mas/yr]": ", ".join(_number(value, 3) or "" for value in record["median"]),
        "motions": "absolute" if record["absolute"] else "relative",
        "aligning stars": record["aligning"],
    }


def _number(value: float | None, digits: int) -> str | None:
    return None if value is None else f"{value:.{digits}f}"


def _trend_row(detector: str, one: Mapping[str, Any]) -> dict[str, Any]:
    p = one["p"]
    return {
        "detector": detector, "motion": one["motion"], "against": one["against"],
        "χ²": _number(one["chi2"], 1), "bins": one["dof"], "p": None if p is None else f"{p:.2g}",
        "largest mean [µas/yr]": None if one["largest"] is None else f"{1e3 * one['largest']:.1f}",
    }  # fmt: skip


def _zero_row(one: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "against": one["against"], "how": one["how"], "stars": one["n"],
        "μα cos δ [mas/yr]": _pair(one["pmra"], one["pmra_error"], 4),
        "μδ [mas/yr]": _pair(one["pmdec"], one["pmdec_error"], 4),
        "used": "yes" if one["used"] else "no",
    }  # fmt: skip


def _moving_row(one: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "population": one["population"], "method": one["method"], "component": one["component"], "stars": one["n"],
        "share": _pair(one["fraction"], one["fraction_error"], 3),
        "μα cos δ [mas/yr]": _pair(one["pmra"], one["pmra_error"], 4),
        "μδ [mas/yr]": _pair(one["pmdec"], one["pmdec_error"], 4),
        "σ [mas/yr]": _pair(one["sigma"], one["sigma_error"], 4),
        "σ [km/s]": _pair(one["sigma_v"], one["sigma_v_error"], 1),
    }  # fmt: skip


def _pair(value: float | None, error: float | None, digits: int) -> str | None:
    """A value with its error."""
    if value is None:
        return None
    return f"{value:.{digits}f}" + ("" if error is None else f" ± {error:.{digits}f}")


def _tables(title: str, text: str, rows: Sequence[Mapping[str, Any]]) -> list[Section]:
    """A table of rows, of which those columns are shown that tell something."""
    if not rows:
        return []
    shown = [name for name in rows[0] if any(row[name] is not None for row in rows)]
    return [Section(title, text, body=row_table([{name: row[name] for name in shown} for row in rows]))]
