"""Drawing stars against the ePSF evaluated pixel by pixel."""

import numpy as np
import pytest

from compute.kernels.measure.chain import draw
from tests.kernels.fitting import EPSF, frame, model_of

SHAPE = (48, 60)
FIELD = model_of(type(EPSF)(tilt=0.2, span=60.0), fx=(0.0, 30.0, 59.0), fy=(0.0, 47.0))


def drawn(model, x, y, flux):
    return draw(frame(np.zeros(SHAPE), floor=0.0), model, *(np.array(a, float) for a in (x, y, flux)))


@pytest.mark.parametrize("order", [3, 5])
def test_draw__is_the_sum_of_evaluated_stamps(order):
    model = FIELD if order == 5 else model_of(order=3)
    rng = np.random.default_rng(1)
    x, y, flux = rng.uniform(-3, 62, 12), rng.uniform(-3, 50, 12), rng.uniform(10.0, 1e4, 12)
    j, i = np.mgrid[: SHAPE[0], : SHAPE[1]]
    expected, reach = np.zeros(SHAPE), 10 if order == 5 else 11
    for a, b, f in zip(x, y, flux, strict=True):
        inside = (abs(i - np.round(a)) <= reach) & (abs(j - np.round(b)) <= reach)
        expected += np.where(inside, f * model.at(a, b, i - a, j - b), 0.0)
    # float32, a dozen terms.
    np.testing.assert_allclose(drawn(model, x, y, flux), expected, rtol=1e-6, atol=1e-6 * flux.max() * 1e-2)


def test_draw__stars_off_the_frame_leave_only_what_reaches_in():
    image = drawn(FIELD, [-40.0, 30.0, -2.0], [20.0, 90.0, 20.0], [1e5, 1e5, 1e5])
    assert image[:, 9:].sum() == 0.0
    assert image[20, 0] > 0.0


@pytest.mark.parametrize(
    ("x", "flux"),
    [(20.0, 0.0), (20.0, -1e3), (20.0, np.nan), (np.nan, 1e3), (20.0, np.inf)],
)
def test_draw__nothing_without_a_positive_flux_and_a_place(x, flux):
    assert (drawn(FIELD, [x], [20.0], [flux]) == 0.0).all()
    one = drawn(FIELD, [40.0], [20.0], [1e3])
    np.testing.assert_array_equal(drawn(FIELD, [x, 40.0], [20.0, 20.0], [flux, 1e3]), one)


def test_draw__holds_the_flux_of_a_centred_star():
    image = drawn(model_of(), [30.0], [24.0], [1e4])
    j, i = np.mgrid[: SHAPE[0], : SHAPE[1]]
    # Unit sum within 5 pix by convention.
    assert image[np.hypot(i - 30, j - 24) <= 5.0].sum() == pytest.approx(1e4, rel=1e-5)


def test_draw__ends_faint_stars_where_they_are_lost_in_the_noise():
    whole = drawn(FIELD, [30.3], [24.2], [300.0])
    cut = draw(frame(np.zeros(SHAPE), floor=100.0), FIELD, np.array([30.3]), np.array([24.2]), np.array([300.0]))
    left = np.abs(whole - cut)
    # A tenth of the noise of a pixel, 10, and nothing within 5 pix.
    assert 0.0 < left.max() < 1.0
    assert left[20:29, 26:35].max() == 0.0
    bright = draw(frame(np.zeros(SHAPE), floor=100.0), FIELD, np.array([30.3]), np.array([24.2]), np.array([1e7]))
    np.testing.assert_array_equal(bright, drawn(FIELD, [30.3], [24.2], [1e7]))


def test_draw__stars_on_the_seams_of_bands_are_whole_and_threads_leave_no_mark():
    shape, rng = (300, 40), np.random.default_rng(2)
    x, y = rng.uniform(5, 35, 40), 128.0 * rng.integers(1, 3, 40) + rng.uniform(-12, 12, 40)
    flux = 10 ** rng.uniform(2, 5, 40)
    blank, model = frame(np.zeros(shape), floor=100.0), model_of()
    image = draw(blank, model, x, y, flux)
    shifted = draw(blank, model, x, y - 64.0, flux)  # there the other half of them is cut
    # float32 sums in another order.
    np.testing.assert_allclose(image[110:280], shifted[46:216], atol=1e-6 * flux.max() * 0.3)
    assert draw(blank, model, x, y, flux, threads=3).tobytes() == image.tobytes()
