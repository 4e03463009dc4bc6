"""Mid-times of pixels: against simulated truth, from tables and keywords, with the errors that belong to each."""

import dataclasses
import gzip

import numpy as np
import pytest
from astropy.io import fits

from catalogs.errors import UnusableError
from catalogs.exposure import Amplifier
from catalogs.readers import read_exposures
from catalogs.readers.jwst_times import read_times
from compute.settings import MeasureSettings, TimingSettings
from compute.stages.frames import star_times
from compute.stages.measure import measure
from compute.stages.timing import pixel_time
from tests.frames import tan_cards, write_hst, write_jwst
from tests.stages.drawing import Drawn, campaign
from tests.stages.synthetic import X_START, Y_START, cube, exposure, field, noisy

SETTINGS = TimingSettings()
CLOCK = 0.064 * 3**0.5
FULL = {"SUBARRAY": "FULL", "SUBSTRT1": 1, "SUBSTRT2": 1, "SUBSIZE1": 2048, "SUBSIZE2": 2048}
MIDDLE = 59700.001  # EXPMID of the frames written here
ROUNDING = 2e-6  # s; the last digit of an MJD in double precision is 0.6 microseconds


def written(tmp_path, name="a_cal.fits", **changes):
    return write_jwst(tmp_path / name, **changes)


def full_frame(tmp_path, origin, primary=None, scale=65.5, **changes):
    """A cutout of 64x64 pixels of a full frame, from 0-based `origin`."""
    sci = tan_cards(scale, (1024.5 - origin[0], 1024.5 - origin[1]))
    return written(tmp_path, primary=FULL | (primary or {}), sci=sci, **changes)


def with_integrations(path, middles, numbers=None, half=1e-4, barycentric=0.0, columns=None):
    """Append INT_TIMES with a row for every one of `middles` [MJD]."""
    middles = np.asarray(middles, float)
    numbers = np.arange(1, len(middles) + 1) if numbers is None else numbers
    table = {"integration_number": ("J", numbers)}
    for scale, offset in (("MJD_UTC", 0.0), ("BJD_TDB", barycentric)):
        for part, shift in (("start", -half), ("mid", 0.0), ("end", half)):
            table[f"int_{part}_{scale}"] = ("D", middles + shift if scale == "MJD_UTC" else middles * 0 + offset)
    columns = [fits.Column(name, kind, array=values) for name, (kind, values) in table.items() if columns is None or
               name in columns]  # fmt: skip
    with fits.open(path, mode="append") as hdus:
        hdus.append(fits.BinTableHDU.from_columns(columns, name="INT_TIMES"))
    return path


def seconds(mjd, since=MIDDLE):
    return (np.asarray(mjd) - since) * 86400


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


@pytest.mark.parametrize(("rows", "chosen"), [(1, 1), (2, 1), (4, 2), (5, 3)])
def test_read_times__the_middle_integration_unless_told(tmp_path, rows, chosen):
    middles = 59700.0 + np.arange(1, rows + 1) / 100
    assert read_times(with_integrations(written(tmp_path), middles)).integration == chosen


def test_read_times__rows_of_a_segment_are_found_by_their_numbers(tmp_path):
    path = with_integrations(written(tmp_path), [59700.03, 59700.04, 59700.05], numbers=[8, 9, 10])
    assert read_times(path, 10).middle == 59700.05
    assert read_times(path).integration == 9


def test_read_times__integrations_of_data_cubes(tmp_path):
    path = tmp_path / "a_uncal.fits"
    written(tmp_path, path.name)
    with fits.open(path, mode="update") as hdus:
        hdus["SCI"].data = np.zeros((2, 3, 64, 64), np.uint16)
    with_integrations(path, [59700.01, 59700.02])
    with open(path, "rb") as plain, gzip.open(tmp_path / "a_uncal.fits.gz", "wb") as packed:
        packed.write(plain.read())
    for each in (path, tmp_path / "a_uncal.fits.gz"):
        times = read_times(str(each), 2)
        assert (times.n_x, times.n_y, times.x_start, times.y_start) == (64, 64, 100, 200)


