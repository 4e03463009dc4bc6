"""Hypothesis settings and strategies the tests of kernels share."""

from hypothesis import settings
from hypothesis import strategies as st

# A kernel's first call loads or compiles it, so that times mean nothing; the same examples every time.
steady = settings(deadline=None, derandomize=True)

fractions = st.floats(0.0, 1.0, exclude_max=True)
phases = st.floats(-0.5, 0.5)
