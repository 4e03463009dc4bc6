"""The report on a simulated campaign that was measured: what was drawn, what came out, how far they differ."""

from functools import partial
from typing import Any, BinaryIO

import pandas as pd
from matplotlib.figure import Figure

from catalogs.catalog import Catalog, own_epsf_path
from catalogs.cubes import EpsfCube, open_cube, read_epsf
from catalogs.errors import PiazziError
from catalogs.kinematics import KINEMATICS
from catalogs.motions import MOTIONS
from catalogs.parquet import read_table
from catalogs.readers import read_exposures
from catalogs.schema import Table
from catalogs.store import Store
from catalogs.truth import POINTINGS, POSITIONS, STARS
from compute.settings import KinematicsSettings
from compute.stages.report.compare import BARS, match_truth, numbers
from compute.stages.report.compared import truth_figure
from compute.stages.report.grouped import Told, population_table, populations_beside
from compute.stages.report.measured import frame_figure, quality_figure
from compute.stages.report.moved import match_motions, motion_figure, motion_numbers
from compute.stages.report.optics import distortion_figure, epsf_figure, true_epsf
from compute.stages.report.page import Section, number_table, page, row_table
from compute.stages.report.sky import field_figure, population_figure
from compute.stages.report.style import png
from compute.stages.simulate import truth as simulated

_PAGE = "reports/truth.html"
_SECTIONS = (
    Section(
        "The simulated field", "The first exposure of each epoch as the frames hold it, in asinh stretch.", "field.png"
    ),
    Section(
        "What was found in it",
        "Flagged stars are saturated, crowded, at an edge, or look like no star; many are pieces of bright halos.",
        "frame.png",
    ),
    Section(
        "The effective PSF",
        "The ePSF that the first exposure was measured with, built from stars alone, beside the one it was drawn with. "
        "It is right where stars are brighter than the sky; the spikes further out are beyond what they tell.",
        "epsf.png",
    ),
    Section(
        "The true stars",
        "What a catalog of this field should end in: populations apart in colour and in motion.",
        "stars.png",
    ),
    Section(
        "The true distortion",
        "What a calibration of these frames should find.",
        "distortion.png",
    ),
    Section(
        "Measured minus true",
        "Lines that wave with pixel phase are an error of the ePSF. From one exposure alone nothing separates its "
        "shape from where stars fall on their pixels (Anderson & King 2000); dithers do. The claimed errors do not "
        "contain it. The common shift of each exposure is taken off: it is that of the ePSF's origin, and part of any "
        "transformation between exposures.",
        "truth.png",
    ),
    Section(
        "Quality of the fits",
        "Clean stars keep to narrow sequences; cosmic rays, galaxies and blends leave them.",
        "quality.png",
    ),
)
_MOVED = Section(
    "Motions minus true ones",
    "Proper motions from the two epochs, relative to the stars that move together; their mean is taken off. Errors are "
    "those of each star alone.",
    "moved.png",
)
_GROUPED = (
    "What KINEMATICS tell of the populations of the recipe, beside the true motions of the same stars. A cluster is "
    "the component of a mixture that moves like it; of the field the clipped median is shown, and the dispersion of "
    "what is not clipped. Errors are those of the stars alone."
)
_NUMBERS = (
    "Isolated: no source with a tenth of the flux within 8 pix, 6 pix inside the frame, unsaturated. Clean ones with "
    "no true source within 0.7 pix are cosmic rays that no flag tells, and pieces of the spikes of bright stars."
)


def report(catalog: Catalog, stars: pd.DataFrame, campaign: Store) -> tuple[str, dict[str, float], list[Told]]:
    """Write pictures and a page under ``reports/`` of the catalog; its URL, and the numbers it shows, of stars and of
    populations.

    `stars` are all MEASUREMENTS of the catalog, `campaign` is the folder that its frames were simulated into.
    """
    rows = catalog.exposures
    rows = rows[(rows["status"] == "ok") & rows["n_stars"].notna()]
    if rows.empty:
        raise PiazziError(f"report: {catalog.store.url} has no measured exposure, expected at least one")
    truth = true_sources(campaign, rows)
    motions, sky = _read(catalog.store, "motions", MOTIONS), _sky(campaign)
    moved, told = match_motions(motions, sky), _populations(catalog, motions, sky)
    found = numbers(stars, truth) | motion_numbers(moved)
    figures = _figures(catalog, campaign, rows, stars, truth)
    sections: tuple[Section, ...] = _SECTIONS
    if len(moved):
        figures["moved"], sections = motion_figure(moved), (*_SECTIONS, _MOVED)
    for name, figure in figures.items():
        catalog.store.commit(f"reports/{name}.png", partial(_write, png(figure)))
    if told:
        body = row_table(population_table(told))
        sections = (*sections, Section("Populations beside true ones", _GROUPED, body=body))
    sections = (*sections, Section("Numbers", _NUMBERS, body=number_table(found, BARS)))
    html = page(f"A field with known truth: {_label(rows)}", sections)
    catalog.store.commit(_PAGE, partial(_write, html.encode()))
    return catalog.store.locate_url(_PAGE), found, told


