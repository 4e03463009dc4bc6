"""Distortion, links and stars solved together, against dense algebra and known truth."""

import numpy as np
import pytest

from compute.kernels.frame.planefit import fit
from compute.kernels.frame.transforms import Transform
from compute.kernels.geometry.combined import Measured, Priors, Reference, solve
from compute.kernels.geometry.determined import large_scale
from compute.kernels.geometry.placed import Rows, positions
from compute.kernels.geometry.smoothbasis import basis_of, evaluate
from compute.kernels.geometry.starless import assemble, field_of, layout_of

SIDE, BREAK = 256, 127.5
POLYNOMIAL = {"order": 3, "cells": 0, "knot": 0.0}
SPLINES = {"order": 3, "cells": 8, "knot": 6.0, "breaks_y": (BREAK,)}
NOISE = 0.004  # pix, of the best measurements


def smooth(x, y):
    """Skew, quadratic and cubic shifts, 2 pix at most."""
    u, v = (x - 127.5) / 128, (y - 127.5) / 128
    return np.array([0.8 * u + 0.5 * u * v - 0.6 * v**2 + 0.2 * u**3, -0.8 * v + 0.7 * u**2 + 0.3 * v * u**2])


def rough(x, y):
    """Waves that break between two amplifiers, and bands in x."""
    phase = np.where(y < BREAK, 0.0, 2.0)
    wave = 0.05 * np.sin(x / 25 + phase)
    return np.array([wave + 0.01 * np.sin(x / 7), 0.3 * wave * np.cos(y / 30) + 0.01 * np.cos(y / 6)])


def both(x, y):
    return smooth(x, y) + rough(x, y)


def undistort(distortion, x, y):
    """Raw positions of corrected ones; discontinuities are stepped over by those who do not arrive."""
    raw = np.array([x, y])
    for _ in range(40):
        raw = np.array([x, y]) - distortion(*raw)
    arrived = abs(raw + distortion(*raw) - np.array([x, y])).max(0) < 1e-9
    return np.where(arrived, raw, np.nan)


class Scene:
    """Stars of a field of 300 pix seen in exposures dithered by up to 24 pix."""

    def __init__(self, distortion, *, n_stars=1200, rolls=(0.0,), dither=24.0, seed=0, noise=NOISE, reference=0.02):
        rng = np.random.default_rng(seed)
        self.p = rng.uniform(-165, 165, (2, n_stars))
        grid = dither * np.array([(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)])
        self.links = []
        for roll in rolls:
            for place in grid:
                link = Transform.similar(rng.normal(1, 1e-4), roll + rng.normal(0, 0.01), place + rng.uniform(-4, 4, 2))
                middle = Transform.linear(np.eye(2), [-127.5, -127.5], "similar")
                self.links.append(link.compose(middle))
        rows = []
        for e, link in enumerate(self.links):
            x, y = undistort(distortion, *link.inverse().apply(*self.p))
            seen = (x > -0.5) & (x < SIDE - 0.5) & (y > -0.5) & (y < SIDE - 0.5)
            rows.append(np.array([x, y, np.full(n_stars, e), np.arange(n_stars)])[:, seen])
        x, y, exposure, star = np.concatenate(rows, axis=1)
        error = noise * rng.choice([1.0, 2.0, 4.0], n_stars)[star.astype(int)]
        x, y = x + rng.normal(0, error), y + rng.normal(0, error)
        self.measured = Measured(x, y, error, error, 0.0, exposure.astype(int), star.astype(int))
        known = self.p + rng.normal(0, reference, self.p.shape)
        self.reference = Reference(*known, reference, reference, 0.0)
        # Good to some pixels only.
        shifts = rng.uniform(-2, 2, (len(self.links), 2))
        self.start = [Transform.linear(one.matrix, np.ravel(one.apply(0, 0)) + s, "similar") for one, s in
                      zip(self.links, shifts, strict=True)]  # fmt: skip


def mistake(solution, distortion, kind="similar", edge=6):
    """What a link leaves of true minus solved corrected positions (2, n), more than `edge` pixels from the edges."""
    x, y = (axis.ravel() for axis in np.meshgrid(*[np.arange(edge, SIDE - edge, 2.0)] * 2))
    got, true = np.array([x, y]) + evaluate(solution.field, x, y), np.array([x, y]) + distortion(x, y)
    return true - np.array(fit(kind, *got, *true).transform.apply(*got))


def given(scene):
    return scene.measured, scene.reference, scene.start


@pytest.fixture(scope="module")
def scene():
    return Scene(both)


