"""``piazzi simulate``: skies with known truth, as the files that telescopes deliver."""

import click

from cli import common


@click.command("simulate")
@click.argument("campaign")
@click.argument("folder", type=click.Path(file_okay=False))
@click.option("--seed", type=click.IntRange(0), help="seed of all randomness [the campaign's]")
@click.option("--tables", is_flag=True, help="write MEASUREMENTS and truth without drawing pixels")
@common.running_options
def command(campaign, folder, seed, tables, cluster, workers, fresh, strict, as_json):
    """Draw CAMPAIGN into FOLDER: frames, exact truth, a reference catalog and a Gaia extract.

    CAMPAIGN is a TOML file or the name of one that comes along: tiny, demo, lmc, m31, comet, programs, scale. The
    same campaign and seed give the same bytes, on any number of workers; an interrupted run goes on where it stopped.
    --fresh removes what another campaign wrote into FOLDER.
    """
    from compute.campaign import read_campaign
    from compute.stages.simulate.plan import plan

    checked = read_campaign(campaign)
    if seed is not None:
        checked = checked.model_copy(update={"seed": seed})
    plan(checked)  # what an instrument lacks is told before a cluster starts

    from compute.graph.client import SIMULATING, connect
    from compute.graph.simulate import simulate

    with common.progress_bar() as progress, connect(cluster, workers, kernels=(SIMULATING,)) as client:
        report = simulate(checked, folder, client, tables=tables, fresh=fresh, progress=progress, **common.waiting())
    common.finish(folder, [report], as_json, strict)
