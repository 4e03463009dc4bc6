"""Mixtures of Gaussians in the plane of motions, seen through the errors of single stars (extreme deconvolution).

A star with error covariance C that belongs to component k has motions with density N(mean_k, C + V_k): the fit tells V,
the dispersion that the stars really have. EM (Bovy, Hogg & Roweis 2011, Ann. Appl. Stat. 5, 1657) finds the summit and
Newton's steps reach it; the same second derivatives tell how well everything is known. A few stars that belong nowhere
would draw a component to themselves: a background of one density takes them.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from compute.kernels.kinematics.deconvolution import (
    Model,
    climb_by_em,
    gradient_of,
    hessian_of,
    narrowest,
    packed,
    slope,
    unpacked,
)

__all__ = ["Mixture", "fit_mixture"]

_LEAST = 5.0  # stars of a component, below which it is about to collapse
_SPARE, _OWN = 0.02, 0.5  # share of the stars a background begins with; stars below which there is none
_NEIGHBOURS = 5  # that tell whether a star is part of any group
_TRIAL = 20_000  # stars that starting places are tried with, at most
_SHORT, _LONG = 40, 60  # steps of EM for a trial, and between two of Newton's
_ROUNDS = 60
_SETTLED = 1e-8  # of Newton's decrement: twice the log-likelihood still to be had
_UNSEEN = 1e-3  # least variance, in units of the stars' usual one from errors, that counts as seen


class Mixture(NamedTuple):
    """Components in order of the axis that was asked for.

    Attributes
    ----------
    fractions : (k,)
        They sum to one less that of the background.
    means : (k, 2)
    dispersions : (k, 2, 2)
        Intrinsic covariances.
    covariance : (6 k, 6 k)
        Of fractions, means, and dispersions as xx, xy, yy of each component; inverse of the observed information. NaN
        where that is not positive: for the dispersion of a group without any, or for all.
    log_likelihood : float
    converged : bool
    background : float
        Share of the stars that are of none; 0 where none was asked for, or less than half a star would be its own.
    """

    fractions: NDArray[np.float64]
    means: NDArray[np.float64]
    dispersions: NDArray[np.float64]
    covariance: NDArray[np.float64]
    log_likelihood: float
    converged: bool
    background: float = 0.0

    @property
    def fraction_errors(self) -> NDArray[np.float64]:
        """Standard errors (k,)."""
        return np.sqrt(np.diag(self.covariance)[: len(self.fractions)])

    @property
    def background_error(self) -> float:
        """Standard error: all fractions sum to one."""
        k = len(self.fractions)
        return float(np.sqrt(max(self.covariance[:k, :k].sum(), 0.0))) if self.background else 0.0

    def mean_covariance(self, component: int) -> NDArray[np.float64]:
        """(2, 2) of one component's mean."""
        first = len(self.fractions) + 2 * component
        return self.covariance[first : first + 2, first : first + 2]

    def dispersion_covariance(self, component: int) -> NDArray[np.float64]:
        """(3, 3) of one component's dispersion xx, xy, yy."""
        first = 3 * len(self.fractions) + 3 * component
        return self.covariance[first : first + 3, first : first + 3]


def fit_mixture(
    values: NDArray, errors: NDArray, k: int, *, axis: float = 90.0, starts: int = 12, seed: int = 0,
    background: bool = False,
) -> Mixture:  # fmt: skip
    """The mixture of `k` Gaussians that most likely lies behind `values`.

    Parameters
    ----------
    values
        (n, 2), finite.
    errors
        (n, 2, 2) covariances, positive definite.
    axis
        Position angle of the direction along which components are numbered, from y to x [deg].
    starts
        Starting places that are tried, drawn with `seed`.
    background
        Whether some of the stars may be spread evenly, over twice the rectangle that all values span.

    Raises
    ------
    ValueError
        Values or errors that are not usable, or too few of them: ten for each component are needed.
    """
    v, c = _checked(values, errors, k)
    density = _even(v) if background else 0.0
    model = _start(v, c, k, starts, np.random.default_rng(seed), density)
    model, hessian, likelihood, converged = _climb(v, c, model)
    if _empty(model, len(v)):
        model, hessian, likelihood, converged = _climb(v, c, _bare(model))
    toward = np.sin(np.radians(axis)), np.cos(np.radians(axis))
    order = np.argsort(model.means @ toward, kind="stable")
    covariance = _reordered(_covariance(-hessian, _unseen(c, model)), order)
    spare = float(model.fractions[k:].sum())
    xx, xy, yy = model.spreads[order].T
    spread = np.stack([np.stack([xx, xy], -1), np.stack([xy, yy], -1)], -2)
    return Mixture(model.fractions[order], model.means[order], spread, covariance, likelihood, converged, spare)


