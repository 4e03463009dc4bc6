"""Nearest neighbours and matches against brute force, SciPy and Astropy, and matches in tiles against those at once."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord, match_coordinates_sky
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from compute.kernels.match import crossmatch
from compute.kernels.match.crossmatch import match, match_points, match_sky, nearest, nearest_points, nearest_sky
from compute.kernels.match.points import angle, chord, plane, sphere
from compute.kernels.match.tiles import match_tile, tiles
from tests.strategies import steady

RADII = (0.0, 1e-3, 0.3, 1.0, 3.0, np.inf)


def slow_nearest(first, second, radius):
    """All distances; the first of the least is the nearest."""
    square = np.zeros((len(first), len(second)))
    for a in range(first.shape[1]):
        square += (first[:, None, a] - second[None, :, a]) ** 2
    square[~(square <= radius**2)] = np.inf
    row = square.argmin(1)
    best = square[np.arange(len(first)), row]
    return np.where(best < np.inf, row, -1), np.where(best < np.inf, np.sqrt(best), np.nan)


def slow_match(first, second, radius):
    (row, distance), (back, _) = slow_nearest(first, second, radius), slow_nearest(second, first, radius)
    k = np.flatnonzero(row >= 0)
    k = k[back[row[k]] == k]
    return k, row[k], distance[k]


def equal(one, other):
    return all(np.array_equal(a, b, equal_nan=True) for a, b in zip(one, other, strict=True))


def uniform(rng, n):
    return rng.uniform(0.0, 10.0, (n, 2))


def integers(rng, n):
    """A few positions, so that many distances are equal and many stars in one place."""
    return rng.integers(-3, 4, (n, 2)).astype(float)


def clusters(rng, n):
    """Tight groups in an empty field."""
    centre = np.array([[0.0, 0.0], [1e6, 1e6], [-3e5, 2.0]])
    return centre[rng.integers(0, 3, n)] + rng.normal(0.0, 1e-2, (n, 2))


def line(rng, n):
    return np.column_stack([rng.uniform(0.0, 10.0, n), np.full(n, 7.0)])


def whole_sky(rng, n):
    return sphere(rng.uniform(-360.0, 720.0, n), np.degrees(np.arcsin(rng.uniform(-1.0, 1.0, n))))


def corners(rng, n):
    """Poles and the corners of cubes, where coordinates are equally long."""
    return sphere(
        45.0 * rng.integers(0, 8, n), rng.choice([-90.0, -45.0, 0.0, np.degrees(np.arctan(0.5**0.5)), 90.0], n)
    )


def polar(rng, n):
    return sphere(rng.uniform(0.0, 360.0, n), 90.0 - abs(rng.normal(0.0, 0.1, n)))


@pytest.mark.parametrize("field", [uniform, integers, clusters, line, whole_sky, corners, polar])
@pytest.mark.parametrize("radius", RADII)
def test_crossmatch__brute_force(field, radius):
    rng = np.random.default_rng(1)
    for n, m, threads in ((300, 200, 1), (7, 150, 2), (150, 7, 3), (1, 1, 1)):
        first, second = field(rng, n), field(rng, m)
        first[::9], second[::11] = np.nan, np.inf
        # To the last bit: no kernel may contract the sum of squares.
        assert equal(nearest_points(first, second, radius, threads), slow_nearest(first, second, radius))
        assert equal(match_points(first, second, radius, threads), slow_match(first, second, radius))


def scattered(n, radius, seed=2):
    """A catalogue, and its stars moved by a third of `radius` and in another order, a tenth of them replaced."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(0.0, 4.0 * np.sqrt(n), (2, n))
    order = rng.permutation(n)
    other = np.column_stack([x, y])[order] + rng.normal(0.0, radius / 3.0, (n, 2))
    other[: n // 10] = rng.uniform(0.0, 4.0 * np.sqrt(n), (n // 10, 2))
    return x, y, *other.T


@pytest.mark.parametrize("stretch", [1.0, 1e-3], ids=["even", "crowded"])
def test_crossmatch__ckdtree(stretch):
    x1, y1, x2, y2 = scattered(50_000, 0.1)
    x1, y1, x2, y2 = (np.where(x < 300.0, stretch, 1.0) * x for x in (x1, y1, x2, y2))
    a, b = plane(x1, y1), plane(x2, y2)
    distance, row = cKDTree(b).query(a)
    ours = nearest(x1, y1, x2, y2, np.inf)
    np.testing.assert_array_equal(ours[0], row)
    np.testing.assert_allclose(ours[1], distance, rtol=1e-15)
    back = cKDTree(a).query(b)[1]
    mutual = np.flatnonzero((back[row] == np.arange(row.size)) & (distance <= 0.1))
    np.testing.assert_array_equal(match(x1, y1, x2, y2, 0.1)[:2], [mutual, row[mutual]])


@pytest.mark.parametrize(
    ("ra", "dec", "spread"),
    [(80.0, -69.0, 1.0), (0.0, 0.0, 0.5), (123.0, 90.0, 0.5), (200.0, -90.0, 30.0), (45.0, 35.26, 20.0)],
    ids=["field", "wrap", "north", "south", "wide"],
)
def test_crossmatch_sky__astropy(ra, dec, spread):
    centre, rng = SkyCoord(ra * u.deg, dec * u.deg), np.random.default_rng(3)
    stars = centre.directional_offset_by(rng.uniform(0, 360, 5000) * u.deg, spread * rng.random(5000) ** 0.5 * u.deg)
    moved = stars.directional_offset_by(rng.uniform(0, 360, 5000) * u.deg, rng.exponential(30.0, 5000) * u.mas)
    moved = moved[rng.permutation(5000)]
    row, separation, _ = match_coordinates_sky(stars, moved)
    separation = separation.to_value(u.mas)
    ours = nearest_sky(stars.ra.deg, stars.dec.deg, moved.ra.deg, moved.dec.deg, 100.0)
    near = separation <= 100.0
    np.testing.assert_array_equal(ours[0], np.where(near, row, -1))
    # Rounding of unit vectors, 1e-16 rad, is 2e-8 mas; degrees of RA themselves resolve 5e-14 deg, 2e-7 mas.
    np.testing.assert_allclose(ours[1][near], separation[near], rtol=0.0, atol=1e-6)
    found = match_sky(stars.ra.deg, stars.dec.deg, moved.ra.deg, moved.dec.deg, 100.0)
    back = match_coordinates_sky(moved, stars)[0]
    mutual = np.flatnonzero(near & (back[row] == np.arange(row.size)))
    np.testing.assert_array_equal(found[:2], [mutual, row[mutual]])


def test_crossmatch__any_number_of_threads():
    catalogs = scattered(40_000, 0.1)
    assert equal(match(*catalogs, 0.1, threads=3), match(*catalogs, 0.1))
    assert equal(
        match_sky(*(c / 100.0 - 4.0 for c in catalogs), 4e6, 5), match_sky(*(c / 100 - 4.0 for c in catalogs), 4e6)
    )


def test_crossmatch__equally_far_goes_to_the_first():
    assert equal(match([0.0, 0.0], [0.0, 0.0], [1.0, -1.0, 0.0], [0.0, 0.0, 1.0], 2.0), ([0], [0], [1.0]))


def test_crossmatch__the_radius_itself_is_within():
    assert nearest([0.0], [0.0], [3.0], [4.0], 5.0)[0] == 0
    assert nearest([0.0], [0.0], [3.0], [4.0], np.nextafter(5.0, 0.0))[0] == -1


@pytest.mark.parametrize(("n", "m"), [(0, 0), (0, 3), (3, 0)])
def test_crossmatch__empty(n, m):
    a, b = np.zeros(n), np.zeros(m)
    assert equal(nearest(a, a, b, b, 1.0), (np.full(n, -1), np.full(n, np.nan)))
    assert match(a, a, b, b, 1.0).first.size == 0
    assert nearest(np.full(3, np.nan), np.zeros(3), b, b, 1.0)[0].max() == -1


def test_crossmatch__many_stars_in_one_place():
    zero = np.zeros(200_000)  # would take 4e10 distances
    found = match(zero, zero, zero, zero, 1.0)
    assert equal(found, ([0], [0], [0.0]))


@pytest.mark.parametrize("radius", [-1.0, np.nan])
def test_crossmatch__radius_that_is_none(radius):
    with pytest.raises(ValueError, match=f"is {radius}"):
        match([0.0], [0.0], [0.0], [0.0], radius)
    with pytest.raises(ValueError, match=f"is {radius}"):
        match_sky([0.0], [0.0], [0.0], [0.0], radius)


def test_crossmatch__coordinates_of_different_length():
    with pytest.raises(ValueError, match=r"\(2,\) and \(1,\)"):
        match([0.0, 1.0], [0.0], [0.0], [0.0], 1.0)


def test_sphere__unit_vectors_of_numpy():
    rng = np.random.default_rng(4)
    ra, dec = rng.uniform(-720.0, 720.0, 100_000), rng.uniform(-90.0, 90.0, 100_000)
    a, d = np.radians(ra), np.radians(dec)
    expected = np.column_stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)])
    # NumPy reduces radians, rounded at 4 pi to 1e-15.
    np.testing.assert_allclose(sphere(ra, dec), expected, rtol=0.0, atol=2e-15)
    np.testing.assert_array_equal(sphere([0, 90, 180, 270, 0, 0], [0, 0, 0, 0, 90, -90]).round(16) ** 2 @ [1, 2, 3],
                                  [1, 2, 1, 2, 3, 3])  # fmt: skip


