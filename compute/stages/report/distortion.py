"""Pages of distortion corrections: figures and tables of one detector and filter, and of all filters together."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from catalogs.distortion import DistortionCube
from compute.stages.report.distortion_maps import (
    correction_figure,
    filters_figure,
    residual_maps_figure,
    vectors_figure,
)
from compute.stages.report.distortion_tests import distortion_numbers
from compute.stages.report.distortion_trends import bands_figure, rms_figure, scatter_figure
from compute.stages.report.page import Section, page, row_table
from compute.stages.report.solution import solution_sections

__all__ = ["camera_figures", "distortion_figures", "distortion_numbers", "distortion_page", "distortion_sections"]

_TITLES = {
    "vectors": "Residuals over the detector",
    "bands": "Residuals in bands",
    "scatter": "Residuals against each other",
    "correction": "The correction",
    "maps": "Fine structure",
    "filters": "How filters differ",
    "precision": "Precision star by star",
}
_TEXTS = {
    "vectors": "Above, medians of cells, magnified as told; below, all residuals along the axes with their medians. "
    "Before: a four-parameter link and no correction; after: with it (as Libralato et al. 2023, Figs. 9 and 11).",
    "bands": "Residuals after the correction along either axis, in four bands across it: waves of the readout differ "
    "between the amplifiers, that read a quarter of the detector each (as Fig. 10).",
    "scatter": "Average of the exposures, carried back to the detector, minus measured, for the brightest two "
    "magnitudes, with Gaussians fitted to the histograms. A good correction leaves a round, normal cloud (as Fig. 12).",
    "correction": "What is added to raw positions, layer by layer. Colours saturate at the 99.5th percentile.",
    "maps": "Residuals of all filters together, without and with the pixel map: structure of the detector is the same "
    "in all (as Figs. 13 to 15).",
    "filters": "Each filter's correction minus the average of all (as Fig. 17).",
    "precision": "Scatter of stars about their average per axis. Red: median of the best stars, that lie where it is "
    "shaded; dashed: what errors of single positions let expect (as Fig. 16).",
}
_TRENDS = (
    "Weighted means of residuals in bins, against zero. Where p is small, the residuals know of the coordinate; the "
    "largest mean tells by how much. Those with a catalog are averaged star by star first."
)
_FEATURES = (
    "Stretches of ten-pixel bands where residuals have a mean of their own, merged over neighbouring bands, with their "
    "number expected by chance. So were the voids under the detector of NIRISS found (section 4.3)."
)
_MOST = 30  # features listed


def distortion_figures(
    rows: pd.DataFrame, cube: DistortionCube, mas: float, label: str
) -> dict[str, Callable[[], Figure]]:
    """What draws the figures of one correction, by kind.

    Parameters
    ----------
    rows
        RESIDUALS of a detector and filter: `exposure`, `star_id`; raw `x`, `y`; `dx`, `dy`, place of catalog or average
        carried back to the detector minus measured, `dx_before`, `dy_before`, the same without any correction;
        `x_error`, `y_error`, all [pix]; `mag`; `reserved`; `reference`, whether it is the catalog's place.
    mas
        Pixel scale [mas/pix].
    """
    return {
        "vectors": partial(vectors_figure, rows, cube.shape, label),
        "bands": partial(bands_figure, rows, cube.shape, label),
        "scatter": partial(scatter_figure, rows, mas, label),
        "correction": partial(correction_figure, cube, label),
    }


def camera_figures(
    rows: Mapping[str, pd.DataFrame],
    cubes: Mapping[str, DistortionCube],
    mas: Mapping[str, float],
    flat: NDArray | None,
    label: str,
) -> dict[str, Callable[[], Figure]]:
    """What draws the figures of all filters of a detector, by kind; all mappings are by filter."""
    found: dict[str, Callable[[], Figure]] = {"precision": partial(rms_figure, rows, mas, label)}
    found["maps"] = partial(residual_maps_figure, rows, cubes, flat, label)
    return found | ({"filters": partial(filters_figure, cubes, label)} if len(cubes) > 1 else {})


def distortion_sections(record: Mapping[str, Any]) -> list[Section]:
    """A section for each picture of a record, its `pictures` being named ``<anything>-<kind>``, and for its tables.

    `record` is what :func:`distortion_numbers` tells, with `pictures`, and what is known of the `solution`; that of a
    correction from elsewhere has `layers` and pictures, that of all filters these alone.
    """
    sections = solution_sections(record.get("solution", {}))
    found = (_row(record) if "after" in record else {}) | _layers(record.get("layers", {}))
    lines = [{"of the correction": what, "": value} for what, value in found.items() if value is not None]
    if lines:
        sections.append(Section("In numbers", "", body=row_table(lines)))
    for picture in record["pictures"]:
        kind = picture.rsplit("-", 1)[1]
        sections.append(Section(_TITLES[kind], _TEXTS[kind], f"{picture}.png"))
    if record.get("trends"):
        sections.append(Section("Tests of the residuals", _TRENDS, body=row_table(list(map(_trend, record["trends"])))))
    if "features" in record:
        told = record["features"][:_MOST]
        text = _FEATURES if told else "No stretch of a ten-pixel band has residuals that chance does not explain."
        sections.append(Section("Local features", text, body=row_table(list(map(_feature, told)))))
    return sections


def distortion_page(title: str, record: Mapping[str, Any]) -> str:
    """The page of a correction, or of all filters, that stands in the folder of its pictures."""
    back = Section("", "", body="<p><a href='../index.html'>All of the catalog</a></p>")
    return page(title, [*distortion_sections(record), back])


def _row(record: Mapping[str, Any]) -> dict[str, Any]:
    mas, best = record["scale"], record["best"]
    pairs, told = record["pairs"], {
        f"spread {when}, {record['against']} [mpix]": _both(record[name], 1e3)
        for name, when in (("before", "before"), ("after", "after"), ("used", "of stars used"),
                           ("reserved", "of stars kept out"))
    }  # fmt: skip
    return {
        "exposures": record["exposures"],
        "pairs with a catalog": pairs["reference"],
        "pairs with averages": pairs["averages"],
        "pixel scale [mas]": f"{mas:.4f}",
        **told,
        "Gaussian of the brightest, averages [mpix]": _both(record["sigma"], 1e3),
        "the same [mas]": _both(record["sigma"], mas),
        "1-D rms of the best stars [mpix]": _number(best, 1e3),
        "the same [mas]; errors let expect": f"{_number(best, mas)}; {_number(record['noise'], mas)}",
    }


def _layers(layers: Mapping[str, Mapping[str, float]]) -> dict[str, str]:
    return {f"{name}: rms x, y; largest [mpix]": _layer(one) for name, one in layers.items()}


def _number(value: float | None, times: float) -> str:
    return "—" if value is None or value != value else f"{times * value:.4g}"


def _both(values: Mapping[str, float | None], times: float) -> str:
    return ", ".join(_number(values[axis], times) for axis in "xy")


def _layer(one: Mapping[str, float]) -> str:
    return f"{_number(one['rms_x'], 1e3)}, {_number(one['rms_y'], 1e3)}; {_number(one['largest'], 1e3)}"


def _trend(one: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "minus": one["against"],
        "residual": one["residual"],
        "along": one["coordinate"],
        "largest mean [mpix]": f"{one['largest']:.2f}",
        "chi2": f"{one['chi2']:.1f}",
        "bins": one["dof"],
        "p": "—" if one["p"] is None else f"{one['p']:.2g}",
    }


def _feature(one: Mapping[str, Any]) -> dict[str, Any]:
    across = "y" if one["along"] == "x" else "x"
    (low, high), (first, last) = one["band"], one["extent"]
    return {
        "residual": f"d{one['axis']}",
        "band": f"{across} {low:.0f} to {high:.0f}",
        "extent": f"{one['along']} {first:.0f} to {last:.0f}",
        "mean [mpix]": f"{1e3 * one['mean']:+.1f}",
        "significance": f"{one['significance']:+.1f}",
        "positions": one["n"],
        "by chance": f"{one['false_alarm']:.2g}",
    }
