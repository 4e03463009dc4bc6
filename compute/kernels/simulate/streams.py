"""Random streams that depend on the seed and on what they are for, never on who draws first."""

import hashlib

import numpy as np


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """The generator of one purpose, e.g. ``stream(seed, "exposure", root, "noise")``."""
    digest = hashlib.sha256(repr(names).encode()).digest()
    return np.random.default_rng([seed, *np.frombuffer(digest, np.uint32).tolist()])
