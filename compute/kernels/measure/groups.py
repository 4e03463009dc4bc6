"""Crowding: blends are taken apart, and stars whose windows overlap are fitted together."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from compute.kernels._jit import jit
from compute.kernels.measure import columns, groupfit
from compute.kernels.measure.blends import split
from compute.kernels.measure.chain import Fits, Frame, Model, Sources

_LINK = 4.0  # [pix] stars nearer than this are fitted together
_APART = 1.2  # [pix] a second star nearer to a known one than this is that one
_SIGNIFICANT = 5.0  # least S/N of a second star
_SETTLED = 1e-5  # steps below 0.003 of the errors


def refit_groups(
    frame: Frame,
    model: Model,
    sources: Sources,
    fits: Fits,
    *,
    half: int,
    taper: tuple[float, float],
    template_error: float,
    max_iterations: int,
) -> tuple[Sources, Fits]:
    """Split blends, and fit stars within 4 pix of one another together, from where each was fitted alone.

    Errors of stars in groups contain what is not known of the others. Members that vanish or walk away keep their rows,
    not converged; where nothing of a group settles all keep theirs as they are. Saturated stars and those whose fit
    failed take no part, but the latter may turn out to be two.

    Returns
    -------
    sources, fits
        Second stars of blends come last. `drawn` is that of the `fits` given, where stars stand as fitted alone.
    """
    how = (half, taper, template_error, max_iterations)
    alone, n = fits.rows, sources.x.size
    state, whole = alone[:, columns.STATE].astype(int), sources.n_saturated == 0
    able = np.flatnonzero(whole & (state & columns.CONVERGED != 0))
    tried = np.flatnonzero(whole & (state & columns.TOO_FEW == 0))
    split_star, pairs = _distinct(alone, able, *split(frame, model, fits, tried, *how))
    sources, fits = _extended(sources, fits, split_star, pairs)
    was = np.nan_to_num(fits.rows[:, :3])
    was[n:, 2] = 0.0
    start = fits.rows[:, :3].copy()
    start[split_star] = pairs[:, 0]
    able = np.append(np.union1d(able, split_star), np.arange(n, len(was)))
    one, other = np.searchsorted(able, [split_star, np.arange(n, len(was))])
    x, y, flux = start[able].T
    member, first = link(x, y, flux, _LINK, groupfit.LARGEST, one, other)
    member = able[member]
    out, chi2 = np.empty((member.size, alone.shape[1])), np.empty((first.size - 1, 2))
    groupfit.fit_groups(
        frame.image, fits.drawn, *frame[1:], first, was[member], start[member], fits.sky[member],
        fits.sky_error[member], *model, half, taper, template_error, _SETTLED, max_iterations, out, chi2,
    )  # fmt: skip
    rows = fits.rows
    done, group = out[:, columns.STATE] > 0, np.repeat(np.arange(first.size - 1), np.diff(first))
    out[:, columns.STATE] += columns.GROUPED
    rows[member[done]] = out[done]
    lost = member[~done & np.isfinite(chi2[group, 0])]
    state = np.nan_to_num(rows[lost, columns.STATE]).astype(int)
    rows[lost, columns.STATE] = state & ~columns.CONVERGED | columns.GROUPED
    poor = ~(rows[n:, columns.FLUX] > _SIGNIFICANT * np.sqrt(rows[n:, columns.VAR_FLUX]))
    poor |= ~np.isin(np.arange(n, len(rows)), member[done]) | ~np.isin(split_star, member[done])
    rows[split_star[poor]] = alone[split_star[poor]]
    keep = np.append(np.full(n, True), ~poor)
    return Sources(*(a[keep] for a in sources)), Fits(rows[keep], fits.sky[keep], fits.sky_error[keep], fits.drawn)


def _distinct(rows: NDArray, able: NDArray, star: NDArray, pairs: NDArray) -> tuple[NDArray, NDArray]:
    """Blends neither star of which is one that is known already, or that a brighter blend contains as well."""
    known = cKDTree(rows[able, :2])
    near = known.query_ball_point(pairs[:, :, :2].reshape(-1, 2), _APART)
    alien = [bool(set(able[at]) - {k}) for at, k in zip(near, np.repeat(star, 2), strict=True)]
    good = ~np.array(alien, bool).reshape(-1, 2).any(1)
    star, pairs = star[good], pairs[good]
    a, b = cKDTree(pairs[:, :, :2].reshape(-1, 2)).query_pairs(_APART, output_type="ndarray").T // 2
    brightness = pairs[:, :, 2].sum(1)
    good = np.full(star.size, True)
    good[np.where(brightness[a] < brightness[b], a, b)[a != b]] = False
    return star[good], pairs[good]


def _extended(sources: Sources, fits: Fits, star: NDArray, pairs: NDArray) -> tuple[Sources, Fits]:
    """Second stars of `pairs` as further sources, with the sky of the first."""
    rows = np.full((star.size, fits.rows.shape[1]), np.nan)
    rows[:, :3] = pairs[:, 1]
    x, y = pairs[:, 1, 0], pairs[:, 1, 1]
    sources = Sources(*(np.append(a, b) for a, b in zip(sources, (x, y, np.zeros(star.size, np.int64)), strict=True)))
    sky, error = np.append(fits.sky, fits.sky[star]), np.append(fits.sky_error, fits.sky_error[star])
    return sources, Fits(np.vstack([fits.rows, rows]), sky, error, fits.drawn)


def link(
    x: NDArray, y: NDArray, flux: NDArray, distance: float, largest: int, one: NDArray, other: NDArray
) -> tuple[NDArray, NDArray]:
    """Groups of stars (n,) within `distance` pix of one another, friends of friends, of at most `largest` members.

    The strongest links are made first, so that larger groups come apart where stars are faint and far from each other;
    first of all those of the pairs `one`, `other` (k,).

    Returns
    -------
    member, first
        Indices of stars, and (n_groups + 1,) where in `member` each group begins; groups of one are left out. What is
        in a group, and the order within, do not depend on the order of the stars.
    """
    i, j = cKDTree(np.column_stack([x, y])).query_pairs(distance, output_type="ndarray").T
    strength = np.minimum(flux[i], flux[j]) / ((x[i] - x[j]) ** 2 + (y[i] - y[j]) ** 2)
    strongest = np.lexsort((y[i] + y[j], x[i] + x[j], -strength))
    group, size = np.arange(x.size), np.ones(x.size, np.int64)
    _join(np.append(one, i[strongest]), np.append(other, j[strongest]), largest, group, size)
    member = np.lexsort((x, y, group))
    member = member[size[group[member]] > 1]
    return member, np.append(np.flatnonzero(np.diff(group[member], prepend=-1)), member.size)


@jit
def _join(i, j, largest, group, size):
    """Unite the groups of each pair in turn unless they become too large; `group` ends as each star's root."""
    for k in range(i.size):
        a, b = i[k], j[k]
        while group[a] != a:
            a = group[a]
        while group[b] != b:
            b = group[b]
        if a != b and size[a] + size[b] <= largest:
            group[b] = a
            size[a] += size[b]
    for k in range(group.size):
        a = k
        while group[a] != a:
            a = group[a]
        group[k] = a
