"""Stage `measure`: one exposure and an ePSF in, rows of MEASUREMENTS out."""

from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from catalogs.cubes import EpsfCube
from catalogs.errors import UnusableError
from catalogs.exposure import Exposure
from catalogs.flags import Flag
from catalogs.tables import MEASUREMENTS
from compute.kernels.calibrate.fatter import FluxTerm, narrowed, uncharged
from compute.kernels.measure import columns
from compute.kernels.measure.chain import Fits, Frame, Model, Sources, find, find_hidden, fit_rounds
from compute.kernels.measure.classify import shapes, widened
from compute.kernels.measure.columns import COLUMNS
from compute.kernels.measure.groups import refit_groups
from compute.kernels.measure.saturated import refit_saturated
from compute.kernels.measure.spikes import far_flux, far_light
from compute.settings import MeasureSettings
from compute.stages.frames import flux_term_of, frame_of, model_of, star_times

_STATE_FLAGS = (
    (columns.HAS_SATURATED, Flag.SATURATED),
    (columns.BAD_CORE, Flag.BAD_CORE),
    (columns.HAS_BAD, Flag.BAD_PIXELS),
    (columns.AT_EDGE, Flag.EDGE),
    (columns.GROUPED, Flag.GROUP_FIT),
)
_COARSEST = 3  # samples per pixel of an ePSF: a quintic spline reaches that many beyond a pixel
_NEAR = 5.0  # pix from a saturated pixel within which a source is a piece of it
_UNEVEN = 0.3  # share by which the far light of one star may differ from that of others
_OWED = 0.1  # neighbours' share of the fitted light above which a star is flagged


class Measured(NamedTuple):
    """Rows of MEASUREMENTS, and what EXPOSURES records about them."""

    stars: pd.DataFrame
    summary: dict[str, int | float]


def measure(exposure: Exposure, cube: EpsfCube, settings: MeasureSettings, threads: int = 1) -> Measured:
    """Find and fit the stars of one exposure; the result does not depend on `threads`.

    Raises
    ------
    UnusableError
        If nothing stands above the threshold, or the ePSF is coarse or does not reach beyond the fitted window.
    """
    header = exposure.header
    place = f"measure: {header.exposure} {header.detector}"
    if cube.radius < settings.window / 2 + 2.5:
        raise UnusableError(f"{place} ePSF radius", f"{cube.radius} pix", f"at least {settings.window / 2 + 2.5} pix")
    if cube.oversampling < _COARSEST:
        raise UnusableError(f"{place} ePSF oversampling", cube.oversampling, f"at least {_COARSEST}")
    frame, model = frame_of(exposure), model_of(cube, exposure, settings.spline_order)
    sources = find(frame, model, settings.threshold, settings.isolation, settings.sharpness, threads)
    if sources.x.size == 0:
        raise UnusableError(place, "no stars", f"a peak above {settings.threshold} sigma")
    term = flux_term_of(cube, settings.spline_order)
    sources, fits, far = _searched(frame, model, term, sources, settings, threads)
    sources, fits = _significant(sources, fits, settings.threshold)
    if sources.x.size == 0:
        raise UnusableError(place, "no stars", f"one fitted above {settings.threshold} sigma")
    flags = _flags(exposure, sources, fits)
    flags[_spikes(far, model, sources, fits)] |= np.uint32(Flag.SPIKE)
    # Errors widen after flags and S/N were judged: both need what noise alone gives.
    single = (sources.n_saturated == 0)[:, None]
    fits = fits._replace(rows=np.where(single, widened(fits.rows), fits.rows))
    stars = _table(exposure, fits, flags)
    return Measured(stars, _summary(exposure, model, sources, stars))


