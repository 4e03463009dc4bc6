"""Where detectors see the sky: truth closes, and astropy sees stars in the same places."""

import astropy.units as u
import numpy as np
import pandas as pd
import pytest
from astropy.coordinates import CartesianRepresentation, Distance, SkyCoord
from astropy.time import Time
from astropy.wcs import WCS

from compute.campaign import Campaign, Effects, Observation, SkyField
from compute.kernels.simulate.distortion import Distortion, forward, inverse
from compute.kernels.simulate.motion import MAS, displaced
from compute.kernels.simulate.projection import tangent
from compute.kernels.simulate.readout import delay
from compute.stages.simulate.geometry import distortion
from compute.stages.simulate.instruments import INSTRUMENTS, Array
from compute.stages.simulate.observer import AU
from compute.stages.simulate.plan import plan
from compute.stages.simulate.positions import EDGE, LIGHT, aberration, locate, point

CAMERAS = [("NIRISS", "F090W", 0), ("NIRCAM", "F200W", 0), ("ACS", "F606W", 0), ("WFC3", "F814W", 0),
           *(("WFPC2", "F814W", k) for k in range(4))]  # fmt: skip
NOWHERE = pd.DataFrame({"ra": np.zeros(0), "dec": np.zeros(0)})


class Scene:
    """One exposure of one detector with everything on: drift, aberration, a position angle."""

    def __init__(self, camera="NIRISS", filter_name="F090W", number=0, dec=-69.5, fine=1.0, **settings):
        settings = {"position_angle": 37.0, "dither": "none", "epoch": 2022.33} | settings
        observed = Observation(program=1, instrument=camera, filters=(filter_name,), **settings)
        campaign = Campaign(name="t", fields=(SkyField(name="f", ra=80.5, dec=dec),), observations=(observed,),
                            effects=Effects(scale_drift=1e-4))  # fmt: skip
        (self.exposure,) = plan(campaign)
        self.instrument = INSTRUMENTS[camera]
        self.detector = self.instrument.detector("")[number]
        self.pointing = point(self.exposure, self.instrument, self.detector, observed)
        self.truth: Distortion = distortion(self.instrument, self.detector, filter_name, fine)

    def locate(self, sources, chip=0, array=None, corner=(0, 0)):
        array = array or self.detector.arrays[chip]
        exptime = self.exposure.exptime
        return locate(sources, self.pointing, self.truth, self.detector, chip, array, corner, exptime)


def scattered(scene, n=2000, seed=1):
    """Sources over a detector and some way beyond."""
    x, y = np.random.default_rng(seed).uniform(-0.1, 1.1, (2, n)) * scene.detector.width
    ra, dec = scene.pointing.sky(x, y)
    return pd.DataFrame({"ra": ra, "dec": dec})


def apart(one, other):
    """Separations east and north [mas]."""
    ra, dec = one
    return (np.asarray(ra) - other[0]) * np.cos(np.radians(dec)) * 3.6e6, (np.asarray(dec) - other[1]) * 3.6e6


@pytest.mark.parametrize(("camera", "filter_name", "number"), CAMERAS)
def test_truth__closes(camera, filter_name, number):
    scene = Scene(camera, filter_name, number)
    sources, seen = scattered(scene), 0
    for chip, array in enumerate(scene.detector.arrays):
        found = scene.locate(sources, chip)
        seen += found.inside.sum()
        back = scene.pointing.sky(*forward(scene.truth, found.x, found.y, chip))
        assert np.abs(apart(back, (found.ra, found.dec))).max() < 1e-3  # 1 uas
        assert np.array_equal(found.ra, sources["ra"].to_numpy()[found.rows])
        assert (
            np.abs(np.subtract(forward(scene.truth, found.x, found.y, chip), (found.x_gdc, found.y_gdc))).max() < 1e-9
        )
        assert np.array_equal(found.array_x, found.x)
        assert np.array_equal(found.array_y, found.y - array.y)
        assert (np.abs(found.array_x[found.inside] - (array.n_x - 1) / 2) <= array.n_x / 2).all()
    # Of the square of 1.2 detectors 1 / 1.44 is on it, less the gap: 2000 are good to 1.5 %.
    assert seen / len(sources) == pytest.approx(1 / 1.44, abs=0.06)


@pytest.mark.parametrize(("camera", "filter_name", "number"), CAMERAS)
def test_locate__finds_all_that_may_shed_light(camera, filter_name, number):
    scene = Scene(camera, filter_name, number)
    sources = scattered(scene, n=4000)
    for chip, array in enumerate(scene.detector.arrays):
        found = scene.locate(sources, chip)
        x, y = inverse(
            scene.truth, *scene.pointing.corrected(sources["ra"].to_numpy(), sources["dec"].to_numpy()), chip
        )
        near = np.abs(x - (array.n_x - 1) / 2) < array.n_x / 2 + EDGE - 1
        near &= np.abs(y - array.y - (array.n_y - 1) / 2) < array.n_y / 2 + EDGE - 1
        assert np.isin(np.flatnonzero(near), found.rows).all()


