"""Figures of one population along a line: a known mixture in, the histogram, its peaks and what disagrees out."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from compute.kernels.kinematics.mixtures import fit_mixture
from compute.kernels.kinematics.resampled import Peaks, fit_peaks, resampled
from compute.stages.report.beside_peaks import disagreements
from compute.stages.report.motion_rows import Filters
from compute.stages.report.populations import population_figure
from compute.stages.report.projected import projection_figure
from compute.stages.report.vpd import Component, framed

ALONG, ERROR = np.array([1.0, 0.0]), 0.04
TRUE = [(0.3, (-0.4, 0.1), 0.10), (0.7, (0.5, 0.0), 0.06)]


@pytest.fixture(scope="module")
def rows():
    """Stars of two groups, and five that move otherwise."""
    rng = np.random.default_rng(5)
    parts = [rng.normal(mean, np.hypot(sigma, ERROR), (int(1000 * share), 2)) for share, mean, sigma in TRUE]
    motions = np.concatenate([*parts, rng.uniform(6, 9, (5, 2))])
    return pd.DataFrame(motions, columns=["pmra", "pmdec"]).assign(
        pmra_error=ERROR, pmdec_error=ERROR, mag=-5.0, colour=0.3
    )


@pytest.fixture(scope="module")
def fitted(rows):
    """Components, their covariance, and the histogram with its peaks, of the two groups alone."""
    motions, near = rows[["pmra", "pmdec"]].to_numpy(), rows["pmra"] < 3
    found = fit_mixture(motions[near], np.broadcast_to(ERROR**2 * np.eye(2), (near.sum(), 2, 2)), 2)
    components = [Component(*one) for one in zip(found.fractions, found.means, found.dispersions, strict=True)]
    histogram = resampled(motions[near] @ ALONG, np.full(near.sum(), ERROR), 0.02, 200, 1)
    seen = np.hypot([0.10, 0.06], np.sqrt(2) * ERROR)
    return components, found.covariance, histogram, fit_peaks(histogram, found.fractions, found.means @ ALONG, seen)


def drawn(rows, fitted) -> Figure:
    components, _, histogram, peaks = fitted
    return projection_figure(rows, components, ALONG, "two", (histogram, peaks))


def test_projection__draws_the_histogram_that_was_fitted_and_its_peaks(rows, fitted):
    *_, histogram, peaks = fitted
    axis = drawn(rows, fitted).axes[1]
    (bars,) = [each.get_data() for each in axis.patches if hasattr(each, "get_data")]
    np.testing.assert_array_equal(bars.values, histogram.counts)
    each, total = axis.lines[:2], axis.lines[2]
    areas = [np.trapezoid(line.get_ydata(), line.get_xdata()) / 0.02 for line in each]
    np.testing.assert_allclose(np.array(areas) / sum(areas), peaks.fractions, rtol=0.01)
    assert sum(areas) == pytest.approx(1000, rel=0.03)
    middles = (bars.edges[1:] + bars.edges[:-1]) / 2
    shown = (middles > axis.get_xlim()[0]) & (middles < axis.get_xlim()[1])
    off = (bars.values - np.interp(middles, *total.get_data()))[shown]
    assert np.abs(off / histogram.errors[shown]).max() < 2.0
    mixture = np.interp(middles, *axis.lines[3].get_data())
    assert np.abs((bars.values - mixture)[shown] / histogram.errors[shown]).max() < 2.0


def test_projection__holds_what_is_drawn_and_not_what_moves_otherwise(rows, fitted):
    one, other = drawn(rows, fitted).axes
    assert other.get_xlim()[1] < 2.0
    assert other.get_ylim()[1] > max(line.get_ydata().max() for line in other.lines)
    assert np.ptp(one.get_xlim()) < 3.0
    texts = [text.get_text() for text in other.get_legend().get_texts()]
    assert not any("χ" in text for text in texts)
    assert "5 beyond" in drawn(rows, fitted).get_suptitle()


def test_axes__are_not_widened_by_ellipses(rows):
    wide = [Component(0.1, np.array([3.0, 3.0]), 9.0 * np.array([[1.0, 0.9], [0.9, 1.0]]))]
    everyone = {"all": np.ones(len(rows), bool)}
    figures = [population_figure(rows, everyone, {"all": each}, Filters("F090W"), "lmc") for each in (wide, [])]
    assert figures[0].axes[1].get_xlim() == figures[1].axes[1].get_xlim()
    low, high = np.percentile(rows[["pmra", "pmdec"]], [1, 99], axis=0)
    axis = figures[0].axes[1]
    for limits, first, last in zip((axis.get_xlim(), axis.get_ylim()), low, high, strict=True):
        assert min(limits) < first < last < max(limits)
    assert np.ptp(axis.get_ylim()) == pytest.approx(1.3 * (high - low).max(), rel=1e-4)
    framed(axis, rows.head(0))  # of no stars too


def test_disagreements__are_none_of_two_fits_of_the_same_groups(rows, fitted):
    components, covariance, _, peaks = fitted
    assert disagreements(rows, components, covariance, ALONG, peaks) == []


def test_disagreements__name_what_is_off_whatever_the_order(rows, fitted):
    components, covariance, _, peaks = fitted
    off = peaks._replace(means=peaks.means + [0.0, 10 * peaks.mean_errors[1]])
    (line,) = disagreements(rows, components, covariance, ALONG, off)
    assert line.startswith("mean of peak 2")
    turned = Peaks(*(np.asarray(each)[::-1] for each in peaks[:6]), peaks.chi2, peaks.dof)
    assert disagreements(rows, components, covariance, ALONG, turned) == []