@pytest.mark.parametrize("bad", [0.0, np.nan, 12.0])
def test_read_times__integrations_without_a_date(tmp_path, bad):
    path = with_integrations(written(tmp_path), [59700.01, bad, 59700.03])
    assert read_times(path).integration == 1  # of the two that remain
    with pytest.raises(UnusableError, match="found 1, 3, expected 2 once, with its times"):
        read_times(path, 2)


def test_read_times__integrations_out_of_order_or_empty_leave_the_exposure(tmp_path):
    backwards = with_integrations(written(tmp_path), [59700.01], half=-1e-4)
    empty = with_integrations(written(tmp_path, "b_rate.fits"), [])
    for path in (backwards, empty):
        assert (read_times(path).source, read_times(path).middle) == ("EXPMID", MIDDLE)


@pytest.mark.parametrize(
    ("numbers", "asked", "found"), [([1, 1], 1, "1, 1"), ([1, 2], 3, "1, 2"), ([1, 2], -1, "1, 2")]
)
def test_read_times__integrations_that_are_not_there_or_twice(tmp_path, numbers, asked, found):
    path = with_integrations(written(tmp_path), [59700.01, 59700.02], numbers)
    with pytest.raises(UnusableError, match=f"INT_TIMES.* integration_number: found {found}, expected {asked} once"):
        read_times(path, asked)


def test_read_times__no_table_to_choose_from(tmp_path):
    with pytest.raises(UnusableError, match="INT_TIMES.*: found none, expected 1 once"):
        read_times(written(tmp_path), 1)


def test_read_times__table_of_other_columns(tmp_path):
    path = with_integrations(written(tmp_path), [59700.01], columns=["integration_number", "int_mid_MJD_UTC"])
    with pytest.raises(UnusableError, match="INT_TIMES.*other columns.*int_start_MJD_UTC"):
        read_times(path)


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
    ("primary", "message"),
    [
        (NO_MIDDLE | {"EXPSTART": None}, "EXPMID, EXPSTART, EXPEND, MJD-AVG: found no date"),
        ({"TELESCOP": "HST", "INSTRUME": "ACS"}, "found HST ACS, expected JWST NIRCAM.* shutters"),
        ({"INSTRUME": "MIRI"}, "found JWST MIRI, expected JWST NIRCAM or JWST NIRISS$"),
        ({"DETECTOR": "NIS2"}, "DETECTOR: found 'NIS2'"),
        ({"FASTAXIS": 1, "SLOWAXIS": 1}, "FASTAXIS, SLOWAXIS: found .*such as -2, -1"),
        ({"FASTAXIS": 7}, "FASTAXIS, SLOWAXIS: found"),
        ({"NOUTPUTS": 4}, "NOUTPUTS: found 4, expected 1"),
        ({"S_RESAMP": "COMPLETE"}, "resampled image .S_RESAMP COMPLETE."),
        ({"SUBSIZE1": 32}, r"found NAXIS \(64, 64\) with SUBSIZE \(32, 64\)"),
    ],
)
def test_read_times__refused(tmp_path, primary, message):
    path = written(tmp_path, primary=primary)
    with pytest.raises(UnusableError, match=message) as refused:
        read_times(path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["WHT", "CON"])
def test_read_times__resampled_by_its_extensions(tmp_path, name):
    path = written(tmp_path, arrays={name: np.ones((64, 64))})
    with pytest.raises(UnusableError, match=f"resampled image .extension {name}."):
        read_times(path)


def test_read_times__resampled_by_its_name(tmp_path):
    with pytest.raises(UnusableError, match=r"resampled image \(_i2d\)"):
        read_times(written(tmp_path, "jw01086_nis_i2d.fits"))


def test_read_times__truncated_file(tmp_path):
    path = written(tmp_path)
    with open(path, "r+b") as file:
        file.truncate(20_000)
    with pytest.raises(UnusableError, match=r"a_cal\.fits: found"):
        read_times(path)


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
