"""What a library ePSF of some exposures would come to, told before it is built.

Headers tell how the exposures of a visit lie to one another, but for the local scale and skew of a distorted detector,
of which the nominal plane knows nothing. Large dithers therefore have random phases, small ones those that were asked
for; exposures of two visits, each with guide stars of its own, always have random ones.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from catalogs.flags import Flag
from catalogs.readers.scales import nominal_scale
from catalogs.wcs import TanWcs
from compute.kernels.calibrate.phases import expected_damping, largest_gap
from compute.settings import CalibrateSettings, StampSettings

__all__ = ["NEEDED", "Advice", "Dithering", "Supply", "advise", "dithering", "expected_accuracy", "supply"]

NEEDED = ["x", "y", "flux", "flux_error", "flags"]  # columns of MEASUREMENTS
HARMONICS = 2
_PLACES = 5  # along each axis
_LEAST_FOUND = 3  # exposures that a star must be in to tell an ePSF from a position
_UNDITHERED, _POOR = 0.95, 0.6  # share of a pixel-phase bias that dithers leave
_SQUARE, _SKEWED = 0.005, 0.06  # how far detectors are from the nominal plane: local scale, axes
_SQUARE_ONES = ("NIRISS", "NIRCAM")
_MARGIN, _CLEAR = 13.0, 12.0  # [pix] from the edge, and from saturated stars
_BRIGHT, _PLENTY = 100.0, 450  # S/N of the stars by which accuracies are known; images of a fiducial, likewise
_BLEMISHED = np.uint32(
    Flag.SATURATED | Flag.BAD_CORE | Flag.BAD_PIXELS | Flag.EDGE | Flag.NOT_CONVERGED | Flag.COSMIC_RAY
    | Flag.NEAR_SATURATED | Flag.EXTENDED
)  # fmt: skip


class Dithering(NamedTuple):
    """How a group of exposures is dithered.

    `overlap` exposures see a star, in the median over the detector; `shared` is the share of the detector whose stars
    enough exposures see. `damping` (2, HARMONICS) along x and y is the rms over the detector of what is left of a
    pixel-phase bias, `worst` that of the place where most is. `gap` (2,) [pix] is the largest gap of phases, median.
    """

    visits: int
    overlap: int
    shared: float
    damping: NDArray[np.float64]
    worst: NDArray[np.float64]
    gap: NDArray[np.float64]


class Supply(NamedTuple):
    """Images of stars fit to build an ePSF from, and how many of them are bright."""

    images: int
    bright: int


@dataclass(frozen=True)
class Advice:
    """What to expect of one detector, filter and epoch.

    `grid` fiducials along each axis, `per_fiducial` bright images for each, `core` the rms error of the ePSF's core
    [% of its peak] and `bias` the pixel-phase bias [mpix] are None before stars have been measured.
    """

    camera: tuple[str, str, str]
    epoch: str
    exposures: int
    dithering: Dithering
    images: int | None
    grid: int | None
    per_fiducial: int | None
    core: float | None
    bias: float | None
    verdict: str

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        one = self.dithering
        told = {name: np.round(getattr(one, name), 4).tolist() for name in ("damping", "worst", "gap")}
        names = "images", "grid", "per_fiducial", "core", "bias", "verdict"
        return {
            **dict(zip(("instrument", "detector", "filter"), self.camera, strict=True)), "epoch": self.epoch,
            "exposures": self.exposures, "visits": one.visits, "overlap": one.overlap,
            **{name: dict(zip("xy", value, strict=True)) for name, value in told.items()},
            **{name: getattr(self, name) for name in names},
        }  # fmt: skip


def advise(rows: pd.DataFrame, epoch: str, found: Supply | None, settings: CalibrateSettings) -> Advice:
    """What `piazzi calibrate` would make of the exposures of one detector, filter and epoch.

    Parameters
    ----------
    rows
        EXPOSURES.
    found
        Stars of all of them, None where that is not known.
    """
    one = dithering(rows)
    first = rows.iloc[0]
    camera = str(first["instrument"]), str(first["detector"]), str(first["filter"])
    if found is None:
        return Advice(camera, epoch, len(rows), one, None, None, None, None, None, _verdict(one, None, rows, settings))
    images, bright = (int(n * one.shared * (1 - settings.reserve)) for n in found)
    grid = max(1, min(settings.grid, int(np.sqrt(images / settings.per_fiducial))))
    each = min(bright // grid**2, settings.most)
    core, bias = expected_accuracy(each, float(one.damping[:, 0].max()), settings.passes)
    verdict = _verdict(one, images, rows, settings)
    return Advice(camera, epoch, len(rows), one, images, grid, each, core, bias, verdict)


def dithering(rows: pd.DataFrame) -> Dithering:
    """Where headers put the same places of the sky on every exposure, at 5 x 5 places of the middle one."""
    x, y = _places(rows)
    seen = np.isfinite(x)
    overlap = seen.sum(1)
    visit = rows.groupby(["program", "observation", "visit"], dropna=False, sort=False).ngroup().to_numpy()
    loose = _SQUARE if rows["instrument"].iloc[0] in _SQUARE_ONES else _SKEWED
    left, gap = [], []
    for k in np.flatnonzero(overlap >= min(_LEAST_FOUND, overlap.max())):
        of = x[k, seen[k]], y[k, seen[k]]
        each = [expected_damping(*of, visit[seen[k]], loose, harmonic) for harmonic in range(1, HARMONICS + 1)]
        left.append(np.transpose(each))
        gap.append([largest_gap(axis) for axis in of])
    return Dithering(
        int(visit.max()) + 1, int(np.median(overlap)), float(np.mean(overlap >= _LEAST_FOUND)),
        np.sqrt(np.mean(np.square(left), 0)), np.max(left, 0), np.median(gap, 0),
    )  # fmt: skip


def _places(rows: pd.DataFrame) -> tuple[NDArray, NDArray]:
    """Pixels (places, exposures) of places of the sky, NaN beyond the array."""
    planes = [_plane(row) for row in rows.to_dict("records")]
    away = np.array([planes[0].pixel(plane.ra, plane.dec) for plane in planes])  # NaN on the other half of the sky
    middle = int(np.nanargmin(np.hypot(*(away - np.nanmedian(away, 0)).T).round(3)))
    row, side = rows.iloc[middle], (np.arange(_PLACES) + 0.5) / _PLACES
    x, y = np.meshgrid(row["x_start"] - 0.5 + side * row["n_x"], row["y_start"] - 0.5 + side * row["n_y"])
    sky = planes[middle].sky(x.ravel(), y.ravel())
    x, y = np.array([plane.pixel(*sky) for plane in planes]).transpose(1, 2, 0)
    low_x, low_y, n_x, n_y = (rows[name].to_numpy(float) - 0.5 for name in ("x_start", "y_start", "n_x", "n_y"))
    inside = (x > low_x) & (x < low_x + n_x + 0.5) & (y > low_y) & (y < low_y + n_y + 0.5)
    return np.where(inside, x, np.nan), np.where(inside, y, np.nan)


def _plane(row: dict) -> TanWcs:
    """The header's pointing and orientation, with the nominal scale."""
    size, angle = nominal_scale(row["detector"]) / 3.6e6, np.radians(row["position_angle"])
    sin, cos = size * np.sin(angle), size * np.cos(angle)
    x, y = row["x_start"] + (row["n_x"] - 1) / 2, row["y_start"] + (row["n_y"] - 1) / 2
    return TanWcs(row["ra"], row["dec"], x, y, (-cos, sin, sin, cos))  # +x is +y turned clockwise, as the sky is seen


