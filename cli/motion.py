"""``piazzi motion``: master frames of several epochs in, proper motions out."""

from typing import Any

import click

from cli import common
from compute.settings import MotionSettings


@click.command("motion")
@click.argument("catalog")
@click.option("--field", required=True, metavar="NAME", help="name of the field of sky")
@common.reference_options(required=False)
@common.settings_options(MotionSettings)
@common.running_options
def command(catalog, field, cluster, workers, fresh, strict, as_json, **options: Any):
    """Fit proper motions to the positions that a field's master frames have at all their epochs.

    Where all frames are of one epoch the --reference catalog is the first one. Epochs are aligned with each other by
    stars that move together; motions are relative to these, or with --absolute on the zero point of a catalog. Zero
    points and their errors are a table beside MOTIONS.
    """
    reference = common.reference_from(options)
    settings = common.settings_from(MotionSettings, options)

    from compute.graph.client import MOVING
    from compute.graph.motion import motion

    with common.changing(catalog, cluster, workers, (MOVING,)) as (place, client, progress):
        report = motion(place, client, field, settings, reference, fresh=fresh, progress=progress)
    common.finish(catalog, [report], as_json, strict)
