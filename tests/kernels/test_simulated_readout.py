"""Times of pixels: published examples, and the order in which amplifiers read."""

import numpy as np
import pytest

from compute.kernels.simulate.readout import delay, frame_time

FULL = (2048, 2048)
NIRISS, NRCB1, NRCA1 = (-2, -1), (1, -2), (-1, 2)  # fast and slow axes
REVERSED = 512 * 1e-5  # a row of an amplifier: published examples let all four read in one direction


@pytest.mark.parametrize(
    ("x", "y", "seconds"),
    [(742, 1084, 5.048), (749, 1090, 5.017), (1413, 1587, 2.414), (1417, 1589, 2.404)],
    ids=["NRCB1", "NRCB1, later", "NRCBLONG", "NRCBLONG, later"],
)
def test_delay__published_examples(x, y, seconds):
    assert delay(x, y, *FULL, *NRCB1) == pytest.approx(seconds, abs=REVERSED + 0.0005)


def test_delay__first_amplifier_agrees_to_the_digit():
    # 963 rows of 512 + 12 pixel times and 230 pixels: the example's row, in an amplifier that reads towards larger x.
    assert delay(230, 1084, *FULL, *NRCB1) == pytest.approx(963 * 5.24e-3 + 230e-5)


def test_delay__niriss_begins_at_its_last_pixel_and_grows_towards_smaller_x():
    assert delay(2047, 2047, *FULL, *NIRISS) == 0
    x, y = np.arange(2048), np.arange(2048)
    for row in (0, 700, 2047):
        assert np.diff(delay(x, row, *FULL, *NIRISS)) == pytest.approx(-5.24e-3)
    assert np.ptp(delay(1000, y, *FULL, *NIRISS)) == pytest.approx(511e-5)


@pytest.mark.parametrize("axes", [NIRISS, NRCA1])
def test_delay__four_amplifiers_read_every_pixel_of_theirs_once(axes):
    late = delay(np.arange(2048), np.arange(2048)[:, None], *FULL, *axes)
    at_once = np.bincount(np.rint(late / 1e-5).astype(int).ravel())
    assert (len(at_once) - 1) * 1e-5 < frame_time(*FULL)
    assert at_once[0] == 4  # a pixel of each amplifier
    assert np.bincount(at_once).tolist() == [2047 * 12, 0, 0, 0, 512 * 2048]  # and 12 pixel times after every row


def test_delay__directions_alternate():
    row = np.rint(delay(np.arange(2048), 2047, *FULL, *NRCB1) / 1e-5)
    assert row[[0, 511, 512, 1023, 1024, 1535, 1536, 2047]].tolist() == [0, 511, 511, 0, 0, 511, 511, 0]


def test_delay__subarrays_have_one_amplifier():
    assert delay(63, 63, 64, 64, *NIRISS) == 0
    assert delay(63, 0, 64, 64, *NIRISS) == pytest.approx(63e-5)
    assert delay(62, 63, 64, 64, *NIRISS) == pytest.approx(76e-5)
    assert delay(0, 0, 64, 64, *NIRISS) < frame_time(64, 64)


def test_delay__positions_fall_to_pixels_and_the_nearest_at_the_edge():
    assert delay(10.4, 20.4, *FULL, *NRCB1) == delay(10, 20, *FULL, *NRCB1)
    assert delay(-30.0, 3000.0, *FULL, *NRCB1) == 0


@pytest.mark.parametrize(
    ("size", "seconds"), [(2048, 10.73677), (256, 0.69144), (128, 0.18200), (64, 0.05016), (640, 4.18584)]
)
def test_frame_time__published_values(size, seconds):
    assert frame_time(size, size) == pytest.approx(seconds, abs=1e-9)
