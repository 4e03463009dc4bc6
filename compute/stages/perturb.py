"""Stage `perturb`: a library ePSF adjusted to one exposure by the residuals of its own stars.

Libralato et al. 2023, section 3.2: the telescope breathes, and exposures differ a little from the library. One smooth
change per zone of the detector is solved for, with the position and flux of every star free; the centre and the sum of
the ePSF stay as they are.
"""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from catalogs.cubes import EpsfCube
from catalogs.exposure import Exposure
from compute.kernels.calibrate.joint import Links, Table, solve
from compute.kernels.calibrate.stampfit import conform, fit_stamps, samples
from compute.kernels.calibrate.stamps import Stamps
from compute.kernels.spline import coefficients
from compute.settings import PerturbSettings
from compute.stages.cutting import Cut, cut

__all__ = ["perturb", "zones_of"]

_HALF = 6  # [pix] half width of the pixels that tell of the change
_ROUNDS = 2
_FREE = 100.0  # [pix] slack of a star that is in one exposure alone


def perturb(exposure: Exposure, cube: EpsfCube, settings: PerturbSettings) -> EpsfCube:
    """The ePSF of an exposure, from a library's and the exposure's well measured stars.

    Zones are as many as `zones` x `zones`, or fewer, so that each has its `least` stars; with fewer than these over the
    whole detector the library's own ePSF comes back, and `extra["perturbed"]` says 0. Else it says how many zones there
    are along each axis, `stars` how many were used, `qfit_before` and `qfit_after` their median QFIT with the library's
    ePSF and with this one, and `zones` the core fraction of both in the middle of each zone [pix].
    """
    stars = cut(exposure, cube, settings)
    zones = min(settings.zones, int(np.sqrt(stars.x.size / settings.least)))
    if zones == 0:
        return dataclasses.replace(cube, extra={**cube.extra, "perturbed": 0})
    order = int(cube.extra.get("spline_order", 3))
    table = Table(coefficients(cube.values, order), cube.fx, cube.fy, cube.oversampling, order)
    stamps = _stamps(stars)
    share = _shares(cube, exposure, zones)
    stiffness = _stiffness(table, settings.stiffness)
    first = fits = fit_stamps(table, stamps)
    for _ in range(_ROUNDS):
        good = np.isfinite(fits.x) & (fits.chi2 < np.nanmedian(fits.chi2) * settings.clip)
        kept = Stamps(
            stamps.light[good], stamps.weight[good], fits.x[good], fits.y[good], fits.flux[good], stamps.at_x[good],
            stamps.at_y[good],
        )  # fmt: skip
        found = solve(
            table, kept, _links(int(good.sum())), stiffness, radius=cube.normalisation_radius, tolerance=3e-2, steps=15,
            share=share,
        )  # fmt: skip
        table = conform(table._replace(coef=table.coef + found.coef), cube.normalisation_radius)
        fits = fit_stamps(table, stamps)
    header = exposure.header
    made = dataclasses.replace(
        cube, values=samples(table), source=f"{cube.label}, perturbed for {header.exposure}",
        valid_from=header.mjd_start, valid_to=header.mjd_end,
    )  # fmt: skip
    told = {
        "spline_order": order, "perturbed": zones, "stars": int(good.sum()),
        "qfit_before": float(np.nanmedian(first.qfit[good])), "qfit_after": float(np.nanmedian(fits.qfit[good])),
        "zones": _cores(cube, made, exposure, zones),
    }  # fmt: skip
    return dataclasses.replace(made, extra={**cube.extra, **told})


def zones_of(low: float, high: float, zones: int, at: NDArray) -> NDArray[np.float64]:
    """Shares (n, zones) of zones along one axis at places (n,): linear between the zones' middles, even beyond."""
    return _hats(_middles(low, high, zones), at)


def _middles(low: float, high: float, zones: int) -> NDArray[np.float64]:
    return low + (np.arange(zones) + 0.5) * (high - low) / zones


def _hats(places: NDArray, at: NDArray) -> NDArray[np.float64]:
    """Weights (n, m) of m places in linear interpolation at n."""
    return np.array([np.interp(at, places, unit) for unit in np.eye(places.size)]).T


def _spans(exposure: Exposure) -> tuple[tuple[float, float], tuple[float, float]]:
    """First and last pixel along x and y."""
    header = exposure.header
    return (header.x_start, header.x_start + header.n_x - 1), (header.y_start, header.y_start + header.n_y - 1)


def _shares(cube: EpsfCube, exposure: Exposure, zones: int) -> NDArray[np.float64]:
    """What each fiducial takes of each zone, (n_fiducials, zones^2)."""
    across, up = (zones_of(*span, zones, at) for span, at in zip(_spans(exposure), (cube.fx, cube.fy), strict=True))
    return np.einsum("ja,ib->jiab", up, across).reshape(cube.fy.size * cube.fx.size, zones * zones)


def _cores(library: EpsfCube, made: EpsfCube, exposure: Exposure, zones: int) -> list[dict[str, float]]:
    """Core fractions in the middle of each zone."""
    xs, ys = (_middles(*span, zones) for span in _spans(exposure))
    across, up = _hats(library.fx, xs), _hats(library.fy, ys)
    before, after = (up @ cube.centre_values @ across.T for cube in (library, made))
    return [
        {"x": float(xs[i]), "y": float(ys[j]), "core_fraction": float(after[j, i]), "library": float(before[j, i])}
        for j, i in np.ndindex(zones, zones)
    ]


def _stamps(stars: Cut) -> Stamps:
    middle = stars.light.shape[1] // 2
    inner = slice(middle - _HALF, middle + _HALF + 1)
    light, weight = (np.ascontiguousarray(pixels[:, inner, inner]) for pixels in (stars.light, stars.weight))
    return Stamps(light, weight, stars.x, stars.y, stars.flux, stars.x_pixel + stars.x, stars.y_pixel + stars.y)


def _links(n: int) -> Links:
    """Every stamp a star of its own."""
    return Links(np.arange(n + 1), np.tile(np.eye(2), (n, 1, 1)), np.ones(n), _FREE)


def _stiffness(table: Table, strength: float) -> NDArray[np.float64]:
    n = table.coef.shape[-1]
    radius = np.hypot(*(np.mgrid[:n, :n] - n // 2)) / table.oversampling
    return strength * (1.0 + radius**4)
