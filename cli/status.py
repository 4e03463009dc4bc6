"""``piazzi status``: what a catalog holds, what is stale or damaged and why, what an interrupted run left."""

import json
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from catalogs.catalog import open_catalog
from catalogs.errors import CatalogError
from cli import common

if TYPE_CHECKING:
    import pandas as pd

    from catalogs.catalog import Catalog
    from compute.graph.stale import Stale

_STAGING = ".staging"  # a folder for each stage at work


@click.command("status")
@click.argument("catalog")
@click.option("--verify", is_flag=True, help="read every file and compare it with what was recorded of it")
@common.json_option
def command(catalog, verify, as_json):
    """Show what CATALOG holds, and what would be made otherwise now, and why.

    Only EXPOSURES and the catalog's own records are read. With --verify every table and cube is: digests, rows, columns
    and checksums, files that no record knows and records without a file; exit 1, with a line for each fault.
    """
    place = open_catalog(catalog)
    exposures = place.exposures
    found, broken = _stale(place, exposures, verify)
    rejected = exposures.loc[exposures["status"] == "rejected", ["exposure", "path", "reason"]]
    told: dict[str, Any] = {
        "catalog": catalog,
        "format_version": place.manifest.format_version,
        "stages": sorted(place.manifest.provenance),
        "exposures": json.loads(_groups(exposures).to_json(orient="records")),
        "rejected": rejected.to_dict("records"),
        "interrupted": _interrupted(place),
        "stale": [one._asdict() for one in found],
    }
    if verify:
        faults, told["verified"] = _verified(place, exposures)
        told["faults"] = broken + faults
    if as_json:
        print(json.dumps(told, indent=2))
    else:
        print(f"{catalog}: format {told['format_version']}, {sum(exposures['status'] == 'ok')} exposures, "
              f"{len(rejected)} rejected")  # fmt: skip
        _tell(_groups(exposures), told, [str(one) for one in found])
    if told.get("faults"):
        sys.exit(1)


def _groups(exposures: "pd.DataFrame") -> "pd.DataFrame":
    """How many exposures and stars there are of every program and camera."""
    usable = exposures[exposures["status"] == "ok"]
    return usable.groupby(["program", "instrument", "detector", "filter"]).agg(
        exposures=("exposure", "size"), measured=("n_stars", "count"), stars=("n_stars", "sum"),
        qfit=("qfit_median", "median"), core_fraction=("core_fraction", "median"),
    ).reset_index()  # fmt: skip


def _interrupted(place: "Catalog") -> dict[str, int]:
    """How many tasks had finished of each stage that was interrupted, and left a folder to go on with."""
    staged = place.store.list(_STAGING)
    finished = Counter(path.split("/")[1] for path in staged if path.endswith(".json"))
    return {stage: finished[stage] for stage in sorted({path.split("/")[1] for path in staged})}


def _stale(place: "Catalog", exposures: "pd.DataFrame", verify: bool) -> tuple[list["Stale"], list[str]]:
    """What is stale; a record that cannot be read is an error, or with `verify` a fault among others."""
    from compute.graph.stale import stale

    try:
        return stale(place, exposures, remote=verify), []
    except CatalogError as error:
        if not verify:
            raise
        return [], [str(error)]


def _verified(place: "Catalog", exposures: "pd.DataFrame") -> tuple[list[str], dict[str, int]]:
    from compute.graph.verify import verify

    found = verify(place, exposures)
    return found.faults, {"files": found.files, "unrecorded": found.unrecorded}


def _tell(groups: "pd.DataFrame", told: dict[str, Any], stale: list[str]) -> None:
    """The same as text, a line for each thing there is to know."""
    if len(groups):
        print(groups.to_string(index=False, float_format="{:.3f}".format))
    for row in told["rejected"]:
        print(f"rejected {row['exposure']}: {row['reason']}")
    for line in stale:
        print(f"stale {line}")
    for stage, n in told["interrupted"].items():
        print(f"{stage} was interrupted with {n} finished; the same command goes on from there")
    for line in told.get("faults", ()):
        print(f"fault {line}")
    if "verified" in told:
        counts = told["verified"]
        unknown = f", {counts['unrecorded']} of them from before digests were recorded" if counts["unrecorded"] else ""
        print(f"verified {counts['files']} files{unknown}: {len(told['faults'])} faults")
