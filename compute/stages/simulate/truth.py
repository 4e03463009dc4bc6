"""Truth as files: where it lies in a campaign's folder, the cubes, the skies, the tables."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from catalogs.cubes import write_cube
from catalogs.parquet import read_table, write_table
from catalogs.schema import Table
from catalogs.store import Store
from catalogs.truth import GAIA, GALAXIES, POINTINGS, POSITIONS, REFERENCE, STARS
from compute.campaign import Campaign, SkyField
from compute.kernels.simulate.distortion import Distortion, forward, inverse
from compute.stages.simulate.epsfs import TrueEpsf, build_epsf, load_epsf, save_epsf
from compute.stages.simulate.instruments import INSTRUMENTS
from compute.stages.simulate.plan import half_width
from compute.stages.simulate.references import gaia_extract, reference_catalog
from compute.stages.simulate.rows import Truth
from compute.stages.simulate.setup import true_distortion
from compute.stages.simulate.sky import Sky, draw_sky

FRAMES, WORK = "frames", ".work"
POINTINGS_FILE, REFERENCE_FILE, GAIA_FILE = "truth/pointings.parquet", "reference_catalog.parquet", "gaia.parquet"
# What a campaign leaves in its folder, and nobody else may be sorry to lose.
ENTRIES = (FRAMES, "truth", WORK, REFERENCE_FILE, GAIA_FILE, "recipe.toml")
_FAR = 60.0  # [arcsec] from the middle of a field, beyond its frames
_TWO = "components = 2", "background = true  # what is in front, and moves like nothing else"
_SURE = 0.3  # [mas/yr] error of motions that tell of populations
_STRIDE = 8.0  # pix between samples of the inverse
Camera = tuple[str, str, str]  # instrument, detector, filter


def stars_file(field: str) -> str:
    """STARS of one field."""
    return f"truth/stars/{field}.parquet"


def galaxies_file(field: str) -> str:
    """GALAXIES of one field."""
    return f"truth/galaxies/{field}.parquet"


def positions_file(exposure: str, detector: str) -> str:
    """POSITIONS of one exposure and detector."""
    return f"truth/positions/detector={detector}/{exposure}.parquet"


def record_file(exposure: str) -> str:
    """POINTINGS rows of one exposure, written last of all it has: the evidence that it is done."""
    return f"{WORK}/pointings/{exposure}.parquet"


def cube_folder(kind: str, camera: Camera) -> str:
    """Folder of a truth cube, `kind` epsf or distortion."""
    return f"truth/{kind}/{'_'.join(camera)}.zarr"


def write(store: Store, relative: str, frame: pd.DataFrame, table: Table) -> None:
    """One table as one file, whole or not at all."""
    store.commit(relative, lambda sink: write_table(frame, table, sink))


def read(store: Store, relative: str, table: Table) -> pd.DataFrame:
    """One table file."""
    with store.open(relative) as source:
        return read_table(source, table)


def cameras(campaign: Campaign) -> list[Camera]:
    """Every instrument, detector and filter of a campaign, sorted."""
    found = {
        (each.instrument, detector.name, name)
        for each in campaign.observations
        for detector in INSTRUMENTS[each.instrument].detector(each.detector)
        for name in each.filters
    }
    return sorted(found)


def make_sky(store: Store, campaign: Campaign, number: int) -> dict[str, int]:
    """Draw field `number` and write its stars and galaxies; how many there are."""
    field = campaign.fields[number]
    sky = draw_sky(field, number, half_width(campaign, field.name), campaign.seed)
    write(store, galaxies_file(field.name), sky.galaxies, GALAXIES)
    write(store, stars_file(field.name), sky.stars, STARS)
    return {"stars": len(sky.stars), "galaxies": len(sky.galaxies)}


def load_sky(store: Store, field: str) -> Sky:
    """What :func:`make_sky` wrote."""
    return Sky(read(store, stars_file(field), STARS), read(store, galaxies_file(field), GALAXIES))


def make_references(store: Store, campaign: Campaign) -> None:
    """The catalogs an astronomer would have beforehand, of all fields together."""
    stars = [read(store, stars_file(field.name), STARS) for field in campaign.fields]
    if campaign.reference:
        parts = [reference_catalog(each, campaign.reference, campaign.seed) for each in stars]
        write(store, REFERENCE_FILE, REFERENCE.conform(pd.concat(parts, ignore_index=True)), REFERENCE)
    if campaign.gaia:
        parts = [gaia_extract(each, campaign.gaia, campaign.seed) for each in stars]
        write(store, GAIA_FILE, GAIA.conform(pd.concat(parts, ignore_index=True)), GAIA)


def make_camera(store: Store, campaign: Campaign, camera: Camera) -> None:
    """True ePSF and distortion of one camera and filter: cubes for whoever asks, arrays for those who draw."""
    instrument = INSTRUMENTS[camera[0]]
    detector = next(each for group in instrument.detectors.values() for each in group if each.name == camera[1])
    truth = true_distortion(instrument, detector, camera[2], campaign.effects)
    write_cube(store, cube_folder("distortion", camera), distortion_dataset(truth, detector.height))
    epsf = build_epsf(instrument, detector, camera[2], campaign.effects)
    write_cube(store, cube_folder("epsf", camera), epsf.dataset(*camera))
    store.commit_tree(f"{WORK}/epsf/{'_'.join(camera)}", lambda folder: save_epsf(Path(folder), epsf))


def load_epsfs(store: Store, instrument: str, detector: str, filter_name: str) -> dict[str, TrueEpsf]:
    """True ePSFs of the detectors read together under a name."""
    names = [each.name for each in INSTRUMENTS[instrument].detector(detector)]
    keys = {name: f"{WORK}/epsf/{'_'.join((instrument, name, filter_name))}" for name in names}
    return {name: load_epsf(Path(store.locate(key))) for name, key in keys.items()}


def distortion_dataset(truth: Distortion, height: int) -> xr.Dataset:
    """The distortion cube: polynomials, pixel map, and the inverse at whole corrected pixels of every chip.

    corrected = raw + polynomial + map, where the polynomial runs over u = (x - middle_x) / half, v likewise, and the
    map is bilinear between pixel centres and constant beyond a chip's edge; inverse = raw - corrected, at corrected
    positions `inverse_y`, `inverse_x` that hold every chip; those that no raw pixel reaches continue the polynomials.
    """
    n_x = round(2 * truth.middle[0]) + 1
    chips = np.minimum(truth.chips, height)
    x, y = _corrected_grid(truth, n_x, chips)
    back = np.empty((len(chips), 2, len(y), len(x)))
    for chip in range(len(chips)):
        there = np.meshgrid(x, y)
        back[chip] = np.array(inverse(truth, there[0], there[1], chip)) - there
    pix = {"units": "pix"}
    axes = {"axis": ["x", "y"], "inverse_x": x, "inverse_y": y, "chip_rows": ["first", "end"]}
    return xr.Dataset(
        {
            "polynomial": (("chip", "axis", "power_u", "power_v"), truth.polynomial, pix),
            "pixel_map": (("axis", "y", "x"), truth.fine, pix),
            "inverse": (("chip", "axis", "inverse_y", "inverse_x"), back, pix),
            "chips": (("chip", "chip_rows"), chips, {"units": "pix", "description": "rows of each chip, [first, end)"}),
        },
        coords=axes,
        attrs={"middle_x": truth.middle[0], "middle_y": truth.middle[1], "half": truth.half, "source": "simulated"},
    )


def _corrected_grid(truth: Distortion, n_x: int, chips: NDArray[np.int64]) -> tuple[NDArray, NDArray]:
    """Columns and rows of corrected positions, _STRIDE pix apart, around all chips."""
    along = np.linspace(-0.5, n_x - 0.5, 257)
    places = []
    for chip, (first, end) in enumerate(chips):
        across = np.linspace(first - 0.5, end - 0.5, 257)
        places += [forward(truth, along, np.full(257, edge), chip) for edge in (first - 0.5, end - 0.5)]
        places += [forward(truth, np.full(257, edge), across, chip) for edge in (-0.5, n_x - 0.5)]
    low, high = (np.floor(np.min(places, axis=(0, 2)) / _STRIDE), np.ceil(np.max(places, axis=(0, 2)) / _STRIDE))
    x, y = ((np.arange(a - 1, b + 2)) * _STRIDE for a, b in zip(low, high, strict=True))
    return x, y


def read_distortion(dataset: xr.Dataset) -> Distortion:
    """The forward part of :func:`distortion_dataset`."""
    middle = dataset.attrs["middle_x"], dataset.attrs["middle_y"]
    polynomial, fine, chips = (dataset[name].values for name in ("polynomial", "pixel_map", "chips"))
    return Distortion(polynomial, fine, chips, middle, dataset.attrs["half"])


def keep(store: Store, exposure: str, truths: list[Truth]) -> None:
    """Write the truth of one exposure, its record last."""
    for truth in truths:
        detector = truth.pointing["detector"].iloc[0]
        write(store, positions_file(exposure, detector), truth.positions, POSITIONS)
    rows = pd.concat([truth.pointing for truth in truths], ignore_index=True)
    write(store, record_file(exposure), POINTINGS.conform(rows), POINTINGS)


def gather(store: Store, exposures: list[str]) -> pd.DataFrame:
    """All records as one table of POINTINGS, sorted, and written."""
    rows = pd.concat([read(store, record_file(each), POINTINGS) for each in exposures], ignore_index=True)
    rows = POINTINGS.conform(rows.sort_values(["exposure", "detector"], kind="stable", ignore_index=True))
    write(store, POINTINGS_FILE, rows, POINTINGS)
    return rows


def write_recipe(store: Store, campaign: Campaign) -> None:
    """A recipe for ``piazzi run`` that takes the frames from here."""
    suffixes = {"JWST": "*_cal.fits", "HST": "*_fl[ct].fits"}
    patterns = {suffixes[INSTRUMENTS[each.instrument].telescope] for each in campaign.observations
                if each.instrument != "WFPC2"}  # fmt: skip
    patterns |= {"*_c0m.fits" for each in campaign.observations if each.instrument == "WFPC2"}
    known = len(campaign.fields) == 1 and campaign.reference is not None
    grouped = known and bool(campaign.fields[0].clusters)
    framed = ["frame", "match", "motion", *(["kinematics"] if grouped else []), "report"] if known else []
    built = ["calibrate"] if all(each.dither != "none" for each in campaign.observations) else []
    lines = [
        'catalog = "catalog"',
        *([f"field = {json.dumps(campaign.fields[0].name)}"] if len(campaign.fields) == 1 else []),
        f"stages = {json.dumps(['ingest', *built, 'measure', *framed])}",
        "[exposures]",
        f"files = {json.dumps([f'{FRAMES}/{pattern}' for pattern in sorted(patterns)])}",
        *(["[reference]", f"file = {json.dumps(REFERENCE_FILE)}"] if known else []),
        *(_calibrations(campaign) if built else []),
        *(_populations(campaign.fields[0]) if grouped else []),
    ]
    store.commit("recipe.toml", partial(_dump, "\n".join(lines) + "\n"))


def _calibrations(campaign: Campaign) -> list[str]:
    """What says that detectors have one ePSF and one distortion at all epochs, where there are several."""
    years = [each.epoch for each in campaign.observations]
    span = max(years) - min(years)
    gap = f"epoch_gap = {np.ceil(span + 1)}  # detectors are the same at all epochs"
    return ["[calibrate]", gap, "[geometry]", gap] if span else []


def _populations(field: SkyField) -> list[str]:
    """Cuts on the sky: each cluster with what is in front and behind, and the field on the side away from the first."""
    cuts, scale = [], 3600.0 * float(np.cos(np.radians(field.dec)))
    for each in field.clusters:
        circle = [round(field.ra + each.dx / scale, 6), round(field.dec + each.dy / 3600, 6), each.radius]
        cuts += [f"[kinematics.populations.{json.dumps(each.name)}]", f"circle = {circle}", *_TWO]
    first = field.clusters[0]
    away = -1.0 if first.dx >= 0 else 1.0
    near, far = first.dx + 2.5 * away * first.radius, away * _FAR
    corners = [(near, -_FAR), (far, -_FAR), (far, _FAR), (near, _FAR)]
    sky = [[round(field.ra + dx / scale, 6), round(field.dec + dy / 3600, 6)] for dx, dy in corners]
    return ["[kinematics]", f"max_error = {_SURE}", *cuts, "[kinematics.populations.field]", f"sky = {sky}",
            *_TWO]  # fmt: skip


def _dump(text: str, sink) -> None:
    sink.write(text.encode())
