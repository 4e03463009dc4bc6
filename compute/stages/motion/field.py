"""What the stars of a whole field decide together: alignment, zero points, and the numbers that tell how well."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from catalogs.errors import UnusableError
from compute.kernels.motion.surroundings import Stars
from compute.settings import MotionSettings
from compute.stages.motion.align import Alignment, align, chosen, magnitude_of, transforms
from compute.stages.motion.positions import (
    Epoch,
    FrameKey,
    Known,
    Positions,
    gather,
    magnitudes,
    of_frame,
    of_sources,
    paired,
)
from compute.stages.motion.table import Common, MotionsOfStars, solved
from compute.stages.motion.zero import against_catalog, mean_row, zero_points
from compute.stages.plane import Plane

__all__ = ["Field", "epochs_of", "solve_field", "star_positions"]


class Field(NamedTuple):
    """`common` to all motions; `sources` of catalogs by `star_id`; `members`, columns of Stars by `star_id`.

    `zero_points` is that table, `numbers` what a report tells.
    """

    common: Common
    sources: pd.DataFrame
    members: pd.DataFrame
    zero_points: pd.DataFrame
    numbers: dict[str, Any]


def epochs_of(
    frames: Mapping[FrameKey, tuple[float, float, float] | None], first: Known | None, settings: MotionSettings
) -> list[Epoch]:
    """Epochs in order of time.

    Parameters
    ----------
    frames
        Mean place of the observer for each master frame of the field [km], None where unknown.
    first
        Catalog whose positions count, too.

    Raises
    ------
    UnusableError
        Where all are of one time.
    """
    names = set(settings.filters)
    if unknown := names - {filter for _, filter, _ in frames}:
        there = ", ".join(sorted({filter for _, filter, _ in frames}))
        raise UnusableError("motion: filters", ", ".join(sorted(unknown)), f"some of {there}")
    epochs = [
        Epoch(f"{instrument} {filter} {time:.2f}", time, (instrument, filter, time), place)
        for (instrument, filter, time), place in frames.items()
        if not names or filter in names
    ]
    if first is not None:
        epochs.append(Epoch(first.name, float(first.sources["ref_epoch"].median()), None, (0.0, 0.0, 0.0)))
    if len({round(epoch.time, 2) for epoch in epochs}) < 2:
        found = f"one epoch, {', '.join(epoch.name for epoch in epochs)}"
        raise UnusableError("motion: positions", found, "two, or a reference catalog of another")
    return sorted(epochs, key=lambda epoch: (epoch.time, epoch.name))


def star_positions(
    epochs: Sequence[Epoch], masters: Mapping[FrameKey, pd.DataFrame], sources: pd.DataFrame, plane: Plane
) -> Positions:
    """Positions of stars in `masters` that were seen at two times at least; `sources` as :class:`Field` has them."""
    parts = [of_frame(masters[e.key], plane) if e.key else sources[sources["of_first"]] for e in epochs]
    return gather(parts, epochs)


def solve_field(
    epochs: Sequence[Epoch], masters: Mapping[FrameKey, pd.DataFrame], first: Known | None, zero: Known | None,
    plane: Plane, settings: MotionSettings,
) -> Field:  # fmt: skip
    """Align the epochs of a field and find the zero point of its motions.

    Parameters
    ----------
    masters
        MASTER of all frames of the field.
    first
        Catalog whose positions are one of the `epochs`.
    zero
        Catalog whose motions set the zero point; None for relative motions.

    Raises
    ------
    PiazziError
        Where too few stars can align the epochs, or none has a motion in the catalog.
    """
    own = gather([of_frame(masters[epoch.key], plane) for epoch in epochs if epoch.key])
    # By what they are for, not by name: two catalogs may be called alike.
    of_zero, of_first = (None if one is None else paired(own, one, plane, settings.radius) for one in (zero, first))
    sources = _sources(of_zero if of_first is None else of_first, of_first is not None, plane)
    positions = star_positions(epochs, masters, sources, plane)
    if not positions.star_id.size:
        raise UnusableError("motion: positions", "no star seen at two times", "stars that epochs have in common")
    mags = magnitudes(masters, sources if first else None).reindex(positions.star_id)
    magnitude = magnitude_of(mags, settings)
    candidates = chosen(positions, mags, magnitude, settings)
    alignment = align(positions, epochs, candidates, settings)
    base = epochs[alignment.base].time
    epoch = base if settings.ref_epoch is None else settings.ref_epoch
    links = transforms(alignment.links)
    common = Common(links, base, -alignment.mean.mean, zero is not None, epoch, magnitude)
    relative = solved(positions, epochs, common, plane, settings)
    rows = [mean_row(alignment.mean, alignment.motion, alignment.covariance, zero is None, settings)]
    if zero is not None:
        sound = candidates[relative.star]
        star_id, spread = positions.star_id[relative.star[sound]], relative.covariance[sound, 3:, 3:]
        row = against_catalog(star_id, relative.motion[sound], spread, zero, of_zero, settings)
        rows, common = [*rows, row], common._replace(added=common.added + [row["pmra"], row["pmdec"]])
    members = _members(positions, relative, alignment, mags[magnitude].to_numpy(float))
    return Field(common, sources, members, zero_points(rows), _numbers(positions, epochs, alignment, members))


def _sources(rows: pd.DataFrame | None, of_first: bool, plane: Plane) -> pd.DataFrame:
    """What tasks need of catalogs: numbers, of the first epoch's where there are two, and its positions."""
    if rows is None:
        return pd.DataFrame({"star_id": np.zeros(0, np.int64), "id": np.zeros(0, np.int64), "of_first": False})
    rows = rows.reset_index(drop=True)
    number = rows["id"] if pd.api.types.is_integer_dtype(rows["id"]) else pd.Series(pd.NA, rows.index, "Int64")
    found = of_sources(rows, plane)
    return found.assign(id=number.astype("Int64"), mag=rows["mag"], of_first=of_first)


def _members(positions: Positions, found: MotionsOfStars, alignment: Alignment, mag: NDArray) -> pd.DataFrame:
    """The aligning stars, their motions relative to the mean."""
    member = alignment.members[found.star]
    star = found.star[member]
    spread = found.covariance[member][:, (3, 4), (3, 4)] + alignment.mean.dispersion**2
    columns = (found.x[member], found.y[member], mag[star], *found.motion[member].T, *spread.T)
    return pd.DataFrame({"star_id": positions.star_id[star]} | dict(zip(Stars._fields, columns, strict=True)))


def _numbers(
    positions: Positions, epochs: Sequence[Epoch], alignment: Alignment, members: pd.DataFrame
) -> dict[str, Any]:
    """How many stars there are at each epoch, and how these are aligned: links are as TRANSFORMS has them, in mas."""
    count = np.bincount(positions.epoch, minlength=len(epochs))
    rows = []
    for epoch, link, n in zip(epochs, alignment.links, count, strict=True):
        row: dict[str, Any] = {"name": epoch.name, "epoch": epoch.time, "stars": int(n)}
        if link is not None:
            transform = link.transform
            row |= {
                "aligning": link.n_used,
                "rms": float(np.hypot(link.rms_x, link.rms_y) / np.sqrt(2)),  # [mas]
                "half_width": transform.scale,
                "coefficients": transform.coefficients.tolist(),
                "covariance": transform.covariance.tolist(),
            }
        rows.append(row)
    return {
        "epochs": rows, "aligning": len(members), "dispersion": alignment.mean.dispersion, "rounds": alignment.rounds,
        "settled": alignment.settled,
    }  # fmt: skip
