"""One ePSF from dithered stars against photutils' EPSFBuilder: same images, same centroids to start from, same passes.

Ours is the whole solver, which finds out by itself how exposures lie to each other. The builder's linked stars would
tie the dithered images of a star together, but its own validation refuses them (photutils 3.0.0), so it takes every
image for a star of its own; its quadratic kernel does far better on these stars than its default. The row also says
what it could do were centres tied between its passes by dithers that are exactly known, and what noise alone would do.

The second row times averaging alone, the way both were published to work: the same smaller stamps and centroids, as
many passes, five inner rounds in each of ours. There ours ties images by the exactly known dithers.
"""

import warnings
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from astropy.wcs import WCS
from numpy.typing import NDArray
from photutils.psf import EPSFBuilder, EPSFStar, EPSFStars, LinkedEPSFStar

from catalogs.readers.scales import nominal_scale
from compute.kernels.calibrate.averaging import average
from compute.kernels.calibrate.epsf import NORMALISATION_RADIUS
from compute.kernels.calibrate.joint import Table
from compute.kernels.calibrate.stampfit import conform, fit_stamps, light_centres
from compute.kernels.spline import coefficients
from compute.settings import CalibrateSettings
from compute.stages.calibrate.build import build
from compute.stages.calibrate.stars import Pool, pool_of
from compute.stages.cutting import HALF, Cut
from compute.stages.plane import CENTRE, Plane
from tests.analytic import AnalyticEpsf, expose, scatter
from tests.bench.pairs import compare as timed

STARS, DITHERS, SIZE, PASSES = 120, 9, 600, 4
SKY, READ_NOISE = 50.0, 10.0
_INNER = 5  # [pix] half width of stamps that are averaged
LIGHT = 1e5, 1e6  # [e] enough for errors that go with pixel phase to stand out of the noise


class Scene(NamedTuple):
    """Stamps of exposures, their EXPOSURES, where the stars are (2, K) [detector pix], and exact maps to the sky."""

    cuts: list[Cut]
    rows: pd.DataFrame
    plane: Plane
    truth: NDArray[np.float64]
    maps: list[WCS]


def compare() -> list[dict]:
    """Star images per second and pass of either, and the pixel-phase amplitudes of the positions they end with."""
    scene = _scene()
    pool, start = _start(scene)
    return [_joint(scene, pool, start), _averaging(scene, pool, start)]


def _joint(scene: Scene, pool: Pool, start: tuple[NDArray, NDArray, NDArray]) -> dict:
    last = {}

    def ours() -> None:
        last["ours"] = _ours(scene, pool, start)

    def peer() -> None:
        last["peer"] = _builder(_stars(scene, pool, start), PASSES).fitted_stars.center_flat.T

    amount = pool.exposure.size * PASSES
    row = timed("calibrate / EPSFBuilder", "", ours, peer, amount=amount, pairs=2)
    mine, theirs = _amplitude(last["ours"], scene.truth), _amplitude(last["peer"], scene.truth)
    tied = _amplitude(_tied(scene, pool, start), scene.truth)
    noise = _amplitude(_fitted(AnalyticEpsf().table()[None, None], pool, start), scene.truth)
    work = f"{pool.exposure.size} images of {STARS} stars, {2 * HALF + 1}x{2 * HALF + 1} pix, 4 samples per pix,"
    work += f" {PASSES} passes; pixel-phase amplitude of positions, worse of x and y: centroids"
    work += f" {_amplitude(_places(pool, start), scene.truth):.1f} mpix, ours {mine:.2f}, peer {theirs:.2f},"
    work += f" peer with centres tied {tied:.2f}, the true ePSF {noise:.2f}"
    return row | {"work": work, "agrees": mine < theirs / 3}


