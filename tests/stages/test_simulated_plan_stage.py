"""Campaigns as exposures: names, times, dithers, and what headers get wrong."""

import numpy as np
import pytest
from astropy.coordinates import SkyCoord

from catalogs.errors import PiazziError
from compute.campaign import Campaign, Effects, Observation, SkyField
from compute.kernels.simulate.motion import displaced
from compute.kernels.simulate.projection import tangent
from compute.kernels.simulate.readout import frame_time
from compute.stages.simulate.instruments import INSTRUMENTS
from compute.stages.simulate.plan import ARCSEC, axes, convergence, half_width, plan

FIELDS = (SkyField(name="lmc", ra=80.5, dec=-69.5), SkyField(name="pole", ra=12.0, dec=89.99))


def campaign(*observations, seed=1, **effects):
    return Campaign(name="t", seed=seed, fields=FIELDS, observations=observations, effects=Effects(**effects))


def observation(program=1086, **settings):
    return Observation(**({"program": program, "filters": ("F090W",), "epoch": 2022.33} | settings))


EVERYTHING = campaign(
    observation(filters=("F090W", "F480M"), dither="5x5", exposures=4, position_angle=37.0),
    observation(observation=2, dither="none"),
    observation(2, instrument="NIRCAM", detector="NRCB4", filters=("F200W",), dither="box", size=640),
    observation(3, instrument="ACS", filters=("F606W",), epoch=2006.4, exptime=339.0, position_angle=200.0),
    observation(4, instrument="WFC3", filters=("F814W",), epoch=2011.0, dither="line", field="pole"),
    observation(5, instrument="WFPC2", filters=("F814W",), epoch=1999.0, dx=30.0, dy=-12.0, exposures=40),
)


def steps(exposures, which):
    """Pointings along the axes of the detector [arcsec]."""
    observed = which.observations[exposures[0].observation]
    field = which.field_of(observed)
    offsets = np.array([tangent(each.ra, each.dec, field.ra, field.dec) for each in exposures]) / ARCSEC
    return (offsets - [observed.dx, observed.dy]) @ axes(observed.position_angle)


def test_plan__every_exposure_has_its_own_name():
    exposures = plan(EVERYTHING)
    assert len(exposures) == 200 + 1 + 4 + 9 + 3 + 360
    assert len({each.root for each in exposures}) == len(exposures)


def test_plan__same_seed_same_plan():
    assert plan(EVERYTHING) == plan(EVERYTHING.model_copy())
    others = plan(EVERYTHING.model_copy(update={"seed": 2}))
    assert all(
        one.ra != other.ra and one.focus != other.focus for one, other in zip(plan(EVERYTHING), others, strict=True)
    )
    assert [each.root for each in others] == [each.root for each in plan(EVERYTHING)]


def test_plan__an_observation_does_not_depend_on_the_others():
    alone = plan(campaign(*EVERYTHING.observations[3:4]))
    among = [each for each in plan(EVERYTHING) if each.observation == 3]
    assert [each._replace(observation=3) for each in alone] == among


def test_plan__exposures_follow_one_another():
    for index, observed in enumerate(EVERYTHING.observations):
        exposures = [each for each in plan(EVERYTHING) if each.observation == index]
        assert exposures[0].mjd_start == pytest.approx(51544.5 + (observed.epoch - 2000) * 365.25, abs=1e-9)
        gaps = np.diff([each.mjd_start for each in exposures]) * 86400 - [each.exptime for each in exposures[:-1]]
        assert (gaps > 30).all()
        assert [each.number for each in exposures] == list(range(1, len(exposures) + 1))


