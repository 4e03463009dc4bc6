import numpy as np
import pytest

from catalogs.errors import UnusableError
from compute.settings import FrameSettings, GeometrySettings
from compute.stages.frame.groups import lay_plane
from compute.stages.geometry.deliver import delivered, in_gauge, shifts
from compute.stages.geometry.judged import judged, numbers
from compute.stages.geometry.pairs import gather, packed, unpacked
from compute.stages.geometry.solve import solve
from tests.distortions import make_cube
from tests.warped import NOISE, REFERENCE_ERROR, Field, errors, truth

# An eighth of the detector, a quarter of a wave, is wide for a cell, and quick.
QUICK = {"cells": 8, "knots": 0.0, "amplifiers": False, "order": 3}


def gathered(field: Field, reference=True, **settings):
    rows = field.exposures()
    plane = lay_plane(rows, FrameSettings(scale=field.scale))
    how = GeometrySettings(**(QUICK | settings))
    return rows, gather(rows, field.measured(), field.reference if reference else None, plane, how), how


@pytest.fixture(scope="module")
def field():
    return Field(truth())


@pytest.fixture(scope="module")
def case(field):
    return gathered(field)


def test_gather__finds_every_star_and_its_reference(case, field):
    _, pairs, _ = case
    assert pairs.reasons == ["ok"] * 6
    assert np.isfinite(pairs.places[0]).mean() > 0.99
    assert pairs.x.size > 0.95 * sum(len(one) for one in field.measured())
    assert 0.03 < pairs.reserved.mean() < 0.2


def test_pairs__survive_packing(case):
    _, pairs, _ = case
    back = unpacked(packed(pairs))
    for name in ("exposure", "star", "x", "places", "reserved"):
        np.testing.assert_array_equal(getattr(back, name), getattr(pairs, name))
    np.testing.assert_array_equal(back.transforms[3].apply(10.0, 20.0), pairs.transforms[3].apply(10.0, 20.0))
    assert back.reasons == pairs.reasons


def test_solve__smooth_recovers_the_distortion(case):
    rows, pairs, how = case
    found = solve(rows, pairs, how)
    off = errors(found.cube, truth())
    # 9 000 positions of 4 mpix tell 2 x 121 coefficients: a millipixel, and what cells of 256 pix leave of the waves.
    assert off.std(axis=1).max() < 0.002
    assert np.hypot(*off).max() < 0.02
    assert found.told["free"] == []


@pytest.mark.parametrize("direct", [False, True])
def test_solve__published_chain_recovers_it_too(case, direct):
    rows, pairs, _ = case
    how = GeometrySettings(**(QUICK | {"method": "published", "direct": direct}))
    off = errors(solve(rows, pairs, how).cube, truth())
    # Cells of 256 pix, bilinear: 0.04 (2 pi 128 / 500)^2 / 4 = 0.026 at the crests of the waves.
    assert off.std(axis=1).max() < 0.02
    assert np.hypot(*off).max() < 0.08


def test_solve__reserved_stars_have_no_part_in_it(case):
    rows, pairs, how = case
    moved = pairs.x + np.where(pairs.reserved[pairs.star], 0.3, 0.0)
    one, other = (solve(rows, each, how).cube for each in (pairs, pairs._replace(x=moved)))
    # A BLAS with threads of its own varies in its last digits.
    np.testing.assert_allclose(shifts(one), shifts(other), rtol=0, atol=1e-7)


def test_solve__without_a_reference_and_roll_names_what_is_free(field):
    rows, pairs, how = gathered(field, reference=False)
    found = solve(rows, pairs, how)
    assert {"x u2", "y v2"} & set(found.told["free"])
    assert "undetermined" in found.told["notes"][0]
    # Inside it all fits: residuals alone cannot accept a distortion.
    told = numbers(judged(rows["exposure"], pairs, found.cube, how))
    assert told["scatter"] < 1.1 * NOISE


@pytest.mark.slow
def test_solve__two_chips_lie_apart():
    cube = truth("WFC", "F606W", gap=3.0)
    field = Field(cube, n_stars=3000)
    rows, pairs, how = gathered(field)
    for method in ("smooth", "published"):
        found = solve(rows, pairs, how.model_copy(update={"method": method})).cube
        off = errors(found, cube)
        assert off.std(axis=1).max() < (0.005 if method == "smooth" else 0.03)
        assert len(found.chips) == 2


def test_judged__residuals_are_as_large_as_errors(case):
    rows, pairs, how = case
    cube = solve(rows, pairs, how).cube
    table = judged(rows["exposure"], pairs, cube, how)
    mean, reference = table[~table["reference"]], table[table["reference"]]
    # Six exposures: a position is part of its own mean, which leaves sqrt(5 / 6) of its error.
    for axis in "xy":
        assert 0.85 < 1.4826 * mean[f"d{axis}"].abs().median() / NOISE < 1.05
        known = np.hypot(NOISE, REFERENCE_ERROR / 65.5)
        assert 0.9 < 1.4826 * reference[f"d{axis}"].abs().median() / known < 1.1
        assert mean[f"d{axis}_before"].abs().median() > 0.1
    assert set(table["exposure"]) == set(rows["exposure"])


def test_gather__too_few_stars_is_told_with_numbers():
    field = Field(truth(), n_stars=60, n_exposures=3)
    with pytest.raises(UnusableError, match=r"geometry: found \d+ positions of well measured stars, expected 300"):
        gathered(field)


def test_solve__published_without_a_reference_says_so(field):
    rows, pairs, how = gathered(field, reference=False, method="published")
    with pytest.raises(UnusableError, match="a reference"):
        solve(rows, pairs, how)


def test_delivered__is_the_same_up_to_a_similarity():
    cube = make_cube(single=True)
    again = delivered(shifts(cube), cube, 5)
    assert np.abs(errors(again, cube, edge=0)).max() < 1e-5  # single precision of the map


def test_in_gauge__polynomial_neither_moves_nor_turns_nor_grows_at_the_middle():
    cube = in_gauge(make_cube(n_chips=2))
    terms = cube.layers[0].coefficients.mean(0)
    slope = np.eye(2) + np.column_stack([terms[:, 1, 0], terms[:, 0, 1]]) / cube.layers[0].half
    assert np.abs(terms[:, 0, 0]).max() < 1e-12
    assert slope[0, 1] == pytest.approx(slope[1, 0], abs=1e-12)
    assert np.linalg.det(slope) == pytest.approx(1.0, abs=1e-12)