@pytest.fixture(scope="module")
def solved(scene):
    return solve(scene.measured, scene.reference, scene.start, basis_of(SIDE, SIDE, **SPLINES))


@pytest.mark.parametrize("links", ["similar", "affine"])
def test_assemble__is_the_schur_complement_of_dense_derivatives(links):
    rng = np.random.default_rng(3)
    n_stars, n_exposures, n = 12, 3, 40
    basis = basis_of(64, 48, order=3, cells=3, knot=16.0, cross=True, breaks_y=(20.5,))
    layout = layout_of(basis, links, n_exposures)
    raw, star, exposure = (
        rng.uniform(0, [[64], [48]], (2, n)),
        np.sort(rng.integers(0, n_stars, n)),
        rng.integers(0, 3, n),
    )
    matrix, offset = np.eye(2) + rng.normal(0, 0.3, (n_exposures, 2, 2)), rng.normal(0, 5, (n_exposures, 2))
    root = np.linalg.cholesky(np.eye(2) + rng.uniform(-0.4, 0.4) * np.array([[0, 1], [1, 0]]))
    spread = rng.uniform(1, 3, n)[:, None, None] * root @ root.T
    prior, known = np.zeros((3, n_stars)), rng.normal(0, 30, (2, n_stars))
    prior[:, ::2] = [[0.5], [0.1], [0.4]]
    unknowns = rng.normal(0, 0.1, layout.total)
    unknowns[layout.links : layout.surface] = 0.0

    def residual(step, stars):
        """Star less measurement, after a step of the unknowns: links take theirs in corrected pixels."""
        x, y = raw + evaluate(field_of(basis, layout, unknowns + step), *raw)
        u, v = (x - basis.x0) / basis.half, (y - basis.y0) / basis.half
        t = step[layout.links : layout.surface].reshape(n_exposures, -1)[exposure].T
        if links == "similar":
            more = np.array([t[0] + t[2] * u + t[3] * v, t[1] + t[2] * v - t[3] * u])
        else:
            more = np.array([t[0] + t[1] * u + t[2] * v, t[3] + t[4] * u + t[5] * v])
        back = np.linalg.solve(matrix[exposure], (stars[:, star] - offset[exposure].T).T[:, :, None])[:, :, 0].T
        return (back - np.array([x, y]) - more).T.ravel()

    x, y = corrected = raw + evaluate(field_of(basis, layout, unknowns), *raw)
    rows = Rows(*raw, (x - basis.x0) / basis.half, (y - basis.y0) / basis.half, exposure,
                np.searchsorted(star, np.arange(n_stars + 1)), np.linalg.inv(matrix))  # fmt: skip
    weight = np.array([spread[:, 0, 0], spread[:, 0, 1], spread[:, 1, 1]])
    place, left, inverse = np.zeros((2, n_stars)), np.zeros((2, n)), np.zeros((3, n_stars))
    positions(rows, corrected, offset, weight, known, prior, place, left, inverse)
    normal, right = np.zeros((layout.total, layout.total)), np.zeros(layout.total)
    seen = np.unique(star)
    assemble(basis, layout, rows, seen, weight, left, inverse, normal, right)

    here, zero = residual(np.zeros(layout.total), place), np.zeros(layout.total)
    np.testing.assert_allclose(left.T.ravel(), here, atol=1e-11)
    design = np.array([residual(zero, place) - residual(row, place) for row in 1e-4 * np.eye(layout.total)]).T / 1e-4
    moves = np.array(
        [[residual(zero, place + 1e-3 * np.outer(axis, s)) for axis in np.eye(2)] for s in np.eye(n_stars)]
    )
    moves = (moves.reshape(2 * n_stars, -1) - here).T / 1e-3
    w = np.zeros((2 * n, 2 * n))
    for k in range(n):
        w[2 * k : 2 * k + 2, 2 * k : 2 * k + 2] = spread[k]
    inner = moves.T @ w @ moves
    for s in range(n_stars):
        inner[2 * s : 2 * s + 2, 2 * s : 2 * s + 2] += [[prior[0, s], prior[1, s]], [prior[1, s], prior[2, s]]]
    some = np.repeat(np.isin(np.arange(n_stars), seen), 2)
    outer = (design.T @ w @ moves)[:, some]
    want = design.T @ w @ design - outer @ np.linalg.solve(inner[np.ix_(some, some)], outer.T)
    # The model is linear in each step, so that differences are as good as their rounding.
    np.testing.assert_allclose(normal, np.tril(want), atol=1e-6)
    np.testing.assert_allclose(right, design.T @ w @ here, atol=1e-6)
    # Stars are where they are most likely: nothing pulls at them.
    pull = moves.T @ w @ here
    pull[0::2] += prior[0] * (place - known)[0] + prior[1] * (place - known)[1]
    np.testing.assert_allclose(pull[0::2], 0.0, atol=1e-6)


