"""Stage `report` on a cluster: pictures by frame, camera and detector, then the pages that show them."""

import hashlib
import json
import re
from collections.abc import Callable, Iterable
from functools import partial
from importlib.metadata import version
from typing import Any, BinaryIO

import pandas as pd
from distributed import Client

from catalogs.catalog import Catalog, field_path
from catalogs.errors import UnusableError
from catalogs.masters import TRANSFORMS
from compute.graph.apply import Progress, run_all
from compute.graph.made import record_report, versions
from compute.graph.pipeline import Report
from compute.graph.report_chapters import Task, chapters
from compute.graph.report_frames import draw_frame
from compute.graph.report_tasks import draw_camera, draw_quality, draw_ties
from compute.graph.scales import read_folder
from compute.stages.distortion import own_calibrations
from compute.stages.frame.groups import FrameKey
from compute.stages.library import own_libraries
from compute.stages.report.catalog import frame_page, index_page
from compute.stages.report.page import Section

__all__ = ["report"]

_PAGE = "reports/index.html"
_FOLDER = re.compile(r"reports/([0-9a-f]{16})/")
_CAMERAS = 24  # whose fits are shown


def report(
    catalog: Catalog,
    client: Client,
    field: str | None = None,
    *,
    fresh: bool = False,
    progress: Progress | None = None,
) -> tuple[Report, str, dict[str, Any]]:
    """Write ``reports/index.html``, with pages of master frames and pictures in a folder beside it.

    The first page is written last and names the folder, which is called by what the catalog holds: an older page is
    whole until then. Pictures that are there already are not drawn again unless `fresh`.

    Parameters
    ----------
    field
        Only master frames of this field.

    Returns
    -------
    report, url, numbers
        What was done, where the page is, and what is recorded of each master frame, by name.

    Raises
    ------
    UnusableError
        For a catalog without exposures, or a field without frames.
    """
    exposures, made = catalog.exposures, catalog.manifest.provenance.get("frame", {})
    if exposures.empty:
        raise UnusableError("report", "a catalog without exposures", "at least one")
    if field is not None and field not in made:
        raise UnusableError(f"report: field {field}", f"frames of {', '.join(made) or 'none'}", "master frames of it")
    fields = sorted(made) if field is None else [field]
    cubes = own_libraries(catalog.store), own_calibrations(catalog.store, _cameras(catalog))
    folder = f"reports/{_digest(catalog, exposures, fields, [cube.sha256 for kind in cubes for cube in kind])}"
    told = chapters(catalog, exposures, fields, *cubes)
    frames: dict[str, Task] = {}
    others: dict[str, Task] = _measured(exposures)
    for each in fields:
        frames |= _frames(catalog, each, exposures, made[each]["plane"]["scale"])
        others |= _ties(catalog, each, exposures)
    tasks = {name: task for chapter in told for name, task in chapter.tasks.items()}
    report = _draw(catalog, client, folder, frames | others | tasks, fresh, progress)
    numbers = _records(catalog, folder, frames)
    for name, record in numbers.items():
        _write(catalog, f"{folder}/{name}.html", frame_page(name, record))
    sections: list[Section] = []
    for chapter in told:
        records = _records(catalog, folder, chapter.tasks)
        for name, text in chapter.pages(records).items():
            _write(catalog, f"{folder}/{name}.html", text)
        sections += chapter.sections(records, folder.split("/")[1])
    pictures = {kind: [name for name in others if name.startswith(f"{prefix}-")]
                for kind, prefix in (("ties", "ties"), ("quality", "quality"), ("cameras", "fits"))}  # fmt: skip
    _write(catalog, _PAGE, index_page(exposures, numbers, folder.split("/")[1], pictures, sections))
    record_report(catalog)
    _prune(catalog, folder)
    return report, catalog.store.locate_url(_PAGE), numbers


def _cameras(catalog: Catalog) -> list[tuple[str, str, str]]:
    """Those that the catalog has distortions of."""
    names = {path.split("/")[2] for path in catalog.store.list("cubes/distortion", (".zmetadata", "zarr.json"))}
    return [(camera[0], camera[1], camera[2]) for name in names if len(camera := name.split("_")) == 3]


