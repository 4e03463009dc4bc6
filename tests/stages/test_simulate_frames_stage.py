"""Frames against their own truth: noise, flux, positions, and each effect alone."""

import warnings

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from catalogs.readers import read_exposures
from catalogs.readers.dq import HstBit, JwstBit
from compute.kernels.simulate.distortion import area_map
from compute.stages.simulate.frames import collect_light
from compute.stages.simulate.sky import Sky
from tests.stages.drawing import STARS, Drawn, campaign


def expected(drawn, number=0):
    """Noiseless light and sky of every array in image units, flat-fielded."""
    setup = drawn.setups[number]
    planes = []
    for chip, array, corner in setup.windows():
        shape = (array.n_y, array.n_x)
        area = area_map(setup.truth, shape, chip, float(array.y + corner[1]), float(corner[0]))
        light, _ = collect_light(setup, drawn.sky, chip, array, corner, area)
        planes.append((light + setup.sky * area) * setup.electron / area)
    return planes


def one_star(ra=80.49, dec=-69.5, mag=19.0, **columns):
    """A sky of a single star."""
    row = {"star_id": 0, "ra": ra, "dec": dec, "ref_epoch": 2016.0, "pmra": 0.0, "pmdec": 0.0, "parallax": 0.0}
    row |= {"teff": 5000.0, "mag_ref": mag}
    return Sky(pd.DataFrame([row | columns]), pd.DataFrame(columns=["galaxy_id", "ra", "dec", "mag_ref", "teff"]))


@pytest.mark.parametrize(
    ("instrument", "detector", "filter_name", "size"),
    [
        ("NIRISS", "", "F090W", 900),
        ("NIRISS", "", "F480M", 900),
        ("NIRCAM", "NRCB1", "F200W", 900),
        pytest.param("ACS", "", "F606W", 0, marks=pytest.mark.slow),
        pytest.param("WFC3", "", "F814W", 0, marks=pytest.mark.slow),
    ],
)
def test_noise__pulls_against_err_have_unit_rms(tmp_path, instrument, detector, filter_name, size):
    noise = {"photon_noise": True, "read_noise": True, "sky": 1.0}
    drawn = Drawn(tmp_path, campaign(effects=noise, instrument=instrument, detector=detector, filters=[filter_name],
                                     size=size))  # fmt: skip
    (exposure,) = read_exposures(str(drawn.files[0]))
    truth = np.concatenate([plane[:2048] for plane in expected(drawn)])  # the abutted frame leaves out UVIS's last rows
    pulls = ((exposure.data - truth) / exposure.error)[exposure.good]
    # 810 000 pixels: the rms is good to 0.0008, its bound is 0.01; the mean to 0.0011.
    assert pulls.std() == pytest.approx(1.0, abs=0.01)
    assert pulls.mean() == pytest.approx(0.0, abs=0.006)


def test_errors__measured_ones_come_from_the_noisy_pixels(tmp_path):
    noise = {"photon_noise": True, "read_noise": True, "sky": 1.0, "errors": "measured"}
    drawn = Drawn(tmp_path, campaign(effects=noise))
    (exposure,) = read_exposures(str(drawn.files[0]))
    low = exposure.data < np.median(exposure.data)
    quiet = exposure.good & (exposure.data < np.percentile(exposure.data, 80))
    assert exposure.error[quiet & low].mean() < 0.99 * exposure.error[quiet & ~low].mean()


