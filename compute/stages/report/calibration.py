"""Pages of ePSF cubes: how they were built, what they hold, and the pictures that judge them."""

from collections.abc import Mapping
from typing import Any

from catalogs.cubes import EpsfCube
from compute.stages.report.page import Section, page, row_table

__all__ = ["cube_numbers", "cube_page", "cubes_section"]

_VARIATION = (
    "Left: the ePSF at each fiducial, logarithmic. Right: each minus the mean of all, linear, as in Libralato et al. "
    "(2023), Fig. 4."
)
_PROFILE = (
    "Contours of the central ePSF in steps of 0.1 dex, and cuts through the fiducials of the middle row and column (as "
    "Anderson & King 2000, Fig. 12). Rings: mean and extremes around the star. Numbers: at each fiducial, how "
    "many star images it is the nearest to, and the share of a star's flux in the pixel it is centred on."
)
_DENSITY = (
    "Where clean stars above S/N 20 of exposures measured with this ePSF are centred within a pixel, over what even "
    "coverage would give (as Libralato et al. 2023, Fig. 1). A wrong ePSF makes them gather, as photocentres do."
)
_CENTRES = (
    "Where the stars it was built from were found within a pixel, over what even coverage would give, as light "
    "centres and fitted after the last pass (as Libralato et al. 2023, Fig. 1)."
)
_PHASE = (
    "Position fitted freely minus the one imposed, of every star image the ePSF was built from, before the first "
    "pass (light centres) and after the last (as Libralato et al. 2023, Fig. 3); points are medians. Where positions "
    "were never averaged over exposures, a smooth ePSF fits its pixels and keeps the bias (as Anderson & King 2000, "
    "Fig. 9)."
)
_REGION = (
    "The last pass in nine regions of the detector as they lie on it (as Anderson & King 2000, Fig. 10), bright half "
    "of the stars against faint. Titles: amplitudes of bright and faint in x, then in y; – where stars are too few."
)
_SAMPLINGS = (
    "Pixels on the axes through the ePSF's centre, each an estimate of the ePSF, from stars around the middle fiducial "
    "in the last pass; line: the ePSF there. Below: less the ePSF at each star's own place (as Anderson & King 2000, "
    "Figs. 6 and 9; Libralato et al. 2023, Fig. 2)."
)
_PASSES = (
    "Each pass links stars of all exposures, solves for the ePSF and one position and flux per star, and fits all "
    "images anew. Change is the rms of the core's samples over the peak; scatter that of single positions about those "
    "imposed. Reserved stars judge the ePSF and are no part of it. Phase: amplitude of the pixel-phase error over the "
    "field, and the worst in nine regions, of bright stars or faint."
)
_TOLD = {  # of a pass: title, factor, digits
    "change": ("change [% of the peak]", 100.0, 3),
    "scatter": ("scatter [mpix]", 1e3, 2),
    "scatter_reserved": ("of reserved [mpix]", 1e3, 2),
    "qfit": ("median QFIT", 1.0, 4),
    "qfit_reserved": ("QFIT of reserved", 1.0, 4),
    "phase_x": ("phase x [mpix]", 1e3, 2),
    "phase_y": ("phase y [mpix]", 1e3, 2),
    "phase_worst": ("worst phase [mpix]", 1e3, 2),
}
_KINDS = {
    "variation": ("Over the detector", _VARIATION),
    "profile": ("Core and wings", _PROFILE),
    "centres": ("Centres of stars within a pixel, as it was built", _CENTRES),
    "phase": ("Pixel-phase errors, as it was built", _PHASE),
    "regions": ("Pixel-phase errors over the detector", _REGION),
    "samplings": ("Samplings of the core", _SAMPLINGS),
    "density": ("Centres of stars within a pixel, as it was used", _DENSITY),
}


def cube_numbers(cube: EpsfCube, told: Mapping[str, Any]) -> dict[str, Any]:
    """What a report records of a cube; `told` is what the manifest says of how it was built, empty if it was not."""
    core = cube.centre_values
    return {
        "camera": cube.key,
        "core": [core.min(), core.max()],
        "samples": [int(cube.n_samples.min()), int(cube.n_samples.max())],
        "fiducials": [cube.fx.size, cube.fy.size],
        "exposures": len(told["exposures"]) if told else None,
        "passes": list(told.get("passes", [])),
    }


def cubes_section(records: Mapping[str, Mapping[str, Any]], folder: str) -> list[Section]:
    """The table of a catalog's ePSFs, which leads to their pages in `folder`; nothing where there are none."""
    if not records:
        return []
    links = {_label(name, record): f"{folder}/{name}.html" for name, record in records.items()}
    rows = [{"ePSF": _label(name, record)} | _row(record) for name, record in records.items()]
    text = "Stars, images, scatter and QFIT are those of the last pass."
    return [Section("ePSFs of the catalog", text, body=row_table(rows, links))]


def cube_page(name: str, record: Mapping[str, Any]) -> str:
    """The page of one ePSF, that stands in the folder of its pictures."""
    lines = [{"of the ePSF": what, "": value} for what, value in _row(record).items() if value is not None]
    sections = [Section("In numbers", "", body=row_table(lines))]
    if record["passes"]:
        sections.append(Section("Passes", _PASSES, body=row_table([_pass(one) for one in record["passes"]])))
    for picture in record["pictures"]:
        title, text = _KINDS[picture.rsplit("-", 1)[1]]
        sections.append(Section(title, text, f"{picture}.png"))
    sections.append(Section("", "", body="<p><a href='../index.html'>All of the catalog</a></p>"))
    return page(f"ePSF {_label(name, record)}", sections)


def _label(name: str, record: Mapping[str, Any]) -> str:
    camera = record["camera"]
    return f"{' '.join(camera)} {name.removeprefix('epsf-').removeprefix('_'.join(camera)).lstrip('_')}"


def _row(record: Mapping[str, Any]) -> dict[str, Any]:
    last = _pass(record["passes"][-1]) if record["passes"] else {}
    (low, high), (least, most), (n_x, n_y) = record["core"], record["samples"], record["fiducials"]
    return {
        "fiducials": f"{n_x} x {n_y}",
        "core fraction": f"{low:.3f} to {high:.3f}",
        "images of a fiducial": f"{least:,} to {most:,}",
        "exposures": record["exposures"],
        **{what: last.get(what) for what in ("stars", "images", "scatter [mpix]", "median QFIT")},
        "passes": len(record["passes"]) or None,
    }


def _pass(one: Mapping[str, Any]) -> dict[str, Any]:
    told = {"pass": one["pass"], "stars": one["stars"], "images": one["stamps"]}
    for name, (title, times, digits) in _TOLD.items():
        if name in one:
            told[title] = None if one[name] is None else f"{times * one[name]:.{digits}f}"
    return told
