"""Pages of a catalog: one that tells what it holds, and one for each master frame."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from compute.stages.report.page import Section, page, row_table

__all__ = ["frame_page", "index_page"]

_MOST = 200  # rejected exposures that are listed
_SHOWN = 12  # frames whose scatter is shown on the first page
_PRECISION = (
    "Grey: rms of the positions of each well measured star (unflagged, three positions or more) about its mean. Blue: "
    "medians. Dashed: what the claimed errors lead one to expect for as many positions. Shaded: the two brightest "
    "magnitudes, whose median is the red line. Right: residuals over their claimed errors, the mean's share taken off."
)
_RESIDUALS = (
    "Residuals about the mean positions, turned back to the detector. Bright positions have a claimed error below "
    "0.02 pix. Points are medians with their errors, thin lines those of single exposures; the pixel-phase amplitude "
    "is the largest median of ten bins about their mean."
)
_VECTORS = "Medians of the bright residuals in cells of each detector, all to one scale."
_PHASES = "Medians of the bright residuals with their errors; an ePSF that is wrong makes them wave."
_REFERENCE = "Source of the reference catalog, at the epoch of the frame, minus star."
_FLUXES = (
    "Magnitudes of bright positions minus the mean of their star, against where on its pixel the star fell: medians "
    "with their errors, and medians over the pixel. A wrong ePSF and a response that varies within pixels both wave."
)
_COLOURS = (
    "Median QFIT of the stars of least and most colour, each a fifth of those of like magnitude. They differ where the "
    "ePSF depends on colour (Libralato et al. 2023, section 3.1)."
)
_EPOCHS = (
    "Positions of this epoch minus the means of the other, less what varies smoothly over each exposure: means "
    "that share nothing with the positions they judge (as Anderson & King 2000, Figs. 13 and 14). Motions of stars add "
    "to the scatter, and no phase."
)
_MEASURED = "Stars found in each exposure, median QFIT of its clean, bright stars, and the core of its ePSF."
_FITS = (
    "One exposure: clean stars keep to narrow sequences; cosmic rays, galaxies and blends leave them. Blue: medians of "
    "clean stars. RADXS that falls with magnitude tells of bright stars that are wider than faint ones."
)
_TIES = (
    "Each exposure against time: pixel scale, velocity aberration removed (dashed: medians); rotation less the "
    "header's position angle; zero point that is added to its magnitudes."
)
_JUDGED = (
    "Stars in some patches of sky, the same for all exposures, are reserved: kept out of every solve. Where bright "
    "ones scatter more than those used, transformations follow the noise of their stars."
)


def index_page(exposures: pd.DataFrame, frames: Mapping[str, Mapping[str, Any]], folder: str,
               pictures: Mapping[str, Sequence[str]], calibrations: Sequence[Section] = ()) -> str:  # fmt: skip
    """The first page.

    Parameters
    ----------
    exposures
        EXPOSURES.
    frames
        What is recorded of each master frame, by name.
    folder
        Where the pages of frames and the pictures are.
    pictures
        Names of pictures: `quality` by instrument, `ties` by field and detector, `cameras`.
    calibrations
        Sections of what the catalog has been calibrated with.
    """
    usable = exposures[exposures["status"] == "ok"]
    text = f"{len(usable):,} exposures, {int(usable['n_stars'].sum()):,} measured stars."
    sections = [Section("What the catalog holds", text, body=row_table(_holdings(usable))), *_rejected(exposures)]
    sections += calibrations
    fields = sorted({record["field"] for record in frames.values()})
    for field in fields:
        of = {name: record for name, record in frames.items() if record["field"] == field}
        links = {_label(record): f"{folder}/{name}.html" for name, record in of.items()}
        body = row_table([_frame_row(record) for record in of.values()], links)
        sections.append(Section(f"Master frames of {field}", _JUDGED, body=body))
        for name in list(of)[:_SHOWN]:
            if f"{name}-precision" in of[name]["pictures"]:
                sections.append(Section(_label(of[name]), _PRECISION, f"{folder}/{name}-precision.png"))
    sections += [Section(f"How exposures lie on their frames, {what}", _TIES, f"{folder}/{picture}.png")
                 for what, picture in _named(pictures["ties"], "ties-")]  # fmt: skip
    sections += [
        Section(f"How exposures were measured, {what}", _MEASURED, f"{folder}/{picture}.png")
        for what, picture in _named(pictures["quality"], "quality-")
    ]
    sections += [Section(f"Quality of the fits, {what}", _FITS, f"{folder}/{picture}.png")
                 for what, picture in _named(pictures["cameras"], "fits-")]  # fmt: skip
    programs = ", ".join(str(number) for number in sorted(usable["program"].dropna().unique()))
    return page(f"Programs {programs}", sections)


def frame_page(name: str, record: Mapping[str, Any]) -> str:
    """The page of one master frame, that stands in the folder of its pictures."""
    found = _frame_row(record)
    lines = [{"of the frame": what, "": value} for what, value in found.items()]
    sections = [Section("In numbers", _JUDGED, body=row_table(lines))]
    for picture in record["pictures"]:
        kind, _, what = picture.removeprefix(f"{name}-").partition("-")
        title, text = _KINDS[kind]
        sections.append(Section(title.format(what), text, f"{picture}.png"))
    if record["references"]:
        rows = [_reference_row(which, one) for which, one in record["references"].items()]
        sections.append(Section("Reference catalogs", "Source minus star; σ from the median deviation.", "",
                                row_table(rows)))  # fmt: skip
    rows = [_single_row(one) for one in record["singles"]]
    sections.append(Section("Exposures", "Scatter is per axis, of bright positions.", body=row_table(rows)))
    sections.append(Section("", "", body="<p><a href='../index.html'>All of the catalog</a></p>"))
    return page(f"{_label(record)}, {record['field']}", sections)


_KINDS = {
    "precision": ("How well positions repeat", _PRECISION),
    "residuals": ("Residuals on {}", _RESIDUALS),
    "vectors": ("Residuals of single exposures", _VECTORS),
    "phases": ("Pixel phase of single exposures", _PHASES),
    "reference": ("Against {}", _REFERENCE),
    "fluxes": ("Magnitudes and pixel phase", _FLUXES),
    "colours": ("Quality of the fits by colour", _COLOURS),
    "epochs": ("Pixel phase about another epoch", _EPOCHS),
}


def _named(pictures: Sequence[str], prefix: str) -> list[tuple[str, str]]:
    """What pictures are of, and their names."""
    return [(picture.removeprefix(prefix).replace("_", " "), picture) for picture in pictures]


def _holdings(usable: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows by program, camera and epoch."""
    keys = ["program", "instrument", "detector", "filter"]
    rows: list[dict[str, Any]] = []
    for values, part in usable.groupby(keys, dropna=False):
        rows.append(
            dict(zip(keys, (str(value) for value in values), strict=True))
            | {
                "from": f"{part['epoch'].min():.3f}",
                "to": f"{part['epoch'].max():.3f}",
                "exposures": len(part),
                "time [s]": round(float(part["exptime"].sum())),
                "measured": int(part["n_stars"].notna().sum()),
                "stars": int(part["n_stars"].sum()),
                "saturated": int(part["n_saturated"].sum()),
                "median QFIT": _number(part["qfit_median"].median(), 3),
                "core of the ePSF": _number(part["core_fraction"].median(), 3),
            }
        )
    return rows


