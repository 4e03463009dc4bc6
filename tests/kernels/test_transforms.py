"""Transformations of the plane: known truth in, truth out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from compute.kernels.frame.align import align
from compute.kernels.frame.planefit import fit
from compute.kernels.frame.transforms import KINDS, Transform, TransformError
from compute.kernels.polynomial2d import n_terms

LINEAR = ("shift", "similar", "affine")
POLYNOMIALS = ("poly2", "poly3", "poly4", "poly5")


def distorted(kind: str, seed: int = 3) -> Transform:
    """A detector of 2048 pixels, turned, moved, and bent by up to some ten pixels."""
    order = KINDS[kind][0]
    coefficients = np.random.default_rng(seed).normal(0, 2, (2, n_terms(order)))
    coefficients[:, :3] = [[900.0, 1000.0, 300.0], [1100.0, -310.0, 1010.0]]
    size = coefficients.size
    return Transform(kind, coefficients, np.zeros((size, size)), (1023.5, 1023.5), 1024.0)


def stars(n: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 2048, (2, n))


def plain_design(x, y, order, centre, scale):
    u, v = (x - centre[0]) / scale, (y - centre[1]) / scale
    terms = [u ** (degree - k) * v**k for degree in range(order + 1) for k in range(degree + 1)]
    return np.kron(np.eye(2), np.stack(terms, 1))


@given(st.floats(0.1, 10), st.floats(-179, 179), st.sampled_from([1, -1]))
def test_similar__scale_rotation_parity_are_read_back(scale, rotation, parity):
    transform = Transform.similar(scale, rotation, (3.0, -4.0), parity)
    assert transform.parity == parity
    assert transform.magnification == pytest.approx(scale, rel=1e-12)
    assert transform.rotation == pytest.approx(rotation, abs=1e-10)
    assert transform.skews == pytest.approx((0, 0), abs=1e-12 * scale)


@pytest.mark.parametrize("parity", [1, -1])
def test_skews__axes_of_different_scale_and_not_at_right_angles(parity):
    matrix = np.array([[1.001, 0.0003], [0.0001, 0.999]]) * [parity, 1]
    transform = Transform.linear(matrix, (0, 0))
    assert transform.skews == pytest.approx((0.001, 0.0002), abs=1e-12)
    assert transform.rotation == pytest.approx(np.degrees(0.0001), rel=1e-6)


@settings(deadline=None)  # the first example compiles
@given(st.sampled_from(POLYNOMIALS), st.integers(0, 50))
def test_invert__undoes_apply(kind, seed):
    transform, (x, y) = distorted(kind, seed), stars(50)
    back = transform.invert(*transform.apply(x, y))
    np.testing.assert_allclose(back, (x, y), atol=1e-9)  # rounding of coordinates near 2048 is 5e-13


def test_invert__no_inverse_is_nan():
    parabola = Transform("poly2", np.array([[0, 1.0, 0, 1, 0, 0], [0, 0, 1.0, 0, 0, 0]]), np.zeros((12, 12)))
    x, y = parabola.invert([0.0, -1.0, np.nan], [0.0, 0.0, 0.0])  # u + u2 is never below -1/4
    assert x[0] == y[0] == 0
    assert np.isnan([x[1:], y[1:]]).all()


def test_apply__same_as_powers():
    transform, (x, y) = distorted("poly5"), stars(20)
    expected = plain_design(x, y, 5, transform.centre, transform.scale) @ transform.coefficients.ravel()
    np.testing.assert_allclose(np.concatenate(transform.apply(x, y)), expected, rtol=1e-13)


def test_inverse_and_compose__positions_and_errors():
    one = Transform("affine", np.array([[5.0, 900, 300], [7.0, -310, 950]]), np.diag([1, 2, 3, 4, 5, 6.0]), (9, 8), 700)
    other = Transform("affine", np.array([[1.0, 80, -9], [2.0, 12, 85]]), np.diag([6, 5, 4, 3, 2, 1.0]), (30, 20), 64)
    x, y = stars(20)
    both = other.compose(one)
    np.testing.assert_allclose(both.apply(x, y), other.apply(*one.apply(x, y)), rtol=1e-13)
    np.testing.assert_allclose(one.inverse().apply(*one.apply(x, y)), (x, y), rtol=1e-11)
    np.testing.assert_allclose(one.inverse().inverse().covariance, one.covariance, atol=1e-12)

    def moved(transform, k):  # central differences are an independent derivative
        change = np.zeros(6)
        change[k] = 1e-3
        step = change.reshape(2, 3)
        ends = (transform.coefficients + step, transform.coefficients - step)
        return [Transform("affine", each, one.covariance, transform.centre, transform.scale) for each in ends]

    def spread(change):
        return sum(np.outer(d, d) * v for d, v in change)

    def variance(found, at):
        design = plain_design(np.array(at[:1]), np.array(at[1:]), 1, found.centre, found.scale)
        return design @ found.covariance @ design.T

    at = (300.0, 700.0)
    there = np.concatenate(one.apply(*at))
    inverse = [[np.concatenate(t.inverse().apply(*there)) for t in moved(one, k)] for k in range(6)]
    expected = spread(((a - b) / 2e-3, one.covariance[k, k]) for k, (a, b) in enumerate(inverse))
    np.testing.assert_allclose(variance(one.inverse(), there), expected, rtol=1e-5)
    first = [[np.concatenate(other.compose(t).apply(*at)) for t in moved(one, k)] for k in range(6)]
    second = [[np.concatenate(t.compose(one).apply(*at)) for t in moved(other, k)] for k in range(6)]
    expected = spread(((a - b) / 2e-3, one.covariance[k, k]) for k, (a, b) in enumerate(first))
    expected += spread(((a - b) / 2e-3, other.covariance[k, k]) for k, (a, b) in enumerate(second))
    np.testing.assert_allclose(variance(both, at), expected, rtol=1e-5)


def test_inverse__of_a_polynomial_is_refused():
    with pytest.raises(TransformError, match="found transform poly2, expected one of shift, similar, affine"):
        distorted("poly2").inverse()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("parity", [1, -1])
def test_fit__exact_positions_give_the_transform_back(kind, parity):
    x, y = stars(60)
    truth = {"shift": Transform.linear(np.eye(2), (30, 40)), "similar": Transform.similar(1.3, 77, (30, 40), parity),
             "affine": Transform.linear([[parity * 1.2, 0.3], [-0.2, 1.1]], (5, 6))}.get(kind)  # fmt: skip
    truth = truth or distorted(kind)
    found = fit(kind, x, y, *truth.apply(x, y))
    np.testing.assert_allclose(found.transform.apply(x, y), truth.apply(x, y), atol=1e-8)
    assert found.n_used == 60


@pytest.mark.parametrize("kind", ["affine", "poly3"])
def test_fit__same_as_plain_least_squares_with_correlated_errors(kind):
    rng, n, order = np.random.default_rng(5), 300, KINDS[kind][0]
    x, y = stars(n)
    ex, ey, rho = rng.uniform(0.01, 0.1, n), rng.uniform(0.01, 0.1, n), rng.uniform(-0.9, 0.9, n)
    x2, y2 = np.array(distorted(kind).apply(x, y)) + rng.normal(0, 0.05, (2, n))
    found = fit(kind, x, y, x2, y2, ex, ey, rho, clip=np.inf, formal=True, centre=(1000.0, 1000.0), scale=1000.0)
    design = plain_design(x, y, order, (1000.0, 1000.0), 1000.0)
    covariance = np.block([[np.diag(ex**2), np.diag(rho * ex * ey)], [np.diag(rho * ex * ey), np.diag(ey**2)]])
    weight = np.linalg.inv(covariance)
    expected = np.linalg.inv(design.T @ weight @ design)
    np.testing.assert_allclose(found.transform.covariance, expected, rtol=1e-6, atol=1e-12)
    coefficients = expected @ (design.T @ (weight @ np.concatenate([x2, y2])))
    np.testing.assert_allclose(found.transform.coefficients.ravel(), coefficients, atol=1e-7)
    residual = np.concatenate([x2, y2]) - design @ coefficients
    assert found.chi2 == pytest.approx(residual @ weight @ residual, rel=1e-6)
    assert found.dof == 2 * n - KINDS[kind][1]


@pytest.mark.parametrize(("kind", "n"), [
    ("shift", 10), ("similar", 12), ("affine", 16), ("poly2", 60), ("poly3", 120), *((kind, 1000) for kind in KINDS),
])  # fmt: skip
@pytest.mark.parametrize("where", ["nearby", "anywhere"])
def test_fit__a_third_of_mismatches(kind, where, n):
    """Errors range over a factor of a hundred; mismatches are within 3 pix, or any other star of the field."""
    truth = Transform.linear(np.eye(2), (30, 40)) if kind == "shift" else Transform.similar(0.9, 130, (9, 8), -1)
    if kind == "affine" or kind in POLYNOMIALS:
        truth = distorted(kind)
    for seed in range(5):
        rng = np.random.default_rng(seed)
        x, y = stars(n, seed)
        error = 10 ** rng.uniform(-3, -1, n)
        exact = np.array(truth.apply(x, y))
        found_at = exact + error * rng.normal(size=(2, n))
        wrong = rng.permutation(n) < 0.3 * n
        moved = exact + rng.uniform(-3, 3, (2, n))
        found_at[:, wrong] = moved[:, wrong] if where == "nearby" else rng.permutation(exact[:, wrong], axis=1)
        found = fit(kind, x, y, *found_at, error, error)
        right = [each[~wrong] for each in (x, y, *found_at, error, error)]
        best = fit(kind, *right, clip=np.inf)
        rms, least = (np.sqrt(np.mean((each.transform.apply(x, y) - exact)[:, ~wrong] ** 2)) for each in (found, best))
        # Among few, one star counts; among many, the error of a shift is 1e-4 pix, and clipping costs next to nothing.
        assert rms < (0.05 if n < 1000 else 1.3 * least + 1e-4)
        assert (found.used & ~wrong).sum() > 0.8 * (~wrong).sum()


def test_fit__errors_agree_with_the_scatter_of_coefficients():
    rng, (x, y), pulls = np.random.default_rng(2), stars(200), []
    exact = np.array(distorted("affine").apply(x, y))
    for _ in range(300):
        found = fit("affine", x, y, *(exact + rng.normal(0, 0.02, exact.shape)), centre=(1023.5, 1023.5), scale=1024.0)
        off = (found.transform.coefficients - distorted("affine").coefficients).ravel()
        pulls.append(off / np.sqrt(np.diag(found.transform.covariance)))
    assert np.std(pulls) == pytest.approx(1.0, abs=0.06)  # 1800 pulls, of which six and six are independent: 0.017


def test_fit__stars_that_scatter_more_than_their_formal_errors_stay():
    """Bright stars with formal errors of 1 mpix that really scatter by 20 are no outliers."""
    rng, (x, y) = np.random.default_rng(4), stars(2000)
    error = np.where(np.arange(2000) < 400, 0.001, 0.1)
    real = np.where(np.arange(2000) < 400, 0.02, 0.1)
    exact = np.array(distorted("affine").apply(x, y))
    found = fit("affine", x, y, *(exact + real * rng.normal(size=exact.shape)), error, error)
    assert found.used[:400].mean() > 0.97  # a circle of 3 sigma holds 0.989


def test_fit__from_a_start_ends_alike():
    rng, (x, y) = np.random.default_rng(6), stars(500)
    x2, y2 = np.array(Transform.similar(1.1, 20, (5, 5), -1).apply(x, y)) + rng.normal(0, 0.01, (2, 500))
    first = fit("similar", x, y, x2, y2)
    again = fit("similar", x, y, x2, y2, start=first.transform)
    np.testing.assert_allclose(again.transform.coefficients, first.transform.coefficients, atol=3e-4)  # error 5e-4
    assert again.transform.parity == -1


def test_fit__two_stars_for_six_parameters_is_an_error():
    with pytest.raises(TransformError, match="transform affine: found 2 stars, expected at least 3"):
        fit("affine", [0, 1], [0, 1], [0, 1], [0, 1])


def test_fit__stars_without_errors_or_positions_are_not_used():
    x, y = stars(20)
    error = np.full(20, 0.1)
    error[:2], error[2] = [0, -1], np.nan
    x2 = x.copy()
    x2[3] = np.nan
    assert list(fit("shift", x, y, x2, y, error, error).used[:5]) == [False] * 4 + [True]
    with pytest.raises(TransformError, match="found 0 stars"):
        fit("shift", x, y, np.full(20, np.nan), y)


@pytest.mark.parametrize(("kind", "x", "y"), [
    ("affine", np.arange(20.0), 3 * np.arange(20.0)),
    ("similar", np.full(5, 7.0), np.full(5, 8.0)),
    ("poly2", np.cos(np.arange(20)), np.sin(np.arange(20))),
])  # fmt: skip
def test_fit__stars_on_a_line_a_point_a_circle_are_an_error(kind, x, y):
    with pytest.raises(TransformError, match=rf"transform {kind}: found stars .*\(condition .*\), expected below"):
        fit(kind, x, y, x, y)


def test_fit__skews_of_four_uvis_frames_as_their_author_found(shared_data):
    """Lists, mean positions and transformations of the same program run; errors are its rounding and ours, 4 mpix."""
    folder = shared_data / "hst1pass_lists"
    mean = np.loadtxt(folder / "MATCHUP_XYMEEE_final", usecols=(0, 1, 2)).T
    rows = [line.split() for line in (folder / "TRANS.xym2mat.final").read_text().splitlines() if line[0] != "#"]
    for row in rows:
        u, v, mag = np.loadtxt(folder / row[-1], usecols=(0, 1, 2)).T
        near, star = cKDTree(mean[:2].T).query(np.transpose(align(u, v, mag, *mean).refined.apply(u, v)))
        used = (near < 0.3) & (mag > -13.5) & (mag < -10)
        transform = fit("affine", *mean[:2, star[used]], u[used], v[used]).transform
        rotation, magnification, on_axis, off_axis = (float(row[k]) for k in (10, 11, 13, 14))
        assert transform.rotation == pytest.approx(rotation, abs=3e-4)  # deg: 10 mpix at 2048 pix
        assert transform.magnification == pytest.approx(magnification, abs=1e-5)
        # Their skews are in pixels at the edge of the detector.
        assert np.multiply(transform.skews, 2048) == pytest.approx((on_axis, off_axis), abs=0.01)