@pytest.mark.parametrize(
    ("dither", "corners"),
    [("none", 0), ("line", 1), ("box", 0.5), ("3x3", 1), ("5x5", 2)],
)
def test_dithers__step_along_the_detector(dither, corners):
    which = campaign(observation(dither=dither, step=8.0, position_angle=68.0, exposures=2))
    found = steps(plan(which), which)
    assert np.abs(found).max() <= 8 * corners + 0.15 + 0.02
    assert np.abs(found).max() >= 8 * corners - 0.15 - 0.02
    # Two exposures at each pointing, which is held to 3 mas.
    assert np.abs(found[::2] - found[1::2]).max() < 0.02
    if dither in ("3x3", "5x5"):
        spots = np.rint(found[::2] / 8).astype(int)
        assert len(np.unique(spots, axis=0)) == (2 * corners + 1) ** 2
        phases = (found[::2] / 0.065569) % 1
        assert (np.histogram(phases, bins=2, range=(0, 1))[0] > 4).all()


def test_axes__north_up_east_left_and_angles_towards_east():
    assert axes(0.0) @ [0, 1] == pytest.approx([0, 1])
    assert axes(0.0) @ [1, 0] == pytest.approx([-1, 0])
    assert axes(90.0) @ [0, 1] == pytest.approx([1, 0])
    assert np.linalg.det(axes(17.0)) == pytest.approx(-1.0)


def header_errors(exposures):
    offset = [np.divide(tangent(e.header_ra, e.header_dec, e.ra, e.dec), ARCSEC) for e in exposures]
    swing = [convergence(e.ra, e.dec, e.header_ra, e.header_dec) for e in exposures]
    turned = [
        (e.header_position_angle - e.position_angle - s + 180) % 360 - 180
        for e, s in zip(exposures, swing, strict=True)
    ]
    return np.column_stack([offset, turned])


def test_convergence__is_the_turn_of_north():
    # Against the bearings of a great circle, from either end: they differ by the convergence.
    for ra, dec, to_ra, to_dec in [(80.0, -69.5, 80.2, -69.48), (359.9, 40.0, 0.2, 40.1), (10.0, 89.9, 200.0, 89.95)]:
        ends = SkyCoord(ra, dec, unit="deg"), SkyCoord(to_ra, to_dec, unit="deg")
        there, back = ends[0].position_angle(ends[1]).deg, ends[1].position_angle(ends[0]).deg
        expected = (back + 180.0 - there + 180.0) % 360.0 - 180.0
        assert convergence(ra, dec, to_ra, to_dec) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("exptime", [3.0, 1e5])
def test_ramps__of_other_than_2_to_255_groups_are_refused(exptime):
    with pytest.raises(PiazziError, match="expected 2 to 255"):
        plan(campaign(observation(exptime=exptime)))


def test_headers__share_the_error_of_their_visit():
    which = campaign(
        *(observation(observation=k, exposures=3) for k in range(1, 41)), pointing_error=0.2, roll_error=0.01
    )
    found = header_errors(plan(which)).reshape(40, 27, 3)
    assert np.abs(found - found[:, :1]).max() < 1e-9
    # Of 40 visits: the rms is good to 11 %.
    assert found[:, 0].std(axis=0) == pytest.approx([0.2, 0.2, 0.01], rel=0.4)


def test_exposures__drift_and_change_focus_by_themselves():
    exposures = plan(campaign(observation(dither="5x5", exposures=20, filters=["F090W"]), scale_drift=1e-5, focus=0.03))
    assert np.std([each.drift for each in exposures]) == pytest.approx(1e-5, rel=0.15)  # 500: good to 3 %
    loss = -np.array([each.focus for each in exposures])
    assert loss.min() > 0  # defocus only takes from the core
    assert np.sqrt(np.mean(loss**2)) == pytest.approx(0.03, rel=0.15)
    longer = plan(campaign(observation(dither="5x5", exposures=20, filters=["F200W"]), focus=0.03))
    assert np.mean([each.focus for each in longer]) == pytest.approx(-loss.mean() * (0.9 / 1.992) ** 2, rel=0.2)
    quiet = plan(campaign(observation(), scale_drift=0.0, focus=0.0, pointing_error=0.0, roll_error=0.0))
    assert all(each.drift == each.focus == 0 for each in quiet)
    assert header_errors(quiet) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(
    ("settings", "groups", "size"),
    [
        ({}, 5, 2048),
        ({"groups": 12}, 12, 2048),
        ({"exptime": 110.0}, 10, 2048),
        ({"size": 64}, 5, 64),
    ],
)
def test_ramps__are_whole_groups(settings, groups, size):
    (exposure,) = plan(campaign(observation(dither="none", **settings)))
    assert exposure.n_groups == groups
    assert exposure.exptime == pytest.approx(groups * frame_time(size, size))


