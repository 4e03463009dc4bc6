"""``piazzi status``: what a catalog holds, what was rejected and why, what an interrupted run left."""

import json

import click

from catalogs.catalog import open_catalog
from cli import common


@click.command("status")
@click.argument("catalog")
@common.json_option
def command(catalog, as_json):
    """Show what CATALOG holds."""
    place = open_catalog(catalog)
    exposures = place.exposures
    usable = exposures[exposures["status"] == "ok"]
    keys = ["program", "instrument", "detector", "filter"]
    groups = usable.groupby(keys).agg(
        exposures=("exposure", "size"), measured=("n_stars", "count"), stars=("n_stars", "sum"),
        qfit=("qfit_median", "median"), core_fraction=("core_fraction", "median"),
    ).reset_index()  # fmt: skip
    rejected = exposures.loc[exposures["status"] == "rejected", ["exposure", "path", "reason"]]
    staged = {stage: len(place.store.list(f".staging/{stage}", ".json")) for stage in ("ingest", "measure")}
    if as_json:
        print(
            json.dumps(
                {
                    "catalog": catalog,
                    "format_version": place.manifest.format_version,
                    "stages": sorted(place.manifest.provenance),
                    "exposures": json.loads(groups.to_json(orient="records")),
                    "rejected": rejected.to_dict("records"),
                    "interrupted": {stage: n for stage, n in staged.items() if n},
                },
                indent=2,
            )
        )
        return
    print(f"{catalog}: format {place.manifest.format_version}, {len(usable)} exposures, {len(rejected)} rejected")
    if len(groups):
        print(groups.to_string(index=False, float_format="{:.3f}".format))
    for row in rejected.itertuples():
        print(f"rejected {row.exposure}: {row.reason}")
    for stage, n in staged.items():
        if n:
            print(f"{stage} was interrupted with {n} finished; the same command goes on from there")