def _checked(values: NDArray, errors: NDArray, k: int) -> tuple[NDArray, NDArray]:
    v, e = np.array(values, np.float64, order="C"), np.asarray(errors, np.float64)
    if v.ndim != 2 or v.shape[1] != 2 or e.shape != (len(v), 2, 2):
        raise ValueError(f"mixture: found values {v.shape} and errors {e.shape}, expected (n, 2) and (n, 2, 2)")
    c = np.stack([e[:, 0, 0], e[:, 0, 1], e[:, 1, 1]], axis=1)
    finite = np.isfinite(v).all(axis=1) & np.isfinite(c).all(axis=1)
    usable = finite & (c[:, 0] > 0) & (c[:, 0] * c[:, 2] > c[:, 1] ** 2)
    if not usable.all():
        row = int(np.flatnonzero(~usable)[0])
        raise ValueError(f"mixture: row {row} is {v[row]} with errors {c[row]}, expected finite, and positive definite")
    if k < 1 or len(v) < 10 * k:
        raise ValueError(f"mixture: found {len(v)} stars for {k} components, expected at least ten for each")
    return v, c


def _even(v: NDArray) -> float:
    """The density of a background.

    Were it spread over no more than the values span, their outermost would always lie inside what they themselves have
    drawn: of Gaussians alone it would take the wings.
    """
    width, height = np.ptp(v, axis=0)
    if not (width > 0 and height > 0):
        raise ValueError(f"mixture: found values that span {width:g} by {height:g}, expected more for a background")
    return 0.5 / float(width * height)


