"""The fit with every argument spelled out, and the noiseless scenes it is tried on."""

from types import SimpleNamespace

import numpy as np

from compute.kernels.measure.chain import Frame, Model
from compute.kernels.measure.columns import COLUMNS
from compute.kernels.measure.starfit import fit_stars
from tests.analytic import AnalyticEpsf

EPSF = AnalyticEpsf()
WINDOW, TAPERED = (0.0, 0.0), (1.5, 2.0)


def model_of(epsf=EPSF, order=5, fx=(0.0,), fy=(0.0,), oversampling=4):
    """The analytic ePSF tabulated at fiducials and prefiltered; its field dependence runs along x."""
    tables = np.stack([epsf.table(oversampling, x=x) for x in fx])
    tables = np.broadcast_to(tables, (len(fy), *tables.shape))
    return Model.of(tables, np.array(fx), np.array(fy), oversampling, order)


def lattice(side, step=16, seed=0):
    """Positions one to a cell of a side x side lattice, at random phases, and the frame's shape."""
    rng = np.random.default_rng(seed)
    j, i = np.mgrid[:side, :side].reshape(2, -1) * step + step // 2
    dx, dy = rng.uniform(-0.5, 0.5, (2, i.size))
    return i + dx, j + dy, (side * step, side * step)


def full(value, shape):
    """A float32 map: `value` everywhere, or as it is."""
    return np.array(np.broadcast_to(value, shape), np.float32)


def frame(image, mask=None, poisson=1.0, floor=100.0):
    """A frame whose pixels and noise are read-only, as an exposure's are; scalars stand for whole maps."""
    mask = np.zeros(image.shape, np.uint8) if mask is None else mask
    maps = Frame(full(image, image.shape), mask, full(poisson, image.shape), full(floor, image.shape))
    for each in (maps.image, maps.poisson, maps.floor):
        each.setflags(write=False)
    return maps


def fit(
    image, model, x, y, *, others=0.0, flux=0.0, sky=0.0, sky_error=0.0, half=2, taper=WINDOW, template=0.0,
    max_iter=50, mask=None, poisson=1.0, floor=100.0,
):  # fmt: skip
    """Columns of the fit as attributes; scalars stand for whole maps or for every star."""
    x, y = np.array(x, float, ndmin=1), np.array(y, float, ndmin=1)
    pixels, *noise = frame(image, mask, poisson, floor)
    out = np.empty((x.size, len(COLUMNS)))
    each = [np.array(np.broadcast_to(value, x.shape), float) for value in (flux, sky, sky_error)]
    fit_stars(pixels, full(others, image.shape), *noise, x, y, *each, *model, half, taper, template, max_iter, out)
    return columns(out)


def columns(rows):
    """Rows of the fit with their columns as attributes."""
    return SimpleNamespace(rows=rows, **dict(zip(COLUMNS, rows.T, strict=True)))


def phase_amplitude(residual, position):
    """Largest |median residual| of 10 pixel-phase bins about their mean [pix]."""
    phase = position - np.round(position)
    bins = np.clip(((phase + 0.5) * 10).astype(int), 0, 9)
    medians = np.array([np.median(residual[bins == b]) for b in range(10)])
    return float(abs(medians - medians.mean()).max())
