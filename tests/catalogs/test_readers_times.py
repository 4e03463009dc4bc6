"""When a frame was exposed, as its keywords and INT_TIMES have it; and what is refused."""

import gzip

import numpy as np
import pytest
from astropy.io import fits

from catalogs.errors import UnusableError
from catalogs.readers.jwst_times import read_times
from tests.times import MIDDLE, with_integrations, written


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


@pytest.mark.parametrize(
    ("primary", "message"),
    [
        ({"EXPMID": None, "EXPSTART": None}, "EXPMID, EXPSTART, EXPEND, MJD-AVG: found no date"),
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