def _start(v: NDArray, c: NDArray, k: int, starts: int, rng: np.random.Generator, density: float) -> Model:
    """The best of several models after a few steps of EM, on a sample of the stars."""
    v, c = (rows[:: len(v) // _TRIAL + 1].copy() for rows in (v, c)) if k > 1 else (v, c)
    near = v[_together(v, k, density)] if density else v
    total = np.cov(near.T)
    whole = np.array([total[0, 0], total[0, 1], total[1, 1]])
    fractions = np.append(np.full(k, (1.0 - _SPARE) / k), _SPARE) if density else np.full(k, 1.0 / k)
    if k == 1:
        return Model(fractions, near.mean(axis=0)[None], whole[None], density)
    best, most = None, -np.inf
    for _ in range(starts):
        scales = 10.0 ** rng.uniform(-2.0, 0.0, k)  # in variance: narrow components on wide ones are found so
        model = Model(fractions, _apart(near, k, total, rng), scales[:, None] * whole, density)
        model, likelihood = climb_by_em(v, c, model, _SHORT)
        if likelihood > most and (model.gaussian * len(v)).min() > _LEAST:
            best, most = model, likelihood
    if best is None:
        raise ValueError(f"mixture: none of {starts} starts kept {k} components of {_LEAST:g} stars, expected fewer")
    return best


def _together(v: NDArray, k: int, density: float) -> NDArray[np.bool_]:
    """Values (n,) with more neighbours than if all were spread evenly; any, where these are too few."""
    reach = cKDTree(v).query(v, k=_NEIGHBOURS + 1)[0][:, -1]
    found = np.pi * reach**2 * density * len(v) < _NEIGHBOURS
    return found if found.sum() >= 10 * k else np.ones(len(v), bool)


def _apart(v: NDArray, k: int, total: NDArray, rng: np.random.Generator) -> NDArray:
    """`k` of the values, each drawn by its squared distance from those before (k-means++)."""
    chosen = [v[rng.integers(len(v))]]
    metric = np.linalg.inv(total)
    near = np.full(len(v), np.inf)
    for _ in range(k - 1):
        off = v - chosen[-1]
        near = np.minimum(near, np.minimum(np.einsum("ni,ij,nj->n", off, metric, off), 9.0))
        chosen.append(v[rng.choice(len(v), p=near / near.sum())])
    return np.array(chosen)


def _climb(v: NDArray, c: NDArray, model: Model) -> tuple[Model, NDArray, float, bool]:
    """To the summit: EM, then Newton where it leads up, in turns; second derivatives there, and the likelihood."""
    usual = _usual(c)
    for _ in range(_ROUNDS):
        model, _ = climb_by_em(v, c, model, _LONG)
        model = _bare(model) if _empty(model, len(v)) else model
        for _ in range(_LONG):
            likelihood, gradient = slope(v, c, model)
            hessian = hessian_of(v, c, model, usual)
            step = _newton(hessian, gradient)
            if step is None:
                break
            if gradient @ step < _SETTLED:
                return model, hessian, likelihood, True
            better = _uphill(v, c, model, step, likelihood)
            if better is None:
                break
            model = better
        if _unseen(c, model).any():  # on the edge of what is possible the slope need not vanish
            return model, hessian_of(v, c, model, usual), likelihood, True
    return model, hessian_of(v, c, model, usual), likelihood, False


def _empty(model: Model, n: int) -> bool:
    """Whether there is a background that has hardly a star."""
    return bool(model.density and model.fractions[-1] * n < _OWN)


def _bare(model: Model) -> Model:
    """The same without its background."""
    return Model(model.gaussian / model.gaussian.sum(), model.means, model.spreads)


def _usual(c: NDArray) -> float:
    """The variance per axis that errors of a star usually have."""
    return float(np.median(c[:, 0] + c[:, 2]) / 2)


def _unseen(c: NDArray, model: Model) -> NDArray[np.bool_]:
    """Components (k,) that have no dispersion along some line."""
    return narrowest(model.spreads) < _UNSEEN * _usual(c)


def _newton(hessian: NDArray, gradient: NDArray) -> NDArray | None:
    """The step to the summit of a hill; None where this is none."""
    try:
        np.linalg.cholesky(-hessian)
    except np.linalg.LinAlgError:
        return None
    return np.linalg.solve(-hessian, gradient)


def _uphill(v: NDArray, c: NDArray, model: Model, step: NDArray, likelihood: float) -> Model | None:
    """The model after as much of a step as leads up and stays possible; None where nothing of it does."""
    for halving in range(8):
        tried = unpacked(packed(model) + step / 2**halving, len(model.means), model.density)
        xx, xy, yy = tried.spreads.T
        if tried.fractions.min() > 0 and xx.min() > 0 and (xx * yy > xy**2).all():
            found = gradient_of(v, c, *tried)[0]
            if found >= likelihood - 1e-12 * abs(likelihood):
                return tried
    return None


def _covariance(information: NDArray, unseen: NDArray) -> NDArray:
    """Inverse of the information; where it is not positive, of what is left without dispersions that are not seen."""
    k, covariance = unseen.size, np.full(information.shape, np.nan)
    known = np.append(np.ones(len(information) - 3 * k, bool), np.repeat(~unseen, 3))
    for some in (np.ones(known.size, bool), known):
        inner = information[np.ix_(some, some)]
        if np.isfinite(inner).all() and np.linalg.eigvalsh(inner).min() > 0:
            covariance[np.ix_(some, some)] = np.linalg.inv(inner)
            break
    return covariance


def _reordered(covariance: NDArray, order: NDArray) -> NDArray:
    """The covariance (6 k, 6 k) of parameters when components change places.

    Without a background the last fraction is no parameter but one less the others.
    """
    k, free = len(order), len(covariance) - 5 * len(order)
    full = np.zeros((6 * k, free + 5 * k))
    full[:free, :free] = np.eye(free)
    full[free:k, :free] = -1.0
    full[k:, free:] = np.eye(5 * k)
    means, spreads = k + np.arange(2 * k).reshape(k, 2)[order], 3 * k + np.arange(3 * k).reshape(k, 3)[order]
    rows = full[np.concatenate([order, means.ravel(), spreads.ravel()])]
    known = np.isfinite(covariance)
    lost = abs(rows) @ ~known @ abs(rows).T > 0
    return np.where(lost, np.nan, rows @ np.where(known, covariance, 0.0) @ rows.T)
