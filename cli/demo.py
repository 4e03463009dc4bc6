"""``piazzi demo``: a small field with known truth, measured, and compared with that truth in pictures."""

import io
import json
import shutil
from pathlib import Path

import click

from catalogs.errors import PiazziError
from cli import common

_STYLE = "body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;color:#222}img{max-width:100%}"
_CELLS = "td,th{padding:.1rem .8rem;text-align:right}"


@click.command("demo")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default="demo")
@common.cluster_option
@common.workers_option
@common.json_option
def command(folder, cluster, workers, as_json):
    """Render a small NIRISS field into FOLDER, measure it with nothing prepared, and compare with truth."""
    if folder.exists() and any(folder.iterdir()) and not (folder / "frames" / "truth.parquet").exists():
        raise PiazziError(f"{folder}: found a folder with other things in it, expected an empty or a demo folder")
    shutil.rmtree(folder, ignore_errors=True)

    import pandas as pd

    from compute.graph import pipeline
    from compute.graph.client import connect
    from compute.graph.run import writing
    from compute.settings import MeasureSettings
    from compute.stages.report import match_truth, truth_summary
    from compute.stages.scene import SceneSettings, scene

    files = [str(path.resolve()) for path in scene(folder / "frames", SceneSettings())]
    place = folder / "catalog"
    with common.progress_bar() as progress, writing(str(place)) as catalog, connect(cluster, workers) as client:
        reports = [
            pipeline.ingest(catalog, client, files, progress=progress),
            pipeline.measure(catalog, client, MeasureSettings(), progress=progress),
        ]
        stars = catalog.measurements.compute()
    truth = pd.read_parquet(folder / "frames" / "truth.parquet")
    matched = match_truth(stars, truth)
    summary = truth_summary(matched, truth)
    page = _write_page(catalog, stars, matched, summary, files[0])
    if as_json:
        print(json.dumps({"catalog": str(place), "report": page, "truth": summary}, indent=2))
        return
    for name, value in summary.items():
        print(f"{name:>32}  {value}")
    print(f"report:  {page}")
    common.finish(str(place), reports, False, False)


def _write_page(catalog, stars, matched, summary, first: str) -> str:
    """Figures and a page under ``reports/``; returns where the page is."""
    from catalogs.readers import read_exposures
    from compute.stages.report import frame_figure, quality_figure, truth_figure

    exposure = read_exposures(first)[0]
    header = exposure.header
    mine = stars[stars["exposure"] == header.exposure]
    label = f"{header.instrument} {header.filter}, {stars['exposure'].nunique()} exposures"
    figures = {
        "frame": frame_figure(exposure.data, mine, (header.x_start, header.y_start)),
        "quality": quality_figure(stars, label),
        "truth": truth_figure(matched),
    }
    for name, figure in figures.items():
        picture = io.BytesIO()
        figure.savefig(picture, format="png")
        catalog.store.commit(f"reports/{name}.png", lambda file, picture=picture: file.write(picture.getvalue()))
    rows = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in summary.items())
    pictures = "".join(f"<p><img src='{name}.png' alt='{name}'></p>" for name in figures)
    html = (
        f"<!doctype html><meta charset=utf-8><title>piazzi demo</title><style>{_STYLE}{_CELLS}</style>"
        f"<h1>A field with known truth</h1><p>{label}; the ePSF was built from each exposure itself.</p>"
        f"<table>{rows}</table>{pictures}"
    )
    catalog.store.commit("reports/index.html", lambda file: file.write(html.encode()))
    return catalog.store.locate_url("reports/index.html")