def _averaging(scene: Scene, pool: Pool, start: tuple[NDArray, NDArray, NDArray]) -> dict:
    inner, last = slice(HALF - _INNER, HALF + _INNER + 1), {}
    small = pool._replace(light=pool.light[:, inner, inner].copy(), weight=pool.weight[:, inner, inner].copy())

    def ours() -> None:
        last["ours"] = _averaged(scene, small, start)

    def peer() -> None:
        last["peer"] = _builder(_stars(scene, small, start), PASSES).fitted_stars.center_flat.T

    row = timed("averaging / EPSFBuilder", "", ours, peer, amount=pool.exposure.size * PASSES, pairs=3)
    mine, theirs = _amplitude(last["ours"], scene.truth), _amplitude(last["peer"], scene.truth)
    work = f"{pool.exposure.size} images, {2 * _INNER + 1}x{2 * _INNER + 1} pix, {PASSES} passes, ours of 5 rounds"
    work += f" with images tied by known dithers; pixel-phase amplitude: ours {mine:.2f}, peer {theirs:.2f} mpix"
    return row | {"work": work, "agrees": mine < theirs}


def _averaged(scene: Scene, pool: Pool, start: tuple[NDArray, NDArray, NDArray]) -> NDArray:
    """Positions after passes of averaging, fitting, and averages of each star's images, exposures being in order."""
    place, n = np.zeros(1), 2 * int(4 * (_INNER + 1.5)) + 1
    table, lie = (
        Table(np.zeros((1, 1, n, n)), place, place, 4, 3),
        scene.truth - np.tile(scene.truth[:, :STARS], DITHERS),
    )
    x, y, flux = start
    for _ in range(PASSES):
        stamps = pool.stamps(x, y, flux)
        table = conform(average(table, stamps), NORMALISATION_RADIUS)
        fits = fit_stamps(table, stamps)
        mean = (_places(pool, fits) - lie).reshape(2, DITHERS, STARS).mean(1)
        x, y = np.tile(mean, DITHERS) + lie - np.array([pool.x_pixel, pool.y_pixel])
        flux = np.tile(fits.flux.reshape(DITHERS, STARS).mean(0), DITHERS)
    return _places(pool, fits)


def _scene() -> Scene:
    """Undersampled stars on a 3x3 pattern of dithers with random pixel phases."""
    rng, epsf = np.random.default_rng(6), AnalyticEpsf()
    x, y = scatter(STARS, (SIZE, SIZE), 2.0 * HALF, rng, 60.0)
    flux = np.exp(rng.uniform(*np.log(LIGHT), x.size))
    dithers = 11.0 * np.indices((3, 3)).reshape(2, DITHERS) + rng.uniform(-1, 1, (2, DITHERS))
    cuts, truth = [], []
    for dx, dy in dithers.T:
        truth.append((x + dx, y + dy))
        cuts.append(_cut(epsf, x + dx, y + dy, flux, rng))
    scale, middle = nominal_scale("NIS"), (SIZE - 1) / 2
    plane = Plane(80.0, -60.0, scale)
    ra, dec = plane.sky(CENTRE - dithers[0], CENTRE - dithers[1])
    rows = pd.DataFrame({"instrument": "NIRISS", "detector": "NIS", "filter": "F090W", "n_x": SIZE, "n_y": SIZE,
                         "x_start": 0, "y_start": 0, "position_angle": 0.0, "ra": ra, "dec": dec})  # fmt: skip
    maps = [_map(scale, middle + dx, middle + dy) for dx, dy in dithers.T]
    return Scene(cuts, rows, plane, np.concatenate(truth, axis=1), maps)


def _cut(epsf: AnalyticEpsf, x: NDArray, y: NDArray, flux: NDArray, rng: np.random.Generator) -> Cut:
    """Stamps as they are cut out of an exposure."""
    x_pixel, y_pixel, side = np.rint(x).astype(int), np.rint(y).astype(int), np.arange(-HALF, HALF + 1)
    dx, dy = x - x_pixel, y - y_pixel
    light = flux[:, None, None] * epsf(side - dx[:, None, None], side[:, None] - dy[:, None, None])
    data, error = expose(light, SKY, READ_NOISE, rng)
    pixels = (data - SKY).astype(np.float32), (error**-2).astype(np.float32)
    return Cut(*pixels, x_pixel, y_pixel, dx, dy, flux, np.ones(x.size))


