"""Pixel scales in figures and tables: against time, by filter and visit, and how these differ."""

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from compute.stages.report.page import Section, page, row_table
from compute.stages.report.ties import Quantity, time_figure

__all__ = ["scale_figure", "scale_page", "scale_sections", "scales_section"]

_MILLION = 1e6
_TIME = (
    "Scale at the detector's middle, velocity aberration removed, and how it departs from its filter's mean against "
    "each of what it was measured by (as Libralato et al. 2023, Figs. 18 and 19). Bars: errors of single exposures; "
    "what all share by the errors of a catalog is not in them."
)
_MEANS = (
    "Error: by measurements, and by the scatter that exposures have beyond it; common: by the catalog. Chi2 is that "
    "about one scale without any scatter. Slope: change within the visit (as Table 1)."
)
_DIFFERENCES = "Second minus first. What both share by the errors of a catalog has cancelled."
_MOST = 40  # differences listed


def scale_figure(tables: Sequence[pd.DataFrame], label: str) -> Figure:
    """Scales against time, and relative to the mean of their filter, the latter for each SCALES of `tables`.

    The first is that whose scales are shown in mas.
    """
    wide, rows = [], []
    for k, table in enumerate(tables):
        good = table[table["status"] == "ok"]
        mean = good.groupby("filter")["scale"].transform("mean")
        names = {f"scale{k}": good["scale"], f"scale_error{k}": good["scale_error"]} if k == 0 else {}
        change = {
            f"change{k}": _MILLION * (good["scale"] / mean - 1),
            f"error{k}": _MILLION * good["scale_error"] / mean,
        }
        wide.append(good[_KEYS].rename(columns={"mjd": "mjd_mid"}).assign(**names, **change))
        name = PurePath(good["against"].iloc[0]).stem.replace(":", ":\n") if len(good) else ""
        rows.append(Quantity(f"change{k}", f"error{k}", f"{name}\nchange [10$^{{-6}}$]", zero=True))
    both = pd.concat(wide, ignore_index=True)
    return time_figure(both, (Quantity("scale0", "scale_error0", "scale [mas/pix]", line="scale0"), *rows), label)


_KEYS = ["exposure", "detector", "filter", "mjd"]


def scale_sections(picture: str, means: pd.DataFrame, differences: pd.DataFrame) -> list[Section]:
    """Sections of pixel scales: the `picture`, SCALE_MEANS and SCALE_DIFFERENCES, the most significant first."""
    order = differences["significance"].abs().sort_values(ascending=False, kind="stable").index[:_MOST]
    sections = [Section("Pixel scales", _TIME, picture)] if picture else []
    sections.append(Section("Mean pixel scales", _MEANS, body=row_table([_mean(one) for one in _records(means)])))
    if len(order):
        lines = [_difference(one) for one in _records(differences.loc[order])]
        sections.append(Section("Differences of pixel scales", _DIFFERENCES, body=row_table(lines)))
    return sections


def scale_page(name: str, record: Mapping[str, Any], tables: Mapping[str, pd.DataFrame]) -> str:
    """The page of one detector, beside its picture; `tables` are its `scale_means` and `scale_differences`."""
    sections = scale_sections(f"{name}.png", tables["scale_means"], tables["scale_differences"])
    back = Section("", "", body="<p><a href='../index.html'>All of the catalog</a></p>")
    return page(record["title"], [*sections, back])


def scales_section(tables: Mapping[str, Mapping[str, pd.DataFrame]], folder: str) -> list[Section]:
    """A line for each page of pixel scales, that leads to it in `folder`; nothing where there are none.

    `tables` are SCALES, `scales`, of each page, by its name.
    """
    links = {_label(name): f"{folder}/{name}.html" for name in tables}
    rows = [
        {"scales of": _label(name), "against": against, "exposures": len(part)}
        | {"from [mas/pix]": f"{part['scale'].min():.5f}", "to": f"{part['scale'].max():.5f}"}
        for name, each in tables.items()
        for against, part in each["scales"].groupby("against", sort=False)
    ]
    return [Section("Pixel scales", "", body=row_table(rows, links))] if rows else []


def _label(name: str) -> str:
    return name.removeprefix("scales-").replace("_", " ")


def _records(table: pd.DataFrame) -> list[dict[Any, Any]]:
    return table.to_dict("records")


def _mean(one: dict[str, Any]) -> dict[str, Any]:
    changes = "—" if np.isnan(one["slope"]) else f"{one['slope']:+.6f} ± {one['slope_error']:.6f}"
    return {
        "camera": f"{one['instrument']} {one['detector']} {one['filter']}",
        "against": one["against"],
        "MJD": f"{one['mjd']:.3f}",
        "exposures": one["n"],
        "scale [mas/pix]": f"{one['scale']:.5f}",
        "error": f"{one['scale_error']:.5f}",
        "common": f"{one['common_error']:.5f}",
        "scatter": "—" if np.isnan(one["scatter"]) else f"{one['scatter']:.5f}",
        "chi2 / dof": f"{one['chi2']:.1f} / {one['dof']}",
        "p": "—" if np.isnan(one["p"]) else f"{one['p']:.2g}",
        "slope [mas/pix/h]": changes,
    }


def _difference(one: dict[str, Any]) -> dict[str, Any]:
    return {
        "against": one["against"],
        "first": f"{one['filter']} at {one['mjd']:.3f}",
        "second": f"{one['filter_2']} at {one['mjd_2']:.3f}",
        "difference [mas/pix]": f"{one['difference']:+.5f}",
        "error": f"{one['error']:.5f}",
        "significance": f"{one['significance']:+.1f}",
    }
