"""Known fields in, master frames out: transformations, means and errors as they were made."""

import numpy as np
import pandas as pd
import pytest

from catalogs.errors import UnusableError
from catalogs.flags import Flag
from compute.kernels.frame.reserve import reserved
from compute.settings import FrameSettings
from compute.stages import plane as planes
from compute.stages.frame import place as placing
from compute.stages.frame import stars as gathering
from compute.stages.frame.groups import FrameKey, choose, frames, lay_plane
from compute.stages.frame.place import margin, place, tiles
from compute.stages.frame.stars import tile_stars
from compute.stages.frame.ties import read_transform, shared, transforms
from tests.stages.fields import PLANE, SCALE, dithered, exposure_row, observe, reference, sky

KEY = FrameKey("NIRISS", "F150W", 2022.33)
PLAIN = FrameSettings()


def build(rows, measured, solved, options=PLAIN, size=None, monkeypatch=None):
    """MASTER and MATCHES of one frame from its TRANSFORMS."""
    if size:
        for module in (planes, placing, gathering):
            monkeypatch.setattr(module, "TILE", size)
    ties = solved[solved["detector"] != ""].to_dict("records")
    placed = pd.concat([
        place(stars, 0, k, read_transform(tie), (tie["floor"], tie["floor_mag"]), tie["zero_point"])
        for k, (stars, tie) in enumerate(zip(measured, ties, strict=True)) if tie["status"] == "ok"
    ])  # fmt: skip
    masters, matches = [], []
    for tile, part in tiles(placed, margin(options, 1)):
        names = shared(rows, solved)
        found = tile_stars(part, tile, np.zeros(1, int), np.array([options.min_found]), names, PLANE, options)
        masters += found.masters.values()
        matches.append(found.matches)
    return pd.concat(masters, ignore_index=True), pd.concat(matches, ignore_index=True)


def truth_of(master, matches, measured):
    """Which true star each row of MASTER is."""
    one = matches.drop_duplicates("star_id").set_index("star_id").loc[master["star_id"]]
    true = {(m["exposure"].iloc[0], s): t for m in measured for s, t in zip(m["star"], m["truth"], strict=True)}
    return np.array([true[key] for key in zip(one["exposure"], one["star"], strict=True)])


@pytest.fixture(scope="module")
def field():
    stars = sky()
    rows, measured = dithered(stars, n=9)
    known = reference(stars)
    return stars, rows, measured, known, transforms(rows, measured, known, KEY, PLANE, PLAIN)


def test_transforms__scale_and_orientation_are_as_they_were_made(field):
    solved = field[-1]
    ties = solved[solved["detector"] != ""]
    assert (ties["status"] == "ok").all()
    # The reference of some 400 stars within 500 pix and 0.04 pix each ties the scale to 7e-6: 4e-4 mas, thrice that
    np.testing.assert_allclose(ties["scale"], SCALE, atol=1.5e-3)
    assert (np.abs(ties["rotation"] - 94.0) < 0.25).all()  # headers were 0.05 deg wrong
    assert ties["rotation"].std() > 0.01
    assert (np.abs(ties[["skew_on", "skew_off"]]) < 3e-5).all(axis=None)


def test_transforms__the_reference_has_a_row_of_its_own(field):
    tie = field[-1].iloc[-1]
    assert (tie["exposure"], tie["detector"], tie["status"]) == ("reference", "", "ok")
    assert tie["rms"] == pytest.approx(2.0 / 50.0, rel=0.15)  # its errors; 400 stars tell it to 4 %


def test_master__means_are_the_truth_within_their_errors(field):
    stars, rows, measured, _, solved = field
    master, matches = build(rows, measured, solved)
    true = stars.iloc[truth_of(master, matches, measured)]
    design = np.column_stack([np.ones(len(true)), true[["x", "y"]] - 10_000.0])
    weight = 1 / master["x_error"].to_numpy()[:, None]
    off = master[["x", "y"]].to_numpy() - true[["x", "y"]].to_numpy()
    off -= design @ np.linalg.lstsq(design * weight, off * weight, rcond=None)[0]  # the tie's errors are common to all
    pulls = off / master[["x_error", "y_error"]].to_numpy()
    assert abs(np.std(pulls) - 1) < 0.06  # some 1 700 coordinates tell it to 0.017
    assert np.abs(pulls).max() < 5.5
    assert master["star_id"].is_unique
    assert len(master) > 0.95 * sum(c >= 3 for c in np.bincount(np.concatenate([m["truth"] for m in measured])))