def true_sources(campaign: Store, rows: pd.DataFrame) -> pd.DataFrame:
    """POSITIONS of exposures, rows of EXPOSURES, with `exposure`, `detector` and `edge` [pix]."""
    parts = []
    for row in rows.itertuples():
        known = simulated.read(campaign, simulated.positions_file(row.exposure, row.detector), POSITIONS)
        x, y = known["x"] - row.x_start, known["y"] - row.y_start
        edge = pd.concat([x, y, row.n_x - 1 - x, row.n_y - 1 - y], axis=1).min(axis=1)
        parts.append(known.assign(detector=row.detector, edge=edge))
    return pd.concat(parts, ignore_index=True)


def _read(store: Store, folder: str, table: Table) -> pd.DataFrame:
    """All rows of a dataset of the catalog; none where it is not there."""
    parts = []
    for path in store.list(folder, ".parquet"):
        with store.open(path) as file:
            parts.append(read_table(file, table))
    return pd.concat(parts, ignore_index=True) if parts else table.empty()


def _populations(catalog: Catalog, motions: pd.DataFrame, sky: pd.DataFrame) -> list[Told]:
    """Populations of the only field that has KINEMATICS beside the true ones."""
    made = catalog.manifest.provenance.get("kinematics", {})
    if len(made) != 1:
        return []
    settings = KinematicsSettings.model_validate(next(iter(made.values()))["settings"])
    return populations_beside(_read(catalog.store, "kinematics", KINEMATICS), motions, sky, settings)


def _sky(campaign: Store) -> pd.DataFrame:
    """All true stars."""
    skies = [simulated.read(campaign, path, STARS) for path in campaign.list("truth/stars", ".parquet")]
    return pd.concat(skies, ignore_index=True)


def _figures(
    catalog: Catalog, campaign: Store, rows: pd.DataFrame, stars: pd.DataFrame, truth: pd.DataFrame
) -> dict[str, Figure]:
    paths = rows.sort_values("epoch", kind="stable").groupby("program", sort=False)["path"].first()
    firsts = [read_exposures(path)[0] for path in paths]
    first, mine = _of(firsts[0].header, rows).iloc[0], _of(firsts[0].header, stars)
    camera = first["instrument"], first["detector"], first["filter"]
    return {
        "field": field_figure(firsts),
        "frame": frame_figure(firsts[0], mine),
        "epsf": _epsf(catalog, campaign, first, camera),
        "stars": population_figure(_sky(campaign)),
        "distortion": _distortion(campaign, camera),
        "truth": truth_figure(match_truth(stars, truth)),
        "quality": quality_figure(stars, _label(rows)),
    }


def _epsf(catalog: Catalog, campaign: Store, row: Any, camera: simulated.Camera) -> Figure:
    pointings = simulated.read(campaign, simulated.POINTINGS_FILE, POINTINGS)
    focus = _of(row, pointings)["focus"].iloc[0]
    own = own_epsf_path(row)
    cube = (
        EpsfCube.from_dataset(catalog.epsf(*camera, mjd=row["mjd_mid"]))
        if not catalog.store.exists(own)
        else (read_epsf(catalog.store.locate_url(own), catalog.store.storage_options))
    )
    with open_cube(campaign.locate_url(simulated.cube_folder("epsf", camera))) as true:
        return epsf_figure(*true_epsf(true, focus, cube), cube.oversampling)


def _distortion(campaign: Store, camera: simulated.Camera) -> Figure:
    with open_cube(campaign.locate_url(simulated.cube_folder("distortion", camera))) as cube:
        return distortion_figure(simulated.read_distortion(cube))


def _of(known: Any, table: pd.DataFrame) -> pd.DataFrame:
    """Rows of the exposure and detector of a header, or of a row of EXPOSURES."""
    return table[(table["exposure"] == known.exposure) & (table["detector"] == known.detector)]


def _write(data: bytes, sink: BinaryIO) -> None:
    sink.write(data)


def _label(rows: pd.DataFrame) -> str:
    cameras = sorted(set(rows["instrument"] + " " + rows["filter"]))
    return f"{', '.join(cameras)}, {rows['exposure'].nunique()} exposures"
