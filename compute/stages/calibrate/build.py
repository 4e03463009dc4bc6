"""The passes: solve for the ePSF, fit all stamps anew, link stars, and impose their averages on every exposure."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd

from catalogs.cubes import EpsfCube
from compute.kernels.calibrate.stampfit import fit_stamps
from compute.settings import CalibrateSettings
from compute.stages.calibrate.fatter import separate, with_term, without
from compute.stages.calibrate.judged import judge, numbers, samplings
from compute.stages.calibrate.passes import SINGLE, dithered, enough, fine, update
from compute.stages.calibrate.stars import link, pool_of
from compute.stages.calibrate.tables import begin, cube_of, sized, spread
from compute.stages.cutting import HALF, Cut
from compute.stages.plane import Plane

__all__ = ["Built", "build"]


class Built(NamedTuple):
    """An ePSF cube, and how it came about.

    Attributes
    ----------
    passes
        A row per pass: `stars` and `stamps` solved from, `reserved` stamps, `change` of the ePSF (rms, over the peak),
        `damping_x`, `damping_y`; and of :func:`~compute.stages.calibrate.judged.numbers` after the pass.
    judged
        Every linked stamp after every pass, and before the first as pass 0 (light centres), as of
        :func:`~compute.stages.calibrate.judged.judge`.
    samplings
        Pixels along the axes through the ePSF in the middle, as of
        :func:`~compute.stages.calibrate.judged.samplings`.
    control
        Like `judged`, of two passes that took every exposure's own positions; None unless asked for.
    """

    cube: EpsfCube
    passes: pd.DataFrame
    judged: pd.DataFrame
    samplings: pd.DataFrame
    control: pd.DataFrame | None = None


def build(
    rows: pd.DataFrame, cuts: Iterable[Cut], plane: Plane, settings: CalibrateSettings, name: str, threads: int = 1
) -> Built:
    """Build the ePSF of one detector and filter from the cut-out stars of its exposures.

    Parameters
    ----------
    rows
        EXPOSURES, in the order of `cuts`.
    name
        What the cube's `source` says.
    threads
        Of the solver; they change no result.

    Raises
    ------
    UnusableError
        With too few stars, or exposures that share none.
    """
    pool = pool_of(cuts, rows, settings)
    enough(pool.exposure.size, "bright, lonely stars", pool, settings)
    fits, table = begin(pool, settings)
    offset = np.zeros(pool.exposure.size), np.zeros(pool.exposure.size)
    first = stars = link(pool, fits, offset, rows, plane, None, settings)
    told, seen, change = [], [judge(0, pool, fits, stars)], np.inf
    control = _control(pool, fits, table, first, rows, plane, settings, threads) if settings.control else None
    plain, term = pool, None  # stamps as if stars had no charge
    for number in range(settings.passes):
        used = stars.used()
        enough(used.rows.size, f"{used.links.start.size - 1} stars not reserved", pool, settings)
        damped = dithered(pool, used)
        if number == SINGLE:
            table = spread(table, rows, used.rows.size, settings)
        last = number == settings.passes - 1 or (number > SINGLE and change < settings.settled)
        half = HALF if last else settings.half
        table, change = update(plain, used, sized(table, half), half, settings, threads)
        if settings.flux_term and number >= SINGLE:
            table, term = separate(pool, plain, table, used, settings, threads)
            plain = without(pool, term, fits)
        fits = fit_stamps(table, plain.stamps(fits.x, fits.y, fits.flux))
        stars = link(pool, fits, offset, rows, plane, stars, settings)
        offset = fine(pool, fits, stars, offset)
        seen.append(judge(number + 1, pool, fits, stars))
        told.append({
            "pass": number + 1, "stars": used.links.start.size - 1, "stamps": used.rows.size,
            "reserved": int(stars.reserved.sum()), "change": change, "damping_x": damped[0], "damping_y": damped[1],
        } | numbers(seen[-1]))  # fmt: skip
        if last:
            break
    cube = with_term(cube_of(table, rows, used, pool, name), term)
    judged = pd.concat(seen, ignore_index=True)
    return Built(cube, pd.DataFrame(told), judged, samplings(table, plain, stars), control)


def _control(pool, fits, table, stars, rows, plane, settings, threads) -> pd.DataFrame:
    """Residuals against averages where no average is ever used: the pixel-phase bias of the start must stay."""
    zero, seen = np.zeros(pool.exposure.size), [judge(0, pool, fits, stars)]
    own = settings.model_copy(update={"solver": "averaging" if settings.solver == "averaging" else "direct"})
    for number in range(SINGLE):
        held = stars._replace(x=fits.x[stars.rows], y=fits.y[stars.rows]).used()
        table, _ = update(pool, held, table, settings.half, own, threads)
        fits = fit_stamps(table, pool.stamps(fits.x, fits.y, fits.flux))
        stars = link(pool, fits, (zero, zero), rows, plane, stars, settings)
        seen.append(judge(number + 1, pool, fits, stars))
    return pd.concat(seen, ignore_index=True)
