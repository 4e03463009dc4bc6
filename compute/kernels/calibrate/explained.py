"""Which pixels of stamps their stars explain (Anderson & King 2000, section 4.2.1)."""

import numpy as np

from compute.kernels._jit import jit


@jit
def cores_left(light, model, out):
    """Sum of |light - model| over that of the model within the middle 5x5 pixels of each stamp, (K,)."""
    middle = light.shape[1] // 2
    for k in range(out.size):
        off = total = 0.0
        for j in range(middle - 2, middle + 3):
            for i in range(middle - 2, middle + 3):
                off += abs(light[k, j, i] - model[k, j, i])
                total += model[k, j, i]
        out[k] = off / max(total, 1e-30)


@jit
def pulls(light, weight, model, wrong, usual, out):
    """|light - model| (K, m, m) over its error, of which shares `wrong` and `usual` of the model are part; 0 where the
    weight is.
    """
    for k in range(light.shape[0]):
        for j in range(light.shape[1]):
            for i in range(light.shape[2]):
                w, m = np.float64(weight[k, j, i]), model[k, j, i]
                variance = 1.0 + w * (wrong * wrong + usual * usual) * m * m
                out[k, j, i] = abs(light[k, j, i] - m) * np.sqrt(w / variance)


@jit
def unexplained_out(weight, model, pull, wrong, limit, out):
    """Weights with the error `wrong` times the model in them, and none where pulls reach the limit."""
    for k in range(weight.shape[0]):
        for j in range(weight.shape[1]):
            for i in range(weight.shape[2]):
                w, m = np.float64(weight[k, j, i]), model[k, j, i]
                out[k, j, i] = w / (1.0 + w * (wrong * m) ** 2) if pull[k, j, i] < limit else 0.0
