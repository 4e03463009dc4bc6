"""What a fit returns, and how masks are coded: names for numbers that kernels share."""

# Columns of the result, in order.
COLUMNS = (
    "x", "y", "flux", "var_x", "var_y", "cov_xy", "var_flux", "qfit", "radxs", "chi2", "excess", "excess_error",
    "peak", "neighbour", "n_pix", "n_iter", "state", "event",
)  # fmt: skip
X, Y, FLUX, VAR_X, VAR_Y, COV_XY, VAR_FLUX, QFIT, RADXS, CHI2, EXCESS, EXCESS_ERROR = range(12)
PEAK, NEIGHBOUR, N_PIX, N_ITER, STATE, EVENT = range(12, 18)

# Bits of the state column.
CONVERGED, HAS_BAD, BAD_CORE, HAS_SATURATED, AT_EDGE, TOO_FEW, GROUPED = 1, 2, 4, 8, 16, 32, 64

# Values of the mask image.
GOOD, BAD, SATURATED = 0, 1, 2
