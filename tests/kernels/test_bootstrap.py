"""Bootstrap of weighted means: draw by draw against a slow reference, on the whole against SciPy and the truth."""

import numpy as np
import pytest
from astropy.stats import sigma_clip
from scipy import stats

from compute.kernels.kinematics.bootstrap import bootstrap_means

MASK = 2**64 - 1


def splitmix(seed, number):
    """Word `number` of the stream, in whole numbers that have no end."""
    word = (seed + number * 0x9E3779B97F4A7C15) & MASK
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & MASK
    return word ^ (word >> 31)


def draws(n, resamples, seed):
    """Rows (resamples, n): two from each word."""
    words = (n + 1) // 2
    halves = [
        half for number in range(resamples * words) for word in [splitmix(seed, number)]
        for half in (word >> 32, word & 0xFFFFFFFF)
    ]  # fmt: skip
    return np.array(halves, object).reshape(resamples, 2 * words)[:, :n] * n // 2**32


def plain(value, error, drawn, clip):
    """Means of the drawn rows (resamples, m)."""
    drawn = drawn.astype(int)
    means = np.full((len(drawn), value.shape[1]), np.nan)
    for b, rows in enumerate(drawn):
        for j in range(value.shape[1]):
            v, e = value[rows, j], error[rows, j]
            some = np.isfinite(v) & np.isfinite(e) & (e > 0)
            if some.any():
                v, w = v[some], e[some] ** -2.0
                kept = unclipped(v, clip)
                means[b, j] = np.average(v[kept], weights=w[kept])
    return means


def unclipped(value, clip):
    kept = np.ones(value.size, bool)
    while clip is not None:
        some = value[kept]
        near = kept & (abs(value - np.median(some)) <= clip * some.std())
        if near.sum() in (0, some.size):
            break
        kept = near
    return kept


def sample(rng, n, m, outliers=0.1):
    """Values of n objects, some of them far off, and errors."""
    error = rng.uniform(0.5, 2.0, (n, m))
    value = rng.normal(0.0, error)
    value[rng.random((n, m)) < outliers] *= 8.0
    return value, error


