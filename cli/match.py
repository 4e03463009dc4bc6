"""``piazzi match``: master frames against a reference catalog."""

from typing import Any

import click

from cli import common
from compute.settings import MatchSettings


@click.command("match")
@click.argument("catalog")
@click.option("--field", required=True, metavar="NAME", help="name of the field of sky")
@common.reference_options(required=True)
@common.settings_options(MatchSettings)
@common.running_options
def command(catalog, field, cluster, workers, fresh, strict, as_json, **options: Any):
    """Tell which source of a --reference catalog is which star of a field's master frames.

    Sources are moved to the epoch of each frame; a star and a source are matched where each is the other's nearest
    within --radius. The pairs are rows of MATCHES under the catalog's name. Exposures that are corrected for distortion
    get their pixel scales against the catalog, and against the central one of them: rows of SCALES.
    """
    reference = common.reference_from(options)
    assert reference is not None  # the option is required
    settings = common.settings_from(MatchSettings, options)

    from compute.graph.client import FRAMING
    from compute.graph.match import match

    with common.changing(catalog, cluster, workers, (FRAMING,)) as (place, client, progress):
        report = match(place, client, field, settings, reference, fresh=fresh, progress=progress)
    common.finish(catalog, [report], as_json, strict)
