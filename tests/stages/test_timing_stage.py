"""Mid-times of pixels: against simulated truth, from tables and keywords, with the errors that belong to each."""

import dataclasses

import numpy as np
import pytest

from catalogs.errors import UnusableError
from catalogs.exposure import Amplifier
from catalogs.readers import read_exposures
from catalogs.readers.jwst_times import read_times
from compute.settings import MeasureSettings, TimingSettings
from compute.stages.frames import star_times
from compute.stages.measure import measure
from compute.stages.timing import pixel_time
from tests.frames import write_hst
from tests.stages.drawing import Drawn, campaign
from tests.stages.synthetic import X_START, Y_START, cube, exposure, field, noisy
from tests.times import ROUNDING, full_frame, seconds, with_integrations, written

SETTINGS = TimingSettings()
CLOCK = 0.064 * 3**0.5


# Truth


@pytest.fixture(scope="module")
def sky_frame(tmp_path_factory):
    """A full NIRISS frame with a few stars."""
    sparse = {"populations": [{"name": "few", "density": 60, "faint": 24.0}]}
    drawn = Drawn(tmp_path_factory.mktemp("full"), campaign(size=0, field=sparse))
    return drawn, drawn.truths[0].positions


def test_star_times__simulated_niriss_full_frame(sky_frame):
    drawn, truth = sky_frame
    (seen,) = read_exposures(str(drawn.files[0]))
    assert (seen.header.subarray, len(seen.amplifiers)) == ("FULL", 4)
    wrong = seconds(star_times(seen, truth["x"], truth["y"]), truth["mjd"])
    assert np.ptp(truth["mjd"]) * 86400 > 9  # stars over the whole frame: 10.7 s
    # In the sky's frame every second amplifier reads the other way: at most one row of 511 pixel times.
    assert np.abs(wrong).max() < 5.2e-3
    assert np.abs(wrong).max() > 1e-3


def test_pixel_time__simulated_niriss_full_frame_with_alternating_amplifiers(sky_frame):
    drawn, truth = sky_frame
    times = read_times(str(drawn.files[0]))
    alternating = TimingSettings(alternating=True)
    for row in truth[::10].itertuples():
        found = pixel_time(times, row.x, row.y, alternating)
        assert abs(seconds(found.mjd_mid_utc, row.mjd)) < ROUNDING
    assert times.frame_time == pytest.approx(10.73677)


def test_measure__stars_have_the_times_of_their_pixels():
    x, y, _, light = field()
    amplifier = Amplifier("A", 0, 200, 0, 200, 1.6, 23.0, -2, -1)
    seen = dataclasses.replace(exposure(noisy(light)), amplifiers=(amplifier,))
    stars = measure(seen, cube(), MeasureSettings()).stars
    column = 199 - np.rint(stars["x"] - X_START)  # slow along -x, fast along -y, 200 + 12 pixel times a column
    row = 199 - np.rint(stars["y"] - Y_START)
    assert len(stars) > 50
    np.testing.assert_allclose(seconds(stars["mjd"], 59700.25), (column * 212 + row) * 1e-5, atol=ROUNDING)


# Frames


@pytest.mark.parametrize(
    ("detector", "x", "y", "late"),
    [("NRCB1", 742, 1084, 5.048), ("NRCB1", 749, 1090, 5.017), ("NRCBLONG", 1413, 1587, 2.414),
     ("NRCBLONG", 1417, 1589, 2.404)],
)  # fmt: skip
@pytest.mark.parametrize("axes", [{}, {"FASTAXIS": None, "SLOWAXIS": None}], ids=["header", "detector"])
def test_pixel_time__published_examples(tmp_path, detector, x, y, late, axes):
    origin = (x - 20, y - 30)
    scale = 63.0 if detector.endswith("LONG") else 31.0
    path = full_frame(tmp_path, origin, {"DETECTOR": detector} | axes, scale, instrument="NIRCAM")
    found = pixel_time(read_times(path), x, y, SETTINGS)
    assert found.delay_s == pytest.approx(late, abs=0.0005)
    assert seconds(found.mjd_mid_utc) == pytest.approx(found.delay_s, abs=ROUNDING)
    (seen,) = read_exposures(path)
    assert star_times(seen, np.array([20.0]), np.array([30.0])) == pytest.approx([found.mjd_mid_utc], abs=1e-11)


