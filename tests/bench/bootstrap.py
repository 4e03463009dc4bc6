"""Bootstrap errors of weighted means against SciPy, and of clipped ones against Astropy's clipping along an axis.

300 objects on 18 exposures, each exposure with a mean of its own; then the same turned round, where each object has
one. SciPy comes twice: called once for all means, for which it draws the same objects as we do, and once for each, as
it is when these are wanted apart. It runs in batches, without which it is slower. Clipping does a few of the means and
is taken that many times. Errors by either must agree to what 10 000 resamples tell.
"""

import numpy as np
from astropy.stats import sigma_clip
from scipy import stats

from compute.kernels.kinematics.bootstrap import bootstrap_means
from tests.bench.pairs import compare as timed

OBJECTS, EXPOSURES, RESAMPLES, CLIP, BATCH, SOME = 300, 18, 10_000, 3.0, 200, 2


def compare() -> list[dict]:
    """Resampled means per second of either."""
    rng = np.random.default_rng(5)
    error = rng.uniform(0.5, 2.0, (OBJECTS, EXPOSURES))
    value = rng.normal(0.0, error)
    value[rng.random(value.shape) < 0.02] *= 10.0
    return [row for turned in (False, True) for row in _both(*((value.T, error.T) if turned else (value, error)))]


def _both(value, error):
    n, m = value.shape
    ours, clipped = bootstrap_means(value, error), bootstrap_means(value, error, clip=CLIP)
    work = f"{m} weighted means of {n} each, {RESAMPLES} resamples"
    rows = []
    for name, peer, some in (("scipy bootstrap", at_once, m), ("scipy bootstrap, each", one_by_one, SOME)):
        rows.append(
            timed(f"bootstrap_means / {name}", work, lambda: bootstrap_means(value, error),
                  lambda p=peer: p(value, error), amount=m * RESAMPLES, peer_amount=some * RESAMPLES, pairs=9,
                  agrees=bool(np.allclose(peer(value, error), ours.error[:some], rtol=0.08)))
        )  # fmt: skip
    rows.append(
        timed("bootstrap_means, clipped / astropy sigma_clip", f"{work}, clipped at {CLIP:g} sigma; peer does {SOME}",
              lambda: bootstrap_means(value, error, clip=CLIP), lambda: clip(value, error), amount=m * RESAMPLES,
              peer_amount=SOME * RESAMPLES, pairs=9,
              agrees=bool(np.allclose(clip(value, error), clipped.error[:SOME], rtol=0.08)))
    )  # fmt: skip
    return rows


def mean(value, weight, axis=-1):
    return (value * weight).sum(axis) / weight.sum(axis)


def scipy(value, error):
    return stats.bootstrap((value, error**-2.0), mean, paired=True, vectorized=True, axis=-1, n_resamples=RESAMPLES,
                           batch=BATCH, method="percentile", rng=np.random.default_rng(1)).standard_error  # fmt: skip


def at_once(value, error):
    """All means in one call."""
    return scipy(value.T, error.T)


def one_by_one(value, error):
    """Some of them."""
    return [scipy(value[:, j], error[:, j]) for j in range(SOME)]


def clip(value, error):
    """Some of them, all resamples of each at once; of the ways to average what is left, the quickest."""
    errors = []
    for j in range(SOME):
        drawn = np.random.default_rng(j).integers(0, len(value), (RESAMPLES, len(value)))
        kept = sigma_clip(value[drawn, j], CLIP, maxiters=None, axis=1, masked=False)
        weight = np.where(np.isnan(kept), 0.0, error[drawn, j] ** -2.0)
        errors.append(mean(np.nan_to_num(kept), weight).std(ddof=1))
    return errors
