"""``piazzi timing``: when one pixel of a NIRCam or NIRISS frame was exposed."""

import json
import sys
from dataclasses import asdict
from typing import Any

import click

from cli import common
from compute.settings import TimingSettings


@click.command("timing")
@click.argument("file")
@click.option("--x", type=float, required=True, help="column of the pixel on the full detector, from 0")
@click.option("--y", type=float, required=True, help="row of the pixel on the full detector, from 0")
@click.option("--integration", type=int, help="number of the integration in INT_TIMES [the middle one]")
@click.option("--alternating", is_flag=True, help="every second amplifier reads against FASTAXIS, not along it")
@click.option(
    "--clock-offset", type=float, help="spacecraft clock minus UTC by telemetry [s], taken off the time [none]"
)
@common.json_option
def command(file, x, y, as_json, **options: Any):
    """Tell when a pixel of FILE was exposed, and how well that is known.

    FILE is a full frame or subarray of NIRCam or NIRISS in detector pixels: uncal, rate, rateints, cal ... The pixel's
    read time is added to the middle of the integration, from INT_TIMES, or else to that of the exposure.
    """
    settings = common.settings_from(TimingSettings, options)

    from catalogs.readers.jwst_times import read_times
    from compute.stages.timing import pixel_time

    found = pixel_time(read_times(file, settings.integration), x, y, settings)
    if as_json:
        print(json.dumps(asdict(found), indent=2))
        return
    which = "" if found.integration is None else f", integration {found.integration}"
    print(f"delay: {found.delay_s:.5f} s after the first pixel")
    print(f"mid-time: MJD {found.mjd_mid_utc:.9f} UTC, from {found.time_source}{which}")
    print(f"uncertainty: {found.uncertainty_s:.3f} s")
    for note in found.notes:
        print(f"note {note}", file=sys.stderr)
