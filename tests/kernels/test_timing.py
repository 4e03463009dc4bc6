"""Read times of pixels: published examples and frame times, the order of reading, both rules of direction."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute.kernels.timing import Readout, delay, frame_time

NIRISS = Readout(2048, 2048, -2, -1, 4)
NRCB1 = Readout(2048, 2048, 1, -2, 4)
NRCA1 = Readout(2048, 2048, -1, 2, 4)
AXES = st.sampled_from([(f, s) for f in (1, -1) for s in (2, -2)] + [(f, s) for f in (2, -2) for s in (1, -1)])


@pytest.mark.parametrize(
    ("x", "y", "seconds"),
    [(742, 1084, 5.048), (749, 1090, 5.017), (1413, 1587, 2.414), (1417, 1589, 2.404)],
    ids=["NRCB1", "NRCB1, later", "NRCBLONG", "NRCBLONG, later"],
)
def test_delay__published_examples(x, y, seconds):
    # Published to the millisecond.
    assert delay(x, y, NRCB1) == pytest.approx(seconds, abs=0.0005)


def test_delay__published_example_to_the_microsecond():
    assert delay(742, 1084, NRCB1) == pytest.approx(963 * 5.24e-3 + 230e-5, abs=1e-9)


# n_fast, n_slow: NIRISS reads fast along y, so its SUBSTRIPs of 2048 columns have few pixels along the fast axis.
@pytest.mark.parametrize(
    ("n_fast", "n_slow", "amplifiers", "seconds"),
    [
        pytest.param(2048, 2048, 4, 10.73677, id="FULL"),
        pytest.param(640, 640, 1, 4.18584, id="NIRCam SUB640"),
        pytest.param(400, 400, 1, 1.65624, id="NIRCam SUB400P"),
        pytest.param(320, 320, 1, 1.06904, id="NIRCam SUB320"),
        pytest.param(160, 160, 1, 0.27864, id="NIRCam SUB160"),
        pytest.param(256, 256, 1, 0.69144, id="NIRISS SUB256"),
        pytest.param(128, 128, 1, 0.18200, id="NIRISS SUB128"),
        pytest.param(80, 80, 1, 0.07544, id="NIRISS SUB80"),
        pytest.param(64, 64, 1, 0.05016, id="NIRISS SUB64"),
        pytest.param(256, 2048, 1, 5.49400, id="NIRISS SUBSTRIP256"),
        pytest.param(96, 2048, 1, 2.21400, id="NIRISS SUBSTRIP96"),
    ],
)
def test_frame_time__published_values(n_fast, n_slow, amplifiers, seconds):
    assert frame_time(n_fast, n_slow, amplifiers) == pytest.approx(seconds, abs=1e-9)


def test_frame_time__nircam_reads_one_more_row_of_its_smallest_arrays():
    assert frame_time(8, 8) == pytest.approx(20 * 10e-5)
    assert frame_time(8, 8, nircam=True) == pytest.approx(20 * 11e-5)
    assert frame_time(64, 64, nircam=True) == frame_time(64, 64)


def test_delay__frames_begin_at_their_first_pixel():
    assert delay(2047, 2047, NIRISS) == delay(0, 2047, NRCB1) == delay(2047, 0, NRCA1) == 0
    last = 2047 * 5.24e-3 + 511e-5
    assert [delay(0, 0, NIRISS), delay(2047, 0, NRCB1), delay(0, 2047, NRCA1)] == pytest.approx([last] * 3)


def test_delay__niriss_steps_through_columns_and_reads_along_them():
    assert np.diff(delay(np.arange(2048), 700, NIRISS)) == pytest.approx(-5.24e-3)
    assert delay(1000, [2046, 1536, 1535, 0], NIRISS) - delay(1000, 2047, NIRISS) == pytest.approx(
        [1e-5, 511e-5, 0, 511e-5]
    )


def test_delay__directions_alternate_if_asked():
    edges = [0, 511, 512, 1023, 1024, 1535, 1536, 2047]
    steps = {flag: np.rint(delay(edges, 2047, NRCB1, flag) / 1e-5).tolist() for flag in (False, True)}
    assert steps == {False: [0, 511] * 4, True: [0, 511, 511, 0] * 2}


@pytest.mark.parametrize("alternating", [False, True])
@given(
    axes=AXES,
    n_x=st.integers(1, 12),
    n_y=st.integers(1, 12),
    amplifiers=st.sampled_from([1, 4]),
)
def test_delay__every_pixel_of_every_amplifier_has_a_slot_of_its_own(alternating, axes, n_x, n_y, amplifiers):
    n_x, n_y = (n_x * amplifiers, n_y) if abs(axes[0]) == 1 else (n_x, n_y * amplifiers)
    readout = Readout(n_x, n_y, *axes, amplifiers)
    late = delay(np.arange(n_x), np.arange(n_y)[:, None], readout, alternating)
    slots, at_once = np.unique(np.rint(late / 1e-5), return_counts=True)
    assert (at_once == amplifiers).all()
    assert slots[0] == 0
    # The last pixel is read, and its row's overhead passed, before the rows that end a frame.
    assert late.max() + 13e-5 < frame_time(readout.n_fast, readout.n_slow, amplifiers)


def test_delay__subarrays_have_one_amplifier():
    small = Readout(64, 32, -2, -1)
    assert delay([63, 63, 62], [31, 0, 31], small) == pytest.approx([0, 31e-5, 44e-5])
    assert delay([63, 63, 62], [31, 0, 31], small, alternating=True) == pytest.approx([0, 31e-5, 44e-5])


def test_delay__positions_fall_to_pixels_and_the_nearest_at_the_edge():
    assert delay(10.5, 20.49, NRCB1) == delay(11, 20, NRCB1)
    assert delay(-30.0, 3000.0, NRCB1) == 0
    assert np.isnan(delay([np.nan, 1.0], [1.0, np.nan], NRCB1)).all()


@pytest.mark.parametrize(("axes", "amplifiers"), [((1, 1), 1), ((0, 2), 1), ((7, 2), 1), ((1, 2), 3), ((1, 2), 0)])
def test_readout__contradictions_are_errors(axes, amplifiers):
    with pytest.raises(ValueError, match="axes|amplifiers"):
        Readout(64, 64, *axes, amplifiers)
