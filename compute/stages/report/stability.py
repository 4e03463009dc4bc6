"""How steady ePSFs are: those of single exposures beside that of the library they were adjusted from."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from catalogs.catalog import Catalog, own_epsf_path
from catalogs.cubes import open_cube
from catalogs.stability import STABILITY
from catalogs.store import Store
from compute.stages.report.page import Section, page, row_table
from compute.stages.report.ties import Quantity, time_figure

__all__ = [
    "core_figure",
    "fit_figure",
    "read_stability",
    "stability",
    "stability_numbers",
    "stability_page",
    "stability_section",
]

_CAMERA = ["instrument", "detector", "filter"]
_MOST, _ZONES = 200, 6  # exposures that are listed, and zones that have a colour each; more have one for a row
_CORES = (
    Quantity("core_fraction", "", "core of the ePSF", line="library_core_fraction"),
    Quantity("change", "", "change [%]", zero=True),
)
_FITS = (Quantity("qfit", "", "median QFIT", line="qfit"), Quantity("gain", "", "change [%]", zero=True))
_CORE_TEXT = (
    "Share of a star's flux in the pixel it is centred on, in the middle of each zone of each exposure "
    "(Libralato et al. 2023, Fig. 7). Dashed: the library's ePSF there; below, the change from it."
)
_FIT_TEXT = (
    "Median QFIT of the bright, lonely stars that the ePSF was adjusted by, with the library's and with the "
    "exposure's own (as Libralato et al. 2023, Fig. 8). Dashed: medians."
)


def stability(catalog: Catalog) -> pd.DataFrame:
    """STABILITY: a row for each zone of each exposure that was measured with the library's ePSF adjusted to it.

    It is read from the ePSF cubes of the exposures; those that built an ePSF of their own, or had too few stars to
    adjust one by, have no row.
    """
    rows = catalog.exposures
    return read_stability(catalog.store, rows[(rows["status"] == "ok") & rows["n_stars"].notna()])


def read_stability(store: Store, rows: pd.DataFrame) -> pd.DataFrame:
    """STABILITY of rows of EXPOSURES, by time."""
    found: list[dict[str, Any]] = []
    for row in rows.to_dict("records"):
        path = own_epsf_path(row)
        if not store.exists(path):
            continue
        with open_cube(store.locate_url(path), store.storage_options) as cube:
            told = cube.attrs["extra"]
        if not told.get("zones"):
            continue
        common = {name: row[name] for name in ("exposure", *_CAMERA, "mjd_mid")}
        common |= {"n_stars": told["stars"], **{name: told[name] for name in ("qfit_before", "qfit_after")}}
        found += [common | _renamed(zone) for zone in told["zones"]]
    if not found:
        return STABILITY.empty()
    order = ["mjd_mid", "exposure", "detector", "zone_y", "zone_x"]
    return STABILITY.conform(pd.DataFrame(found)).sort_values(order, kind="stable", ignore_index=True)


def _renamed(zone: Mapping[str, float]) -> dict[str, float]:
    names = {"x": "zone_x", "y": "zone_y", "core_fraction": "core_fraction", "library": "library_core_fraction"}
    return {name: zone[known] for known, name in names.items()}


def core_figure(rows: pd.DataFrame, label: str) -> Figure:
    """Core fractions of one camera's exposures against time, by zone; `rows` of STABILITY."""
    width = len(f"{rows[['zone_x', 'zone_y']].to_numpy().max():.0f}")  # of names that sort as the zones do
    names = [f"y = {y:{width}.0f}" for y in rows["zone_y"]]
    if len(rows[["zone_x", "zone_y"]].drop_duplicates()) <= _ZONES:
        names = [f"x = {x:{width}.0f}, {name}" for x, name in zip(rows["zone_x"], names, strict=True)]
    change = 100 * (rows["core_fraction"] / rows["library_core_fraction"] - 1)
    return time_figure(rows.assign(zone=names, change=change), _CORES, label, by="zone")


def fit_figure(rows: pd.DataFrame, label: str) -> Figure:
    """Median QFIT of one camera's exposures with the library's ePSF and with their own; `rows` of STABILITY."""
    once = rows.drop_duplicates(["exposure", "detector"])
    gain = 100 * (once["qfit_after"] / once["qfit_before"] - 1)
    before = once.assign(qfit=once["qfit_before"], gain=float("nan"), ePSF="library")
    after = once.assign(qfit=once["qfit_after"], gain=gain, ePSF="own")
    return time_figure(pd.concat([before, after]), _FITS, label, by="ePSF")


def stability_numbers(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """What a report records of each exposure of one camera; `rows` of STABILITY."""
    groups = rows.groupby(["mjd_mid", "exposure"])
    return [
        {
            "exposure": name,
            "mjd": mjd,
            "stars": int(part["n_stars"].iloc[0]),
            "zones": len(part),
            "core": float(part["core_fraction"].mean()),
            "library": float(part["library_core_fraction"].mean()),
            "qfit_before": float(part["qfit_before"].iloc[0]),
            "qfit_after": float(part["qfit_after"].iloc[0]),
        }
        for (mjd, name), part in groups
    ]


def stability_section(records: Mapping[str, Mapping[str, Any]], folder: str) -> list[Section]:
    """A line for each camera, that leads to their page in `folder`; nothing where there are none."""
    rows = []
    for record in records.values():
        known = pd.DataFrame(record["exposures"])
        change = 100 * (known["core"] / known["library"] - 1)
        rows.append(
            {
                "camera": " ".join(record["camera"]),
                "exposures": len(known),
                "change of the core [%]": f"{change.min():+.2f} to {change.max():+.2f}",
                "scatter [%]": f"{change.std():.2f}" if len(known) > 1 else None,
                "median QFIT before": f"{known['qfit_before'].median():.4f}",
                "after": f"{known['qfit_after'].median():.4f}",
            }
        )
    links = {str(row["camera"]): f"{folder}/stability.html" for row in rows}
    text = "Library ePSFs adjusted to single exposures."
    return [Section("Stability of the ePSFs", text, body=row_table(rows, links))] if rows else []


def stability_page(records: Mapping[str, Mapping[str, Any]]) -> str:
    """The page of all cameras, that stands in the folder of its pictures; `records` by name of their task."""
    sections = []
    for record in records.values():
        camera, texts = " ".join(record["camera"]), (_CORE_TEXT, _FIT_TEXT)
        for picture, what, text in zip(record["pictures"], ("core of the ePSF", "quality of fits"), texts, strict=True):
            sections.append(Section(f"{camera}: {what}", text, f"{picture}.png"))
        listed = record["exposures"][:_MOST]
        more = f"The first {_MOST} of {len(record['exposures'])}." if len(listed) < len(record["exposures"]) else ""
        sections.append(Section(f"{camera}: exposures", more, body=row_table([_row(one) for one in listed])))
    sections.append(Section("", "", body="<p><a href='../index.html'>All of the catalog</a></p>"))
    return page("Stability of the ePSFs", sections)


def _row(one: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "exposure": one["exposure"],
        "MJD": f"{one['mjd']:.4f}",
        "stars": one["stars"],
        "zones": one["zones"],
        "core, mean of zones": f"{one['core']:.4f}",
        "library's": f"{one['library']:.4f}",
        "change [%]": f"{100 * (one['core'] / one['library'] - 1):+.2f}",
        "QFIT before": f"{one['qfit_before']:.4f}",
        "QFIT after": f"{one['qfit_after']:.4f}",
    }
