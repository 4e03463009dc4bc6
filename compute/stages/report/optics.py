"""Figures of a simulated telescope: its ePSF beside the one that was measured, and its distortion."""

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from catalogs.cubes import EpsfCube
from compute.kernels.simulate.distortion import Distortion, forward
from compute.stages.report.style import BLUE, new_figure, styled

_CORE = 4.0  # pix shown of a difference
_ARROWS = 16  # along each axis


def true_epsf(truth: xr.Dataset, focus: float, cube: EpsfCube) -> tuple[np.ndarray, np.ndarray]:
    """True and measured ePSF (n, n) on the samples of `cube`, at its fiducial nearest the detector's middle.

    `truth` holds `epsf` and `focus`, as the truth of a campaign does, at a multiple of the cube's oversampling.
    """
    at = [int(np.argmin(np.abs(axis - truth[name].values.mean()))) for name, axis in (("fy", cube.fy), ("fx", cube.fx))]
    place = {"fy": cube.fy[at[0]], "fx": cube.fx[at[1]]}
    true = (truth["epsf"].sel(place, method="nearest") + focus * truth["focus"]).values
    step, rest = divmod(int(truth.attrs["oversampling"]), cube.oversampling)
    if rest:
        raise ValueError(f"oversampling is {cube.oversampling}, expected a divisor of {truth.attrs['oversampling']}")
    half, n = true.shape[-1] // 2, min(true.shape[-1] // 2 // step, cube.values.shape[-1] // 2)
    mine, middle = cube.values[at[0], at[1]], cube.values.shape[-1] // 2
    fine, coarse = (slice(c - n * s, c + n * s + 1, s) for c, s in ((half, step), (middle, 1)))
    return true[fine, fine], mine[coarse, coarse]


@styled
def epsf_figure(true: np.ndarray, measured: np.ndarray, oversampling: int) -> Figure:
    """Two ePSFs on a logarithmic scale, and their difference in percent of the peak."""
    figure, axes = new_figure(4.5, 1, 3)
    reach = (true.shape[0] // 2 + 0.5) / oversampling
    extent = (-reach, reach, -reach, reach)
    for axis, values, title in ((axes[0], true, "true"), (axes[1], measured, "measured")):
        shown = axis.imshow(np.maximum(values, 1e-9), extent=extent, cmap="magma", norm=LogNorm(1e-5, true.max()))
        axis.set(title=title)
    bar: dict[str, Any] = {"orientation": "horizontal", "aspect": 30, "pad": 0.03}
    figure.colorbar(shown, ax=axes[:2], label="share of the flux in a pixel", **bar)
    difference = 100.0 * (measured - true) / true.max()
    most = float(np.abs(difference).max())
    shown = axes[2].imshow(difference, extent=extent, cmap="RdBu_r", vmin=-most, vmax=most)
    figure.colorbar(shown, ax=axes[2], label="difference [% of the peak]", **bar | {"aspect": 15})
    inner = min(_CORE, reach)
    axes[2].set(title="measured − true, the core enlarged", xlim=(-inner, inner), ylim=(-inner, inner))
    for axis in axes:
        axis.set(xlabel="pixel − star in x [pix]", ylabel="in y [pix]" if axis is axes[0] else "")
    return figure


@styled
def distortion_figure(truth: Distortion) -> Figure:
    """Smooth distortion as magnified arrows, and the map of fine structure along x."""
    figure, axes = new_figure(4.9, 1, 2)
    width, height = round(2 * truth.middle[0]) + 1, int(truth.chips.max())
    x, y = np.meshgrid(*((np.arange(_ARROWS) + 0.5) / _ARROWS * size - 0.5 for size in (width, height)))
    chip = np.searchsorted(truth.chips[:, 1], y.ravel(), side="right").clip(0, len(truth.chips) - 1).reshape(y.shape)
    smooth = truth._replace(fine=np.zeros((2, 1, 1), np.float32))
    dx, dy = np.array(forward(smooth, x, y, chip)) - (x, y)
    largest = float(np.hypot(dx, dy).max()) or 1.0
    arrows = axes[0].quiver(x, y, dx, dy, color=BLUE, angles="xy", scale_units="xy", pivot="mid", width=0.003,
                            scale=largest / (1.2 * width / _ARROWS))  # fmt: skip
    key = float(f"{largest / 2:.1g}")
    axes[0].quiverkey(arrows, 0.82, 1.035, key, f"{key:g} pix", labelpos="E")
    fine = 1e3 * truth.fine[0]
    most = float(np.percentile(np.abs(fine), 99.5)) or 1.0
    extent = (-0.5, width - 0.5, -0.5, height - 0.5)
    shown = axes[1].imshow(fine, extent=extent, cmap="RdBu_r", vmin=-most, vmax=most, interpolation="antialiased")
    figure.colorbar(shown, ax=axes[1], label="shift in x [mpix]", pad=0.02, shrink=0.85)
    for axis, title in zip(axes, ("polynomials: where pixels belong", "fine structure on top of them"), strict=True):
        axis.set(xlabel="x [pix]", ylabel="y [pix]", title=title, aspect="equal", xlim=extent[:2], ylim=extent[2:])
    return figure