def _map(scale: float, x: float, y: float) -> WCS:
    """A detector whose pixel (x, y) looks at one point of the sky; `scale` [mas/pix]."""
    found = WCS(naxis=2)
    found.wcs.ctype, found.wcs.crval, found.wcs.crpix = ("RA---TAN", "DEC--TAN"), (80.0, -60.0), (x + 1, y + 1)
    found.wcs.cdelt = -scale / 3.6e6, scale / 3.6e6
    return found


def _start(scene: Scene) -> tuple[Pool, tuple[NDArray, NDArray, NDArray]]:
    """All stamps, and their centroids and aperture sums."""
    pool = pool_of(scene.cuts, scene.rows, CalibrateSettings())
    zero = np.zeros(pool.exposure.size)
    return pool, light_centres(pool.stamps(zero, zero, zero + 1.0))


def _places(pool: Pool, fits: Any) -> NDArray:
    """Positions on the detector, (2, K)."""
    return np.array([pool.x_pixel + fits[0], pool.y_pixel + fits[1]])


def _ours(scene: Scene, pool: Pool, start: tuple[NDArray, NDArray, NDArray]) -> NDArray:
    settings = CalibrateSettings(grid=1, passes=PASSES, settled=1e-12, transform="affine")
    cube = build(scene.rows, scene.cuts, scene.plane, settings, "bench").cube
    return _fitted(cube.values, pool, start)


def _fitted(values: NDArray, pool: Pool, start: tuple[NDArray, NDArray, NDArray]) -> NDArray:
    """Where an ePSF (1, 1, n, n) puts the stars."""
    middle = np.zeros(1)
    table = Table(coefficients(values, 3), middle, middle, 4, 3)
    return _places(pool, fit_stamps(table, pool.stamps(*start)))


def _stars(scene: Scene, pool: Pool, start: tuple[NDArray, NDArray, NDArray]) -> EPSFStars:
    centred = zip(*start, pool.light, pool.weight, pool.x_pixel, pool.y_pixel, pool.exposure, strict=True)
    half = pool.light.shape[1] // 2
    return EPSFStars([
        EPSFStar(light.astype(float), weights=np.sqrt(weight), cutout_center=(half + x, half + y), flux=flux,
                 origin=(int(i) - half, int(j) - half), wcs_large=scene.maps[k])
        for x, y, flux, light, weight, i, j, k in centred
    ])  # fmt: skip


def _builder(stars: EPSFStars, passes: int, epsf: Any = None) -> Any:
    build = EPSFBuilder(oversampling=4, maxiters=passes, center_accuracy=1e-9, smoothing_kernel="quadratic",
                        progress_bar=False)  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return build.build_epsf(stars, epsf=epsf)


def _tied(scene: Scene, pool: Pool, start: tuple[NDArray, NDArray, NDArray]) -> NDArray:
    """Positions where the images of a star are brought to one place on the sky before every pass but the first."""
    found = _builder(_stars(scene, pool, start), 1)
    for _ in range(PASSES - 1):
        images = found.fitted_stars.all_stars
        for k in range(STARS):
            LinkedEPSFStar(images[k::STARS]).constrain_centers()
        found = _builder(found.fitted_stars, 1, found.epsf)
    return found.fitted_stars.center_flat.T


def _amplitude(found: NDArray, truth: NDArray) -> float:
    """The largest departure of the median error in ten bins of pixel phase from their mean [mpix], of x and y."""
    bins = np.clip(((truth - np.rint(truth) + 0.5) * 10).astype(int), 0, 9)
    medians = np.array([[np.median((a - b)[c == k]) for k in range(10)]
                        for a, b, c in zip(found, truth, bins, strict=True)])  # fmt: skip
    return 1e3 * float(np.abs(medians - medians.mean(axis=1, keepdims=True)).max())
