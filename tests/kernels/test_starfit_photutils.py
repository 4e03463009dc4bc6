"""The same stars, starts, weights and window given to photutils."""

import numpy as np
import pytest
from astropy.nddata import NDData
from astropy.table import Table

from compute.kernels.measure.chain import Model
from tests.analytic import AnalyticEpsf, render
from tests.kernels.fitting import fit, lattice

psf = pytest.importorskip("photutils.psf")


def test_fit__agrees_with_photutils():
    x, y, shape = lattice(8, seed=7)
    rng = np.random.default_rng(7)
    epsf = AnalyticEpsf(sigmas=(0.6, 1.4, 3.0), tilt=0.1, span=shape[1])
    fiducials = np.linspace(0.0, shape[1] - 1.0, 3)
    tables = np.stack([epsf.table(x=f) for f in fiducials])[None].repeat(3, 0)
    light = render(shape, x, y, 10 ** rng.uniform(5.0, 5.5, x.size), epsf) + 100.0
    image = (rng.poisson(light) - 100.0).astype(np.float32)

    model = Model.of(tables, fiducials, fiducials, 4, 3)
    ours = fit(image, model, np.round(x), np.round(y), poisson=0.0, floor=light)

    corners = [(a, b) for b in fiducials for a in fiducials]
    grid = psf.GriddedPSFModel(NDData(tables.reshape(9, 101, 101), meta={"grid_xypos": corners, "oversampling": 4}))
    starts = Table({"x_init": np.round(x), "y_init": np.round(y), "flux_init": ours.flux})
    peer = psf.PSFPhotometry(grid, fit_shape=5, aperture_radius=3, fitter_maxiters=200)
    theirs = peer(image.astype(float), error=np.sqrt(np.float32(light)).astype(float), init_params=starts)

    # A hundredth of these stars' errors of 2e-3 pix: photutils stops where chi2 changes by 1e-7 of itself.
    for mine, name in ((ours.x, "x_fit"), (ours.y, "y_fit")):
        assert np.sqrt(np.mean((mine - theirs[name]) ** 2)) < 5e-5
    np.testing.assert_allclose(ours.flux, theirs["flux_fit"], rtol=1e-4)