def test_solve__truth_is_found(scene, solved):
    # Some 100 measurements of 9 mpix determine a coefficient; next to the break and in corners there are fewer.
    wrong = mistake(solved, both)
    assert wrong.std(axis=1).max() < 0.003
    assert abs(wrong).max() < 0.025
    assert mistake(solve(*given(scene), basis_of(SIDE, SIDE, **POLYNOMIAL)), both).std() > 0.02
    assert solved.free == ()


def test_solve__reference_and_stars_together_beat_either(scene, solved):
    basis = basis_of(SIDE, SIDE, **SPLINES)
    once = scene.measured._replace(star=np.arange(scene.measured.x.size))  # every measurement a star of its own
    apart = Reference(*(np.broadcast_to(column, scene.p.shape[1])[scene.measured.star] for column in scene.reference))
    reference_only = mistake(solve(once, apart, scene.start, basis), both).std()
    stars_only = mistake(solve(scene.measured, None, scene.start, basis), both).std()
    assert mistake(solved, both).std() < 0.8 * min(reference_only, stars_only)


def test_solve__scatter_is_the_errors_that_were_drawn(scene, solved):
    # 9000 measurements in ten groups: medians good to 3 per cent, and some freedom goes to the distortion.
    np.testing.assert_allclose(solved.scale, 1.0, atol=0.1)
    half = scene.measured._replace(error_x=scene.measured.error_x / 2, error_y=scene.measured.error_y / 2)
    again = solve(half, *given(scene)[1:], basis_of(SIDE, SIDE, **SPLINES))
    np.testing.assert_allclose(again.scale, 2 * solved.scale, rtol=1e-3)  # and nothing else changes
    np.testing.assert_allclose(again.field.surface, solved.field.surface, atol=1e-4)


def test_solve__positions_on_the_frame_follow_links_and_residuals(scene, solved):
    m = scene.measured
    corrected = np.array([m.x, m.y]) + evaluate(solved.field, m.x, m.y)
    for e, link in enumerate(solved.transforms):
        here = m.exposure == e
        at = np.array(link.apply(*(corrected + solved.residual)[:, here]))
        # Residuals are those before the gauge, which turns by some 1e-5.
        np.testing.assert_allclose(at, [solved.x[m.star[here]], solved.y[m.star[here]]], atol=1e-5)


def test_solve__gauge_is_exact(solved):
    terms, half = large_scale(solved.field), solved.field.basis.half
    linear = np.eye(2) + terms[:, 1:3] / half
    np.testing.assert_allclose(terms[:, 0], 0.0, atol=1e-12)
    assert linear[0, 1] == pytest.approx(linear[1, 0], abs=1e-13)
    assert np.linalg.det(linear) == pytest.approx(1, abs=1e-13)


def test_solve__order_of_measurements_does_not_matter(scene, solved):
    order = np.random.default_rng(1).permutation(scene.measured.x.size)
    mixed = Measured(*(np.broadcast_to(column, order.size)[order] for column in scene.measured))
    again = solve(mixed, *given(scene)[1:], solved.field.basis)
    for name in ("polynomial", "surface", "columns", "rows"):
        # But for the last digits of a BLAS that has threads of its own here.
        np.testing.assert_allclose(getattr(again.field, name), getattr(solved.field, name), rtol=0, atol=1e-9)
    np.testing.assert_allclose(again.residual, solved.residual[:, order], rtol=0, atol=1e-9)


def test_solve__outliers_of_both_kinds_do_no_harm(scene, solved):
    rng = np.random.default_rng(5)
    lost, moved = rng.random(scene.measured.x.size) < 0.03, rng.random(scene.p.shape[1]) < 0.1
    x = scene.measured.x + lost * rng.normal(0, 0.5, lost.size)
    known = scene.reference._replace(y=scene.reference.y + moved * rng.normal(0, 3.0, moved.size))
    found = solve(scene.measured._replace(x=x), known, scene.start, solved.field.basis)
    # A tenth of the reference is lost, and what is downweighted still pulls a little.
    assert mistake(found, both).std() < 1.2 * mistake(solved, both).std()
    assert np.median(found.weight[lost]) < 0.1
    assert np.median(found.reference_weight[moved]) < 0.01


