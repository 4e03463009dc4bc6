"""Finding stars against DAOStarFinder, same frame, same threshold."""

import numpy as np
from photutils.detection import DAOStarFinder
from scipy.spatial import cKDTree

from compute.kernels.chain import Frame, Model, find
from tests.analytic import AnalyticEpsf, expose, render, scatter
from tests.bench.pairs import compare as timed

SKY, READ_NOISE, SIZE, STARS = 50.0, 10.0, 1024, 5000


def compare() -> list[dict]:
    """Pixels per second of either; both must find the bright stars."""
    rng = np.random.default_rng(5)
    x, y = scatter(STARS, (SIZE, SIZE), 10.0, rng)
    flux = 10 ** rng.uniform(3.0, 5.0, x.size)
    epsf = AnalyticEpsf()
    data, _ = expose(render((SIZE, SIZE), x, y, flux, epsf, radius=4), SKY, READ_NOISE, rng)
    image, one = data.astype(np.float32), np.zeros(1)
    frame = Frame(image, np.zeros(image.shape, np.uint8), np.ones_like(image), np.full_like(image, READ_NOISE**2))
    model = Model.of(epsf.table()[None, None], one, one, 4, 5)
    finder = DAOStarFinder(threshold=5 * np.sqrt(SKY + READ_NOISE**2), fwhm=1.6)

    def ours():
        return find(frame, model, 5.0, 2.5, 0.5)

    def peer():
        return finder(data - SKY)

    found, theirs = ours(), peer()
    columns = ("x_centroid", "y_centroid") if "x_centroid" in theirs.colnames else ("xcentroid", "ycentroid")
    complete = [
        float((cKDTree(np.column_stack(p)).query(np.column_stack([x, y]))[0] < 1.5).mean())
        for p in ((found.x, found.y), (theirs[columns[0]], theirs[columns[1]]))
    ]
    shares = "{:.4f}, peer {:.4f}".format(*complete)
    work = f"{x.size} stars on {SIZE}x{SIZE} pix at 5 sigma, sky map included; found {shares}"
    return [timed("find / DAOStarFinder", work, ours, peer, amount=image.size, agrees=complete[0] > 0.99)]