def test_ccds__expose_as_long_as_told():
    times = {each.observation: (each.n_groups, each.exptime) for each in plan(EVERYTHING)}
    assert times[3] == (0, 339.0)
    assert times[4] == (0, INSTRUMENTS["WFC3"].exptime)


def test_tracked__pointings_follow_the_target():
    rate = np.array([36.0, -21.0])  # mas/s
    which = campaign(observation(dither="none", exposures=5, track=tuple(rate)))
    exposures = plan(which)
    middle = np.array([(each.mjd_start - exposures[0].mjd_start) * 86400 + each.exptime / 2 for each in exposures])
    found = np.array([tangent(each.ra, each.dec, 80.5, -69.5) for each in exposures]) / ARCSEC
    assert found == pytest.approx(np.outer(middle, rate) / 1e3, abs=0.02)  # held to 3 mas


@pytest.mark.parametrize("name", ["lmc", "pole"])
def test_half_width__no_exposure_sees_further(name):
    tracked = observation(6, dither="none", exposures=10, groups=100, track=(40.0, 10.0), position_angle=45.0)
    which = campaign(*EVERYTHING.observations, tracked)
    field, widest = which.field_of(observation(field=name)), half_width(which, name)
    reach = 0.0
    for each in plan(which):
        observed = which.observations[each.observation]
        if which.field_of(observed) is not field:
            continue
        for detector in INSTRUMENTS[observed.instrument].detector(observed.detector):
            half = detector.width / 2 * detector.scale / 1e3
            corners = np.array([[detector.v_x], [detector.v_y]]) + half * np.array([[-1, 1, -1, 1], [-1, -1, 1, 1]])
            if observed.size:
                corners *= observed.size / detector.width
            sky = displaced(each.ra, each.dec, *(axes(each.position_angle) @ corners * ARCSEC))
            reach = max(reach, np.abs(tangent(*sky, field.ra, field.dec)).max() / ARCSEC)
    assert reach + 3 < widest < 1.5 * reach + 20


def test_names_that_are_not__are_told():
    with pytest.raises(PiazziError, match="filter is 'F606W', expected one of F090W"):
        plan(campaign(observation(filters=("F606W",))))
    with pytest.raises(PiazziError, match="detector is 'NRCC1', expected one of NRCB1"):
        plan(campaign(observation(instrument="NIRCAM", detector="NRCC1", filters=("F200W",))))


def test_electrons__of_a_star_of_magnitude_zero():
    # 3631 Jy is 5.4795e10 photons per second, square metre and unit of relative bandwidth.
    niriss = INSTRUMENTS["NIRISS"]
    band = niriss.band("F090W")
    expected = 5.4795e10 * 25.4 * band.throughput * band.width / band.pivot
    assert niriss.electrons(band, 0.0) == pytest.approx(expected, rel=1e-3)
    assert niriss.electrons(band, np.array([2.5, 20.0])) == pytest.approx(expected * np.array([0.1, 1e-8]), rel=1e-3)


def test_wfpc2__chips_meet_at_their_first_pixels():
    for detector in INSTRUMENTS["WFPC2"].detector(""):
        inward = axes(detector.turn) @ [-1, -1]
        towards = axes(0.0) @ [-detector.v_x, -detector.v_y]
        assert inward @ towards == pytest.approx(np.linalg.norm(inward) * np.linalg.norm(towards))
