"""An ePSF that widens with charge: built from dithers, kept in a cube, and used where stars are fitted and cut."""

from dataclasses import replace

import numpy as np
import pytest

from catalogs.cubes import EpsfCube
from compute.kernels.simulate.ramp import brighter_fatter
from compute.settings import CalibrateSettings, FrameSettings, MeasureSettings
from compute.stages.calibrate.build import build
from compute.stages.calibrate.fatter import cut_short
from compute.stages.calibrate.stars import Pool
from compute.stages.cutting import HALF, cut
from compute.stages.frame.groups import lay_plane
from compute.stages.frames import flux_term_of
from compute.stages.measure import measure
from tests.analytic import render
from tests.dithers import EPSF, SKY, dithered, rows_of, taken
from tests.stages.synthetic import X_START, Y_START, cube, exposure, noisy

UNIT, STRENGTH, WELL = 1e5, 0.06, 2e5
SETTINGS = CalibrateSettings(grid=1, transform="poly2", steps=15, passes=4, half=4, flux_term=True)


def truth():
    """What UNIT electrons add to the ePSF: the Laplacian of its square, times what the simulated detector loses."""
    u = np.arange(-50, 51) / 4
    squares = sum(EPSF(u[None, :] + a, u[:, None] + b) ** 2 for a, b in ((1, 0), (-1, 0), (0, 1), (0, -1)))
    return STRENGTH / (4 * WELL) * UNIT * (squares - 4 * EPSF(u[None, :], u[:, None]) ** 2)


def widening_cube() -> EpsfCube:
    """The true ePSF of no charge, and its true change."""
    return replace(cube(EPSF), flux_term=truth(), flux_unit=UNIT)


def fattened(light):
    """Pixels after their charge has pushed some of it over their edges."""
    return brighter_fatter(light, STRENGTH, WELL)


@pytest.fixture(scope="module")
def built():
    """ePSFs: with a flux term from stars that widen, without one, and with one from stars that do not widen."""
    scene = dithered(n=6, size=140, stars=160)
    rows = rows_of(scene)

    def made(light, settings):
        cuts = [cut(taken(scene, k, light=light(scene.light(k))), cube(EPSF), settings) for k in range(6)]
        return build(rows, cuts, lay_plane(rows, FrameSettings()), settings, "test").cube

    return {
        "with": made(fattened, SETTINGS),
        "without": made(fattened, SETTINGS.model_copy(update={"flux_term": False})),
        "none": made(lambda light: light, SETTINGS),
    }


# --- build ---


def test_build__the_term_is_that_of_the_detector(built):
    found, true = built["with"].flux_term, truth()
    core = np.hypot(*np.mgrid[-50:51, -50:51]) < 6
    assert built["with"].flux_unit == UNIT
    assert found.shape == built["with"].values.shape[2:]
    # Photons of 600 stamps, the median one of a unit, leave 0.06 of the term's depth.
    assert np.sqrt(np.mean((found - true)[core] ** 2)) < 0.12 * np.abs(true).max()
    assert np.corrcoef(found[core], true[core])[0, 1] > 0.95
    assert built["without"].flux_term is None


def test_build__the_epsf_is_that_of_no_charge(built):
    """Without a term the core is that of a middling charge; with it, that of stars on a detector without the effect."""
    with_term, without, ideal = (float(built[name].centre_values[0, 0]) for name in ("with", "without", "none"))
    assert without < 0.995 * ideal
    assert with_term == pytest.approx(ideal, rel=0.004)


def test_build__no_term_is_found_where_there_is_none(built):
    core = np.hypot(*np.mgrid[-50:51, -50:51]) < 6
    assert np.sqrt(np.mean(built["none"].flux_term[core] ** 2)) < 0.12 * np.abs(truth()).max()
    assert np.abs(built["none"].values[0, 0] - EPSF.table(4)).max() < 0.006 * EPSF.table(4).max()


