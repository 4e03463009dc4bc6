"""Stars fitted in rounds beside one another: each sees the others taken away."""

import numpy as np
import pytest

from compute.kernels.measure.chain import Sources, find, find_hidden, fit_rounds
from compute.kernels.measure.columns import CONVERGED
from tests.analytic import render
from tests.kernels.fitting import EPSF, TAPERED, WINDOW, columns, frame, lattice, model_of

APERTURES = pytest.mark.parametrize("taper", [WINDOW, TAPERED], ids=["window", "tapered"])
MODEL = model_of()
SKY = 50.0


def pairs(separation, ratio, side=6):
    """A pair at a random angle in each cell of a lattice: positions, fluxes (companions last), noiseless image."""
    x, y, shape = lattice(side, step=40, seed=2)
    turn = np.random.default_rng(2).uniform(0.0, 2 * np.pi, x.size)
    x, y = np.append(x, x + separation * np.cos(turn)), np.append(y, y + separation * np.sin(turn))
    flux = np.repeat([1e5, ratio * 1e5], turn.size)
    return x, y, flux, render(shape, x, y, flux, EPSF) + SKY


def fit_all(image, x, y, taper, rounds=6):
    sources = Sources(np.round(x), np.round(y), np.zeros(x.size, np.int64))
    fits = fit_rounds(
        frame(image), MODEL, sources, rounds=rounds, half=2, taper=taper, template_error=0.0, max_iterations=30,
        annulus=(9.0, 12.0),
    )  # fmt: skip
    return columns(fits.rows), fits


@pytest.mark.parametrize(
    ("ratio", "taper"),
    [(1.0, WINDOW), (0.5, WINDOW), (0.1, WINDOW), (1.0, TAPERED), (0.1, TAPERED)],
)
def test_rounds__pairs_three_and_a_half_pixels_apart(ratio, taper):
    x, y, flux, image = pairs(3.5, ratio)
    found, _ = fit_all(image, x, y, taper)
    assert (found.state == CONVERGED).all()
    # A thousandth of a pixel is far below the errors of such stars, 0.003 pix and more; measured 1e-5.
    np.testing.assert_allclose(found.x, x, atol=1e-3)
    np.testing.assert_allclose(found.y, y, atol=1e-3)
    np.testing.assert_allclose(found.flux, flux, rtol=1e-3)


def light(x, y, flux, xc, yc):
    """Of a star in the 5x5 window about a pixel."""
    i = np.arange(-2, 3)
    return flux * EPSF(*np.broadcast_arrays(xc + i - x, (yc + i - y)[:, None])).sum()


def test_rounds__neighbours_share_of_the_window():
    x, y, flux, image = pairs(3.5, 0.5)
    found, _ = fit_all(image, x, y, WINDOW)
    other = np.roll(np.arange(x.size), x.size // 2)
    own, owed = (
        np.array([light(x[b], y[b], flux[b], round(x[a]), round(y[a])) for a, b in enumerate(k)])
        for k in (np.arange(x.size), other)
    )
    np.testing.assert_allclose(found.neighbour, owed / (own + owed), atol=1e-4)


def test_rounds__what_is_drawn_is_what_was_seen():
    x, y, flux, image = pairs(6.0, 0.5, side=3)
    _, fits = fit_all(image, x, y, WINDOW)
    # The drawing ends 10 pix from a star, where the last 1e-6 of its light per pixel is left: 0.1.
    assert abs(image - SKY - fits.drawn).max() < 0.5
    np.testing.assert_allclose(fits.sky, SKY, atol=0.5)


def test_rounds__threads_leave_no_mark():
    x, y, shape = lattice(25, step=12, seed=4)
    image = render(shape, x, y, np.geomspace(1e2, 1e5, x.size), EPSF) + np.random.default_rng(4).normal(SKY, 5.0, shape)
    sources = Sources(np.round(x), np.round(y), np.zeros(x.size, np.int64))
    how = {"rounds": 2, "half": 2, "taper": WINDOW, "template_error": 0.0, "max_iterations": 30, "annulus": (4.0, 7.0)}
    one, three = (fit_rounds(frame(image), MODEL, sources, **how, threads=n) for n in (1, 3))
    # 625 stars, in more than one block.
    assert [a.tobytes() for a in three] == [a.tobytes() for a in one]


@APERTURES
def test_rounds__close_pair_is_ten_times_nearer_the_truth_with_every_round(taper):
    x, y, _, image = pairs(3.5, 1.0)
    first, second, third = (
        np.hypot(found.x - x, found.y - y).max()
        for found, _ in (fit_all(image, x, y, taper, rounds=n) for n in (1, 2, 3))
    )
    assert first > 10 * second
    assert second > 10 * third or third < 5e-5


@pytest.mark.parametrize(("separation", "ratio"), [(4.0, 0.3), (4.0, 0.1), (5.0, 0.1)])
def test_find_hidden__companions_that_the_first_search_cannot_see(separation, ratio):
    x, y, flux, image = pairs(separation, ratio, side=5)
    noisy = np.random.default_rng(3).poisson(image) + np.random.default_rng(4).normal(0.0, 5.0, image.shape)
    maps = frame(noisy)
    how = {
        "rounds": 3,
        "half": 2,
        "taper": WINDOW,
        "template_error": 0.002,
        "max_iterations": 30,
        "annulus": (4.0, 7.0),
    }
    first = find(maps, MODEL, 5.0, 2.5, 0.5)
    second = find_hidden(maps, MODEL, first, fit_rounds(maps, MODEL, first, **how), 5.0, 2.5, 0.5)
    found = columns(fit_rounds(maps, MODEL, second, **how).rows)
    near = np.hypot(found.x[:, None] - x, found.y[:, None] - y).min(axis=0)
    # Errors of the faintest companions are 0.03 pix; nothing but the pairs is found.
    assert (near < 0.2).all()
    assert second.x.size == x.size
