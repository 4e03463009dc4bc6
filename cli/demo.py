"""``piazzi demo``: a small field with known truth, simulated, measured, and compared with that truth in pictures."""

import json
from pathlib import Path
from typing import Any

import click

from catalogs.errors import PiazziError
from cli import common


@click.command("demo")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default="demo")
@click.option("--campaign", default="demo", show_default=True, help="what is simulated: a name or a TOML file")
@common.cluster_option
@common.workers_option
@common.json_option
def command(folder, campaign, cluster, workers, as_json):
    """Simulate a small two-epoch NIRISS field into FOLDER, measure it with nothing prepared, and compare with truth."""
    from compute.campaign import read_campaign

    checked = read_campaign(campaign)
    _claim(folder, checked.model_dump(mode="json"))

    from catalogs.store import Store
    from compute.graph.client import CALIBRATING, FRAMING, MEASURING, SIMULATING, connect
    from compute.graph.run import run, writing
    from compute.graph.simulate import simulate
    from compute.recipe import read_recipe
    from compute.stages.report.simulated import report

    with (
        common.progress_bar() as progress,
        connect(cluster, workers, kernels=(MEASURING, SIMULATING, FRAMING, CALIBRATING)) as client,
    ):
        drawn = simulate(checked, str(folder), client, fresh=True, progress=progress)
        recipe = read_recipe(folder / "recipe.toml")
        reports = [drawn, *run(recipe, client, progress=progress)]
    with writing(recipe.catalog) as catalog:
        page, numbers, populations = report(catalog, catalog.measurements.compute(), Store(folder))
    if as_json:
        stages = [each.as_dict() for each in reports]
        told = {"truth": numbers, "populations": [each._asdict() for each in populations]}
        print(json.dumps({"catalog": recipe.catalog, "report": page, "stages": stages, **told}, indent=2))
        return
    for name, value in numbers.items():
        print(f"{name:>52}  {value:g}")
    for each in populations:
        print(f"{each.name:>52}  {each}")
    print(f"truth:   {page}")
    print(f"report:  {page.replace('truth.html', 'index.html')}")
    common.finish(recipe.catalog, reports, False, False)


def _claim(folder: Path, campaign: dict[str, Any]) -> None:
    """See that nothing but an earlier run of the same demo is in the way."""
    if not folder.exists() or not any(folder.iterdir()):
        return
    found, name = "other things", campaign["name"]
    try:
        told = json.loads((folder / "campaign.json").read_text())["campaign"]
        found = "the same campaign" if told == campaign else f"another campaign, {told['name']}"
    except (OSError, ValueError, KeyError, TypeError):
        pass
    if found != "the same campaign":
        raise PiazziError(f"{folder}: found a folder with {found} in it, expected an empty folder or this {name}")
