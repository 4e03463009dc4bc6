"""What a calibration leaves beside a cube, made up: every pixel-phase error is known."""

import numpy as np
import pandas as pd

from catalogs.cubes import EpsfCube

SIZE = 2048.0


def judged(n: int, waves: dict[int, float], noise=0.004, seed=0) -> pd.DataFrame:
    """Stars of some passes; `waves` tells the amplitude of the error [pix] of each, the same along x and y."""
    rng = np.random.default_rng(seed)
    parts = []
    for number, wave in waves.items():
        place, missed = rng.uniform(0, SIZE - 1, (n, 2)), rng.normal(0, noise, (n, 2))
        missed += wave * np.sin(2 * np.pi * place)
        columns = dict(zip(("x", "y", "dx", "dy"), np.hstack([place + missed, missed]).T, strict=True))
        flux, reserved = 10 ** rng.uniform(3, 5, n), rng.random(n) < 0.1
        parts.append(pd.DataFrame({"pass": number, **columns, "flux": flux, "qfit": 0.02, "reserved": reserved}))
    return pd.concat(parts, ignore_index=True)


def samplings(n: int, cube: EpsfCube, seed=0) -> pd.DataFrame:
    """Pixels that stand on the samples of the central ePSF, off by a hundredth of its peak."""
    rng = np.random.default_rng(seed)
    table = cube.values[cube.fy.size // 2, cube.fx.size // 2]
    middle, half = table.shape[-1] // 2, 3 * cube.oversampling
    parts = []
    for name, line in (("x", table[middle]), ("y", table[:, middle])):
        k = rng.integers(middle - half, middle + half + 1, n)
        noise = 0.01 * table.max() * rng.normal(size=n)
        parts.append(pd.DataFrame({"axis": name, "offset": cube.u[k], "value": line[k] + noise,
                                   "error": 0.01 * table.max(), "model": line[k]}))  # fmt: skip
    return pd.concat(parts, ignore_index=True)
