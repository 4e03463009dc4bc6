"""One synthetic exposure in, the ePSF cube of that exposure out."""

import numpy as np
import pytest

from catalogs.errors import UnusableError
from compute.settings import EpsfSettings
from compute.stages.epsf import epsf
from tests.stages.synthetic import EPSF, SKY, X_START, Y_START, exposure, field, noisy


@pytest.fixture(scope="module")
def built():
    _, _, _, light = field(n=420, size=360, low=4.0, high=5.2)
    return epsf(exposure(noisy(light)), EpsfSettings(grid=2, per_fiducial=60, passes=3))


def test_epsf__cube_tells_where_it_is_from(built):
    assert built.key == ("NIRISS", "NIS", "F090W")
    assert built.source.startswith("jw01086001001_01101_00001_nis: 2x2 from ")
    assert (built.valid_from, built.valid_to) == (59700.0, 59700.5)
    assert built.normalisation_radius == 5.0
    assert built.oversampling == 4


def test_epsf__fiducials_are_in_full_detector_pixels(built):
    assert built.fx.tolist() == [X_START, X_START + 359]
    assert built.fy.tolist() == [Y_START, Y_START + 359]
    assert built.n_samples.shape == (2, 2)
    assert (built.n_samples > 50).all()


def test_epsf__is_that_of_the_stars(built):
    truth = EPSF.table()
    # 0.01 pix of phase bias, which a hundred stars to a fiducial cannot tell, is 2 % on the flanks.
    assert abs(built.values - truth).max() < 0.05 * truth.max()
    assert np.median(built.centre_values) == pytest.approx(truth.max(), rel=0.02)


def test_epsf__same_bytes_twice():
    frame = exposure(noisy(field(n=60)[3]))
    first, second = (epsf(frame, EpsfSettings(passes=2)) for _ in range(2))
    assert first.values.tobytes() == second.values.tobytes()


def test_epsf__no_star_is_one_line():
    blank = exposure(np.random.default_rng(1).normal(SKY, 10.0, (64, 64)))
    with pytest.raises(UnusableError, match="epsf: jw01086.* NIS: found no star above 10 sigma .*expected stars above"):
        epsf(blank, EpsfSettings())
