"""Motions of stars against least squares written out, star by star, and against rigorous motion through space."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute.kernels.motion.celestial import deproject, jacobian, project, propagate
from compute.kernels.motion.motions import fit_motions

EPOCH = 2016.0
ALL, FOUR = [0, 1, 2, 3, 4], [0, 1, 3, 4]


def sky(n=200, m=6, seed=1, parallax=False):
    """Rows of `n` stars at `m` times with correlated errors, the parallax factors, and what is true (n, 5)."""
    rng = np.random.default_rng(seed)
    time = rng.uniform(2006, 2030, n * m)
    ex, ey = rng.uniform(0.1, 1.0, (2, n * m))
    rho, noise = rng.uniform(-0.8, 0.8, n * m), rng.normal(size=(2, n * m))
    factors = np.cos(2 * np.pi * time), 0.5 * np.sin(2 * np.pi * time)
    truth = np.column_stack([*rng.uniform(-1e5, 1e5, (2, n)), rng.uniform(0, 2, n), *rng.normal(0, 3, (2, n))])
    truth[:, 2] *= parallax
    x0, y0, plx, mx, my = np.repeat(truth, m, axis=0).T
    x = x0 + mx * (time - EPOCH) + plx * factors[0] + ex * noise[0]
    y = y0 + my * (time - EPOCH) + plx * factors[1] + ey * (rho * noise[0] + np.sqrt(1 - rho**2) * noise[1])
    return (np.arange(n + 1) * m, time, x, y, ex**2, ey**2, rho * ex * ey), factors, truth


def plainly(rows, factors, s, columns):
    """Parameters, covariance and chi2 of one star by whitened least squares."""
    start, time, x, y, var_x, var_y, cov = rows
    design, values = [], []
    for k in range(start[s], start[s + 1]):
        years = time[k] - EPOCH
        a = np.array([[1, 0, factors[0][k], years, 0], [0, 1, factors[1][k], 0, years]])[:, columns]
        white = np.linalg.inv(np.linalg.cholesky(np.array([[var_x[k], cov[k]], [cov[k], var_y[k]]])))
        design.append(white @ a)
        values.append(white @ [x[k], y[k]])
    design, values = np.concatenate(design), np.concatenate(values)
    found, chi2, _, _ = np.linalg.lstsq(design, values)
    return found, np.linalg.inv(design.T @ design), chi2


@pytest.mark.parametrize(("parallax", "columns"), [(False, FOUR), (True, ALL)])
def test_fit__least_squares_written_out(parallax, columns):
    rows, factors, _ = sky(n=40, parallax=parallax)
    found = fit_motions(*rows, EPOCH, factors if parallax else None)
    for s in range(40):
        parameters, covariance, chi2 = plainly(rows, factors, s, columns)
        # Places of 1e5 mas in double precision, through normal equations.
        np.testing.assert_allclose(found.parameters[s, columns], parameters, rtol=0, atol=1e-8)
        np.testing.assert_allclose(found.covariance[s][np.ix_(columns, columns)], covariance, rtol=1e-7, atol=1e-12)
        assert found.chi2[s] == pytest.approx(chi2[0], rel=1e-6)
    assert np.isnan(found.parameters[:, 2]).all() == (not parallax)
    assert (found.n_used == 6).all()


@pytest.mark.parametrize(("parallax", "columns"), [(False, FOUR), (True, ALL)])
def test_fit__errors_are_as_large_as_they_say(parallax, columns):
    rows, factors, truth = sky(n=3000, parallax=parallax)
    found = fit_motions(*rows, EPOCH, factors if parallax else None)
    off = (found.parameters - truth)[:, columns]
    inverse = np.linalg.inv(found.covariance[:, columns][:, :, columns])
    # Means of 3000 values of chi2 with 5 or 7 degrees of freedom scatter by 0.07; four times that.
    assert np.einsum("ni,nij,nj->n", off, inverse, off).mean() == pytest.approx(len(columns), abs=0.25)
    assert found.chi2.mean() == pytest.approx(12 - len(columns), abs=0.28)


def test_two_positions__motion_is_their_difference_and_nothing_is_left_over():
    rows, _, _ = sky(n=50, m=2)
    found = fit_motions(*rows, EPOCH)
    _, time, x, _, var_x, _, _ = (column[1:] if k == 0 else column.reshape(50, 2) for k, column in enumerate(rows))
    years = time[:, 1] - time[:, 0]
    np.testing.assert_allclose(found.parameters[:, 3], (x[:, 1] - x[:, 0]) / years, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found.covariance[:, 3, 3], var_x.sum(1) / years**2, rtol=1e-9)
    np.testing.assert_allclose(found.baseline, abs(years), rtol=1e-12)
    assert (found.chi2 == 0.0).all()


@given(st.floats(1990, 2050))
def test_epoch__places_move_along_the_line_and_errors_with_them(epoch):
    rows, _, _ = sky(n=5)
    here, there = fit_motions(*rows, EPOCH), fit_motions(*rows, epoch)
    years = epoch - EPOCH
    np.testing.assert_allclose(there.parameters[:, 3:], here.parameters[:, 3:], rtol=1e-12)
    moved = here.parameters[:, :2] + years * here.parameters[:, 3:]
    np.testing.assert_allclose(there.parameters[:, :2], moved, rtol=0, atol=1e-8)
    c = here.covariance
    spread = c[:, 0, 0] + 2 * years * c[:, 0, 3] + years**2 * c[:, 3, 3]
    np.testing.assert_allclose(there.covariance[:, 0, 0], spread, rtol=1e-8)


@pytest.mark.parametrize("fault", ["nan time", "nan place", "infinite", "no variance", "nan variance", "correlation"])
def test_unusable_rows__are_as_if_they_were_not_there(fault):
    rows, _, _ = sky(n=30, m=4)
    start, time, x, y, var_x, var_y, cov = (column.copy() for column in rows)
    spoilt = start[:-1] + 2
    column, value = {
        "nan time": (time, np.nan), "nan place": (y, np.nan), "infinite": (x, np.inf), "no variance": (var_x, 0.0),
        "nan variance": (var_y, np.nan), "correlation": (cov, 2.0),
    }[fault]  # fmt: skip
    column[spoilt] = value
    kept = np.delete(np.arange(x.size), spoilt)
    less = (np.arange(31) * 3, *(one[kept] for one in (time, x, y, var_x, var_y, cov)))
    found, expected = fit_motions(start, time, x, y, var_x, var_y, cov, EPOCH), fit_motions(*less, EPOCH)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_one_epoch__has_no_motion():
    rows, _, _ = sky(n=3, m=2)
    time = rows[1].copy()
    time[1] = time[0]
    time[2] = np.nan
    found = fit_motions(rows[0], time, *rows[2:], EPOCH)
    for column in (found.parameters, found.covariance, found.chi2):
        assert np.isnan(column[:2]).all()
    assert found.n_used.tolist() == [2, 1, 2]
    assert np.isfinite(found.parameters[2, [0, 1, 3, 4]]).all()
    empty = fit_motions(np.zeros(1, int), *(np.zeros(0) for _ in range(6)), EPOCH)
    assert empty.parameters.shape == (0, 5)


def test_parallax__only_where_positions_determine_it():
    rows, factors, _ = sky(n=20, m=2)
    assert np.isnan(fit_motions(*rows, EPOCH, factors).parameters[:, 2]).all()
    many, _, _ = sky(n=20, m=5)
    found = fit_motions(*many, EPOCH, (np.ones(100), np.zeros(100)))  # always the same time of the year
    assert np.isnan(found.parameters[:, 2]).all()
    np.testing.assert_array_equal(found.parameters[:, FOUR], fit_motions(*many, EPOCH).parameters[:, FOUR])


def test_threads__change_nothing():
    rows, factors, _ = sky(n=70_000, m=3)
    for one, other in zip(fit_motions(*rows, EPOCH, factors), fit_motions(*rows, EPOCH, factors, 2), strict=True):
        np.testing.assert_array_equal(one, other)


def test_space_motion__is_a_straight_line_of_the_plane():
    centre, years = (80.5, -69.5), np.linspace(0.0, 30.0, 4)
    ra, dec = deproject(210_000.0, 210_000.0, *centre)  # 5 arcmin from the tangent point
    motion = np.array([70.0, -70.0])
    x, y = project(*propagate(ra, dec, *motion, years), *centre)
    one = np.ones(4)
    found = fit_motions(np.array([0, 4]), years, x, y, one, one, 0 * one, 15.0)
    turned = jacobian(*propagate(ra, dec, *motion, 0.0), *centre) @ motion
    np.testing.assert_allclose(found.parameters[0, 3:], turned, rtol=0, atol=1e-5)  # 0.01 uas/yr
    assert found.chi2[0] < 1e-8
