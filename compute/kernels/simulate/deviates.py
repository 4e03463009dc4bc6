"""Random numbers that belong to a source, wherever and in whatever order it is met: a hash of its number."""

import hashlib

import numpy as np
from scipy.special import ndtri

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _mix(word):
    """Finaliser of splitmix64 (Steele, Lea & Flood 2014): every bit of the input moves every bit of the output."""
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))


def uniforms(ids, seed, *names):
    """Uniform deviates, open interval (0, 1), one for each of `ids` (int64 array); others for other seeds or names."""
    digest = hashlib.sha256(repr((seed, *names)).encode()).digest()
    key, other = np.frombuffer(digest, "<u8", 2)
    word = _mix(_mix(np.asarray(ids, np.int64).view(np.uint64) * _GOLDEN + key) ^ other)
    return ((word >> np.uint64(12)).astype(float) + 0.5) / 2.0**52  # one bit less than a float has: never 1


def normals(ids, seed, *names):
    """Standard normal deviates, one for each of `ids`; see `uniforms`."""
    return ndtri(uniforms(ids, seed, *names))
