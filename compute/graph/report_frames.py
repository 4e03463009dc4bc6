"""What workers run for a report: pictures and numbers of one master frame; committed as they end."""

import re
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from catalogs.catalog import field_path, frame_path, measurement_path
from catalogs.masters import MASTER, MATCHES
from catalogs.store import Store
from catalogs.tables import MEASUREMENTS
from compute.graph.report_tasks import commit, read
from compute.stages.frame.groups import FrameKey
from compute.stages.frame.ties import read_transform
from compute.stages.report.colours import LEAST, colour_figure, with_colours
from compute.stages.report.frames import MOST, Single, detector_figure, phases_figure, vectors_figure
from compute.stages.report.numbers import frame_numbers
from compute.stages.report.panels import Extent
from compute.stages.report.phased import epoch_figure, flux_figure, of_other_epoch
from compute.stages.report.precision import precision_figure, well_measured
from compute.stages.report.referred import reference_figure, reference_numbers
from compute.stages.report.residuals import bright, exposure_numbers, on_detector

__all__ = ["covered", "draw_frame"]

_MASTER = [
    "star_id", "x", "y", "x_error", "y_error", "mag", "n_used", "rms_x", "rms_y", "qfit", "flags",
]  # fmt: skip
_MATCHES = ["star_id", "exposure", "detector", "star", "dx", "dy", "x_error", "y_error", "mag", "used", "reserved"]
_REFERENCE = ["x_frame", "y_frame", "dx", "dy", "mag", "reserved"]


def draw_frame(
    store: Store, folder: str, name: str, field: str, key: FrameKey, rows: pd.DataFrame, exposures: pd.DataFrame,
    mas: float, others: Sequence[FrameKey] = (),
) -> None:  # fmt: skip
    """Everything there is to show of one master frame.

    `rows` are its TRANSFORMS, `exposures` the EXPOSURES they name, `mas` the scale of the frame [mas/pix], `others` the
    other frames of the field.
    """
    tied = rows[(rows["status"] == "ok") & (rows["detector"] != "")].reset_index(drop=True)
    master = _master(store, field, key)
    stars = well_measured(master)
    back = np.array([np.linalg.inv(read_transform(row).matrix) for row in tied.to_dict("records")]).reshape(-1, 2, 2)
    detections = _detections(store, field, tied, master, exposures)
    expected, residuals = _residuals(detections, stars.index, back)
    known = dict(_references(store, field, key))
    label = f"{key.instrument} {key.filter} {key.epoch_name}"
    scales = mas, float(mas / np.median(np.sqrt(np.abs(np.linalg.det(back)))))
    drawn: dict[str, Figure] = {}
    if len(residuals):  # some star was seen twice
        drawn[f"{name}-precision"] = precision_figure(stars, expected, residuals, scales, label)
    for detector, part, extent in _by_detector(residuals, tied, exposures):
        drawn[f"{name}-residuals-{detector}"] = detector_figure(part, extent, f"{label} {detector}")
    if len(residuals):
        fluxes = residuals.assign(dmag=residuals["mag"] - master["mag"].to_numpy()[detections["row"][residuals.index]])
        drawn[f"{name}-fluxes"] = flux_figure(fluxes, label)
    best = detections[np.isin(detections["row"], stars.index)]
    compared = _colours(store, field, key, others, stars, label)
    compared |= _epochs(store, field, key, others, master, best, back, label)
    drawn |= {f"{name}-{kind}": figure for kind, figure in compared.items()}
    singles = exposure_numbers(residuals)
    drawn |= _singles(name, residuals, tied, exposures, singles, label)
    for reference, matched in known.items():
        drawn[f"{name}-reference-{reference}"] = reference_figure(matched, mas, f"{label} and {reference}")
    told = frame_numbers(rows, master, stars, residuals, singles, scales)
    told["references"] = {reference: reference_numbers(matched, mas) for reference, matched in known.items()}
    commit(store, folder, name, drawn, told | {"field": field, "key": key._asdict(), "scales": scales})


