"""``piazzi kinematics``: how the populations of a field move."""

from pathlib import Path
from typing import Any

import click

from catalogs.errors import PiazziError
from cli import common
from compute.recipe import absolute, read_recipe
from compute.settings import KinematicsSettings, PopulationSettings, ReferenceSettings


@click.command("kinematics")
@click.argument("catalog")
@click.option("--field", required=True, metavar="NAME", help="name of the field of sky")
@click.option("--recipe", metavar="FILE", help="recipe whose [kinematics] tells the populations and all else")
@click.option("--compare", metavar="FILE", help="catalog of motions, as of Gaia, to compare with by magnitude")
@common.settings_options(PopulationSettings)
@common.settings_options(KinematicsSettings)
@common.running_options
def command(catalog, field, recipe, compare, cluster, workers, fresh, strict, as_json, **options: Any):
    """Measure mean motions, dispersions and shares of the populations of a field: rows of KINEMATICS.

    Populations with regions of colour, magnitude and sky, and members of clusters, stand in a recipe:

    \b
        [kinematics.populations.young]
        magnitude = "F090W"
        colour = "F090W-F150W"
        cmd = [[-0.8, 17.0], [0.1, 17.0], [0.1, 19.5], [-0.8, 19.5]]
        components = 3

    Without a --recipe there is one, within --bright and --faint, whose motions are a mixture of --components
    Gaussians. Other options go before what the recipe says.
    """
    given = {name: value for name, value in options.items() if value is not None}
    one = {name: given.pop(name) for name in PopulationSettings.model_fields if name in given}
    if recipe is not None:
        if one:
            raise PiazziError(f"--{', --'.join(one)}: found with --recipe, expected in its [kinematics.populations]")
        given = read_recipe(recipe).kinematics.model_dump() | given
    elif one:
        given["populations"] = {"all": common.settings_from(PopulationSettings, one)}
    if compare is not None:
        reference = ReferenceSettings(file=absolute(compare, Path.cwd()))
        given["compare"] = (given.get("compare") or {}) | {"reference": reference}
    settings = common.settings_from(KinematicsSettings, given)

    from compute.graph.kinematics import WARM, kinematics

    with common.changing(catalog, cluster, workers, (WARM,)) as (place, client, progress):
        report = kinematics(place, client, field, settings, fresh=fresh, progress=progress)
    common.finish(catalog, [report], as_json, strict)