def test_chord__and_back():
    mas = np.array([0.0, 1e-6, 1.0, 1e6, 3.2e8, 6.48e8])
    # Chords are flat near 180 deg: there a rounding of 1e-16 becomes its root.
    np.testing.assert_allclose(angle(np.array([chord(m) for m in mas])), mas, rtol=1e-7)
    assert chord(7e8) == 2.0


fields = st.sampled_from([uniform, integers, clusters, whole_sky, corners, polar])


@steady
@given(
    field=fields, seed=st.integers(0, 2**32 - 1), rows=st.integers(2, 80), radius=st.sampled_from(RADII[:-1]),
    wider=st.sampled_from([1.0, 1.7]),
)  # fmt: skip
def test_tiles__same_matches_as_at_once(field, seed, rows, radius, wider):
    rng = np.random.default_rng(seed)
    first, second = field(rng, 120), field(rng, 100)
    first[5] = np.nan
    parts = tiles(first, rows, wider * 2.0 * radius)
    owners = np.sum([tile.owns(first) for tile in parts], axis=0)
    np.testing.assert_array_equal(owners, np.isfinite(first).all(1))
    found = [
        np.concatenate(column) for column in zip(*(match_tile(t, first, second, radius) for t in parts), strict=True)
    ]
    order = np.argsort(found[0])
    assert equal([column[order] for column in found], match_points(first, second, radius))