@pytest.mark.parametrize("instrument", ["NIRISS", "NIRCAM"])
def test_pixel_time__subarray_from_its_own_corner(tmp_path, instrument):
    path = written(tmp_path, instrument=instrument)  # 64x64 from (100, 200)
    first, row_later = {"NIRISS": ((163, 263), (162, 263)), "NIRCAM": ((100, 263), (100, 262))}[instrument]
    times = read_times(path)
    assert pixel_time(times, *first, SETTINGS).delay_s == 0
    assert pixel_time(times, *row_later, SETTINGS).delay_s == pytest.approx(76e-5)
    assert pixel_time(times, *first, SETTINGS).frame_time_s == pytest.approx(0.05016)
    (seen,) = read_exposures(path)
    x, y = (np.array([place[k] - corner for place in (first, row_later)]) for k, corner in ((0, 100), (1, 200)))
    assert seconds(star_times(seen, x, y)) == pytest.approx([0, 76e-5], abs=ROUNDING)


def test_star_times__hst_stars_share_the_middle_of_the_exposure(tmp_path):
    (seen,) = read_exposures(write_hst(tmp_path / "a_flt.fits", "IR"))
    assert (star_times(seen, np.arange(5.0), np.arange(5.0)) == seen.header.mjd_mid).all()


def test_star_times__axes_that_are_none_are_refused(tmp_path):
    (seen,) = read_exposures(written(tmp_path, primary={"FASTAXIS": 7}))
    with pytest.raises(UnusableError, match="FASTAXIS, SLOWAXIS: found"):
        star_times(seen, np.zeros(1), np.zeros(1))


def test_read_times__grism_stripes_of_four_amplifiers(tmp_path):
    shape = (64, 2048)
    head = {"EXP_TYPE": "NRC_TSGRISM", "FILTER": "F444W", "PUPIL": "GRISMR", "DETECTOR": "NRCALONG", "FASTAXIS": -1,
            "SLOWAXIS": 2, "SUBARRAY": "SUBGRISM64", "SUBSTRT1": 1, "SUBSTRT2": 1, "NOUTPUTS": 4}  # fmt: skip
    times = read_times(written(tmp_path, instrument="NIRCAM", shape=shape, primary=head))
    found = pixel_time(times, 1535, 1, SETTINGS)
    assert found.delay_s == pytest.approx(5.24e-3)  # first pixel of the second amplifier's second row
    assert found.frame_time_s == pytest.approx(0.34061)


def test_star_times__imaged_stripes_of_four_amplifiers(tmp_path):
    head = {"DETECTOR": "NRCA1", "FASTAXIS": -1, "SLOWAXIS": 2, "SUBARRAY": "SUBGRISM64", "SUBSTRT1": 1, "SUBSTRT2": 1,
            "NOUTPUTS": 4}  # fmt: skip
    path = written(tmp_path, instrument="NIRCAM", shape=(64, 2048), primary=head)
    found = pixel_time(read_times(path), 2000, 60, SETTINGS)
    (seen,) = read_exposures(path)
    assert len(seen.amplifiers) == 4
    assert star_times(seen, np.array([2000.0]), np.array([60.0])) == pytest.approx([found.mjd_mid_utc], abs=1e-11)


def test_real_nircam_cutout(shared_data):
    path = str(shared_data / "jwst_nircam_cutout" / "jw01227002001_02105_00001_nrcalong_cutout100.fits")
    times = read_times(path)
    assert (times.x_start, times.y_start, times.full, times.frame_time) == (400, 100, True, 10.73677)
    found = pixel_time(times, 450, 120, SETTINGS)
    # Fast along -x, slow along +y: row 120, and column (2047 - 450) mod 512 = 61.
    assert found.delay_s == pytest.approx(120 * 5.24e-3 + 61e-5)
    assert seconds(found.mjd_mid_utc, 59776.40313724624) == pytest.approx(found.delay_s, abs=ROUNDING)
    assert found.uncertainty_s == pytest.approx(3.101, abs=0.001)
    (seen,) = read_exposures(path)
    assert star_times(seen, np.array([50.0]), np.array([20.0])) == pytest.approx([found.mjd_mid_utc], abs=1e-11)


# Times and their errors


def test_pixel_time__expmid_adds_the_spread_of_a_frame_to_the_budget(tmp_path):
    found = pixel_time(read_times(full_frame(tmp_path, (0, 0), {"TFRAME": 10.73677})), 5, 5, SETTINGS)
    assert found.budget == {
        "message_transfers_s": pytest.approx(0.11085, abs=1e-5),
        "reference_pixel_s": pytest.approx(10.73677 / 12**0.5),
        "clock_offset_s": None,
        "clock_drift_limit_s": 1.0,
    }
    assert found.uncertainty_s == pytest.approx(np.hypot(CLOCK, 10.73677 / 12**0.5))
    assert (found.time_source, found.integration) == ("EXPMID", None)
    assert any("up to 10.737 s too late" in note for note in found.notes)