@pytest.mark.parametrize("clip", [None, 3.0, 1.5])
@pytest.mark.parametrize(("n", "m"), [(1, 1), (2, 3), (7, 4), (30, 3), (101, 2)])
def test_resampled__each_mean_is_that_of_the_rows_its_numbers_draw(n, m, clip):
    value, error = sample(np.random.default_rng(n), n, m)
    found = bootstrap_means(value, error, resamples=60, seed=5, clip=clip)
    np.testing.assert_allclose(found.resampled, plain(value, error, draws(n, 60, 5), clip), rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(found.mean, plain(value, error, np.arange(n)[None], clip)[0], rtol=1e-11, atol=1e-13)
    if n > 1:
        np.testing.assert_allclose(found.error, found.resampled.std(0, ddof=1), rtol=1e-9)


def test_clipping__is_astropys():
    """Which applies its last limits to all values; they lie within earlier ones unless the median moves far."""
    value, error = sample(np.random.default_rng(13), 100, 4, outliers=0.03)
    drawn = draws(100, 250, 9).astype(int)
    kept = ~sigma_clip(value[drawn], 3.0, maxiters=None, axis=1).mask
    assert (~kept).any(1).mean() > 0.5
    expected = np.average(value[drawn], weights=kept * error[drawn] ** -2.0, axis=1)
    found = bootstrap_means(value, error, resamples=250, seed=9, clip=3.0).resampled
    assert np.isclose(found, expected, rtol=1e-10, atol=1e-13).mean() > 0.99


@pytest.mark.parametrize("clip", [None, 2.5])
def test_missing__values_do_not_count(clip):
    rng = np.random.default_rng(2)
    value, error = sample(rng, 25, 6)
    value[rng.random(value.shape) < 0.3] = np.nan
    error[3:6, 0], error[7, 1], error[8, 1] = (np.nan, np.inf, 0.0), -1.0, np.inf
    value[1:, 4], value[:, 5] = np.nan, np.nan
    value[0, 4], error[0, 4] = 1.25, 1.0
    found = bootstrap_means(value, error, resamples=200, seed=1, clip=clip)
    assert np.isfinite(value).any(1).all()  # every row is drawn
    np.testing.assert_allclose(found.resampled, plain(value, error, draws(25, 200, 1), clip), rtol=1e-11, atol=1e-13)
    assert np.isfinite(found.error[:4]).all()
    assert found.mean[4] == 1.25
    assert np.isnan(found.error[4])  # one object has no scatter
    assert np.isnan([found.mean[5], found.error[5]]).all()


def test_missing__an_object_without_any_value_is_never_drawn():
    value, error = sample(np.random.default_rng(3), 12, 3)
    gone = np.insert(value, 4, np.nan, axis=0), np.insert(error, 4, 1.0, axis=0)
    for one, other in zip(bootstrap_means(value, error), bootstrap_means(*gone), strict=True):
        np.testing.assert_array_equal(one, other)


def test_missing__no_objects():
    found = bootstrap_means(np.zeros((0, 2)), np.zeros((0, 2)), resamples=10)
    assert np.isnan(found.mean).all()
    assert np.isnan(found.error).all()
    assert found.resampled.shape == (10, 2)


@pytest.mark.parametrize("n", [2, 18, 301])
def test_draws__every_object_as_often_as_any_other(n):
    """Columns that are 1 for one object and 0 for others tell how often each was drawn."""
    counts = n * bootstrap_means(np.eye(n), np.ones((n, n)), resamples=4000, seed=11).resampled
    np.testing.assert_allclose(counts, counts.round(), atol=1e-9)
    total = counts.sum(0)
    assert 1e-3 < stats.chi2.sf(((total - 4000) ** 2 / 4000).sum(), n - 1) < 1 - 1e-3
    # Variance 1 - 1/n of a multinomial's counts, covariance -1/n; the limits are five standard deviations.
    covariance = np.cov(counts.T)
    assert np.diag(covariance).mean() == pytest.approx(1 - 1 / n, abs=5 * np.sqrt(3 / (4000 * n)))
    assert abs(covariance - np.eye(n) + 1 / n).max() < 7 * np.sqrt(3 / 4000)


@pytest.mark.parametrize("clip", [None, 3.0])
def test_threads_and_order_of_columns__change_no_byte(clip):
    value, error = sample(np.random.default_rng(4), 45, 5)
    one = bootstrap_means(value, error, resamples=1001, clip=clip)
    for threads in (2, 3, 8):
        for a, b in zip(one, bootstrap_means(value, error, resamples=1001, clip=clip, threads=threads), strict=True):
            assert a.tobytes() == b.tobytes()
    other = bootstrap_means(value[:, ::-1], error[:, ::-1], resamples=1001, clip=clip)
    np.testing.assert_array_equal(one.resampled, other.resampled[:, ::-1])


def test_seed__decides():
    value, error = sample(np.random.default_rng(5), 40, 2)
    one, same, other = (bootstrap_means(value, error, resamples=500, seed=s).resampled for s in (1, 1 + 2**64, -1))
    assert one.tobytes() == same.tobytes()
    assert not np.isin(one, other).any()


def test_scipy__standard_errors_agree():
    value, error = sample(np.random.default_rng(6), 80, 6)
    found = bootstrap_means(value, error, resamples=10_000, seed=2)

    def mean(v, w, axis=-1):
        return (v * w).sum(axis) / w.sum(axis)

    theirs = stats.bootstrap((value.T, error.T**-2.0), mean, paired=True, axis=-1, n_resamples=10_000, batch=500,
                             method="percentile", rng=np.random.default_rng(7))  # fmt: skip
    # Either is known to 1 / sqrt(2 resamples), 0.7 %, a little worse with heavy tails.
    np.testing.assert_allclose(found.error, theirs.standard_error, rtol=0.05)
    interval = np.quantile(found.resampled, [0.025, 0.975], axis=0)
    np.testing.assert_allclose(interval, theirs.confidence_interval, atol=0.1 * found.error.max())


@pytest.mark.parametrize("clip", [None, 3.0])
def test_truth__errors_are_how_far_means_scatter_whatever_formal_errors_say(clip):
    rng = np.random.default_rng(8)
    n, m = 200, 400  # m realisations of the same experiment
    error = np.repeat(rng.uniform(0.5, 2.0, (n, 1)), m, 1)
    value = 7.0 + rng.normal(0.0, 1.5 * error)
    found = bootstrap_means(value, error, resamples=400, clip=clip)
    pulls = (found.mean - 7.0) / found.error
    assert abs(pulls.std() - 1) < 0.18  # 400 tell it to 0.035; resampling a finite sample underestimates by 1/(2 n)
    assert found.error.mean() == pytest.approx(found.mean.std(), rel=0.18)


def test_outliers__are_clipped_from_every_resample():
    rng = np.random.default_rng(9)
    value, error = rng.normal(0.0, 1.0, (300, 3)), np.ones((300, 3))
    quiet = bootstrap_means(value, error, resamples=1000, clip=4.0)
    value[:6] += 1000.0
    loud = bootstrap_means(value, error, resamples=1000, clip=4.0)
    assert abs(loud.resampled).max() < 0.5
    np.testing.assert_allclose(loud.error, quiet.error, rtol=0.15)  # other draws, 1000 of each: 3 %; 2 % fewer objects
    assert bootstrap_means(value, error, resamples=1000).error.min() > 5 * loud.error.max()


def test_covariance__of_quantities_of_the_same_objects_is_kept():
    rng = np.random.default_rng(10)
    value = rng.multivariate_normal([0, 0], [[1.0, 0.8], [0.8, 1.0]], 400)
    found = bootstrap_means(value, np.ones_like(value), seed=3)
    # Of the resampled means: 1/n of the sample's, known to 1.5 % with 10 000 resamples.
    np.testing.assert_allclose(np.cov(found.resampled.T), np.cov(value.T, ddof=0) / 400, rtol=0.07)


def test_large_numbers__lose_nothing():
    value, error = sample(np.random.default_rng(12), 50, 2)
    value = value.round(6)
    for clip in (None, 3.0):
        far = bootstrap_means(value + 1e6, 1e-3 * error, resamples=300, clip=clip)
        near = bootstrap_means(value, 1e-3 * error, resamples=300, clip=clip)
        np.testing.assert_allclose(far.resampled - 1e6, near.resampled, atol=1e-9)  # eight digits below 1e6 in doubles
        np.testing.assert_allclose(far.error, near.error, rtol=1e-8)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"value": np.zeros(4), "error": np.ones(4)}, "shapes"),
        ({"error": np.ones((4, 3))}, "shapes"),
        ({"resamples": 1}, "two or more"),
        ({"clip": 0.0}, "more than 0"),
        ({"clip": np.nan}, "more than 0"),
    ],
)
def test_bootstrap_means__refuses(change, said):
    given = {"value": np.zeros((4, 2)), "error": np.ones((4, 2))} | change
    with pytest.raises(ValueError, match=said):
        bootstrap_means(**given)
