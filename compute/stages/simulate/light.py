"""The light of a sky on one array, before any detector effect: electrons that the true ePSF spreads over pixels."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from compute.kernels.simulate.distortion import Distortion, jacobian
from compute.kernels.simulate.drawing import RADIUS, Table, draw_stars, draw_wings
from compute.kernels.simulate.galaxies import coma, draw_galaxy, sersic
from compute.stages.simulate.epsfs import WING, WING_OVERSAMPLING, TrueEpsf
from compute.stages.simulate.plan import ARCSEC
from compute.stages.simulate.positions import Located, Pointing

_STEP = 0.3  # pix between the points of a trail
_FAINT = 0.5  # e per pixel below which wings are not drawn
_LARGEST = 150  # pix, half width of the largest galaxy's stamp
COMA_RADIUS = 6.0  # arcsec at which a coma has faded


def draw_sources(image: NDArray, table: Table, epsf: TrueEpsf, where: Located, electrons: NDArray) -> None:
    """Add stars, with trails where they have any, and the far wings of bright ones."""
    x, y, flux = trailed(where, electrons)
    order = memory_order(table, x, y)
    draw_stars(image, *table, x[order], y[order], flux[order], RADIUS)
    fall = wing_profile(epsf)
    reach = np.searchsorted(-fall, -_FAINT / np.maximum(flux, 1e-9))
    bright = reach > RADIUS
    draw_wings(image, epsf.wing, WING_OVERSAMPLING, x[bright], y[bright], flux[bright], reach[bright], RADIUS)


def trailed(where: Located, electrons: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """Positions and charge of sources, each spread evenly over the points of its trail; as they are without trails.

    All points of a source follow each other, as many for each.
    """
    steps = max(int(np.ceil(np.hypot(*where.trail).max(initial=0.0) / _STEP)), 1)
    along = (np.arange(steps) + 0.5) / steps - 0.5
    x, y = (
        (place[:, None] + trail[:, None] * along).ravel()
        for place, trail in zip((where.array_x, where.array_y), where.trail, strict=True)
    )
    return x, y, np.repeat(electrons / steps, steps)


def memory_order(table: Table, x: NDArray, y: NDArray) -> NDArray[np.int64]:
    """An order in which stars that need the same samples of the ePSF follow each other: by fiducials, then by phase."""
    s = table.phases.shape[2]
    cells = [np.searchsorted(axis, place) for axis, place in ((table.fx, x), (table.fy, y))]
    phases = [np.floor((np.floor(place + 0.5) - place) * s) % s for place in (x, y)]
    return np.lexsort((x, phases[0], phases[1], cells[0], cells[1]))


def wing_profile(epsf: TrueEpsf) -> NDArray[np.float64]:
    """Largest value of the wings at or beyond each whole distance along the axes' square rings, (WING - 1,)."""
    half = WING * WING_OVERSAMPLING
    ring = np.abs(np.arange(-half, half + 1))
    distance = np.maximum(ring[:, None], ring[None, :]) // WING_OVERSAMPLING
    most = np.zeros(WING + 1)
    np.maximum.at(most, distance.ravel(), epsf.wing.ravel())
    return np.maximum.accumulate(most[::-1])[::-1][: WING - 1]


def draw_galaxies(
    image: NDArray, table: Table, galaxies: pd.DataFrame, where: Located, electrons: NDArray, pointing: Pointing,
    truth: Distortion, chip: int,
) -> None:  # fmt: skip
    """Add the galaxies at `where`, rows of `galaxies`."""
    if not len(where.rows):
        return
    slopes = jacobian(truth, where.x, where.y, chip)
    to_sky, scale = pointing.matrix / ARCSEC, pointing.scale / 1e3
    points = np.column_stack(trailed(where, electrons)).reshape(len(where.rows), -1, 3)
    for k, galaxy in enumerate(galaxies.iloc[where.rows].itertuples()):
        half = int(min(np.ceil(6 * galaxy.radius / scale) + 2, _LARGEST))
        shape = (to_sky @ slopes[..., k])[::-1]  # north first: position angles count from there
        light = sersic(half, galaxy.radius, galaxy.sersic, galaxy.axis_ratio, np.radians(galaxy.position_angle), shape)
        for x, y, charge in points[k]:
            draw_galaxy(image, table, x, y, charge, light)


def draw_target(
    image: NDArray, table: Table, epsf: TrueEpsf, where: Located, electrons: NDArray, share: float, scale: float
) -> None:
    """Add a comet at `where` (one row or none): a nucleus, and a coma of `share` times its light within 1 arcsec.

    `scale` in arcsec per pixel.
    """
    draw_sources(image, table, epsf, where, electrons)
    if share and len(where.rows):
        light = coma(int(COMA_RADIUS / scale), 1.0 / scale)
        draw_galaxy(image, table, float(where.array_x[0]), float(where.array_y[0]), share * electrons[0], light)