def _rejected(exposures: pd.DataFrame) -> list[Section]:
    rows = exposures[exposures["status"] == "rejected"]
    if rows.empty:
        return []
    listed = [{"exposure": row.exposure, "reason": row.reason or ""} for row in rows.head(_MOST).itertuples()]
    more = f", the first {_MOST} of them" if len(rows) > _MOST else ""
    return [Section("Rejected", f"{len(rows)} exposures{more}.", body=row_table(listed))]


def _label(record: Mapping[str, Any]) -> str:
    key = record["key"]
    return f"{key['instrument']} {key['filter']} {key['epoch']:.2f}"


def _frame_row(record: Mapping[str, Any]) -> dict[str, Any]:
    best, judged, mas = record["well_measured"], record["bright"], record["scales"][1]
    return {
        "frame": _label(record),
        "stars": record["stars"],
        "exposures": record["exposures"],
        "not placed": record["rejected"],
        "rms x [mpix]": _times(best["x"], 1e3 / mas),
        "rms y [mpix]": _times(best["y"], 1e3 / mas),
        "rms x [mas]": _times(best["x"], 1.0),
        "rms y [mas]": _times(best["y"], 1.0),
        "pulls x": _number(record["pulls"]["x"], 3),
        "pulls y": _number(record["pulls"]["y"], 3),
        "used: rms [mpix], pulls": _pair(judged["used"]),
        "reserved": _pair(judged["reserved"]),
        "phase x [mpix]": _times(record["phase"]["x"], 1e3, 2),
        "phase y [mpix]": _times(record["phase"]["y"], 1e3, 2),
        "floor [mas]": _range(record["floor_mas"], ".3f"),
        "tie to reference [mas]": _number(record["tie_mas"], 2),
        "scale [mas/pix]": _range(record["scale"], ".4f"),
    }


def _reference_row(name: str, one: Mapping[str, Any]) -> dict[str, Any]:
    row = {"catalog": name, "sources": one["sources"], "reserved": one["reserved"]}
    for axis in "xy":
        row |= {
            f"median d{axis} [mas]": _number(one[f"median_{axis}"], 3),
            f"σ d{axis} [mas]": _number(one[f"sigma_{axis}"], 3),
            f"σ d{axis}, reserved [mas]": _number(one[f"sigma_{axis}_reserved"], 3),
        }
    return row


def _single_row(one: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "exposure": one["exposure"],
        "detector": one["detector"],
        "links": one["n_used"],
        "bright": one.get("bright"),
        "rms [mpix]": _times(one.get("rms"), 1e3, 2),
        "reserved [mpix]": _times(one.get("rms_reserved"), 1e3, 2),
        "phase x [mpix]": _times(one.get("phase_x"), 1e3, 2),
        "phase y [mpix]": _times(one.get("phase_y"), 1e3, 2),
        "scale [mas/pix]": _number(one["scale"], 5),
        "rotation [deg]": _number(one["rotation"], 5),
        "zero point [mmag]": _times(one["zero_point"], 1e3, 2),
        "± [mmag]": _times(one["zero_point_error"], 1e3, 2),
        "floor [frame mpix]": _times(one["floor"], 1e3, 2),
        "floor [mmag]": _times(one["floor_mag"], 1e3, 2),
        "status": one["status"],
    }


def _number(value: Any, digits: int) -> str | None:
    return None if value is None or value != value else f"{value:.{digits}f}"


def _times(value: Any, by: float, digits: int = 3) -> str | None:
    return None if value is None else _number(by * value, digits)


def _pair(judged: Mapping[str, Any]) -> str | None:
    rms, pull = _times(judged["rms"], 1e3, 2), _number(judged["pull"], 3)
    return None if rms is None else f"{rms}, {pull}"


def _range(values: Sequence[Any], how: str) -> str | None:
    return None if values[0] is None else " to ".join(f"{value:{how}}" for value in values)
