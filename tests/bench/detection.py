"""Finding stars against DAOStarFinder, and SEP where it is installed: same frame, same threshold."""

import importlib.util

import numpy as np
from photutils.detection import DAOStarFinder
from scipy.spatial import cKDTree

from compute.kernels.measure.chain import Frame, Model, find
from tests.analytic import AnalyticEpsf, expose, render, scatter
from tests.bench.pairs import compare as timed

SKY, READ_NOISE, SIZE, STARS = 50.0, 10.0, 2048, 20000
AGAIN = 10  # one search of ours is too short to time


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
    threshold = 5 * np.sqrt(SKY + READ_NOISE**2)

    def ours(threads):
        found = find(frame, model, 5.0, 2.5, 0.5, threads)
        return found.x, found.y

    def row(name, peer, places, threads):
        shares = [
            float((cKDTree(np.column_stack(places)).query(np.column_stack([x, y]))[0] < 1.5).mean())
            for places in (ours(threads), places)
        ]
        found = "found {:.4f}, peer {:.4f}".format(*shares)
        work = f"{x.size} stars on {SIZE}x{SIZE} pix at 5 sigma, sky map included; {found}"

        def mine():
            return [ours(threads) for _ in range(AGAIN)]

        return timed(f"find / {name}", work, mine, peer, amount=AGAIN * image.size, peer_amount=image.size,
                     threads=threads, agrees=shares[0] > 0.99)  # fmt: skip

    def dao():
        return DAOStarFinder(threshold=threshold, fwhm=1.6)(data - SKY)

    theirs = dao()
    columns = ("x_centroid", "y_centroid") if "x_centroid" in theirs.colnames else ("xcentroid", "ycentroid")
    places = tuple(theirs[column] for column in columns)
    rows = [row("DAOStarFinder (1 thread)", dao, places, threads) for threads in (1, 2)]
    if importlib.util.find_spec("sep"):
        import sep

        def extract():
            return sep.extract(image - sep.Background(image).back(), threshold)

        rows.append(row("sep.extract", extract, (extract()["x"], extract()["y"]), 1))
    return rows