def test_master__counts_scatter_and_sky(field):
    _, rows, measured, _, solved = field
    master, matches = build(rows, measured, solved)
    assert (master["n_used"] <= master["n_found"]).all()
    assert master["n_found"].between(3, 9).all()
    found = matches.groupby("star_id").size()
    assert (found.loc[master["star_id"]].to_numpy() == master["n_found"]).all()
    whole = master[master["n_used"] == 9]
    assert np.median(whole["rms_x"] / (3 * whole["x_error"])) == pytest.approx(0.96, abs=0.05)  # median of chi, 8 dof
    x, y = PLANE.pixel(master["ra"], master["dec"])
    np.testing.assert_allclose(np.array([x, y]), master[["x", "y"]].to_numpy().T, atol=1e-8)
    np.testing.assert_allclose(master["ra_error"], 50.0 * master["x_error"], rtol=2e-3)  # the tangent plane's stretch


def test_bright_stars_all_saturated__the_reference_is_found_by_them():
    stars = sky(9000, seed=4)
    rows, measured = dithered(stars, 3, seed=2)
    known = reference(stars)
    for one in measured:
        one.loc[one["truth"] < 4000, "flags"] |= np.uint32(Flag.SATURATED | Flag.BAD_CORE)
    solved = transforms(rows, measured, known, KEY, PLANE, PLAIN)
    assert (solved["status"] == "ok").all()
    faint = [one[one["truth"] >= 4000] for one in measured]
    without = transforms(rows, faint, known, KEY, PLANE, PLAIN)
    assert without["status"].str.startswith("reference catalog: alignment").all()


def test_zero_points__exposures_agree_with_the_middle_one():
    stars = sky(600)
    rows, measured = dithered(stars, n=5)
    for k, stars_of in enumerate(measured):
        stars_of["mag_area"] += 0.1 * k
    solved = transforms(rows, measured, None, KEY, PLANE, FrameSettings(photometry=rows["exposure"][0]))
    np.testing.assert_allclose(solved["zero_point"], -0.1 * np.arange(5), atol=0.004)  # some 500 stars of 0.01 mag
    assert solved["zero_point"][0] == 0.0


def test_floor__noise_that_errors_do_not_tell_is_found_and_reported():
    stars = sky(1500)
    rows, measured = dithered(stars, n=8, floor=0.01)
    solved = transforms(rows, measured, None, KEY, PLANE, PLAIN)
    # 0.01 detector pix are 0.0131 of the frame; 300 of the best stars tell it to 6 %
    np.testing.assert_allclose(solved["floor"], 0.01 * SCALE / 50.0, rtol=0.3)
    master, _ = build(rows, measured, solved)
    best = master[(master["n_used"] == 8) & (master["x_error"] < 0.006)]
    assert np.median(best["rms_x"] / (np.sqrt(8) * best["x_error"])) == pytest.approx(0.95, abs=0.12)


def test_no_reference__the_frame_lies_where_the_headers_put_it():
    stars = sky(600)
    rows, measured = dithered(stars, n=4)
    solved = transforms(rows, measured, None, KEY, PLANE, PLAIN)
    assert (solved["status"] == "ok").all()
    assert (solved["detector"] != "").all()
    assert abs(solved["scale"].mean() / 65.5 - 1) < 1e-3  # the nominal scale of the base exposure


def test_raw_positions__a_polynomial_takes_the_distortion():
    stars = sky(1500)
    rows, measured = dithered(stars, n=6, warp=3.0)
    solved = transforms(rows, measured, reference(stars), KEY, PLANE, PLAIN)
    assert (solved["kind"][:-1] == "poly3").all()
    assert not solved["corrected"][:-1].any()
    assert (solved["rms"][:-1] < 0.08).all()  # the links' noise; the distortion is 4 pix of the frame