def _summary(exposure: Exposure, model: Model, sources: Sources, stars: pd.DataFrame) -> dict[str, int | float]:
    """What EXPOSURES records."""
    own = stars["flags"] & ~np.uint32(exposure.flags)
    clean = stars["qfit"][(own == 0) & (stars["flux"] > 20 * stars["flux_error"])]
    middle = (exposure.header.n_x - 1) / 2, (exposure.header.n_y - 1) / 2
    return {
        "n_stars": len(stars),
        "n_saturated": int((sources.n_saturated > 0).sum()),
        "qfit_median": float(clean.median()),
        "core_fraction": float(model.at(*middle, np.zeros(1), np.zeros(1))[0]),
    }


def _searched(
    frame: Frame, model: Model, term: FluxTerm | None, sources: Sources, settings: MeasureSettings, threads: int
) -> tuple[Sources, Fits, NDArray[np.float32]]:
    """Fits of all sources after every search, overlapping ones fitted together; and the far light taken away."""
    whole, far = frame, np.zeros_like(frame.image)
    fits, seen = _fit(frame, model, term, sources, settings, threads)
    for _ in range(settings.searches - 1):
        n = sources.x.size
        far = far_light(whole, model, fits)
        frame = _without(whole, far) if far.any() else whole
        seen = frame if term is None else uncharged(frame, term, sources, fits, threads)
        sources = find_hidden(
            seen, model, sources, fits, settings.threshold, settings.isolation, settings.sharpness, threads
        )
        if sources.x.size == n and not far.any():
            break
        fits, seen = _fit(frame, model, term, sources, settings, threads)
    sources, fits = refit_groups(
        seen,
        model,
        sources,
        fits,
        half=settings.window // 2,
        taper=_taper(settings),
        template_error=settings.template_error,
        max_iterations=settings.max_iterations,
    )
    return sources, fits, far


def _fit(
    frame: Frame, model: Model, term: FluxTerm | None, sources: Sources, settings: MeasureSettings, threads: int
) -> tuple[Fits, Frame]:
    """Fits of all sources, and the frame without the light that their charge displaces."""
    fits = fit_rounds(
        frame,
        model,
        sources,
        rounds=settings.rounds,
        half=settings.window // 2,
        taper=_taper(settings),
        template_error=settings.template_error,
        max_iterations=settings.max_iterations,
        annulus=(settings.sky_inner, settings.sky_outer),
        threads=threads,
        seen=None if term is None else partial(narrowed, frame, term, threads=threads),
    )
    seen = frame if term is None else uncharged(frame, term, sources, fits, threads)
    fits = refit_saturated(
        seen, model, sources, fits, template_error=settings.template_error, max_iterations=settings.max_iterations
    )
    return fits, seen


def _without(frame: Frame, far: NDArray[np.float32]) -> Frame:
    """The frame without the far light of bright stars, whose photons and errors count as noise."""
    image = frame.image - far
    floor = frame.floor + frame.poisson * np.maximum(far, 0) + (np.float32(_UNEVEN) * far) ** 2
    for array in (image, floor):
        array.setflags(write=False)
    return frame._replace(image=image, floor=floor)


def _taper(settings: MeasureSettings) -> tuple[float, float]:
    """Radii of the tapered aperture [pix]; zeros for the whole window."""
    return (settings.taper_inner, settings.taper_outer) if settings.aperture == "tapered" else (0.0, 0.0)


def _significant(sources: Sources, fits: Fits, threshold: float) -> tuple[Sources, Fits]:
    """Sources whose fitted flux is as significant as their peaks seemed; what noise lifted over the threshold goes.

    Saturated stars and fits that failed stay, with their flags.
    """
    flux, variance = fits.rows[:, columns.FLUX], fits.rows[:, columns.VAR_FLUX]
    keep = (sources.n_saturated > 0) | ~(flux < threshold * np.sqrt(variance))
    return (
        Sources(sources.x[keep], sources.y[keep], sources.n_saturated[keep]),
        fits._replace(rows=fits.rows[keep], sky=fits.sky[keep], sky_error=fits.sky_error[keep]),
    )


