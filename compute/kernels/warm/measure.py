"""Compile the kernels that measure, or load them from Numba's cache, on a frame small enough to cost nothing."""

import numpy as np

from compute.kernels.calibrate.epsf import average_residuals, gaussian_table
from compute.kernels.measure.chain import Frame, Model, find, find_hidden, fit_rounds
from compute.kernels.measure.groups import refit_groups
from compute.kernels.measure.saturated import refit_saturated
from compute.kernels.measure.spikes import common, cut, far_flux, spread


def warm() -> None:
    """Call each kernel once with the types that stages use."""
    table, corner = gaussian_table(0.8, 4, 101)[None, None], np.zeros(1)
    image = np.full((32, 32), 10.0, np.float32)
    image[8:24, 8:24] += 1e4 * table[0, 0, 18:82:4, 18:82:4].astype(np.float32)
    mask = np.zeros(image.shape, np.uint8)
    mask[2, 2] = 2
    frame = Frame(image, mask, np.ones_like(image), np.ones_like(image))
    for array in (frame.image, frame.poisson, frame.floor):
        array.setflags(write=False)  # as in an Exposure: Numba compiles read-only arrays apart
    for order in (3, 5):
        model = Model.of(table, corner, corner, 4, order)
        sources = find(frame, model, 5.0, 2.5, 0.5)
        fits = fit_rounds(
            frame, model, sources, rounds=1, half=2, taper=(0.0, 0.0), template_error=0.0, max_iterations=3,
            annulus=(4.0, 7.0),
        )  # fmt: skip
        fits = refit_saturated(frame, model, sources, fits, template_error=0.0, max_iterations=3)
        far_flux(fits.drawn, model, *fits.rows[:, :2].T.copy())
        refit_groups(frame, model, sources, fits, half=2, taper=(0.0, 0.0), template_error=0.0, max_iterations=3)
        find_hidden(frame, model, sources, fits, 5.0, 2.5, 0.5)  # searches an image of its own, which is writable
    one, mean, count = np.ones(1), np.zeros((1, 101, 101)), np.zeros((1, 101, 101))
    stamps = np.zeros((1, 9, 9), np.float32)
    cut(fits.drawn, mask, 16 * one, 16 * one, one, stamps[0], 2, stamps)
    common(stamps, one, stamps[0])
    spread(fits.drawn, 16 * one, 16 * one, one, stamps[0], 2, np.full(1, 3))
    average_residuals(
        image, fits.drawn, *frame[1:], 16 * one, 16 * one, one, one, np.zeros(1, np.int64), 4, 12, 1, mean, count
    )
