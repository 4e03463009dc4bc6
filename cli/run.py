"""``piazzi run``: a recipe's stages, from wherever the last run stopped."""

import click

from cli import common
from compute.recipe import read_recipe


@click.command("run")
@click.argument("recipe", type=click.Path(dir_okay=False))
@common.running_options
def command(recipe, cluster, workers, fresh, strict, as_json):
    """Run every stage that RECIPE.toml names; what is already there is not computed again."""
    checked = read_recipe(recipe)

    from compute.graph.client import CALIBRATING, FRAMING, MEASURING, MOVING, connect
    from compute.graph.kinematics import WARM
    from compute.graph.run import run

    needs = {MEASURING: {"calibrate", "measure"}, CALIBRATING: {"calibrate"}, FRAMING: {"calibrate", "frame", "match"}}
    needs[MOVING] = {"motion"}
    needs[WARM] = {"kinematics"}
    kernels = tuple(module for module, stages in needs.items() if stages & set(checked.stages))
    with (
        common.progress_bar() as progress,
        common.writing(checked.catalog) as place,
        connect(cluster, workers, kernels=kernels) as client,
    ):
        reports = run(checked, client, catalog=place, fresh=fresh, progress=progress)
    common.finish(checked.catalog, reports, as_json, strict)
