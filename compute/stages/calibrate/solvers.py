"""Ways to make an ePSF better from stars whose positions and fluxes are known nearly, behind one function.

`joint` solves for the ePSF and the stars together. `direct` solves for the ePSF alone, the stars as they are; and
`averaging`, as published (Anderson & King 2000, section 4.2), averages residuals of samplings about every grid point.
The latter two need positions that dithers have averaged, and more passes.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from compute.kernels.averaging import average
from compute.kernels.epsf import NORMALISATION_RADIUS
from compute.kernels.joint import Links, Table, solve
from compute.kernels.stampfit import conform
from compute.kernels.stamps import Stamps, shine_stamps
from compute.settings import CalibrateSettings

__all__ = ["improve", "robust"]

_CLIP, _WRONG = 5.0, 0.01  # [sigma]; share by which an ePSF may be wrong before pixels are taken for outliers


def improve(table: Table, stamps: Stamps, links: Links, settings: CalibrateSettings, threads: int = 1) -> Table:
    """A better ePSF by the solver of the settings, centred and of unit sum within the normalisation radius."""
    stamps = stamps._replace(weight=robust(table, stamps))
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


def robust(table: Table, stamps: Stamps) -> NDArray[np.float32]:
    """Weights with the ePSF's own error, and none for pixels that no star explains (A&K 2000, section 4.2.1).

    What a pixel may be off by also grows with what the ePSF leaves of its core: a first ePSF, far too wide, would else
    have all cores taken for outliers.
    """
    model, where = np.empty(stamps.light.shape), (stamps.x, stamps.y, stamps.at_x, stamps.at_y)
    shine_stamps(table.coef, table.fx, table.fy, table.oversampling, table.taps, *where, model)
    model *= stamps.flux[:, None, None]
    middle = stamps.light.shape[-1] // 2
    off, core = np.abs(stamps.light - model), slice(middle - 2, middle + 3)
    left = off[:, core, core].sum((1, 2)) / np.maximum(model[:, core, core].sum((1, 2)), 1e-30)
    with np.errstate(divide="ignore"):
        variance = 1.0 / stamps.weight + (_WRONG * model) ** 2
    pull = off / np.sqrt(variance + (np.median(left) * model) ** 2)
    scale = max(1.0, float(np.median(pull[stamps.weight > 0]) / 0.6745))
    return np.where(pull < _CLIP * scale, 1.0 / variance, 0.0).astype(np.float32)
