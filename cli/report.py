"""``piazzi report``: pages and pictures that tell how good a catalog is."""

import json

import click

from cli import common


@click.command("report")
@click.argument("catalog")
@click.option("--field", metavar="NAME", help="only master frames of this field [all]")
@common.cluster_option
@common.workers_option
@common.wait_option
@common.fresh_option
@common.json_option
def command(catalog, field, cluster, workers, fresh, as_json):
    """Write CATALOG/reports/index.html: what the catalog holds, and how well its master frames hold together.

    Each frame has a page of its own: scatter of positions against magnitude, pulls, residuals over the detector and
    against pixel phase, of single exposures and of all; reserved stars against those used; the match with reference
    catalogs. Scales, rotations and zero points are shown against time. So have ePSFs, distortions (residuals before and
    after, over the detector and against everything known) and measured pixel scales. --json prints the numbers.
    """
    from compute.graph.report import report

    with common.changing(catalog, cluster, workers, ()) as (place, client, progress):
        done, url, numbers = report(place, client, field, fresh=fresh, progress=progress)
    if as_json:
        told = {"catalog": catalog, "report": url, "stages": [done.as_dict()], "frames": numbers}
        print(json.dumps(told, indent=2))
        return
    print(f"report: {url}")
    common.finish(catalog, [done], False, False)
