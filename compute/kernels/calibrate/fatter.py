"""Brighter, fatter: the ePSF of a star depends on its charge, to first order linearly.

A pixel that holds more electrons than its neighbours turns later ones away to them (Antilogus et al. 2014 for CCDs,
Plazas et al. 2018 for HgCdTe), so the light of a star of flux f and charge q is f (psi + q / unit delta). One small
table delta serves a detector; psi is the ePSF of no charge.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from compute.kernels.calibrate.joint import Links, Table, solve
from compute.kernels.calibrate.stamps import Stamps, shine_stamps
from compute.kernels.measure.chain import Fits, Frame, Model, Sources, draw
from compute.kernels.measure.columns import FLUX, X, Y
from compute.kernels.spline import taps

UNIT = 1e5  # [e]
_CORE = 2.5  # [pix] half of the window that stars are fitted in
_LEAST = 1e-4  # of a star's flux in a pixel: less is lost in the errors of any ePSF


class FluxTerm(NamedTuple):
    """The change delta of the ePSF of a star whose charge is `unit` [e], the same at every place.

    It sums to zero, and moves no star that is fitted with the ePSF alone.
    """

    model: Model
    unit: float

    @classmethod
    def of(cls, coef: NDArray, oversampling: int, order: int, unit: float) -> "FluxTerm":
        """From spline coefficients (n, n)."""
        middle = np.zeros(1)
        return cls(Model(coef[None, None], middle, middle, oversampling, taps(order)), unit)


def electrons(frame: Frame, x: NDArray, y: NDArray) -> NDArray[np.float64]:
    """Electrons that a unit of the image is of in the middle pixels of stars at `x`, `y` (N,) [pix].

    That is what photon noise tells. Ramps cut short by a full well hold less charge than others of the same slope.
    """
    ny, nx = frame.poisson.shape
    i, j = (np.clip(np.rint(np.nan_to_num(place)), 0, n - 1).astype(int) for place, n in ((x, nx), (y, ny)))
    step = max(ny // 64, 1)
    usual = float(np.nanmedian(frame.poisson[::step, ::step]))
    return 1.0 / np.fmax(frame.poisson[j, i], usual)


def narrowed(frame: Frame, term: FluxTerm, x: NDArray, y: NDArray, flux: NDArray, threads: int = 1) -> Frame:
    """The frame as it were if stars at `x`, `y` [pix] with `flux` (N,) had the ePSF of no charge."""
    share = np.nan_to_num(flux) * electrons(frame, x, y) / term.unit
    k = np.flatnonzero(share * np.abs(term.model.coef).max() > _LEAST)
    image = frame.image - draw(frame, term.model, x[k], y[k], (share * flux)[k], threads)
    image.setflags(write=False)
    return frame._replace(image=image)


def uncharged(frame: Frame, term: FluxTerm, sources: Sources, fits: Fits, threads: int = 1) -> Frame:
    """The frame as :func:`narrowed` for fitted stars; the images of saturated ones end elsewhere and stay."""
    flux = np.where(sources.n_saturated > 0, 0.0, fits.rows[:, FLUX])
    return narrowed(frame, term, fits.rows[:, X].copy(), fits.rows[:, Y].copy(), flux, threads)


def displaced(term: FluxTerm, stamps: Stamps, gain: NDArray) -> NDArray[np.float64]:
    """The light (K, m, m) that charge adds to and takes from stamps; `gain` (K,) electrons in a unit of each."""
    coef, fx, fy, oversampling, how = term.model
    shape = _shone(Table(coef, fx, fy, oversampling, len(how) - 1), stamps)
    return shape * (stamps.flux**2 * gain / term.unit)[:, None, None]


def solve_term(
    table: Table,
    stamps: Stamps,
    gain: NDArray,
    links: Links,
    stiffness: NDArray,
    *,
    radius: float,
    tolerance: float,
    steps: int,
    threads: int = 1,
) -> tuple[Table, FluxTerm]:
    """The ePSF of no charge and its change with charge, solved together with positions and fluxes of the stars.

    A linear dependence on charge is a mix of two tables, as that on a place between two fiducials is: those of no
    charge and of the greatest there is. It is their changes that are smooth, and what the first one changes by, all
    fiducials of the ePSF do.

    Parameters
    ----------
    table
        The ePSF, near to that of no charge.
    stamps, gain
        With the light of charge still in them; electrons in a unit of each, (K,). Some must have weight.
    links, stiffness, radius, tolerance, steps
        As in :func:`compute.kernels.calibrate.joint.solve`; stiffness (n, n) tells the size of the term's table.
    """
    n, half = stiffness.shape[0], table.coef.shape[-1] // 2
    inner = (..., *(slice(half - n // 2, half + n // 2 + 1),) * 2)
    small = table._replace(coef=np.ascontiguousarray(table.coef[inner]))
    mean = small.coef.mean((0, 1))
    charge = stamps.flux * gain
    most = float(charge[(stamps.weight > 0).any((1, 2))].max())
    charged = small._replace(coef=np.stack([mean, mean])[:, None], fx=np.zeros(1), fy=np.array([0.0, most]))
    light = stamps.light + stamps.flux[:, None, None] * _shone(small._replace(coef=mean - small.coef), stamps)
    found = solve(
        charged, stamps._replace(light=light.astype(np.float32), at_x=np.zeros_like(charge), at_y=charge), links,
        stiffness, radius=radius, tolerance=tolerance, steps=steps, share=np.eye(2), threads=threads,
    ).coef[:, 0]  # fmt: skip
    change = _neutral((found[1] - found[0]) * UNIT / most, mean, table.oversampling, radius)
    whole = table.coef.copy()
    whole[inner] += found[0]
    return table._replace(coef=whole), FluxTerm.of(change, table.oversampling, table.order, UNIT)


def _shone(table: Table, stamps: Stamps) -> NDArray[np.float64]:
    """The table in the pixels of stamps, (K, m, m)."""
    out = np.empty(stamps.light.shape)
    where = stamps.x, stamps.y, stamps.at_x, stamps.at_y
    shine_stamps(table.coef, table.fx, table.fy, table.oversampling, table.taps, *where, out)
    return out


def _neutral(change: NDArray, psi: NDArray, oversampling: int, radius: float) -> NDArray[np.float64]:
    """`change` (n, n) less what is another flux, and another position, of stars of the ePSF `psi`."""
    off = np.hypot(*(np.mgrid[: len(psi), : len(psi)] - len(psi) // 2)) / oversampling
    up, right = np.gradient(psi)
    basis, core = np.array([psi, right, up]), off <= _CORE
    measures = np.array([(off <= radius) * 1.0, core * right, core * up])
    parts = np.linalg.solve(np.einsum("ayx,byx->ab", measures, basis), np.einsum("ayx,yx->a", measures, change))
    return change - np.einsum("b,byx->yx", parts, basis)
