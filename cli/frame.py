"""``piazzi frame``: measured exposures in, master frames of mean positions and magnitudes out."""

from typing import Any

import click

from cli import common
from compute.settings import FrameSettings


@click.command("frame")
@click.argument("catalog")
@click.option("--field", required=True, metavar="NAME", help="name of the field of sky")
@common.reference_options(required=False)
@common.settings_options(FrameSettings)
@common.running_options
def command(catalog, field, cluster, workers, fresh, strict, as_json, **options: Any):
    """Average the measurements of CATALOG in master frames, one for each instrument, filter and epoch of a field.

    Frames are tied to the --reference catalog, north up and east left; without one they lie where the headers put them,
    at the nominal scale. All measured exposures take part, or those about --ra and --dec where the catalog holds
    several fields. A frame whose exposures, settings and reference have not changed is left alone.
    """
    reference = common.reference_from(options)
    settings = common.settings_from(FrameSettings, options)

    from compute.graph.client import FRAMING
    from compute.graph.frame import frame

    with common.changing(catalog, cluster, workers, (FRAMING,)) as (place, client, progress):
        report = frame(place, client, field, settings, reference, fresh=fresh, progress=progress)
    common.finish(catalog, [report], as_json, strict)
