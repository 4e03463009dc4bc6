"""The flux term of a library ePSF, how it changes with the charge of a star, beside the passes that build it."""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from catalogs.cubes import EpsfCube
from catalogs.errors import UnusableError
from compute.kernels.calibrate.epsf import NORMALISATION_RADIUS
from compute.kernels.calibrate.fatter import FluxTerm, displaced, solve_term
from compute.kernels.calibrate.joint import Table
from compute.kernels.calibrate.stampfit import StampFits, conform, samples
from compute.settings import CalibrateSettings
from compute.stages.calibrate.solvers import robust
from compute.stages.calibrate.stars import Pool, Stars

__all__ = ["cut_short", "separate", "with_term", "without"]

_REACH = 4  # [pix] half width of the pixels that tell of the term: charge goes to the next pixels
_TOLERANCE, _STEPS = 1e-2, 60
_SHORT = 0.8  # of the usual electrons for a unit of the image, below which a ramp was cut short
_NEARLY = 0.75  # of the peak of the faintest such ramps
_BLOCK = 2048  # stamps at a time


def separate(
    whole: Pool, pool: Pool, table: Table, stars: Stars, settings: CalibrateSettings, threads: int = 1
) -> tuple[Table, FluxTerm]:
    """The ePSF of stars without charge, and the flux term.

    `whole` are stamps as they were cut; `pool` those without the light that the term found before displaces, which the
    ePSF `table` was made from.

    Raises
    ------
    UnusableError
        Where all stars reach full well.
    """
    where = stars.x, stars.y, stars.flux, stars.rows, _REACH
    weight = robust(table, pool.stamps(*where))
    weight[cut_short(whole, stars.rows)] = 0.0
    if not weight.any():
        raise UnusableError("calibrate: flux term", "no star whose pixels are all below full well", "some")
    n = 2 * int(table.oversampling * (_REACH + 1.5)) + 1
    radius = np.hypot(*(np.mgrid[:n, :n] - n // 2)) / table.oversampling
    table, term = solve_term(
        table, whole.stamps(*where)._replace(weight=weight), whole.gain[stars.rows], stars.links,
        settings.stiffness * (1.0 + radius**6), radius=_REACH, tolerance=_TOLERANCE, steps=_STEPS, threads=threads,
    )  # fmt: skip
    return conform(table, NORMALISATION_RADIUS), term


def cut_short(pool: Pool, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Stamps whose middle holds less charge than their wings tell, its ramp having been cut short: no law holds there.

    Ramps that lost a few of their groups pass for whole ones, so what is nearly as bright as the others counts too.
    """
    usual = np.zeros(pool.first.size - 1)
    np.maximum.at(usual, pool.exposure, pool.gain)
    gain = usual[pool.exposure[rows]]
    middle = pool.light.shape[1] // 2
    core = pool.light[rows, middle - 1 : middle + 2, middle - 1 : middle + 2]
    short, peak = pool.gain[rows] < _SHORT * gain, core.max((1, 2)) * gain
    return short | (peak > _NEARLY * np.quantile(peak[short], 0.05)) if short.any() else short


def without(whole: Pool, term: FluxTerm, fits: StampFits) -> Pool:
    """Stamps as if their stars had no charge; as they are where the fit failed."""
    light, flux = whole.light.copy(), np.nan_to_num(fits.flux)
    for start in range(0, flux.size, _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, flux.size))
        light[rows] -= displaced(term, whole.stamps(fits.x[rows], fits.y[rows], flux[rows], rows), whole.gain[rows])
    return whole._replace(light=light)


def with_term(cube: EpsfCube, term: FluxTerm | None) -> EpsfCube:
    """The cube with the term on its own samples, zero where it was not solved for."""
    if term is None:
        return cube
    model = term.model
    values = samples(Table(model.coef, model.fx, model.fy, model.oversampling, len(model.taps) - 1))[0, 0]
    pad = (cube.values.shape[-1] - len(values)) // 2
    return dataclasses.replace(cube, flux_term=np.pad(values, pad), flux_unit=term.unit)
