"""Exposures laid on their tangent planes star by star, and how much these scatter beyond their errors."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from compute.kernels.frame import planefit, robust
from compute.kernels.frame.floors import floor
from compute.kernels.frame.transforms import Transform, TransformError
from compute.kernels.motion.celestial import jacobian, project
from compute.kernels.motion.magnification import influence
from compute.settings import Settings

__all__ = ["Link", "ScaleSettings", "excess", "link_all", "pushes"]

_SEVERAL = 0.05  # share of a variance that a residual about a mean must still hold to tell of it
_EYE = np.array([[1.0], [0.0], [1.0]])  # elements xx, xy, yy of a matrix


class ScaleSettings(Settings):
    """Pixel scales of exposures."""

    clip: float = Field(3.5, ge=2, description="stars beyond this many times the scatter are not used")
    least: int = Field(30, ge=6, description="least stars of an exposure")
    rounds: int = Field(3, ge=2, le=20, description="rounds of linking, between which floors of errors are found")


class Link(NamedTuple):
    """Stars of an exposure, in order of their sources (n,).

    `here` (2, n) corrected places [pix]; `residual` (2, n) of the sources on the plane [mas]; `own`, `theirs` (3, n)
    covariances of measurement and source there, elements xx, xy, yy [mas2], floors included; `own_floor` [mas].
    """

    source: NDArray
    here: NDArray
    fit: planefit.Fit
    residual: NDArray
    own: NDArray
    theirs: NDArray
    own_floor: float


class _Used(NamedTuple):
    """Stars used in all links, (n,) or (2, n): link, source; residual; its mean over the source's links and the mean's
    variance; variances of measurement and source; the share of the former that residual - mean still holds.
    """

    number: NDArray
    source: NDArray
    residual: NDArray
    mean: NDArray
    mean_variance: NDArray
    own: NDArray
    theirs: NDArray
    kept: NDArray


def link_all(parts: Sequence[pd.DataFrame], rows: pd.DataFrame, settings: ScaleSettings) -> list[Link | str]:
    """Links of exposures, rows of EXPOSURES, by their stars in order of `source`; or why there is none."""
    floors, grown = np.zeros(len(parts)), 0.0
    for k in range(settings.rounds):
        places = zip(parts, rows["ra"], rows["dec"], floors, strict=True)
        links = [_link(part, ra, dec, own, grown, settings) for part, ra, dec, own in places]
        if k < settings.rounds - 1:
            floors, grown = _floors(links, grown)
    return links


def pushes(links: Sequence[Link | str], clip: float) -> list[NDArray]:
    """Derivatives (2, n) of each exposure's scale by the places of its sources [1/pix]; empty where there is no link.

    Stars left out have none; for those used it is larger, as an outlier's limit moves along with the fit.
    """
    found = []
    for link in links:
        if isinstance(link, str):
            found.append(np.zeros((2, 0)))
            continue
        weight = _inverse(link.own + link.theirs) * link.fit.used
        found.append(
            influence(link.here[0], link.here[1], weight, link.fit.transform.matrix) / robust.kept_variance(clip)
        )
    return found


def excess(links: Sequence[Link | str], push: Sequence[NDArray]) -> tuple[NDArray, float]:
    """Factors on the variances that measurements (n_links,) and sources bring to scales: as large as they really are.

    One where nothing tells.
    """
    used = _used(links)
    there = [each[:, link.fit.used] for link, each in zip(links, push, strict=True) if isinstance(link, Link)]
    along = np.concatenate([np.zeros((2, 0)), *there], axis=1)
    tells = (used.kept > _SEVERAL) * along**2
    actual, formal = (
        np.bincount(used.number, (tells * values).sum(0), len(links))
        for values in ((used.residual - used.mean) ** 2 / np.maximum(used.kept, _SEVERAL), used.own)
    )
    means = (along**2 * (used.theirs + used.mean_variance)).sum()
    factor = float((along**2 * used.mean**2).sum() / means) if means > 0 else 1.0
    return np.where(formal > 0, actual / np.where(formal > 0, formal, 1.0), 1.0), factor


def _link(
    part: pd.DataFrame, ra: float, dec: float, own_floor: float, grown: float, settings: ScaleSettings
) -> Link | str:
    """Stars on the plane that touches the sky at (ra, dec) [deg]; floors [pix] and [mas]."""
    if len(part) < settings.least:
        return f"stars in common: found {len(part)}, expected at least {settings.least}"
    at_ra, at_dec = (part[name].to_numpy(float) for name in ("ra", "dec"))
    here, there = part[["x_gdc", "y_gdc"]].to_numpy(float).T, np.array(project(at_ra, at_dec, ra, dec))
    theirs = _turned(jacobian(at_ra, at_dec, ra, dec), _covariance(part, "ra_error", "dec_error", "ra_dec_corr"))
    theirs = theirs + grown**2 * _EYE
    raw = _covariance(part, "x_error", "y_error", "xy_corr") + own_floor**2 * _EYE
    try:
        fit = _fit(here, there, theirs, settings.clip, None)
        # Only now is it known how large errors on the detector are on the sky.
        fit = _fit(here, there, theirs + _turned(fit.transform.matrix, raw), settings.clip, fit.transform)
    except TransformError as error:
        return str(error)
    transform = fit.transform
    residual = there - np.array(transform.apply(here[0], here[1]))
    own = _turned(transform.matrix, raw)
    return Link(part["source"].to_numpy(), here, fit, residual, own, theirs, own_floor * transform.magnification)


def _fit(here: NDArray, there: NDArray, covariance: NDArray, clip: float, start: Transform | None) -> planefit.Fit:
    xx, xy, yy = covariance
    x, y = np.sqrt(xx), np.sqrt(yy)
    return planefit.fit("affine", here[0], here[1], there[0], there[1], x, y, xy / (x * y), clip=clip, start=start)


def _floors(links: Sequence[Link | str], grown: float) -> tuple[NDArray, float]:
    """Floor of the errors of each exposure [pix], and of the sources' [mas]."""
    used = _used(links)
    floors = np.zeros(len(links))
    for k, link in enumerate(links):
        if isinstance(link, Link):
            mine = used.number == k
            residual, kept = (used.residual - used.mean)[:, mine], used.kept[:, mine]
            found = floor(residual.ravel(), used.own[:, mine].ravel() - link.own_floor**2, kept.ravel())
            floors[k] = np.nan_to_num(found) / link.fit.transform.magnification
    _, first = np.unique(used.source, return_index=True)
    mean, variance = used.mean[:, first].ravel(), (used.theirs + used.mean_variance)[:, first].ravel() - grown**2
    return floors, float(np.nan_to_num(floor(mean, variance, np.ones(mean.size))))