def test_cut_short__ramps_of_few_groups_and_what_is_nearly_as_bright():
    peak = np.array([1e3, 7e4, 8.5e4, 1e5, 3e5, 8.5e4])
    light = np.zeros((6, 9, 9), np.float32)
    light[:, 4, 4] = peak / 2.0
    light[0, 0, 0] = 1e6  # what is left of a neighbour
    gain, where = np.array([2.0, 2.0, 2.0, 1.0, 0.5, 2.0]), np.zeros(6)
    pool = Pool(light, light, where, where, gain, np.zeros(6, np.int64), np.array([0, 6]))
    assert cut_short(pool, np.arange(6)).tolist() == [False, False, True, True, True, True]
    whole = pool._replace(gain=np.full(6, 2.0))
    assert not cut_short(whole, np.arange(6)).any()
    assert cut_short(pool, np.array([5, 4, 0])).tolist() == [False, True, False]


# --- measure ---


def stars(seed=1):
    """A grid of stars of 0.1 and 2.5 units of charge by turns, at all phases."""
    rng = np.random.default_rng(seed)
    x, y = (16.0 + 14.0 * axis.ravel() for axis in np.meshgrid(np.arange(13), np.arange(13)))
    flux = np.where(np.arange(x.size) % 2, 2.5e5, 1e4)
    return x + rng.uniform(-0.5, 0.5, x.size), y + rng.uniform(-0.5, 0.5, y.size), flux


def measured(light, epsf):
    """Flux over truth, QFIT and distance from the truth [pix] of every star, by matching nearest ones."""
    x, y, flux = stars()
    found = measure(exposure(light), epsf, MeasureSettings()).stars
    at = np.hypot(found["x"].to_numpy() - X_START - x[:, None], found["y"].to_numpy() - Y_START - y[:, None]).argmin(1)
    row = found.iloc[at].reset_index(drop=True)
    off = np.hypot(row["x"] - X_START - x, row["y"] - Y_START - y)
    return (row["flux"] / flux).to_numpy(), row["qfit"].to_numpy(), off.to_numpy()


@pytest.fixture(scope="module")
def field():
    """Noiseless pixels of stars that widen."""
    x, y, flux = stars()
    return fattened(render((200, 200), x, y, flux, EPSF)) + SKY


def test_measure__bright_and_faint_stars_agree(field):
    bright = stars()[2] > 1e5
    flux, qfit, off = measured(field, widening_cube())
    plain_flux, plain_qfit, plain_off = measured(field, cube(EPSF))
    assert np.median(plain_flux[bright]) > 1.001
    assert np.median(plain_qfit[bright]) > 0.01
    assert plain_off[bright].max() > 5e-4  # [pix]
    # What stays is the splines': the law is exact where no other light adds charge.
    assert np.abs(flux[bright] - 1).max() < 1e-4
    assert qfit[bright].max() < 1e-4
    assert off[bright].max() < 1e-4


def test_measure__faint_stars_stay_as_they_are(field):
    faint = stars()[2] < 1e5
    found, plain = measured(field, widening_cube()), measured(field, cube(EPSF))
    # In 14 pix the wings of bright stars are all that differs.
    np.testing.assert_allclose(found[0][faint], plain[0][faint], rtol=0.002)


def test_measure__an_empty_term_changes_no_byte():
    x, y, flux = stars()
    light = exposure(noisy(render((200, 200), x, y, flux, EPSF) + SKY))
    plain = measure(light, cube(EPSF), MeasureSettings()).stars
    empty = replace(cube(EPSF), flux_term=np.zeros((101, 101)), flux_unit=UNIT)
    assert flux_term_of(empty, 5) is None
    assert measure(light, empty, MeasureSettings()).stars.equals(plain)


def test_measure__threads_change_no_byte(field):
    one, two = (measure(exposure(field), widening_cube(), MeasureSettings(), threads=n).stars for n in (1, 2))
    assert one.equals(two)


def test_cut__stamps_are_those_of_stars_without_charge():
    data = noisy(fattened(render((100, 100), [50.3, 57.9], [49.8, 54.0], [3e5, 2e5], EPSF)) + SKY)
    pulls = []
    for epsf in (widening_cube(), cube(EPSF)):
        found = cut(exposure(data), epsf, SETTINGS)
        k = int(found.flux.argmax())
        own = render((100, 100), 50.3, 49.8, 3e5, EPSF)[50 - HALF : 50 + HALF + 1, 50 - HALF : 50 + HALF + 1]
        pulls.append(np.abs((found.light[k] - own) * np.sqrt(found.weight[k])).max())
        assert (found.gain == 1.0).all()
    assert pulls[0] < 6.0 < pulls[1]  # sigma