def _records(catalog: Catalog, folder: str, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """What tasks recorded."""
    return {name: json.loads(catalog.store.read_bytes(f"{folder}/{name}.json")) for name in names}


def _digest(catalog: Catalog, exposures: pd.DataFrame, fields: list[str], cubes: list[str]) -> str:
    """What the pages are made from."""
    known = [exposures.to_csv(index=False), catalog.manifest.to_json().decode(), fields, versions(), cubes]
    known += catalog.store.list("cubes", ".parquet")
    return hashlib.sha256(json.dumps([*known, version("matplotlib")], sort_keys=True).encode()).hexdigest()[:16]


def _measured(exposures: pd.DataFrame) -> dict[str, Task]:
    """Tasks that MEASUREMENTS alone are enough for."""
    rows = exposures[(exposures["status"] == "ok") & exposures["n_stars"].notna()]
    found: dict[str, Task] = {}
    for instrument, part in rows.groupby("instrument"):
        found[f"quality-{instrument}"] = (draw_quality, (part,))
    for camera, part in list(rows.groupby(["instrument", "detector", "filter"]))[:_CAMERAS]:
        first = part.sort_values(["exposure", "program"], kind="stable").iloc[0]
        found[f"fits-{'_'.join(camera)}"] = (draw_camera, (first.to_dict(),))
    return found


def _transforms(catalog: Catalog, field: str) -> pd.DataFrame:
    return read_folder(catalog.store, field_path("transforms", field), TRANSFORMS)


def _frames(catalog: Catalog, field: str, exposures: pd.DataFrame, mas: float) -> dict[str, Task]:
    """A task for each master frame of a field."""
    found: dict[str, Task] = {}
    known = {FrameKey(*values): rows for values, rows in _transforms(catalog, field).groupby([*FrameKey._fields])}
    for key, rows in known.items():
        placed = rows[(rows["status"] == "ok") & (rows["detector"] != "")]
        if len(placed):
            mine = _named_in(exposures, placed)
            found["_".join((field, key.instrument, key.filter, key.epoch_name))] = (
                draw_frame, (field, key, rows, mine, mas, tuple(one for one in known if one != key))
            )  # fmt: skip
    return found


def _ties(catalog: Catalog, field: str, exposures: pd.DataFrame) -> dict[str, Task]:
    """A task for each detector that a field was seen with."""
    rows = _transforms(catalog, field)
    rows = rows[(rows["status"] == "ok") & (rows["detector"] != "")]
    return {
        f"ties-{field}_{'_'.join(camera)}": (draw_ties, (part, _named_in(exposures, part)))
        for camera, part in rows.groupby(["instrument", "detector"])
    }


def _named_in(exposures: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """EXPOSURES of the rows of TRANSFORMS."""
    usable = exposures[exposures["status"] == "ok"]
    return usable.merge(rows[["exposure", "detector"]], on=["exposure", "detector"])


def _draw(
    catalog: Catalog, client: Client, folder: str, tasks: dict[str, Task], fresh: bool, progress: Progress | None
) -> Report:
    """Draw what has no record yet."""
    there = set() if fresh else set(catalog.store.list(folder, ".json"))
    due = {name: task for name, task in tasks.items() if f"{folder}/{name}.json" not in there}
    work = {name: (draw, catalog.store, folder, name, *args) for name, (draw, args) in due.items()}
    run_all(client, "report", _call, work, progress)
    return Report("report", len(due), len(tasks) - len(due), unit="sets of pictures")


def _call(draw: Callable[..., None], *args: Any) -> None:
    draw(*args)


def _prune(catalog: Catalog, folder: str) -> None:
    """Remove pages and pictures that no first page names any more."""
    found = {match[1] for path in catalog.store.list("reports") if (match := _FOLDER.match(path))}
    for old in sorted(found - {folder.split("/")[1]}):
        catalog.store.remove(f"reports/{old}")


def _write(catalog: Catalog, path: str, text: str) -> None:
    catalog.store.commit(path, partial(_fill, text.encode()))


def _fill(data: bytes, sink: BinaryIO) -> None:
    sink.write(data)
