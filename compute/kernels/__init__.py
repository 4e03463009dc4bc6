"""Arithmetic on arrays: NumPy, SciPy and Numba only."""
