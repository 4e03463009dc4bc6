"""Drawing stars against photutils' model images: same ePSFs, same stars, same stamps."""

import numpy as np
from astropy.nddata import NDData
from astropy.table import Table as Rows
from photutils.datasets import make_model_image
from photutils.psf import GriddedPSFModel

from compute.kernels.simulate.drawing import RADIUS, Table, by_phase, draw_stars
from compute.stages.simulate.light import memory_order
from tests.analytic import AnalyticEpsf
from tests.bench.pairs import compare as timed

SIZE, STARS, PEER_STARS, OVERSAMPLING, HALF = 1024, 5000, 200, 12, 13


def compare() -> list[dict]:
    """Stars per second of either; both must draw the same image."""
    rng, epsf = np.random.default_rng(3), AnalyticEpsf(tilt=0.05)
    nodes = np.array([0.0, (SIZE - 1) / 2, SIZE - 1])
    values = np.array([[epsf.table(OVERSAMPLING, HALF, x) for x in nodes] for _ in nodes])
    x, y = rng.uniform(20, SIZE - 20, (2, STARS))
    flux = 10 ** rng.uniform(3.0, 5.0, STARS)
    table = Table(by_phase(values, OVERSAMPLING), nodes, nodes)

    def ours(n=STARS):
        image = np.zeros((SIZE, SIZE))
        order = memory_order(table, x[:n], y[:n])
        draw_stars(image, *table, x[:n][order], y[:n][order], flux[:n][order], RADIUS)
        return image

    places = [(fx, fy) for fy in nodes for fx in nodes]
    meta = {"grid_xypos": places, "oversampling": OVERSAMPLING}
    model = GriddedPSFModel(NDData(values.reshape(-1, *values.shape[2:]), meta=meta))
    few = slice(0, PEER_STARS)
    rows = Rows({"x_0": x[few], "y_0": y[few], "flux": flux[few]})

    def peer():
        return make_model_image((SIZE, SIZE), model, rows, model_shape=(2 * RADIUS + 1, 2 * RADIUS + 1))

    # Stamps differ by a pixel where a star is near a pixel's edge; cores must agree to the interpolants' accuracy.
    mine, theirs = ours(PEER_STARS), peer()
    apart = float(np.abs(mine - theirs).max() / theirs.max())
    scene = f"{STARS} stars (peer {PEER_STARS}), 25x25 pix each, 3x3 grid of 12x ePSFs"
    work = f"{scene}; images differ by {apart:.1e} of the peak"
    row = timed("draw / make_model_image", work, ours, peer, amount=STARS, peer_amount=PEER_STARS, agrees=apart < 1e-3)
    return [row]