@pytest.mark.parametrize("tframe", [None, 0.0, -1.0, "often"])
def test_pixel_time__frame_time_is_calculated_where_the_header_has_none(tmp_path, tframe):
    found = pixel_time(read_times(full_frame(tmp_path, (0, 0), {"TFRAME": tframe})), 5, 5, SETTINGS)
    assert found.frame_time_s == pytest.approx(10.73677, abs=1e-9)


def test_pixel_time__the_header_s_frame_time_counts(tmp_path):
    found = pixel_time(read_times(written(tmp_path, primary={"TFRAME": 0.06})), 120, 220, SETTINGS)
    assert found.budget["reference_pixel_s"] == pytest.approx(0.06 / 12**0.5)


def test_pixel_time__a_clock_that_is_ahead_is_set_back(tmp_path):
    times = read_times(written(tmp_path))
    plain, corrected = (
        pixel_time(times, 120, 220, each) for each in (SETTINGS, TimingSettings(clock_offset=0.12, alternating=False))
    )
    assert seconds(plain.mjd_mid_utc, corrected.mjd_mid_utc) == pytest.approx(0.12, abs=ROUNDING)
    assert corrected.uncertainty_s == plain.uncertainty_s
    assert (corrected.budget["clock_offset_s"], corrected.budget["clock_drift_limit_s"]) == (0.12, None)
    assert not any("clock" in note for note in corrected.notes)


@pytest.mark.parametrize("barycentric", [0.0, 59701.0])
def test_read_times__integrations(tmp_path, barycentric):
    # EXPCOUNT counts the exposures of a visit and has nothing to do with rows of the table.
    path = written(tmp_path, "a_uncal.fits", primary={"EXPCOUNT": 3, "NINTS": 3})
    with_integrations(path, [59700.01, 59700.02, 59700.03], barycentric=barycentric)
    times = {number: read_times(path, number) for number in (None, 1, 2, 3)}
    assert [times[number].middle for number in (1, 2, 3)] == [59700.01, 59700.02, 59700.03]
    assert times[None] == times[2]
    found = pixel_time(times[3], 120, 220, SETTINGS)
    assert (found.time_source, found.integration) == ("INT_TIMES", 3)
    assert found.uncertainty_s == pytest.approx(CLOCK)
    assert found.budget["reference_pixel_s"] == 0


NO_MIDDLE = {"EXPMID": None}


@pytest.mark.parametrize(
    ("primary", "sci", "middle", "source"),
    [
        (NO_MIDDLE | {"EXPEND": 59700.004}, {}, 59700.002, "EXPSTART, EXPEND"),
        ({"EXPMID": "NaN", "EXPEND": 59700.004}, {}, 59700.002, "EXPSTART, EXPEND"),
        ({"EXPMID": 0.0, "EXPEND": 59700.004}, {}, 59700.002, "EXPSTART, EXPEND"),
        (NO_MIDDLE | {"EXPEND": None}, {"MJD-AVG": 59700.003}, 59700.003, "MJD-AVG"),
    ],
)
def test_read_times__without_expmid(tmp_path, primary, sci, middle, source):
    times = read_times(written(tmp_path, primary=primary, sci=sci))
    assert (times.middle, times.source) == (pytest.approx(middle, abs=1e-9), source)
    assert pixel_time(times, 120, 220, SETTINGS).budget["reference_pixel_s"] > 0


@pytest.mark.parametrize(
    ("x", "y"), [(99.4, 220), (163.5, 220), (120, 199.4), (120, 263.5), (np.nan, 220), (120, np.inf)]
)
def test_pixel_time__off_the_array(tmp_path, x, y):
    times = read_times(written(tmp_path))
    with pytest.raises(UnusableError, match="99.5 <= x < 163.5, 199.5 <= y < 263.5"):
        pixel_time(times, x, y, SETTINGS)


def test_pixel_time__edges_of_the_array_are_on_it(tmp_path):
    times = read_times(written(tmp_path))
    assert pixel_time(times, 163.49, 263.49, SETTINGS).delay_s == 0
    assert pixel_time(times, 99.5, 199.5, SETTINGS).delay_s == pytest.approx((63 * 76 + 63) * 1e-5)
