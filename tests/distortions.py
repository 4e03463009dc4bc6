"""Distortions for tests: strong, with every layer, on one chip or two."""

import numpy as np

from catalogs.distortion import DistortionCube, LookUpTable, PixelMap, Polynomial

SIZE = 256


def terms(n_chips: int, strength: float, rng) -> np.ndarray:
    """Random polynomials of order 5, up to `strength` pix at the edge in the linear terms and less in the others."""
    degree = np.add.outer(np.arange(6), np.arange(6))
    decay = np.where(degree > 5, 0, 4.0 ** -np.maximum(degree - 1.0, 0))
    return strength * rng.uniform(-1, 1, (n_chips, 2, 6, 6)) * decay


def make_cube(n_chips=1, size=SIZE, strength=4.0, fine=0.02, seed=1, single=False, **parts) -> DistortionCube:
    """A cube of polynomial, table and map."""
    rng = np.random.default_rng(seed)
    edges = np.linspace(0, size, n_chips + 1).astype(int)
    chips = np.column_stack([edges[:-1], edges[1:]])
    middle = (size - 1) / 2
    cells = np.r_[0.0, np.arange(24, size - 17, 16.0), size - 1.0]
    values = rng.normal(0, fine, (2, size, size)).astype(np.float32 if single else np.float64)
    layers = (
        Polynomial(terms(n_chips, strength, rng), (middle, middle), size / 2),
        LookUpTable(rng.normal(0, 3 * fine, (2, cells.size, cells.size)), cells, cells),
        PixelMap(values, chips),
    )
    told = {"instrument": "NIRISS", "detector": "NIS", "filter": "F090W", "source": "made"}
    return DistortionCube(**({"layers": layers, "chips": chips, "n_x": size} | told | parts))


def full_size(seed, **parts) -> DistortionCube:
    """Polynomials over a whole NIRISS detector."""
    layer = Polynomial(terms(1, 4.0, np.random.default_rng(seed)), (1023.5, 1023.5), 1024.0)
    told = {"instrument": "NIRISS", "detector": "NIS", "filter": "F090W", "source": f"seed {seed}"}
    return DistortionCube((layer,), np.array([[0, 2048]]), 2048, **(told | parts))
