"""The stars of one exposure, as arrays for transforming and averaging."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from catalogs.flags import Flag
from compute.kernels.frame.transforms import Transform
from compute.stages.plane import Plane

__all__ = ["COLUMNS", "LINKED", "REJECTED", "Places", "Sample", "links", "on_frame", "places", "sample", "saturated"]

# What makes a measured position unfit to be part of a mean while there are better ones.
REJECTED = np.uint32(
    Flag.SATURATED | Flag.BAD_CORE | Flag.EDGE | Flag.NOT_CONVERGED | Flag.COSMIC_RAY | Flag.NEAR_SATURATED
)
_LINKS = np.uint32(REJECTED | Flag.BAD_PIXELS | Flag.EXTENDED | Flag.NEIGHBOUR)  # and to be a link between exposures
_NOWHERE = np.uint32(Flag.NOT_CONVERGED | Flag.COSMIC_RAY | Flag.EXTENDED)
_FEW = 30

COLUMNS = ["star", "x", "y", "x_gdc", "y_gdc", "x_error", "y_error", "xy_corr", "mag_area", "mag_error", "flux",
           "flux_error", "qfit", "radxs", "mjd", "flags"]  # fmt: skip
LINKED = [name for name in COLUMNS if name not in ("qfit", "radxs", "mjd")]  # what links are made from


class Sample(NamedTuple):
    """Stars of one exposure: positions [pix] and their covariance, magnitudes; each (n,).

    `corrected` tells whether the positions are free of distortion.
    """

    star: NDArray[np.int64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    var_x: NDArray[np.float64]
    var_y: NDArray[np.float64]
    cov_xy: NDArray[np.float64]
    mag: NDArray[np.float64]
    var_mag: NDArray[np.float64]
    corrected: bool

    def take(self, rows: NDArray) -> "Sample":
        """Some of the stars."""
        return self._replace(**{name: getattr(self, name)[rows] for name in self._fields[:-1]})


class Places(NamedTuple):
    """Stars of a reference catalog on the frame at its epoch: positions [pix], errors [pix], covariances [pix2],
    magnitudes; each (n,).
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    error_x: NDArray[np.float64]
    error_y: NDArray[np.float64]
    cov_xy: NDArray[np.float64]
    mag: NDArray[np.float64]


def places(reference: pd.DataFrame, plane: Plane) -> Places:
    """A reference catalog, rows of :func:`~compute.stages.reference.propagated`, on the frame."""
    ra, dec = reference["ra"].to_numpy(np.float64), reference["dec"].to_numpy(np.float64)
    a, d = reference["ra_error"].to_numpy(np.float64), reference["dec_error"].to_numpy(np.float64)
    cross = np.nan_to_num(reference["ra_dec_corr"].to_numpy(np.float64)) * a * d
    covariance = plane.pixel_covariance(ra, dec, np.array([[a * a, cross], [cross, d * d]]).transpose(2, 0, 1))
    error_x, error_y = np.sqrt(covariance[:, 0, 0]), np.sqrt(covariance[:, 1, 1])
    x, y = plane.pixel(ra, dec)
    return Places(x, y, error_x, error_y, covariance[:, 0, 1], reference["mag"].to_numpy(np.float64))


def sample(stars: pd.DataFrame) -> Sample:
    """All stars of MEASUREMENTS rows of one exposure; NaN errors where the fit gave none."""
    corrected = bool(stars["x_gdc"].notna().any())
    names = ("x_gdc", "y_gdc") if corrected else ("x", "y")
    var_x, var_y = (stars[name].to_numpy(np.float64) ** 2 for name in ("x_error", "y_error"))
    x, y = (stars[name].to_numpy(np.float64) for name in names)
    return Sample(
        stars["star"].to_numpy(np.int64),
        x,
        y,
        var_x,
        var_y,
        stars["xy_corr"].to_numpy(np.float64) * np.sqrt(var_x * var_y),
        stars["mag_area"].to_numpy(np.float64),
        stars["mag_error"].to_numpy(np.float64) ** 2,
        corrected,
    )


def links(stars: pd.DataFrame, most: int, least_snr: float) -> Sample:
    """The best stars of an exposure, brightest first: unflagged, at most `most`, above `least_snr` if that leaves some.

    Fewer than thirty are filled up with fainter ones.
    """
    flux, error = stars["flux"].to_numpy(np.float64), stars["flux_error"].to_numpy(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        snr = np.where((stars["flags"].to_numpy() & _LINKS) == 0, flux / error, np.nan)
    order = np.argsort(-np.nan_to_num(snr, nan=-1.0), kind="stable")
    order = order[snr[order] > 0]  # not NaN
    n = max(int(np.count_nonzero(snr[order] >= least_snr)), min(_FEW, order.size))
    found = sample(stars).take(order[: min(n, most)])
    whole = np.isfinite(found.x) & np.isfinite(found.y) & (found.var_x > 0) & (found.var_y > 0)
    return found.take(np.flatnonzero(whole))


def saturated(stars: pd.DataFrame) -> Sample:
    """The saturated stars of an exposure: unfit for any mean, but to catalogs they are its brightest."""
    flags = stars["flags"].to_numpy()
    found = sample(stars[((flags & Flag.SATURATED) != 0) & ((flags & _NOWHERE) == 0)])
    return found.take(np.flatnonzero(np.isfinite(found.x) & np.isfinite(found.y) & np.isfinite(found.mag)))


def on_frame(one: Sample, transform: Transform, floor: float) -> tuple[NDArray, ...]:
    """x, y, var_x, var_y, cov_xy of stars on the frame; `floor` [pix of the frame] is added to both variances."""
    x, y = transform.apply(one.x, one.y)
    (a, b), (c, d) = transform.matrix
    var_x = a * a * one.var_x + 2 * a * b * one.cov_xy + b * b * one.var_y
    var_y = c * c * one.var_x + 2 * c * d * one.cov_xy + d * d * one.var_y
    cov = a * c * one.var_x + (a * d + b * c) * one.cov_xy + b * d * one.var_y
    return x, y, var_x + floor**2, var_y + floor**2, cov
