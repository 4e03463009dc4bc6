"""``piazzi measure``: frames in, measured catalog out, nothing prepared."""

from pathlib import Path
from typing import Any

import click

from cli import common
from compute.recipe import absolute, expand
from compute.settings import MeasureSettings


@click.command("measure")
@click.argument("catalog")
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option("--epsf", multiple=True, metavar="PATH", help="library ePSF, STDPSF file or cube; may be repeated")
@click.option("--distortion", multiple=True, metavar="PATH", help="STDGDC file or distortion cube; may be repeated")
@common.threads_option
@common.settings_options(MeasureSettings)
@common.replace_option
@common.running_options
def command(
    catalog, files, epsf, distortion, threads, cluster, workers, fresh, replace, strict, as_json, **options: Any
):
    """Enter FILES into CATALOG and measure their stars.

    CATALOG is a directory or URL, made if it is not there. FILES are JWST _cal, ACS and WFC3 _flt or _flc, and WFPC2
    c0m or c0f frames; without any, whatever the catalog holds is measured. An exposure already measured with the same
    settings is left alone. Without --epsf every exposure builds an ePSF from its own stars. Without --distortion
    positions are corrected by the newest cube of the catalog that is valid; a new distortion measures nothing again.
    """
    settings = common.settings_from(MeasureSettings, options)
    here = Path.cwd()
    files = expand(tuple(absolute(file, here) for file in files))
    epsf, distortion = (tuple(absolute(path, here) for path in paths) for paths in (epsf, distortion))

    from catalogs.catalog import open_catalog
    from compute.graph import pipeline
    from compute.graph.client import CALIBRATING, MEASURING, connect
    from compute.stages.distortion import find_calibration
    from compute.stages.library import find_library

    if not files:
        open_catalog(catalog)  # there must be something to measure
    for path in epsf:
        find_library(path)
    for path in distortion:
        find_calibration(path)
    reports = []
    with (
        common.progress_bar() as progress,
        common.writing(catalog) as place,
        connect(cluster, workers, kernels=(MEASURING, CALIBRATING) if settings.perturb else (MEASURING,)) as client,
    ):
        if files:
            reports.append(pipeline.ingest(place, client, files, replace=replace, fresh=fresh, progress=progress))
        measured = pipeline.measure(
            place,
            client,
            settings,
            epsf=epsf,
            distortion=distortion,
            files=files or None,
            threads=threads,
            fresh=fresh,
            progress=progress,
        )
        reports.append(measured)
    common.finish(catalog, reports, as_json, strict)