def _colours(
    store: Store, field: str, key: FrameKey, others: Sequence[FrameKey], stars: pd.DataFrame, label: str
) -> dict[str, Figure]:
    """Quality of fits by colour, where the instrument saw the field in another filter."""
    near = [one for one in others if one.instrument == key.instrument and one.filter != key.filter]
    if not near:
        return {}
    one = min(near, key=lambda one: (abs(one.epoch - key.epoch), one))
    known = with_colours(stars, _master(store, field, one), 1 if key.filter < one.filter else -1)
    colour = " − ".join(sorted((key.filter, one.filter)))
    return {"colours": colour_figure(known, colour, label)} if len(known) >= LEAST else {}


def _epochs(
    store: Store, field: str, key: FrameKey, others: Sequence[FrameKey], master: pd.DataFrame, rows: pd.DataFrame,
    back: np.ndarray, label: str,
) -> dict[str, Figure]:  # fmt: skip
    """Detections about the means of another epoch, where the field was seen in this filter twice."""
    near = [one for one in others if one[:2] == key[:2]]
    if not near:
        return {}
    one = min(near, key=lambda one: (abs(one.epoch - key.epoch), one))
    there = _master(store, field, one).set_index("star_id")[["x", "y"]].reindex(master["star_id"])
    shift = master[["x", "y"]].to_numpy() - there.to_numpy()
    found = of_other_epoch(rows, shift[rows["row"]], back)
    return {"epochs": epoch_figure(found, f"{label} about {one.epoch_name}")} if len(found) else {}


def _master(store: Store, field: str, key: FrameKey) -> pd.DataFrame:
    """MASTER of one frame, sorted by `star_id`."""
    paths = store.list(frame_path(field, key.instrument, key.filter, key.epoch_name), ".parquet")
    parts = [read(store, path, MASTER, _MASTER) for path in paths] or [MASTER.empty()[_MASTER]]
    return pd.concat(parts).sort_values("star_id", ignore_index=True)


def _detections(
    store: Store, field: str, tied: pd.DataFrame, master: pd.DataFrame, exposures: pd.DataFrame
) -> pd.DataFrame:
    """Detections that are part of the means of a frame, sorted by exposure and star.

    `number` is the row of `tied`, `row` that of `master`.
    """
    names = pd.MultiIndex.from_frame(tied[["exposure", "detector"]])
    parts = []
    for path in store.list(field_path("matches", field), ".parquet"):
        if path.rsplit("/", 1)[1].startswith("part-"):
            parts.append(_of_frame(read(store, path, MATCHES, _MATCHES), names, master))
    found = pd.concat(parts, ignore_index=True).sort_values(["number", "star"], kind="stable", ignore_index=True)
    for axis in "xy":
        found[f"mean_{axis}_error"] = master[f"{axis}_error"].to_numpy(np.float32)[found["row"]]
    return _with_places(store, found, tied, exposures)


def _of_frame(part: pd.DataFrame, names: pd.MultiIndex, master: pd.DataFrame) -> pd.DataFrame:
    part = part[part["used"]]
    number = names.get_indexer(pd.MultiIndex.from_frame(part[["exposure", "detector"]]))
    part, number = part[number >= 0], number[number >= 0]
    ids = master["star_id"].to_numpy()
    row = np.minimum(np.searchsorted(ids, part["star_id"]), max(ids.size - 1, 0))
    small = {name: part[name].to_numpy(np.float32) for name in ("dx", "dy", "x_error", "y_error", "mag")}
    columns = {"number": number.astype(np.int32), "row": row.astype(np.int32), "star": part["star"].to_numpy()} | small
    return pd.DataFrame(columns | {"reserved": part["reserved"].to_numpy()})


def _with_places(store: Store, found: pd.DataFrame, tied: pd.DataFrame, exposures: pd.DataFrame) -> pd.DataFrame:
    """Add `x`, `y` on the detector from MEASUREMENTS."""
    rows = {(row["exposure"], row["detector"]): row for row in exposures.to_dict("records")}
    place = np.full((2, len(found)), np.nan, np.float32)
    edges = np.searchsorted(found["number"], np.arange(len(tied) + 1))
    for k, name in enumerate(zip(tied["exposure"], tied["detector"], strict=True)):
        mine = slice(edges[k], edges[k + 1])
        stars = read(store, measurement_path(rows[name]), MEASUREMENTS, ["star", "x", "y"]).sort_values("star")
        at = np.searchsorted(stars["star"], found["star"].iloc[mine])
        place[:, mine] = stars[["x", "y"]].to_numpy()[at].T
    return found.assign(x=place[0], y=place[1])