def test_two_chips__share_the_sky_without_overlap():
    scene = Scene("ACS", "F606W")
    lower, upper = (scene.locate(scattered(scene, 20_000), chip) for chip in (0, 1))
    both = np.intersect1d(lower.rows[lower.inside], upper.rows[upper.inside])
    assert len(both) == 0
    assert lower.y[lower.inside].max() < 2047.5 <= upper.y[upper.inside].min()


def test_uvis__rows_that_the_detector_frame_drops_hold_no_truth():
    scene = Scene("WFC3", "F814W")
    for chip, array in enumerate(scene.detector.arrays):
        found = scene.locate(scattered(scene, 20_000), chip)
        assert 2046 < found.array_y[found.inside].max() < 2047.5
        assert array.n_y == 2051


@pytest.mark.parametrize("dec", [-89.99, -69.5, 0.0, 88.0])
def test_projection__agrees_with_astropys_wcs(dec):
    scene = Scene(dec=dec)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [scene.pointing.ra, scene.pointing.dec]
    wcs.wcs.crpix = np.add(scene.pointing.middle, 1)
    wcs.wcs.cd = np.degrees(scene.pointing.matrix)
    sources = scattered(scene)
    there = wcs.wcs_world2pix(sources[["ra", "dec"]].to_numpy(), 0).T
    found = np.array(scene.pointing.corrected(sources["ra"].to_numpy(), sources["dec"].to_numpy()))
    assert found * scene.pointing.scale == pytest.approx(there * scene.pointing.scale, abs=1e-3)  # mas


def test_projection__north_is_up_at_no_position_angle_and_east_is_left():
    scene = Scene(position_angle=0.0, dec=0.0)
    x, y = scene.pointing.middle
    ra, dec = scene.pointing.sky(np.array([x, x + 1]), np.array([y + 1, y]))
    step = scene.pointing.scale * scene.pointing.va_scale
    east, north = apart((ra, dec), (scene.pointing.ra, scene.pointing.dec))
    assert (east[0], north[0]) == pytest.approx((0, step), abs=step * 2e-4)  # the roll is held to 0.0005 deg
    assert (east[1], north[1]) == pytest.approx((-step, 0), abs=step * 2e-4)


def test_pointing__scale_drifts():
    scene = Scene()
    assert scene.exposure.drift != 0
    assert scene.pointing.scale == pytest.approx(65.569 * (1 + scene.exposure.drift), rel=1e-12)


@pytest.mark.parametrize("ra", [0.0, 80.5, 170.0])
def test_aberration__stretches_as_light_from_moving_stars_does(ra):
    # Directions seen from a moving telescope (special relativity), around that of the middle.
    dec, velocity = -30.0, np.array([20.0, -18.0, -8.0])
    places = displaced(ra, dec, *(np.array([[0, 50, 0, -50], [0, 0, 50, 0]]) * 1e3 * MAS))
    a, d = np.radians(places)
    toward = np.array([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)])
    beta = velocity[:, None] / LIGHT
    gamma, along = 1 / np.sqrt(1 - (beta**2).sum()), (toward * beta).sum(axis=0)
    seen = (toward / gamma + beta * (1 + gamma / (gamma + 1) * along)) / (1 + along)
    sky = np.degrees(np.arctan2(seen[1], seen[0])), np.degrees(np.arcsin(seen[2]))
    distance = np.hypot(*tangent(sky[0][1:], sky[1][1:], sky[0][0], sky[1][0]))
    # Seen closer together by the factor of the header, but for its own change over 50 arcsec: 1e-4 of 2.4e-4.
    assert 50e3 * MAS / distance == pytest.approx(aberration(ra, dec, velocity), rel=5e-8)
    assert abs(aberration(ra, dec, velocity) - 1) > 1e-6


def test_aberration__is_in_the_scale_once():
    scene = Scene()
    assert np.sqrt(-np.linalg.det(scene.pointing.matrix)) == pytest.approx(
        scene.pointing.scale * scene.pointing.va_scale * MAS, rel=1e-12
    )
    assert scene.pointing.va_scale == aberration(scene.pointing.ra, scene.pointing.dec, scene.pointing.velocity)


