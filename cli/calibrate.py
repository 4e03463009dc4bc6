"""``piazzi calibrate``: library ePSFs from dithered exposures."""

from typing import Any

import click

from cli import common
from compute.settings import CalibrateSettings


@click.command("calibrate")
@click.argument("catalog")
@common.settings_options(CalibrateSettings)
@common.threads_option
@common.running_options
def command(catalog, threads, cluster, workers, fresh, strict, as_json, **options: Any):
    """Build the library ePSFs of CATALOG, one for each detector, filter and epoch, from its dithered exposures.

    Exposures need only be entered (`piazzi ingest`). Bright, lonely stars are cut out of each; then the ePSF is solved
    for together with one position and flux per star, in a few passes, with neither an ePSF nor a distortion known
    before. `piazzi measure` uses what is built wherever no --epsf is given.
    """
    settings = common.settings_from(CalibrateSettings, options)

    from compute.graph.calibrate import calibrate
    from compute.graph.client import CALIBRATING, FRAMING, MEASURING

    with common.changing(catalog, cluster, workers, (MEASURING, FRAMING, CALIBRATING)) as (place, client, progress):
        report = calibrate(place, client, settings, threads=threads, fresh=fresh, progress=progress)
    common.finish(catalog, [report], as_json, strict)
