"""Stage `scales`: the pixel scale of every exposure, measured against a catalog or against another exposure.

A six-parameter link leads from corrected positions to the plane that touches the sky where the exposure points; the
root of its determinant is the scale there (Libralato et al. 2023, section 4.6), divided by the velocity aberration that
the header tells. As corrections have unit determinant at the middle of the detector, the scale is that of the middle;
what is wrong with the correction there is wrong with the scales of all its exposures alike, and in no error here.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.linalg import block_diag
from scipy.sparse import csr_array

from catalogs.scales import SCALES
from compute.kernels.motion.celestial import deproject, jacobian, project
from compute.stages.scale_links import Link, ScaleSettings, excess, link_all, pushes

__all__ = ["CENTRAL", "ScaleSettings", "Scales", "central", "pairs", "scales", "scales_within"]

CENTRAL = "central"
_ID = ["exposure", "detector"]


class Scales(NamedTuple):
    """SCALES, and the covariance (n, n) [mas2/pix2] that its rows share by errors of what they are compared with.

    Rows without a scale have zeros there.
    """

    table: pd.DataFrame
    common: NDArray[np.float64]


def pairs(matches: pd.DataFrame, measurements: pd.DataFrame, sources: pd.DataFrame, name: str) -> pd.DataFrame:
    """What :func:`scales` takes, from the tables of a catalog.

    Parameters
    ----------
    matches
        MATCHES of a field: of exposures, and of the catalog that is called `name` there.
    measurements
        MEASUREMENTS, with `detector`. Flagged stars are left out.
    sources
        The catalog at the epoch of the exposures: `id`, `row`, `ra`, `dec`, `ra_error`, `dec_error`, `ra_dec_corr`.
    """
    whole_numbers = pd.api.types.is_integer_dtype(sources["id"])
    places = sources.assign(source=sources["id"] if whole_numbers else sources["row"])
    places = places[["source", "ra", "dec", "ra_error", "dec_error", "ra_dec_corr"]]
    known = matches.loc[matches["exposure"] == name, ["star_id", "star"]].rename(columns={"star": "source"})
    seen = matches.loc[(matches["detector"] != "") & matches["used"], [*_ID, "star", "star_id"]]
    columns = [*_ID, "star", "x_gdc", "y_gdc", "x_error", "y_error", "xy_corr"]
    clean = measurements.loc[measurements["flags"] == 0, columns]
    found = seen.merge(clean, on=[*_ID, "star"]).merge(known, on="star_id").merge(places, on="source")
    return found.drop(columns=["star", "star_id"])


def scales(found: pd.DataFrame, exposures: pd.DataFrame, against: str, settings: ScaleSettings | None = None) -> Scales:
    """Pixel scales against a catalog.

    `scale_error` is propagated from the errors of the measurements, `common_error` from those of the catalog's places,
    each with a floor and a factor that make up for how much residuals really scatter: those of an exposure about the
    mean residual of each source over the exposures, and these means about zero, to which motions contribute.

    Parameters
    ----------
    found
        A row per star of an exposure: `exposure`, `detector`, `source` (its number in the catalog), `x_gdc`, `y_gdc`,
        `x_error`, `y_error` [pix], `xy_corr`; `ra`, `dec` [deg], `ra_error`, `dec_error` [mas], `ra_dec_corr` of the
        source at the time of the exposure.
    exposures
        EXPOSURES of those. Where `va_scale` is null, no aberration is removed.
    against
        What the catalog is called.

    Returns
    -------
    Scales
        In order of filter and time. Exposures that cannot be linked have NaN, and the reason as `status`.
    """
    settings = settings or ScaleSettings()
    rows = exposures.drop_duplicates(_ID).sort_values(["filter", "mjd_mid", *_ID], ignore_index=True)
    return _told(link_all(_parts(found, rows), rows, settings), rows, against, settings)


def scales_within(found: pd.DataFrame, exposures: pd.DataFrame, settings: ScaleSettings | None = None) -> Scales:
    """Pixel scales against the central exposure of each camera, whose stars its link to the catalog puts on the sky.

    Takes what :func:`scales` takes. Central exposures are not in the result; the error of a central one's own scale is
    part of what the others have in common.
    """
    settings = settings or ScaleSettings()
    tables, blocks = [SCALES.empty()], []
    for _, rows in exposures.groupby(["instrument", "detector", "filter"]):
        middle = rows["exposure"] == central(rows)
        (mine,) = _parts(found, rows[middle])
        (link,) = link_all([mine], rows[middle], settings)
        if isinstance(link, str) or middle.all():
            continue
        itself = _told([link], rows[middle], CENTRAL, settings)
        sky = _as_catalog(link, mine, rows[middle].iloc[0])
        others = found.merge(rows.loc[~middle, _ID]).drop(columns=list(sky.columns[1:])).merge(sky, on="source")
        table, common = scales(others, rows[~middle], CENTRAL, settings)
        good = (table["status"] == "ok").to_numpy()
        shared = float(itself.table["scale_error"].iloc[0] ** 2 + itself.common[0, 0])
        blocks.append(common + shared * np.outer(good, good))
        tables.append(table.assign(common_error=_errors(table, blocks[-1])))
    return Scales(SCALES.conform(pd.concat(tables, ignore_index=True)), block_diag(np.zeros((0, 0)), *blocks))


def central(exposures: pd.DataFrame) -> str:
    """The exposure that points nearest to the middle of all, the first of those that point equally near."""
    rows = exposures.sort_values(["mjd_mid", "exposure"])
    xi, eta = np.array(project(rows["ra"], rows["dec"], rows["ra"].iloc[0], rows["dec"].iloc[0]))
    distance = np.hypot(xi - np.median(xi), eta - np.median(eta))
    return str(rows["exposure"].iloc[int(np.argmin(distance.round(3)))])


def _parts(found: pd.DataFrame, rows: pd.DataFrame) -> list[pd.DataFrame]:
    """The stars of each exposure, in order of their sources."""
    groups = dict(iter(found.sort_values("source", kind="stable").groupby(_ID)))
    return [groups.get(key, found[:0]) for key in zip(*(rows[name] for name in _ID), strict=True)]


def _told(links: Sequence[Link | str], rows: pd.DataFrame, against: str, settings: ScaleSettings) -> Scales:
    """SCALES of the links of exposures."""
    push = pushes(links, settings.clip)
    own, theirs = excess(links, push)
    aberration = rows["va_scale"].fillna(1.0).to_numpy()
    told = [
        _numbers(link, each, factor) if isinstance(link, Link) else _nothing(link)
        for link, each, factor in zip(links, push, own, strict=True)
    ]
    numbers = pd.DataFrame(told, index=rows.index)
    common = theirs * _products(links, push) / np.outer(aberration, aberration)
    table = rows[["exposure", "instrument", "detector", "filter"]].assign(against=against, mjd=rows["mjd_mid"])
    table = table.join(numbers)
    table[["scale", "scale_error"]] /= aberration[:, None]
    return Scales(SCALES.conform(table.assign(common_error=_errors(table, common))), common)


def _numbers(link: Link, push: NDArray, factor: float) -> dict[str, object]:
    """What SCALES says of one exposure, velocity aberration in it."""
    xx, xy, yy = link.own
    variance = (push[0] ** 2 * xx + 2 * push[0] * push[1] * xy + push[1] ** 2 * yy).sum()
    return {
        "scale": link.fit.transform.magnification,
        "scale_error": float(np.sqrt(factor * variance)),
        "rms": float(np.hypot(link.fit.rms_x, link.fit.rms_y) / np.sqrt(2)),
        "n_used": link.fit.n_used,
        "status": "ok",
    }


def _nothing(reason: str) -> dict[str, object]:
    return {"scale": np.nan, "scale_error": np.nan, "rms": np.nan, "n_used": 0, "status": reason}


def _products(links: Sequence[Link | str], push: Sequence[NDArray]) -> NDArray:
    """Covariance (n, n) of scales by the errors of the sources that links have in common."""
    row, column, value = [np.zeros(0, int)], [np.zeros(0, int)], [np.zeros(0)]
    sources = np.unique(np.concatenate([np.zeros(0, int), *(link.source for link in links if isinstance(link, Link))]))
    for k, (link, each) in enumerate(zip(links, push, strict=True)):
        if isinstance(link, Link):
            xx, xy, yy = link.theirs
            root = np.sqrt(xx)
            place = np.searchsorted(sources, link.source)
            parts = (each[0] * root + each[1] * xy / root, each[1] * np.sqrt(yy - (xy / root) ** 2))
            for axis, part in enumerate(parts):
                row.append(np.full(part.size, k))
                column.append(2 * place + axis)
                value.append(part)
    where = np.concatenate(row), np.concatenate(column)
    loads = csr_array((np.concatenate(value), where), shape=(len(links), 2 * sources.size))
    return (loads @ loads.T).toarray()


def _errors(table: pd.DataFrame, common: NDArray) -> NDArray:
    return np.where(table["status"] == "ok", np.sqrt(np.diag(common)), np.nan)


def _as_catalog(link: Link, stars: pd.DataFrame, row: pd.Series) -> pd.DataFrame:
    """The used stars of an exposure as sources on the sky."""
    xi, eta = link.fit.transform.apply(*link.here)
    ra, dec = deproject(xi, eta, row["ra"], row["dec"])
    back = np.linalg.inv(jacobian(ra, dec, row["ra"], row["dec"]))
    xx, xy, yy = link.own
    covariance = back @ np.array([[xx, xy], [xy, yy]]).transpose(2, 0, 1) @ back.swapaxes(1, 2)
    ra_error, dec_error = np.sqrt(covariance[:, 0, 0]), np.sqrt(covariance[:, 1, 1])
    sky = {
        "source": stars["source"].to_numpy(), "ra": ra, "dec": dec, "ra_error": ra_error, "dec_error": dec_error,
        "ra_dec_corr": covariance[:, 0, 1] / (ra_error * dec_error),
    }  # fmt: skip
    return pd.DataFrame(sky)[link.fit.used]