def _used(links: Sequence[Link | str]) -> _Used:
    """The stars used, with the mean residual of each source."""
    there = [(k, link, link.fit.used) for k, link in enumerate(links) if isinstance(link, Link)]
    flat, plane = np.zeros(0, int), np.zeros((2, 0))
    number = np.concatenate([flat, *(np.full(np.count_nonzero(used), k) for k, _, used in there)])
    source = np.concatenate([flat, *(link.source[used] for _, link, used in there)])
    residual, own, theirs = (
        np.concatenate([plane, *(part(link)[:, used] for _, link, used in there)], axis=1)
        for part in (lambda link: link.residual, lambda link: link.own[::2], lambda link: link.theirs[::2])
    )
    _, which = np.unique(source, return_inverse=True)
    total = np.array([np.bincount(which, 1 / one)[which] for one in own])
    mean = np.array([np.bincount(which, r / one)[which] for r, one in zip(residual, own, strict=True)]) / total
    return _Used(number, source, residual, mean, 1 / total, own, theirs, 1 - 1 / (own * total))


def _covariance(part: pd.DataFrame, *names: str) -> NDArray:
    """(3, n) elements xx, xy, yy of errors and correlation."""
    a, b, rho = (part[name].to_numpy(float) for name in names)
    return np.array([a * a, np.nan_to_num(rho) * a * b, b * b])


def _turned(matrix: NDArray, covariance: NDArray) -> NDArray:
    """Covariances (3, n) after a linear map, (2, 2) or (n, 2, 2)."""
    a, b, c, d = (matrix[..., i, j] for i in range(2) for j in range(2))
    xx, xy, yy = covariance
    return np.array([
        a * a * xx + 2 * a * b * xy + b * b * yy,
        a * c * xx + (a * d + b * c) * xy + b * d * yy,
        c * c * xx + 2 * c * d * xy + d * d * yy,
    ])  # fmt: skip


def _inverse(covariance: NDArray) -> NDArray:
    xx, xy, yy = covariance
    return np.array([yy, -xy, xx]) / (xx * yy - xy**2)
