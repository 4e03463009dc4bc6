"""Telescope pupils: areas and parts against published figures; wavefront errors of the size asked for."""

import numpy as np
import pytest

from compute.kernels.simulate.pupil import MODES, hst_pupil, jwst_pupil, segment_centres, segment_errors, zernikes


def area(pupil):
    return pupil.transmission.sum() * pupil.step**2


def moments(pupil, wavefront):
    weight = pupil.transmission / pupil.transmission.sum()
    mean = (wavefront * weight).sum()
    return mean, np.sqrt((wavefront**2 * weight).sum() - mean**2)


def test_jwst__eighteen_segments_in_two_rings():
    distance = np.hypot(*segment_centres().T)
    pitch = 1.327  # 1.32 m and a gap of 7 mm
    assert distance[:6] == pytest.approx(pitch)
    assert sorted(distance[6:]) == pytest.approx([np.sqrt(3) * pitch] * 6 + [2 * pitch] * 6)
    assert sorted(np.unique(jwst_pupil(256).segment)) == [-1, *range(18)]


def test_jwst__collects_over_25_square_metres():
    assert area(jwst_pupil(256)) == pytest.approx(25.4, rel=0.05)


def test_jwst__segments_neither_overlap_nor_touch():
    pupil = jwst_pupil(512)
    hexagon = np.sqrt(3) / 2 * 1.32**2
    clear = np.array([pupil.transmission[pupil.segment == k].sum() for k in range(18)]) * pupil.step**2
    # Three struts cross some; no segment has more than its area (0.5 %: cells at its rim may count as a neighbour's).
    assert clear.max() == pytest.approx(hexagon, rel=5e-3)
    assert clear.min() > 0.8 * hexagon


def test_jwst__alignment_reference_hides_a_sixth():
    assert area(jwst_pupil(256, alignment=True)) / area(jwst_pupil(256)) == pytest.approx(5 / 6, abs=0.03)


def test_hst__central_obscuration_vanes_and_pads():
    pupil = hst_pupil(512)
    place = (np.arange(512) + 0.5 - 256) * pupil.step
    r = np.hypot(place[:, None], place)
    assert not pupil.transmission[(r < 0.32 * 1.2) | (r > 1.21)].any()
    ring = np.pi * 1.2**2 * (1 - 0.33**2)
    vanes, pads = 4 * 0.026 * 1.2 * (1 - 0.33), 3 * np.pi * (0.078 * 1.2) ** 2
    assert area(pupil) == pytest.approx(ring - vanes - pads, rel=2e-3)  # 0.2 %: round edges in cells of 5 mm


def test_hst__relay_of_wfpc2_hides_more():
    assert area(hst_pupil(256, relay=True)) < 0.96 * area(hst_pupil(256))


@pytest.mark.parametrize("pupil", [jwst_pupil(128), hst_pupil(128)], ids=["jwst", "hst"])
def test_zernikes__unit_rms_and_no_mean_over_the_pupil(pupil):
    modes = zernikes(pupil)
    assert tuple(modes) == MODES
    for mode in modes.values():
        assert moments(pupil, mode) == pytest.approx((0.0, 1.0), abs=1e-12)


def test_zernikes__have_the_symmetry_of_their_names():
    modes = zernikes(hst_pupil(128))
    for name in ("coma_x", "trefoil_x"):
        assert modes[name][:, ::-1] == pytest.approx(-modes[name], abs=0.05)  # three pads break the symmetry a little
    for name in ("defocus", "oblique"):
        assert modes[name] == pytest.approx(modes[name].T)
    assert np.corrcoef(modes["astigmatism"].ravel(), -modes["astigmatism"].T.ravel())[0, 1] == pytest.approx(1.0)


@pytest.mark.parametrize("pupil", [jwst_pupil(128), hst_pupil(128)], ids=["jwst", "hst"])
def test_segment_errors__have_the_rms_asked_for(pupil):
    wavefront = segment_errors(pupil, 60e-9, np.random.default_rng(1))
    mean, rms = moments(pupil, wavefront)
    assert abs(mean) < 1e-20
    assert rms == pytest.approx(60e-9)


def test_segment_errors__are_flat_pieces():
    pupil = jwst_pupil(256)
    wavefront = segment_errors(pupil, 1.0, np.random.default_rng(2))
    same = (pupil.segment[:, :-2] == pupil.segment[:, 1:-1]) & (pupil.segment[:, 1:-1] == pupil.segment[:, 2:])
    bend = wavefront[:, :-2] - 2 * wavefront[:, 1:-1] + wavefront[:, 2:]
    assert np.abs(bend[same]).max() < 1e-12
    assert np.abs(bend[~same]).max() > 0.1


def test_polishing_errors__are_all_between_2_and_30_cycles():
    wavefront = segment_errors(hst_pupil(256), 1.0, np.random.default_rng(3))
    window = np.hanning(256)[:, None] * np.hanning(256)
    power = np.abs(np.fft.fft2(wavefront * window)) ** 2
    frequency = np.fft.fftfreq(256, 1 / 256)
    cycles = np.hypot(frequency[:, None], frequency)
    assert power[cycles > 33].sum() < 1e-6 * power.sum()  # a Hann window spreads a wave over two cycles
    assert power[(cycles > 15) & (cycles < 30)].sum() > 1e-3 * power.sum()
