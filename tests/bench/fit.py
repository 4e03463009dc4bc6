"""The fit of (x, y, flux) against photutils, same stars, starts, pixels, ePSF and weights."""

import warnings

import numpy as np
from astropy.nddata import NDData
from astropy.table import Table
from photutils.psf import GriddedPSFModel, PSFPhotometry

from compute.kernels import spline
from compute.kernels.measure import columns, starfit
from tests.analytic import AnalyticEpsf, expose, render, scatter
from tests.bench.pairs import compare as timed

SKY, READ_NOISE, SIZE, STARS = 50.0, 10.0, 512, 1000


def compare() -> list[dict]:
    """Stars per second of either, and the difference of bright stars' positions."""
    rng = np.random.default_rng(4)
    x, y = scatter(STARS, (SIZE, SIZE), 10.0, rng)
    x, y = x[np.argsort(y)], np.sort(y)  # the order in which stars are found
    flux = 10 ** rng.uniform(3.0, 5.5, x.size)
    epsf = AnalyticEpsf()
    data, error = expose(render((SIZE, SIZE), x, y, flux, epsf, radius=4), SKY, READ_NOISE, rng)
    fiducials = np.linspace(0.0, SIZE - 1, 5)
    tables = np.broadcast_to(epsf.table(), (5, 5, 101, 101))
    start = x + rng.normal(0, 0.15, x.size), y + rng.normal(0, 0.15, x.size)

    ours = _ours(data.astype(np.float32), tables, fiducials, start)
    peer = _photutils(data, error, tables, fiducials, start, flux)
    mine, theirs = ours(), peer()
    bright = flux > 3e4
    difference = np.concatenate([mine[:, 0] - theirs["x_fit"], mine[:, 1] - theirs["y_fit"]])[np.tile(bright, 2)]
    rms = float(np.sqrt(np.mean(difference**2)))
    work = f"{x.size} stars, 5x5, errors, ePSF 5x5 grid, cubic; bright positions differ by {rms:.1e} pix rms"
    again = 20  # a single pass over the stars is too short to time

    def repeat():
        for _ in range(again):
            ours()

    return [
        timed("fit / photutils PSFPhotometry", work, repeat, peer, amount=again * x.size, peer_amount=x.size,
              agrees=rms < 5e-5)
    ]  # fmt: skip


def _ours(image, tables, fiducials, start):
    model = spline.coefficients(tables, 3), fiducials, fiducials, 4, spline.taps(3)
    nothing, mask = np.zeros_like(image), np.zeros(image.shape, np.uint8)
    poisson, floor = np.ones_like(image), np.full_like(image, READ_NOISE**2)
    n = start[0].size
    zero, sky, out = np.zeros(n), np.full(n, SKY), np.empty((n, len(columns.COLUMNS)))

    def run():
        starfit.fit_stars(
            image, nothing, mask, poisson, floor, *start, zero, sky, zero, *model, 2, (0.0, 0.0), 0.0, 30, out
        )
        return out

    return run


def _photutils(data, error, tables, fiducials, start, flux):
    grid = [(a, b) for b in fiducials for a in fiducials]
    model = GriddedPSFModel(
        NDData(tables.reshape(-1, 101, 101).copy(), meta={"grid_xypos": grid, "oversampling": (4, 4)})
    )
    fitter = PSFPhotometry(model, (5, 5))
    init = Table({"x": start[0], "y": start[1], "flux": flux})

    def run():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return fitter(data - SKY, error=error, init_params=init)

    return run
