"""One exposure: where everything falls, the light, the detector, the file, and the truth beside it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from catalogs.writers import ChipImage, write_frame
from compute.campaign import Campaign
from compute.kernels.simulate.distortion import area_map
from compute.kernels.simulate.motion import displaced
from compute.kernels.simulate.streams import stream
from compute.stages.simulate import detectors
from compute.stages.simulate.epsfs import TrueEpsf
from compute.stages.simulate.headers import facts, header_wcs
from compute.stages.simulate.instruments import Array
from compute.stages.simulate.light import draw_galaxies, draw_sources, draw_target
from compute.stages.simulate.plan import Exposure
from compute.stages.simulate.positions import MAS, Located, locate
from compute.stages.simulate.rows import Truth, add_peaks, finished, source_rows
from compute.stages.simulate.setup import Setup, setups
from compute.stages.simulate.sky import Sky

_TARGET_TEFF = 5800.0  # reflected sunlight [K]


def simulate_frame(
    campaign: Campaign, exposure: Exposure, sky: Sky, epsfs: dict[str, TrueEpsf], folder: Path
) -> list[Truth]:
    """Draw one exposure, write its file or files into `folder`, and tell the truth of each detector.

    `epsfs` are the true ePSFs of the exposure's filter by detector; `sky` is that of the observation's field.
    """
    chips, known, detectors_ = [], [], setups(campaign, exposure, epsfs)
    for setup in detectors_:
        drawn = [draw_array(setup, sky, *window) for window in setup.windows()]
        chips += [image for image, _ in drawn]
        known.append(pd.concat([rows for _, rows in drawn], ignore_index=True))
    paths = write_frame(folder, facts(detectors_), chips)
    place = f"{folder.name}/{paths[0].name}"
    return [finished(setup, rows, place) for setup, rows in zip(detectors_, known, strict=True)]


def draw_array(
    setup: Setup, sky: Sky, chip: int, array: Array, corner: tuple[int, int]
) -> tuple[ChipImage, pd.DataFrame]:
    """Pixels of one array, and the sources on it."""
    area = _area(setup, chip, array, corner)
    image, positions = collect_light(setup, sky, chip, array, corner, area)
    background = setup.sky * area
    add_peaks(positions, image + background, array, corner, setup.detector.saturation)
    planes = _expose(setup, array, image, background, corner)
    return _flat_fielded(setup, chip, array, corner, planes, area), positions


def _area(setup: Setup, chip: int, array: Array, corner: tuple[int, int]) -> NDArray[np.float32]:
    return area_map(setup.truth, (array.n_y, array.n_x), chip, float(array.y + corner[1]), float(corner[0]))


def collect_light(
    setup: Setup, sky: Sky, chip: int, array: Array, corner: tuple[int, int], area: NDArray
) -> tuple[NDArray[np.float64], pd.DataFrame]:
    """Noiseless light of all sources on an array [e], sky left out, and their rows."""
    image, parts = np.zeros((array.n_y, array.n_x)), []
    table = setup.epsf.table(setup.exposure.focus, corner[0], corner[1] + array.y)
    target = _target(setup)
    # The pointing follows the target: seen from there it stands still, and everything else trails.
    following = replace(setup.pointing, rate=(0.0, 0.0))
    for kind, sources, pointing in (
        ("star", sky.stars, setup.pointing), ("galaxy", sky.galaxies, setup.pointing), ("target", target, following)
    ):  # fmt: skip
        where = locate(sources, pointing, setup.truth, setup.detector, chip, array, corner, setup.exposure.exptime)
        mags, electrons = setup.electrons(*(sources[name].to_numpy()[where.rows] for name in ("mag_ref", "teff")))
        if kind == "star":
            draw_sources(image, table, setup.epsf, where, electrons)
        elif kind == "galaxy":
            draw_galaxies(image, table, sources, where, electrons, setup.pointing, setup.truth, chip)
        else:
            _draw_target(setup, image, table, where, electrons)
        ids = sources["galaxy_id" if kind == "galaxy" else "star_id"].to_numpy()[where.rows]
        parts.append(source_rows(setup, kind, ids, where, mags, electrons, area))
    return image, pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)


def _target(setup: Setup) -> pd.DataFrame:
    """The moving target as a table of one source or none: where it is at the middle of the exposure."""
    there = bool(setup.field.target) and any(setup.observation.track)
    seconds = (setup.pointing.mjd_mid - setup.first) * 86400
    ra, dec = displaced(setup.field.ra, setup.field.dec, *(np.array(setup.observation.track) * seconds * MAS))
    one = {"star_id": -1, "ra": float(ra), "dec": float(dec), "mag_ref": setup.field.target_mag, "teff": _TARGET_TEFF}
    return pd.DataFrame([one])[: int(there)]


def _draw_target(setup: Setup, image: NDArray, table, where: Located, electrons: NDArray) -> None:
    scale = setup.pointing.scale / 1e3
    draw_target(image, table, setup.epsf, where, electrons, setup.field.target_coma, scale)


def _expose(setup: Setup, array: Array, light: NDArray, sky: NDArray, corner: tuple[int, int]) -> detectors.Planes:
    """Light and sky [e] through the detector."""
    spots = detectors.blemishes(setup.instrument, setup.detector, array, corner, setup.effects)
    rng = stream(setup.campaign.seed, "noise", setup.exposure.root, array.name)
    exposure, common = setup.exposure, (setup.instrument, setup.detector)
    if not setup.jwst:
        return detectors.ccd(*common, array, light, sky, spots, setup.effects, exposure.exptime, rng)
    seconds, border = exposure.exptime, corner == (0, 0)
    return detectors.near_infrared(
        *common, light / seconds, sky / seconds, spots, setup.effects, seconds / exposure.n_groups, exposure.n_groups,
        border, rng,
    )  # fmt: skip


def _flat_fielded(
    setup: Setup, chip: int, array: Array, corner: tuple[int, int], planes: detectors.Planes, area: NDArray[np.float32]
) -> ChipImage:
    """Planes in the file's unit, divided by pixel area: even light gives equal values in pixels of any size."""
    unit = setup.photmjsr / setup.detector.gain if setup.jwst else 1.0
    factor: NDArray[np.float32] = np.float32(unit) / area
    extra = {}
    if planes.poisson is not None and planes.rnoise is not None:
        squared = factor * factor
        extra = {"AREA": area, "VAR_POISSON": planes.poisson * squared, "VAR_RNOISE": planes.rnoise * squared,
                 "VAR_FLAT": np.zeros_like(area)}  # fmt: skip
    data, error = planes.data * factor, planes.error * factor
    return ChipImage(array.name, data, error, planes.bits, header_wcs(setup, chip, array, corner), extra)