def _flags(exposure: Exposure, sources: Sources, fits: Fits) -> NDArray[np.uint32]:
    """What is known against each source, as bits of :class:`catalogs.flags.Flag`."""
    row = dict(zip(COLUMNS, fits.rows.T, strict=True))
    state = row["state"].astype(int)
    flags = np.full(state.size, exposure.flags, np.uint32)
    for bit, flag in _STATE_FLAGS:
        flags[state & bit != 0] |= np.uint32(flag)
    flags[sources.n_saturated > 0] |= np.uint32(Flag.SATURATED)
    flags[state & columns.CONVERGED == 0] |= np.uint32(Flag.NOT_CONVERGED)
    flags[row["neighbour"] > _OWED] |= np.uint32(Flag.NEIGHBOUR)
    sharp, wide = shapes(row)
    flags[sharp & (sources.n_saturated == 0)] |= np.uint32(Flag.COSMIC_RAY)
    flags[wide & (sources.n_saturated == 0)] |= np.uint32(Flag.EXTENDED)
    near = _near_saturated(exposure, row["x"], row["y"]) & (sources.n_saturated == 0)
    flags[near] |= np.uint32(Flag.NEAR_SATURATED)
    return flags


def _spikes(far: NDArray[np.float32], model: Model, sources: Sources, fits: Fits) -> NDArray[np.bool_]:
    """Sources fainter than the spikes and halos of brighter stars that were taken away where they stand."""
    x, y, flux = fits.rows[:, :3].T.copy()
    expected = far_flux(far, model, x, y)
    return (expected > 0) & ~(flux > expected) & (sources.n_saturated == 0)


def _near_saturated(exposure: Exposure, x: NDArray, y: NDArray) -> NDArray[np.bool_]:
    """Sources within a few pixels of a saturated pixel: pieces of bleeds and cores rather than stars."""
    if not exposure.saturated.any():
        return np.zeros(x.size, bool)
    pixels = np.column_stack([np.round(y), np.round(x)])
    full = cKDTree(np.argwhere(exposure.saturated))
    return full.query(pixels, distance_upper_bound=_NEAR + 1e-9)[0] <= _NEAR


def _table(exposure: Exposure, fits: Fits, flags: NDArray[np.uint32]) -> pd.DataFrame:
    """Rows of MEASUREMENTS by decreasing flux; sources without a flux come last, by position."""
    header = exposure.header
    row = dict(zip(COLUMNS, fits.rows.T, strict=True))
    j = np.clip(np.round(row["y"]).astype(int), 0, header.n_y - 1)
    i = np.clip(np.round(row["x"]).astype(int), 0, header.n_x - 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mag = -2.5 * np.log10(row["flux"])
        columns = {
            "x": row["x"] + header.x_start,
            "y": row["y"] + header.y_start,
            "x_error": np.sqrt(row["var_x"]),
            "y_error": np.sqrt(row["var_y"]),
            "xy_corr": row["cov_xy"] / np.sqrt(row["var_x"] * row["var_y"]),
            "flux": row["flux"],
            "flux_error": np.sqrt(row["var_flux"]),
            "mag": mag,
            "mag_error": 2.5 / np.log(10.0) * np.sqrt(row["var_flux"]) / row["flux"],
            "sky": fits.sky,
            "sky_error": fits.sky_error,
            "mag_area": mag - 2.5 * np.log10(exposure.area[j, i]),
            "x_gdc": np.nan,
            "y_gdc": np.nan,
            "mjd": star_times(exposure, row["x"], row["y"]),
            "flags": flags,
            "n_pix": row["n_pix"],
        }
    columns |= {name: row[name] for name in ("qfit", "radxs", "chi2", "peak", "neighbour")}
    frame = pd.DataFrame(columns).assign(exposure=header.exposure)
    frame = frame.sort_values(["flux", "y", "x"], ascending=[False, True, True], na_position="last", kind="stable")
    frame["star"] = np.arange(1, len(frame) + 1)
    return MEASUREMENTS.conform(frame)