def test_stars__move_as_in_astropy():
    scene = Scene(epoch=2030.2)
    rng, sources = np.random.default_rng(5), scattered(scene, 300)
    sources["pmra"], sources["pmdec"] = rng.uniform(-20, 20, (2, 300))
    sources["parallax"], sources["ref_epoch"] = rng.uniform(1, 20, 300), 2016.0
    stars = SkyCoord(
        *(sources[name].to_numpy() * u.deg for name in ("ra", "dec")),
        Distance(parallax=sources["parallax"].to_numpy() * u.mas),
        pm_ra_cosdec=sources["pmra"].to_numpy() * u.mas / u.yr, pm_dec=sources["pmdec"].to_numpy() * u.mas / u.yr,
        obstime=Time(2016.0, format="jyear", scale="tdb"),
    )  # fmt: skip
    epoch = scene.pointing.epoch
    moved = stars.apply_space_motion(new_obstime=Time(epoch, format="jyear", scale="tdb")).cartesian
    seen = SkyCoord(
        moved.without_differentials() - CartesianRepresentation(scene.pointing.observer / AU * u.au)
    ).spherical
    found = scene.locate(sources)
    expected = seen.lon.deg[found.rows], seen.lat.deg[found.rows]
    # 2 uas: light times and motions along the sight lines, which astropy adds at 100 km/s.
    assert np.abs(apart((found.ra, found.dec), expected)).max() < 2e-3
    still = scene.locate(sources[["ra", "dec"]])
    assert np.array_equal(still.ra, sources["ra"].to_numpy()[still.rows])


def test_subarray__sees_the_same_sky_at_its_corner():
    scene = Scene()
    sources = scattered(scene, 20_000)
    whole, part = scene.locate(sources), scene.locate(sources, array=Array("NIS", 256, 256), corner=(896, 896))
    common, here, there = np.intersect1d(whole.rows, part.rows, return_indices=True)
    assert len(common) == len(part.rows) > 200
    assert np.abs(whole.x[here] - part.x[there]).max() < 1e-9
    assert np.array_equal(part.array_x, part.x - 896)
    assert np.array_equal(part.inside, (abs(part.array_x - 127.5) < 128) & (abs(part.array_y - 127.5) < 128))
    assert (part.mjd - scene.pointing.mjd_mid).max() * 86400 < 0.692  # one read of the subarray


def test_times__are_those_of_the_pixels():
    scene = Scene()
    found = scene.locate(scattered(scene))
    late = delay(found.array_x, found.array_y, 2048, 2048, -2, -1)
    assert (found.mjd - scene.pointing.mjd_mid) * 86400 == pytest.approx(late, abs=2e-6)  # days of MJD to 1 us
    assert np.ptp(late) > 10
    assert np.ptp(Scene("ACS", "F606W").locate(scattered(Scene("ACS", "F606W"))).mjd) == 0
    assert not found.trail.any()


RATE = (36.0, -21.0)  # mas/s, east and north


def test_tracked__stars_are_where_they_are_when_their_pixel_is_read():
    # At the equator, where a step to the east turns nothing.
    scene = Scene(dec=0.0, track=RATE, fine=0.0)
    found = scene.locate(scattered(scene, 40))
    for k in range(len(found.rows)):
        late = delay(found.array_x[k], found.array_y[k], 2048, 2048, -2, -1)
        ra, dec = displaced(scene.pointing.ra, scene.pointing.dec, *(np.array(RATE) * late * MAS))
        (a, b), (c, d) = np.linalg.inv(scene.pointing.matrix)
        east, north = tangent(found.ra[k], found.dec[k], ra, dec)
        x, y = inverse(scene.truth, 1023.5 + a * east + b * north, 1023.5 + c * east + d * north)
        assert np.hypot(found.x[k] - x, found.y[k] - y) < 5e-6  # 0.4 uas: tangent planes 0.4 arcsec apart
        assert found.mjd[k] == pytest.approx(scene.pointing.mjd_mid + late / 86400, abs=1e-10)


def test_tracked__trails_have_the_length_and_direction_of_the_motion():
    scene = Scene(track=RATE)
    found = scene.locate(scattered(scene))
    start, end = (
        scene.pointing.sky(*forward(scene.truth, found.x + way * found.trail[0], found.y + way * found.trail[1]))
        for way in (-0.5, 0.5)
    )
    # Stars stay behind a telescope that moves.
    moved = np.subtract(*(tangent(*each, scene.pointing.ra, scene.pointing.dec) for each in (end, start)))
    expected = -np.array(RATE) * scene.exposure.exptime
    assert np.hypot(*found.trail).mean() * 65.569 == pytest.approx(np.hypot(*expected), rel=1e-2)
    # Waves of the fine distortion bend a trail of 34 pix by some thousandths of a pixel, and of 65 mas.
    assert moved / MAS == pytest.approx(np.tile(expected[:, None], moved.shape[1]), abs=3.0)
    assert np.median(np.abs(moved / MAS - expected[:, None])) < 0.3


def test_tracked__ccds_trail_too():
    scene = Scene("ACS", "F606W", track=(0.5, 0.0))
    found = scene.locate(scattered(scene))
    assert np.hypot(*found.trail).mean() * 49.73 == pytest.approx(0.5 * 500, rel=0.03)
    assert np.ptp(found.mjd) == 0


def test_locate__nothing_from_nothing():
    found = Scene().locate(NOWHERE)
    assert len(found.rows) == len(found.x) == 0
    assert found.trail.shape == (2, 0)
    far = pd.DataFrame({"ra": [80.5 + 180, 260.0], "dec": [69.5, 10.0]})
    assert len(Scene().locate(far).rows) == 0