def test_exposure_of_another_field__is_left_out_with_its_reason(field):
    stars, rows, measured, known, _ = field
    row = exposure_row("jw01086001001_02101_00099_nis", ra=rows["ra"][4], dec=rows["dec"][4])
    stray = observe(sky(seed=77), row)
    solved = transforms(
        pd.concat([rows[:5], pd.DataFrame([row])], ignore_index=True), [*measured[:5], stray], known, KEY, PLANE, PLAIN
    )
    assert (solved["status"][:5] == "ok").all()
    assert "alignment" in solved["status"][5]
    assert "expected" in solved["status"][5]
    assert np.isnan(solved["scale"][5])


def test_no_overlap_at_all__every_exposure_has_a_reason():
    rows, measured = dithered(sky(40, width=3000.0), n=3)
    solved = transforms(rows, [m[:2] for m in measured], None, KEY, PLANE, PLAIN)
    assert (solved["status"] != "ok").all()


def test_mosaic__what_overlaps_only_a_later_exposure_joins_after_it():
    stars, rows = sky(12_000, width=4000.0), []
    # The second is nearer to the first than the third is, but only the corner of the third overlaps the first
    for k, (x, y) in enumerate([(9500.0, 9500.0), (10_650.0, 9500.0), (10_350.0, 10_350.0)]):
        ra, dec = PLANE.sky(x, y)
        rows.append(exposure_row(f"jw01086001001_02101_{k + 1:05d}_nis", ra=float(ra), dec=float(dec)))
    settings = FrameSettings(photometry=rows[0]["exposure"], min_found=2)
    solved = transforms(pd.DataFrame(rows), [observe(stars, row) for row in rows], None, KEY, PLANE, settings)
    assert (solved["status"] == "ok").all()


def test_wrong_header__within_pointing_error_or_not_the_stars_decide():
    stars = sky()
    rows, measured = dithered(stars, n=4)
    rows.loc[2, "ra"] += 20.0 / 3600 / np.cos(np.radians(69.5))  # 20 arcsec; 5 are expected
    solved = transforms(rows, measured, None, KEY, PLANE, PLAIN)
    assert (solved["status"] == "ok").all()
    assert solved["rms"].max() < 0.05


def test_reserved_stars__no_transformation_rests_on_them(field):
    stars, rows, measured, known, solved = field
    spoilt = []
    for one in measured:
        x, y = stars["x"].to_numpy()[one["truth"]], stars["y"].to_numpy()[one["truth"]]
        kept_out = reserved(x, y, 0.1) & reserved(x + 2, y + 2, 0.1) & reserved(x - 2, y - 2, 0.1)
        # Magnitudes of one exposure alone, by less than is clipped: 1.5 mmag of its zero point if these took part
        fainter = one["mag_area"] + (0.0 if spoilt else 0.015) * kept_out
        spoilt.append(one.assign(x_gdc=one["x_gdc"] + 0.03 * kept_out, mag_area=fainter))
    for sources in (None, known):
        before = transforms(rows, measured, sources, KEY, PLANE, PLAIN)
        after = transforms(rows, spoilt, sources, KEY, PLANE, PLAIN)
        np.testing.assert_allclose(after["scale"], before["scale"], rtol=1e-7)
        np.testing.assert_allclose(after["zero_point"], before["zero_point"], atol=2e-5)  # they settle to 1e-5
    assert 0.05 < np.mean(reserved(stars["x"].to_numpy(), stars["y"].to_numpy(), 0.1)) < 0.15


@pytest.mark.parametrize("size", [173.0, 400.0, 5000.0])
def test_tiles__of_any_size_give_the_same_stars(field, size, monkeypatch):
    _, rows, measured, _, solved = field
    whole, _ = build(rows, measured, solved)
    parts, _ = build(rows, measured, solved, size=size, monkeypatch=monkeypatch)
    columns = [name for name in whole if name != "star_id"]
    pd.testing.assert_frame_equal(
        whole.sort_values(["x", "y"], ignore_index=True)[columns],
        parts.sort_values(["x", "y"], ignore_index=True)[columns],
    )


def test_partitions__order_of_rows_changes_nothing(field):
    _, rows, measured, _, solved = field
    master, matches = build(rows, measured, solved)
    shuffled = [one.sample(frac=1.0, random_state=3) for one in measured]
    again, also = build(rows, shuffled, solved)
    pd.testing.assert_frame_equal(again, master)
    pd.testing.assert_frame_equal(also, matches)


