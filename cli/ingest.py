"""``piazzi ingest``: frames into EXPOSURES, read through and judged, not measured."""

from pathlib import Path

import click

from cli import common
from compute.recipe import absolute, expand


@click.command("ingest")
@click.argument("catalog")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@common.replace_option
@common.running_options
def command(catalog, files, cluster, workers, fresh, replace, strict, as_json):
    """Enter FILES into CATALOG: one row per exposure and detector, accepted or rejected with a reason."""
    files = expand(tuple(absolute(file, Path.cwd()) for file in files))

    from compute.graph import pipeline
    from compute.graph.client import connect

    with common.progress_bar() as progress, common.writing(catalog) as place, connect(cluster, workers) as client:
        report = pipeline.ingest(place, client, files, replace=replace, fresh=fresh, progress=progress)
    common.finish(catalog, [report], as_json, strict)