def test_solve__coherent_patterns_are_not_rejected(scene):
    # With a polynomial alone, waves of many times the errors are what is left: nowhere do they lose their stars.
    found = solve(*given(scene), basis_of(SIDE, SIDE, **POLYNOMIAL))
    m = scene.measured
    cell = (m.y // 32).astype(int) * 8 + (m.x // 32).astype(int)
    inside = (cell >= 0) & (cell < 64)
    mean = np.bincount(cell[inside], found.weight[inside]) / np.bincount(cell[inside])
    assert mean.min() > 0.5


def test_solve__one_roll_without_reference_names_what_is_free(scene):
    basis = basis_of(SIDE, SIDE, **SPLINES)
    found = solve(scene.measured, None, scene.start, basis, rounds=10)
    assert {"skew on axis", "skew off axis", "x u2", "x v2", "x uv"} <= set(found.free)
    assert not {"x u3", "x v3", "y u3"} & set(found.free)
    # All else it knows nearly as well as with a reference.
    assert mistake(found, both, "poly2").std() < 0.004
    crossed = Scene(both, rolls=(0.0, 90.0))
    assert not solve(crossed.measured, None, crossed.start, basis).free


def test_solve__free_terms_are_held_by_their_prior(scene):
    fixed, basis = smooth(scene.measured.x, scene.measured.y), basis_of(SIDE, SIDE, **SPLINES)
    wrong = [
        mistake(
            solve(scene.measured, None, scene.start, basis, fixed=fixed, priors=Priors(polynomial_size=size)), rough
        )
        for size in (1.0, 0.001)
    ]
    # What the waves have of free terms, some mpix, is not found; noise of a pixel is kept out.
    assert wrong[1].std() < 0.015 < 0.1 < wrong[0].std()


def test_solve__low_order_update_of_a_known_distortion():
    change = np.array([[0.3, -0.2, 0.1], [0.05, 0.2, -0.4]])

    def more(x, y):
        u, v = (x - 127.5) / 128, (y - 127.5) / 128
        return both(x, y) + change @ np.array([u * u, u * v, v * v])

    changed = Scene(more)
    fixed = both(changed.measured.x, changed.measured.y)
    found = solve(*given(changed), basis_of(SIDE, SIDE, order=2, cells=0, knot=0.0), fixed=fixed)
    # Errors of terms as told; five sigma of six. The known part was taken at measured places: 1e-3 of 4 mpix.
    sigma = np.sqrt(np.diag(found.covariance))
    assert sigma.max() < 0.005
    # Legendre's terms of second degree are 2/3 of the power's coefficient, but for the product.
    want = (change * [2 / 3, 1, 2 / 3]).ravel()
    got = (found.field.polynomial[:, 3:] * [2 / 3, 1, 2 / 3]).ravel()
    assert (abs(got - want) < 5 * sigma[:6]).all()


def test_solve__affine_links_leave_no_linear_term(scene):
    found = solve(*given(scene), basis_of(SIDE, SIDE, **SPLINES), links="affine")
    assert mistake(found, both, "affine").std() < 0.003
    assert not any(name.startswith("skew") for name in found.terms)
    np.testing.assert_allclose(large_scale(found.field)[:, 1:3], 0.0, atol=1e-11)


def test_solve__what_is_not_a_number_is_left_out(scene, solved):
    x, error = scene.measured.x.copy(), scene.measured.error_y.copy()
    x[5], error[7] = np.nan, -1.0
    found = solve(scene.measured._replace(x=x, error_y=error), *given(scene)[1:], solved.field.basis)
    assert np.flatnonzero(np.isnan(found.weight)).tolist() == [5, 7]
    assert mistake(found, both).std() == pytest.approx(mistake(solved, both).std(), rel=0.05)


def test_solve__exposures_without_stars_keep_their_start(scene):
    found = solve(scene.measured, scene.reference, [*scene.start, scene.start[0]], basis_of(SIDE, SIDE, **POLYNOMIAL))
    there, here = found.transforms[-1].apply(100.0, 50.0), scene.start[0].apply(100.0, 50.0)
    np.testing.assert_allclose(there, here, atol=0.01)  # but for the gauge


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"links": "poly2"}, "links are 'poly2', expected one of similar, affine"),
        ({"start": []}, "indices of exposure are 0 to 8, expected 0 to -1"),
        ({"reference": Reference(*np.full((5, 1200), np.nan))}, "reference positions with errors are 0"),
    ],
)
def test_solve__mistakes_are_told(scene, change, match):
    kwargs = {"measured": scene.measured, "reference": scene.reference, "start": scene.start} | change
    with pytest.raises(ValueError, match=match):
        solve(**kwargs, basis=basis_of(SIDE, SIDE, **POLYNOMIAL))