def test_epochs__a_star_that_moved_keeps_its_number():
    stars = sky(700)
    later = stars.assign(x=stars["x"] + 0.8, y=stars["y"] - 0.5)  # 0.94 pix of the frame in five years
    first, second = dithered(stars, n=4), dithered(later, n=4, seed=9, epoch=2027.4, mjd_mid=61550.0)
    placed, solved = [], []
    for frame, (rows, measured) in enumerate((first, second)):
        known = reference(stars if frame == 0 else later, error=0.5)
        solved.append(transforms(rows, measured, known, KEY._replace(epoch=rows["epoch"][0]), PLANE, PLAIN))
        ties = solved[-1].to_dict("records")
        placed += [
            place(m, frame, 4 * frame + k, read_transform(t), (t["floor"], t["floor_mag"]), t["zero_point"])
            for k, (m, t) in enumerate(zip(measured, ties, strict=False))
        ]
    rows = pd.concat([first[0], second[0]], ignore_index=True)
    rows["exposure"] += np.repeat(["", "_later"], 4)
    solved[1]["exposure"] += "_later"
    names, both = shared(rows, pd.concat(solved)), pd.concat(placed)
    found: dict[int, list] = {0: [], 1: []}
    for tile, part in tiles(both, margin(PLAIN, 2)):
        masters = tile_stars(part, tile, np.array([0, 1]), np.array([3, 3]), names, PLANE, PLAIN).masters
        for frame, master in masters.items():
            found[frame].append(master)
    one, two = (pd.concat(found[k]).set_index("star_id") for k in (0, 1))
    common = one.join(two.add_suffix("_later"), how="inner")
    assert len(common) > 0.95 * min(len(one), len(two))
    assert np.median(common["x_later"] - common["x"]) == pytest.approx(0.8, abs=0.01)
    moved = (np.hypot(common["x_later"] - common["x"] - 0.8, common["y_later"] - common["y"] + 0.5) > 0.5).mean()
    assert moved < 0.01  # confused with a neighbour


def test_choose__exposures_far_apart_need_a_tangent_point():
    rows = pd.DataFrame([exposure_row(n_stars=5), exposure_row("jw01086001001_02101_00002_nis", n_stars=5, dec=-68.0)])
    with pytest.raises(UnusableError, match="found exposures up to 45.0' from their middle, expected at most 15.0'"):
        choose(rows, PLAIN)
    chosen = choose(rows, FrameSettings(ra=80.49, dec=-68.0))
    assert list(chosen["exposure"]) == ["jw01086001001_02101_00002_nis"]
    with pytest.raises(UnusableError, match="no exposure within"):
        choose(rows, FrameSettings(ra=10.0, dec=0.0))
    with pytest.raises(UnusableError, match="no measured exposure"):
        choose(rows.assign(n_stars=np.nan), PLAIN)


def test_frames__one_for_each_instrument_filter_and_epoch():
    epochs = [2022.33, 2022.35, 2027.40, 2022.34, 2027.40]
    rows = pd.DataFrame([exposure_row(epoch=e, filter=f) for e, f in zip(epochs, "aabba", strict=True)])
    found = frames(rows, 0.25)
    assert {(key.filter, key.epoch): list(index) for key, index in found.items()} == {
        ("a", 2022.34): [0, 1], ("a", 2027.4): [4], ("b", 2022.34): [3], ("b", 2027.4): [2]
    }  # fmt: skip
    assert next(iter(found)).epoch_name == "2022.34"


def test_lay_plane__the_middle_across_0_h_and_at_a_pole():
    rows = pd.DataFrame([exposure_row(ra=359.99, dec=0.0), exposure_row(ra=0.03, dec=0.02)])
    found = lay_plane(rows, PLAIN)
    assert (found.ra, found.dec) == (0.01, 0.01)
    rows = pd.DataFrame([exposure_row(ra=a, dec=89.99) for a in (0.0, 90.0, 180.0, 270.0)])
    assert lay_plane(rows, PLAIN).dec == pytest.approx(90.0, abs=1e-3)
