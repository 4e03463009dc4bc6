"""``piazzi import``: libraries of ePSFs and distortions made elsewhere, into a catalog."""

import json
from pathlib import Path

import click

from cli import common
from compute.recipe import absolute


@click.command("import")
@click.argument("catalog")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--name", help="name of the calibration [before all that the catalog makes itself]")
@click.option("--valid-from", type=float, help="first MJD it is good for [always]")
@click.option("--valid-to", type=float, help="last MJD it is good for [always]")
@click.option("--replace", is_flag=True, help="write over calibrations of that name")
@common.json_option
def command(catalog, files, name, valid_from, valid_to, replace, as_json):
    """Bring FILES into CATALOG as its own ePSF and distortion cubes, for every exposure they are valid for.

    FILES are STDPSF and STDGDC files, or cubes of another catalog. Camera and filter come from the file's name or the
    cube. What the catalog builds or solves itself is preferred where it is valid, unless --name says otherwise: of the
    cubes valid for an exposure the last in alphabetical order counts, and the catalog names its own by their epochs.
    """
    from catalogs.exchange.imports import IMPORTED, import_cubes
    from compute.graph.run import writing

    here = Path.cwd()
    paths = [absolute(file, here) for file in files]
    with writing(catalog) as place:
        written = import_cubes(place.store, paths, name or IMPORTED, (valid_from, valid_to), replace)
    if as_json:
        print(json.dumps({"catalog": catalog, "cubes": written}, indent=2))
        return
    for path in written:
        print(path)
