"""The Cramer-Rao bound against the same bound of Gaussian stars in closed form."""

from types import SimpleNamespace

import numpy as np
import pytest

from compute.stages.simulate.epsfs import HALF, OVERSAMPLING, TrueEpsf
from tests.accuracy.bound import bound

SIGMA, SKY, READ, GROUPS = 0.9, 30.0, 20.0, 7


def gaussian(x, y):
    return np.exp(-(x**2 + y**2) / (2 * SIGMA**2)) / (2 * np.pi * SIGMA**2)


@pytest.fixture(scope="module")
def setup():
    step = np.arange(-HALF * OVERSAMPLING, HALF * OVERSAMPLING + 1) / OVERSAMPLING
    table = gaussian(step[None, :], step[:, None])
    values = np.broadcast_to(table, (2, 2, *table.shape))
    epsf = TrueEpsf(values, table, table, np.array([0.0, 2047.0]), np.array([0.0, 2047.0]))
    exposure = SimpleNamespace(n_groups=GROUPS)
    return SimpleNamespace(epsf=epsf, exposure=exposure, sky=SKY, detector=SimpleNamespace(read_noise=READ))


def test_bound__bright_star_on_many_pixels_is_photon_limited(setup):
    # Photons of a Gaussian place it to sigma / sqrt(N) and count it to sqrt(N); a ramp uses six sevenths of them.
    electrons = np.array([1e9])
    least = bound(setup, np.array([1000.3]), np.array([900.4]), electrons, half=3)
    used = electrons * (GROUPS - 1) / GROUPS
    # 7x7 pixels hold 3.9 sigma to each side: 2e-3 of the information lies beyond.
    assert least.x == pytest.approx(SIGMA / np.sqrt(used), rel=5e-3)
    assert least.y == pytest.approx(SIGMA / np.sqrt(used), rel=5e-3)
    assert least.electrons / electrons == pytest.approx(1 / np.sqrt(used), rel=5e-3)


def test_bound__faint_star_is_limited_by_sky_and_reads(setup):
    # White noise of variance v on well sampled pixels: var(flux) = v 4 pi sigma^2, var(x) = v 8 pi sigma^4 / flux^2.
    electrons, n = np.array([1e-3]), GROUPS
    variance = SKY * n / (n - 1) + 6 * READ**2 * n / (n * n - 1)
    least = bound(setup, np.array([1000.3]), np.array([900.4]), electrons, half=3)
    assert least.electrons == pytest.approx(np.sqrt(variance * 4 * np.pi) * SIGMA, rel=5e-3)
    assert least.x * electrons == pytest.approx(np.sqrt(variance * 8 * np.pi) * SIGMA**2, rel=5e-3)
