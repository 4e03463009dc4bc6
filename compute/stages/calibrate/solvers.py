"""Ways to make an ePSF better from stars whose positions and fluxes are known nearly, behind one function.

`joint` solves for the ePSF and the stars together. `direct` solves for the ePSF alone, the stars as they are; and
`averaging`, as published (Anderson & King 2000, section 4.2), averages residuals of samplings about every grid point.
The latter two need positions that dithers have averaged, and more passes.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from compute.kernels.calibrate.averaging import average
from compute.kernels.calibrate.epsf import NORMALISATION_RADIUS
from compute.kernels.calibrate.explained import cores_left, pulls, unexplained_out
from compute.kernels.calibrate.joint import Links, Table, solve
from compute.kernels.calibrate.stampfit import conform
from compute.kernels.calibrate.stamps import Stamps, shine_stamps
from compute.kernels.threads import each, shares
from compute.settings import CalibrateSettings

__all__ = ["improve", "robust"]

_BLOCKS, _ENOUGH = 16, 1_000_000  # of stamps; pixels that tell a median
_CLIP, _WRONG = 5.0, 0.01  # [sigma]; share by which an ePSF may be wrong before pixels are taken for outliers


def improve(table: Table, stamps: Stamps, links: Links, settings: CalibrateSettings, threads: int = 1) -> Table:
    """A better ePSF by the solver of the settings, centred and of unit sum within the normalisation radius."""
    stamps = stamps._replace(weight=robust(table, stamps, threads))
    return conform(_SOLVERS[settings.solver](table, stamps, links, settings, threads), NORMALISATION_RADIUS)


def _joint(table: Table, stamps: Stamps, links: Links | None, settings: CalibrateSettings, threads: int) -> Table:
    n = table.coef.shape[-1]
    radius = np.hypot(*(np.mgrid[:n, :n] - n // 2)) / table.oversampling
    found = solve(
        table, stamps, links, settings.stiffness * (1.0 + radius**6), radius=NORMALISATION_RADIUS, tolerance=1e-3,
        steps=settings.steps, threads=threads,
    )  # fmt: skip
    return table._replace(coef=table.coef + found.coef)


def _direct(table: Table, stamps: Stamps, _: Links, settings: CalibrateSettings, threads: int) -> Table:
    return _joint(table, stamps, None, settings, threads)


def _averaging(table: Table, stamps: Stamps, _: Links, settings: CalibrateSettings, threads: int) -> Table:
    return average(table, stamps, threads=threads)


_SOLVERS: dict[str, Callable[[Table, Stamps, Links, CalibrateSettings, int], Table]]
_SOLVERS = {"joint": _joint, "direct": _direct, "averaging": _averaging}


def robust(table: Table, stamps: Stamps, threads: int = 1) -> NDArray[np.float32]:
    """Weights with the ePSF's own error, and none for pixels that no star explains (A&K 2000, section 4.2.1).

    What a pixel may be off by also grows with what the ePSF leaves of its core: a first ePSF, far too wide, would else
    have all cores taken for outliers.
    """
    model, pull, weight = (np.empty(stamps.light.shape, dtype) for dtype in (float, np.float32, np.float32))
    left, blocks = np.empty(stamps.x.size), [slice(*share) for share in shares(stamps.x.size, _BLOCKS)]

    def explain(number: int) -> None:
        of = blocks[number]
        where = stamps.x[of], stamps.y[of], stamps.at_x[of], stamps.at_y[of]
        shine_stamps(table.coef, table.fx, table.fy, table.oversampling, table.taps, *where, model[of])
        model[of] *= stamps.flux[of, None, None]
        cores_left(stamps.light[of], model[of], left[of])

    def judge(number: int) -> None:
        of = blocks[number]
        pulls(stamps.light[of], stamps.weight[of], model[of], _WRONG, usual, pull[of])

    def choose(number: int) -> None:
        of = blocks[number]
        unexplained_out(stamps.weight[of], model[of], pull[of], _WRONG, _CLIP * scale, weight[of])

    each(explain, _BLOCKS, threads)
    usual = float(np.median(left))
    each(judge, _BLOCKS, threads)
    some = slice(None, None, max(1, pull.size // _ENOUGH))  # of stamps, whole: every part of them tells
    scale = max(1.0, float(np.median(pull[some][stamps.weight[some] > 0]) / 0.6745))
    each(choose, _BLOCKS, threads)
    return weight