def supply(stars: pd.DataFrame, row: dict, settings: StampSettings) -> Supply:
    """How many measured stars of an exposure would be cut out: bright, lonely and whole, as far as the table tells.

    `stars` are MEASUREMENTS with the columns of NEEDED, `row` is the exposure's in EXPOSURES.
    """
    x, y, flux, error = (stars[name].to_numpy(float) for name in NEEDED[:4])
    flags = stars["flags"].to_numpy()
    known = np.isfinite(x) & np.isfinite(y) & np.isfinite(flux)
    x, y, flux, error, flags = (one[known] for one in (x, y, flux, error, flags))
    i, j = x - row["x_start"], y - row["y_start"]
    good = (flags & _BLEMISHED == 0) & (flux > settings.signal_to_noise * error)
    good &= (np.minimum(i, j) > _MARGIN) & (i < row["n_x"] - 1 - _MARGIN) & (j < row["n_y"] - 1 - _MARGIN)
    place = np.column_stack([x, y])
    if (full := flags & Flag.SATURATED != 0).any():
        good &= cKDTree(place[full]).query(place, distance_upper_bound=_CLEAR)[0] > _CLEAR
    near = cKDTree(place).query_ball_point(place[good], settings.isolation)
    lonely = np.flatnonzero(good)
    lonely = lonely[[bool(flux[others].max() <= flux[k]) for k, others in zip(lonely, near, strict=True)]]
    chosen = lonely[np.argsort(-flux[lonely], kind="stable")][: settings.stars]
    return Supply(chosen.size, int(np.count_nonzero(flux[chosen] > _BRIGHT * error[chosen])))


def expected_accuracy(images: int, damping: float, passes: int) -> tuple[float | None, float | None]:
    """Rms error of an ePSF's core [% of its peak] and pixel-phase bias [mpix] that calibrating should leave.

    From simulated NIRISS F090W, the joint solution at four samples a pixel: 450, 110 and 45 images of S/N 100 and more
    for each fiducial gave 0.14, 0.30 and 0.78 %, and more were not seen to help; light centres began with a bias of
    85 mpix, every pass left at most the share `damping` of it, and 0.7 mpix stayed, more with a poor ePSF. None without
    images.
    """
    if images == 0:
        return None, None
    images = min(images, _PLENTY)
    core = float(np.hypot(2.97 / np.sqrt(images), 1350.0 / images**2))
    bias = float(np.linalg.norm([0.7, 1.4 * core, 85.0 * damping**passes]))
    return round(core, 3), round(bias, 2)


def _verdict(one: Dithering, images: int | None, rows: pd.DataFrame, settings: CalibrateSettings) -> str:
    n = f"{len(rows)} exposure{'s' * (len(rows) > 1)}"
    if one.shared == 0:
        return f"too few exposures: stars are seen by {one.overlap} of {n}, {_LEAST_FOUND} needed"
    axes = [axis for axis, left in zip("xy", one.damping[:, 0], strict=True) if left > _UNDITHERED]
    if axes:
        left = f"{one.damping[:, 0].max():.2f} of a pixel-phase bias stays"
        return f"undithered in {' and '.join(axes)}: {left}, dithers by fractions of a pixel needed"
    if images is not None and images < settings.least:
        return f"too few stars: {images} images in {n}, {settings.least} needed"
    axes = [axis for axis, left in zip("xy", one.damping.max(1), strict=True) if left > _POOR]
    if axes:
        left = one.damping.max()
        return f"poorly dithered in {' and '.join(axes)}: {left:.2f} of a pixel-phase bias stays in a pass"
    return "good" if images is not None else "good dithers, stars not measured yet"
