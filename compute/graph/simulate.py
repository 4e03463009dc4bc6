"""Campaigns on a cluster: skies and cameras first, then an exposure a task; what is there is not drawn again."""

import json
from importlib.metadata import version
from pathlib import Path

import pandas as pd
from distributed import Client

from catalogs.catalog import create_or_open, measurement_path, open_catalog
from catalogs.errors import PiazziError
from catalogs.lease import Tell
from catalogs.store import Store
from catalogs.tables import EXPOSURES, MEASUREMENTS
from compute.campaign import Campaign
from compute.graph.apply import Progress, run, run_all
from compute.graph.pipeline import Report, versions
from compute.stages.simulate import truth
from compute.stages.simulate.frames import simulate_frame
from compute.stages.simulate.plan import Exposure, plan
from compute.stages.simulate.tables import simulate_measurements

_DESCRIPTION, _CATALOG = "campaign.json", "catalog"


def simulate(
    campaign: Campaign,
    folder: str,
    client: Client,
    *,
    tables: bool = False,
    fresh: bool = False,
    progress: Progress | None = None,
    wait: bool = False,
    tell: Tell | None = None,
) -> Report:
    """Draw a campaign's frames, truth and reference catalogs into a local folder.

    The bytes depend on the campaign alone. A folder that holds part of the same campaign is completed. With `tables`
    no pixels are drawn: there is a catalog of MEASUREMENTS in place of frames. With `wait` it waits while another
    process writes to the folder, telling `tell`.

    Raises
    ------
    PiazziError
        For a folder with other files in it, or with another campaign unless `fresh`, which removes what that wrote.
    """
    store, exposures = Store(folder), plan(campaign)
    with store.lock(wait, tell):
        _claim(store, campaign, tables, fresh)
        store.sweep()
        if tables:
            create_or_open(store.locate_url(_CATALOG))
        done = {each.root for each in exposures if store.exists(truth.record_file(each.root))}
        due = [each for each in exposures if each.root not in done]
        report = Report("simulate", skipped=len(done))
        if due:
            _prepare(store, campaign, client, progress)
            task = _tabulate if tables else _expose
            broken = run(client, "simulate", task, {e.root: (store, campaign, e) for e in due}, progress)
            report.done = len(due) - len(broken)
            for root, reason in sorted(broken.items()):
                report.rejected.append({"exposure": root, "path": folder, "reason": reason})
            done |= {each.root for each in due} - broken.keys()
        if done:
            truth.gather(store, sorted(done))
        if tables and done:
            _write_catalog(store, sorted(done))
        elif not tables:
            truth.write_recipe(store, campaign)
    return report


def _claim(store: Store, campaign: Campaign, tables: bool, fresh: bool) -> None:
    """See that the folder is this campaign's, or make it so."""
    if not store.is_local:
        raise PiazziError(f"{store.url}: found a remote folder, expected a local one: frames are written as FITS files")
    digest, there = campaign.digest(version("piazzi"), "tables" if tables else "frames"), store.list()
    if _DESCRIPTION in there:
        found = json.loads(store.read_bytes(_DESCRIPTION))
        if found["digest"] == digest and not fresh:
            return
        if not fresh:
            other = (
                "in the other form" if found.get("tables") != tables else "with other settings or of another version"
            )
            there_is = f"campaign {found['campaign']['name']!r} {other}"
            expected = "an empty folder or the same campaign; --fresh replaces it"
            raise PiazziError(f"{store.url}: found {there_is}, expected {expected}")
        for entry in (*truth.ENTRIES, _CATALOG, _DESCRIPTION):  # the last tells that the others are a campaign's
            if store.exists(entry):
                store.remove(entry)
    elif there:
        raise PiazziError(f"{store.url}: found {there[0]}, expected an empty folder")
    text = {"campaign": campaign.model_dump(mode="json"), "tables": tables, "digest": digest, "versions": versions()}
    store.commit(_DESCRIPTION, lambda sink: sink.write((json.dumps(text, indent=2, sort_keys=True) + "\n").encode()))


def _prepare(store: Store, campaign: Campaign, client: Client, progress: Progress | None) -> None:
    """Skies, reference catalogs, ePSFs and distortions that are not there yet; any failure ends the run."""
    numbers = [n for n, field in enumerate(campaign.fields) if not store.exists(truth.stars_file(field.name))]
    skies = {campaign.fields[n].name: (store, campaign, n) for n in numbers}
    run_all(client, "sky", truth.make_sky, skies, progress)
    if not store.exists(truth.GAIA_FILE) or not store.exists(truth.REFERENCE_FILE):
        run_all(client, "references", truth.make_references, {"catalogs": (store, campaign)}, progress)
    wanted = {"_".join(camera): (store, campaign, camera) for camera in truth.cameras(campaign)
              if not store.exists(f"{truth.WORK}/epsf/{'_'.join(camera)}")}  # fmt: skip
    run_all(client, "optics", truth.make_camera, wanted, progress)


def _expose(store: Store, campaign: Campaign, exposure: Exposure) -> None:
    """One task: an exposure's files and truth."""
    observation = campaign.observations[exposure.observation]
    sky = truth.load_sky(store, campaign.field_of(observation).name)
    epsfs = truth.load_epsfs(store, observation.instrument, observation.detector, exposure.filter)
    truths = simulate_frame(campaign, exposure, sky, epsfs, Path(store.locate(truth.FRAMES)))
    truth.keep(store, exposure.root, truths)


def _tabulate(store: Store, campaign: Campaign, exposure: Exposure) -> None:
    """One task without pixels: an exposure's MEASUREMENTS and truth, and its rows of EXPOSURES aside."""
    observation = campaign.observations[exposure.observation]
    sky = truth.load_sky(store, campaign.field_of(observation).name)
    epsfs = truth.load_epsfs(store, observation.instrument, observation.detector, exposure.filter)
    found = simulate_measurements(campaign, exposure, sky, epsfs)
    rows = []
    for _, measured, row in found:
        place = f"{_CATALOG}/{measurement_path(row.iloc[0])}"
        truth.write(store, place, measured, MEASUREMENTS)
        rows.append(row.assign(table_sha256=store.sha256(place)))
    truth.write(store, _row_file(exposure.root), EXPOSURES.conform(pd.concat(rows, ignore_index=True)), EXPOSURES)
    truth.keep(store, exposure.root, [each for each, *_ in found])


def _row_file(exposure: str) -> str:
    return f"{truth.WORK}/exposures/{exposure}.parquet"


def _write_catalog(store: Store, exposures: list[str]) -> None:
    """EXPOSURES of all that is done."""
    rows = [truth.read(store, _row_file(each), EXPOSURES) for each in exposures]
    open_catalog(store.locate_url(_CATALOG)).write_exposures(pd.concat(rows, ignore_index=True))