@pytest.mark.parametrize(("instrument", "filter_name"), [("NIRISS", "F150W"), ("NIRCAM", "F200W")])
def test_flux__wide_aperture_equals_truth(tmp_path, instrument, filter_name):
    made = campaign(instrument=instrument, filters=[filter_name])
    setup = Drawn(tmp_path / "probe", made).setups[0]
    ra, dec = setup.pointing.sky(*np.array(setup.detector.middle) + (7.3, -11.8))
    drawn = Drawn(tmp_path / "star", made, one_star(float(ra), float(dec), 18.0))
    (exposure,) = read_exposures(str(drawn.files[0]))
    row = drawn.truths[0].positions.iloc[0]
    y, x = np.indices(exposure.data.shape)
    inside = np.hypot(x + exposure.header.x_start - row["x"], y + exposure.header.y_start - row["y"]) <= 10.5
    # The share of light in the same circle by the ePSF's own table, at the nearest twelfth of a pixel.
    epsf, place = setup.epsf.values[0, 0], row[["y", "x"]].to_numpy(float)
    phase = np.rint(12 * (np.rint(place) - place)).astype(int)
    v, u = (shift + 12 * np.arange(-12, 13) for shift in phase)
    near = np.hypot(*np.meshgrid(u / 12, v / 12)) <= 10.5
    share = epsf[np.ix_(len(epsf) // 2 + v, len(epsf) // 2 + u)][near].sum()
    assert exposure.data[inside].sum() == pytest.approx(row["flux"] * share, rel=2e-3)


def test_flux__magnitude_and_zero_point_agree(tmp_path):
    drawn = Drawn(tmp_path, campaign())
    truth = drawn.truths[0]
    zero = truth.pointing["zero_point"].iloc[0]
    area = fits.getdata(drawn.files[0], "AREA")
    corner = drawn.setups[0].windows()[0][2]
    stars = truth.positions
    there = area[np.rint(stars["y"] - corner[1]).astype(int), np.rint(stars["x"] - corner[0]).astype(int)]
    np.testing.assert_allclose(zero - 2.5 * np.log10(stars["flux"] * there), stars["mag_ab"], atol=1e-6)


@pytest.fixture(scope="module")
def old_camera(tmp_path_factory):
    """A full ACS frame late in the mission, without noise: trails and bleeding, header and truth agree."""
    effects = {"saturation": True, "cte": 1.0, "sky": 1.0, "pointing_error": 0.0, "roll_error": 0.0}
    made = campaign(effects=effects, instrument="ACS", filters=["F606W"], size=0)
    return Drawn(tmp_path_factory.mktemp("acs"), made)


def worst_header_miss(drawn):
    """Largest distance [pix] between where headers and truth see stars, by array."""
    science = next(path for path in drawn.files if "c1m" not in path.name)
    with fits.open(science) as hdus:
        headers = [hdu.header for hdu in hdus if hdu.name == "SCI"]
    stars = [truth.positions for truth in drawn.truths]
    if len(stars) < len(headers):  # chips of one detector
        low = stars[0]["y"] < 2047.5
        stars = [stars[0][low], stars[0][~low].assign(y=lambda rows: rows["y"] - 2048)]
    worst = []
    for header, rows, setup in zip(headers, stars, drawn.setups * 2, strict=False):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # dates that WCSLIB completes
            corner = setup.windows()[0][2]
            ra, dec = WCS(header).all_pix2world(rows["x"] - corner[0], rows["y"] - corner[1], 0)
        east = (ra - rows["ra"]) * np.cos(np.radians(rows["dec"]))
        worst.append(float(np.hypot(east, dec - rows["dec"]).max() * 3.6e6 / setup.detector.scale))
    return worst


def test_header__wcs_finds_the_stars_but_for_what_only_a_calibration_knows(tmp_path, old_camera):
    quiet = {"pointing_error": 0.0, "roll_error": 0.0}
    niriss = Drawn(tmp_path / "a", campaign(filters=["F090W"], size=1200, effects=quiet))
    wfpc2 = Drawn(tmp_path / "b", campaign(instrument="WFPC2", filters=["F814W"], size=0, effects=quiet))
    # Filter terms reach 0.64 pix, waves, void and bands together 0.15, drift of the scale 0.03 at a corner.
    for drawn in (niriss, wfpc2, old_camera):
        assert all(0.05 < miss < 0.85 for miss in worst_header_miss(drawn))


def test_header__without_those_astropy_and_truth_agree(tmp_path):
    known = {"pointing_error": 0.0, "roll_error": 0.0, "fine_distortion": 0.0, "scale_drift": 0.0}
    drawn = Drawn(tmp_path, campaign(filters=["F090W"], size=1200, effects=known))
    # A thousandth of a mas is 1.5e-5 pix.
    assert worst_header_miss(drawn)[0] < 1.5e-6


def test_pointing_error__moves_the_header_and_not_the_stars(tmp_path):
    quiet = Drawn(tmp_path / "quiet", campaign(effects={"pointing_error": 0.0, "roll_error": 0.0}))
    lost = Drawn(tmp_path / "lost", campaign(effects={"pointing_error": 0.1, "roll_error": 0.01}))
    pd.testing.assert_frame_equal(quiet.truths[0].positions, lost.truths[0].positions)
    known, told = quiet.truths[0].pointing.iloc[0], lost.truths[0].pointing.iloc[0]
    assert known["header_dec"] == pytest.approx(known["dec"], abs=1e-12)
    assert 0.0 < abs(told["header_dec"] - told["dec"]) * 3600 < 0.5


def test_saturation__cuts_ramps_and_flags(tmp_path):
    drawn = Drawn(tmp_path, campaign(effects={"saturation": True}))
    bits, data = fits.getdata(drawn.files[0], "DQ"), fits.getdata(drawn.files[0], "SCI")
    truth = drawn.truths[0].positions
    row = truth.loc[truth["peak"].idxmax()]
    assert row["saturated"]
    place = tuple(int(round(row[name])) - drawn.setups[0].windows()[0][2][0] for name in ("y", "x"))
    assert bits[place] & JwstBit.SATURATED
    assert np.isnan(data[place])
    assert bits[place] & JwstBit.DO_NOT_USE
    assert not Drawn(tmp_path / "off", campaign()).truths[0].positions.empty
    assert not fits.getdata(tmp_path / "off" / drawn.files[0].name, "DQ").any()


def test_blemishes__belong_to_the_detector(tmp_path):
    effects = {"bad_pixels": 0.01}
    first = Drawn(tmp_path / "a", campaign(effects=effects))
    second = Drawn(tmp_path / "b", campaign(effects=effects, program=8, epoch=2024.0))
    bits = [fits.getdata(each.files[0], "DQ") for each in (first, second)]
    np.testing.assert_array_equal(*bits)
    # A share of 0.01 in 2048 x 2048; a 300 x 300 window has 900 of them on average.
    assert np.count_nonzero(bits[0] & JwstBit.DO_NOT_USE) == pytest.approx(900, abs=150)


def test_cosmic_rays__flagged_ones_leave_a_flag_and_others_charge(tmp_path):
    rays = {"cosmic_rays": 30.0}
    seen = Drawn(tmp_path / "seen", campaign(effects=rays | {"flagged_rays": 1.0}))
    unseen = Drawn(tmp_path / "unseen", campaign(effects=rays | {"flagged_rays": 0.0}))
    clean = expected(seen)[0]
    assert np.count_nonzero(fits.getdata(seen.files[0], "DQ")) > 100
    np.testing.assert_allclose(fits.getdata(seen.files[0], "SCI"), clean, rtol=1e-5, atol=1e-6)
    assert not fits.getdata(unseen.files[0], "DQ").any()
    assert np.count_nonzero(fits.getdata(unseen.files[0], "SCI") > clean + 100 * unseen.setups[0].electron) > 100


@pytest.mark.parametrize(
    ("effect", "value", "low", "high"),
    [("focus", 0.0, 1.0, 1.0), ("brighter_fatter", 0.05, 0.90, 0.999), ("intra_pixel", 0.3, 0.5, 1.5),
     ("diffusion", 0.6, 0.4, 0.8), ("jitter", 20.0, 0.8, 0.99)],
)  # fmt: skip
def test_sharpness__each_effect_changes_the_core_and_keeps_the_light(tmp_path, effect, value, low, high):
    plain = Drawn(tmp_path / "plain", campaign(), _centred(campaign()))
    other = Drawn(tmp_path / "other", campaign(effects={effect: value}), _centred(campaign()))
    images = [fits.getdata(each.files[0], "SCI") for each in (plain, other)]
    ratio = images[1].max() / images[0].max()
    assert low <= ratio <= high
    # The normalisation counts light within 5 pix: what an effect moves out of it comes back as more wings.
    assert images[1].sum() == pytest.approx(images[0].sum(), rel=0.03)


def _centred(made):
    """A bright star on the middle of a pixel near the middle of the field."""
    field = made.fields[0]
    return one_star(field.ra, field.dec, 18.0)


def test_focus__core_changes_by_what_truth_says(tmp_path):
    made = campaign(effects={"focus": 0.05})
    drawn = Drawn(tmp_path, made)
    row = drawn.truths[0].pointing.iloc[0]
    assert row["core_fraction"] == pytest.approx(drawn.setups[0].epsf.core() * (1 + row["focus"]), rel=1e-9)
    assert row["focus"] != 0.0


def test_cte__trails_point_away_from_the_amplifiers_and_the_file_is_an_flt(old_camera):
    assert old_camera.files[0].name.endswith("_flt.fits")
    truth = np.concatenate(expected(old_camera))
    (exposure,) = read_exposures(str(old_camera.files[0]))
    extra, rows = exposure.data - truth, old_camera.truths[0].positions
    rows = rows[rows["electrons"].between(2e3, 2e4) & rows["x"].between(20, 4070)]
    for low, high, sign in ((1500, 1980, 1), (2120, 2600, -1)):
        chosen = rows[rows["y"].between(low, high)]
        assert len(chosen) > 100
        x, y = np.rint(chosen["x"]).astype(int).to_numpy(), np.rint(chosen["y"]).astype(int).to_numpy()
        assert np.median(extra[y, x]) < 0
        assert np.median(extra[y + 5 * sign, x]) > np.median(extra[y - 5 * sign, x])


def test_bleeding__charge_runs_along_columns(old_camera):
    bits = [fits.getdata(old_camera.files[0], "DQ", version) & HstBit.FULL_WELL for version in (1, 2)]
    full = np.concatenate(bits) > 0
    along, across = np.count_nonzero(full[1:] & full[:-1]), np.count_nonzero(full[:, 1:] & full[:, :-1])
    # Cores alone are as wide as they are high.
    assert along > 1.5 * across > 0


def test_tracking__target_stands_still_and_stars_trail(tmp_path):
    field = {"target": "comet", "target_mag": 18.0, "target_coma": 2.0, "ra": 210.0, "dec": -60.0}
    made = campaign(field=field, instrument="NIRCAM", detector="NRCB1", filters=["F182M"], size=0, groups=20,
                    track=(0.62, -0.64))  # fmt: skip
    drawn = Drawn(tmp_path, made)
    rows = drawn.truths[0].positions
    target = rows[rows["kind"] == "target"].iloc[0]
    assert (target["trail_x"], target["trail_y"]) == (0.0, 0.0)
    stars = rows[rows["kind"] == "star"]
    # 0.891 mas/s for 20 frames of 10.74 s are 191 mas, 6.15 pix of 31.1 mas.
    length = np.hypot(stars["trail_x"], stars["trail_y"])
    np.testing.assert_allclose(length, np.hypot(0.62, 0.64) * 20 * 10.73677 / 31.1, rtol=0.02)
    # The first and the last pixel to be read are a frame apart, in which the sky moves by 9.6 mas.
    assert np.ptp(stars["mjd"]) * 86400 == pytest.approx(10.73, abs=0.15)


def test_galaxies__are_there_and_wider_than_stars(tmp_path):
    field = {"populations": [STARS.model_copy(update={"density": 1.0})], "galaxies": {"density": 400.0, "bright": 18.0}}
    drawn = Drawn(tmp_path, campaign(field=field, size=600))
    rows = drawn.truths[0].positions
    galaxies = rows[rows["kind"] == "galaxy"].sort_values("flux", ascending=False)
    assert len(galaxies) > 50
    data, corner = fits.getdata(drawn.files[0], "SCI"), drawn.setups[0].windows()[0][2][0]
    assert data.sum() > 0.5 * galaxies["flux"].sum()
    for _, row in galaxies.head(5).iterrows():
        x, y = int(round(row["x"])) - corner, int(round(row["y"])) - corner
        if min(x, y) > 5 and max(x, y) < 595:
            assert data[y, x] < 0.42 * row["flux"]  # a star on this pixel would have 0.42 of its flux there


def test_same_seed_same_bytes_other_seed_others(tmp_path):
    noise = {"photon_noise": True, "read_noise": True, "sky": 1.0, "cosmic_rays": 1.0}
    made = campaign(effects=noise, size=128)
    bytes_ = [Drawn(tmp_path / str(n), made).files[0].read_bytes() for n in range(2)]
    assert bytes_[0] == bytes_[1]
    assert Drawn(tmp_path / "other", made.model_copy(update={"seed": 5})).files[0].read_bytes() != bytes_[0]