def _residuals(rows: pd.DataFrame, index: pd.Index, back: np.ndarray) -> tuple[np.ndarray, pd.DataFrame]:
    """(2, n) root mean variance of the positions of the n stars in rows `index` of MASTER, and their residuals."""
    n = np.maximum(np.bincount(rows["row"], minlength=index.max() + 1 if len(index) else 0), 1)
    sums = [np.bincount(rows["row"], rows[f"{axis}_error"] ** 2, n.size) for axis in "xy"]
    return np.sqrt(np.array(sums) / n)[:, index], on_detector(rows[np.isin(rows["row"], index)], back)


def _by_detector(
    residuals: pd.DataFrame, tied: pd.DataFrame, exposures: pd.DataFrame
) -> Iterator[tuple[str, pd.DataFrame, Extent]]:
    for detector in sorted(tied["detector"].unique()):
        numbers = np.flatnonzero(tied["detector"] == detector)
        part = residuals[np.isin(residuals["number"], numbers)]
        if len(part):
            yield detector, part, covered(exposures, detector)


def covered(exposures: pd.DataFrame, detector: str) -> Extent:
    """Left, right, bottom and top of what all exposures together cover of a detector [pix]."""
    rows = exposures[exposures["detector"] == detector]
    left, bottom = (float(rows[f"{axis}_start"].min()) - 0.5 for axis in "xy")
    right, top = (float((rows[f"{axis}_start"] + rows[f"n_{axis}"]).max()) - 0.5 for axis in "xy")
    return left, right, bottom, top


def _singles(
    name: str, residuals: pd.DataFrame, tied: pd.DataFrame, exposures: pd.DataFrame, numbers: pd.DataFrame,
    label: str,
) -> dict[str, Figure]:  # fmt: skip
    """Panels of single exposures: all of them, or those that scatter most."""
    chosen = sorted(numbers["rms"].sort_values(ascending=False, kind="stable", na_position="last").index[:MOST])
    parts = []
    for number, rows in bright(residuals).groupby("number"):
        if number in chosen:
            title = _short(tied.iloc[number], f"{1e3 * numbers['rms'][number]:.1f}")
            parts.append(Single(title, rows, covered(exposures, tied["detector"][number])))
    if not parts:
        return {}
    few = "" if len(numbers) <= MOST else f", the {MOST} of {len(numbers)} exposures that scatter most"
    vectors = vectors_figure(parts, f"{label}: medians of cells, scatter per axis [mpix]{few}")
    phases = phases_figure(parts, f"{label}: dx (blue), dy (red) against pixel phase, scatter per axis [mpix]{few}")
    return {f"{name}-vectors": vectors, f"{name}-phases": phases}


def _short(row: pd.Series, rms: str) -> str:
    """Title of an exposure's panel: observation, activity and number where the name tells, and its scatter."""
    jwst = re.fullmatch(r"jw\d{5}(\d{3})\d{3}_(\d{5})_(\d{5})_.*", row["exposure"])
    name = f"{jwst[1]}-{jwst[2]}-{jwst[3][-3:]}" if jwst else row["exposure"]
    return f"{name} {row['detector']}: {rms}"


def _references(store: Store, field: str, key: FrameKey) -> Iterator[tuple[str, pd.DataFrame]]:
    """MATCHES of each reference catalog with one frame."""
    frame = re.escape(f"{key.instrument}_{key.filter}_{key.epoch_name}")
    pattern = re.compile(rf"(.+)-{frame}_-?\d+_-?\d+\.parquet")
    parts: dict[str, list[pd.DataFrame]] = {}
    for path in store.list(field_path("matches", field), ".parquet"):
        if found := pattern.fullmatch(path.rsplit("/", 1)[1]):
            parts.setdefault(found[1], []).append(read(store, path, MATCHES, _REFERENCE))
    for reference in sorted(parts):
        yield reference, pd.concat(parts[reference], ignore_index=True)