def test_tiles__parts_of_catalogues_are_enough():
    first, second = (plane(*c) for c in np.split(np.array(scattered(3000, 0.5)), 2))
    parts, found = tiles(first, 500, 1.0), []
    assert 6 <= len(parts) <= 12
    for tile in parts:
        a, b = np.flatnonzero(tile.sees(first)), np.flatnonzero(tile.sees(second))
        m = match_tile(tile, first[a], second[b], 0.5)
        found.append((a[m.first], b[m.second], m.distance))
    columns = [np.concatenate(column) for column in zip(*found, strict=True)]
    assert equal([column[np.argsort(columns[0])] for column in columns], match_points(first, second, 0.5))


def test_tiles__a_margin_of_one_radius_is_too_narrow():
    """The row at 0 is nearest to the one at 0.9, which is nearer to the row at 1.7, beyond a margin of 1."""
    first, second = plane([0.0, 1.7], [0.0, 0.0]), plane([0.9], [0.0])
    (tile,) = tiles(first, 10, 1.9)
    with pytest.raises(ValueError, match=r"1\.0.*1\.9"):
        match_tile(tile, first, second, 1.0)
    blind = tile._replace(high=np.array([0.5, np.inf]), margin=1.0)
    assert match_points(first[blind.sees(first)], second, 1.0).first.size == 1  # what it would decide alone
    assert crossmatch.match_points(first, second, 1.0).first.tolist() == [1]
