"""What detectors make of light: planes of a calibrated frame, with the flags and errors a pipeline would give them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from catalogs.readers.dq import HstBit, JwstBit, Wfpc2Bit
from compute.campaign import Effects
from compute.kernels.simulate.blemishes import Kind, bad_pixels, flat_residuals, hot_current
from compute.kernels.simulate.ccd import bleed, ccd_error, digitise, expose_ccd, trail
from compute.kernels.simulate.ramp import brighter_fatter, expose_ramp, grow
from compute.kernels.simulate.rays import cosmic_rays, hits
from compute.kernels.simulate.streams import stream
from compute.stages.simulate.instruments import Array, Detector, Instrument

_BORDER = 4  # reference pixels along the edges of a JWST detector
_RAY_SIGMA = 3.0  # least charge of a pixel a pipeline flags, in read noise


@dataclass(frozen=True, eq=False)
class Planes:
    """One array as its file holds it: image unit, flags, and for JWST the variances."""

    data: NDArray[np.float32]
    error: NDArray[np.float32]
    bits: NDArray[np.uint32]
    poisson: NDArray[np.float32] | None = None
    rnoise: NDArray[np.float32] | None = None


@dataclass(frozen=True, eq=False)
class Blemishes:
    """What is wrong with an array for good."""

    flat: NDArray[np.float32]
    kinds: NDArray[np.uint8]
    hot: NDArray[np.float32]


def blemishes(
    instrument: Instrument, detector: Detector, array: Array, corner: tuple[int, int], effects: Effects
) -> Blemishes:
    """The same for every campaign and exposure: they belong to the detector. A subarray has its part of them."""
    whole = next(each for each in detector.arrays if each.name == array.name)
    shape, names = (whole.n_y, whole.n_x), (instrument.name, detector.name, array.name)
    kinds = bad_pixels(shape, effects.bad_pixels, stream(0, "bad", *names), columns=instrument.telescope == "HST")
    window = np.s_[corner[1] : corner[1] + array.n_y, corner[0] : corner[0] + array.n_x]
    flat = flat_residuals(shape, effects.flat, stream(0, "flat", *names))
    return Blemishes(flat[window], kinds[window], hot_current(kinds, stream(0, "hot", *names))[window])


def _rays(
    instrument: Instrument, shape: tuple[int, int], seconds: float, effects: Effects, noise: float,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:  # fmt: skip
    """Maps of charge from all cosmic rays and from those that went unseen, and the mask of pixels flagged for one."""
    every, unseen, flagged = np.zeros(shape, np.float32), np.zeros(shape, np.float32), np.zeros(shape, bool)
    area = shape[0] * shape[1] * instrument.pixel**2
    number = int(rng.poisson(hits(area, seconds, instrument.ray_rate * effects.cosmic_rays)))
    if number:
        index, charge, ray = cosmic_rays(shape, number, rng, instrument.ray_length)
        seen = (rng.random(number) < effects.flagged_rays)[ray]
        np.add.at(every.ravel(), index, charge)
        np.add.at(unseen.ravel(), index[~seen], charge[~seen])
        flagged.ravel()[index[seen & (charge > _RAY_SIGMA * noise)]] = True
    return every, unseen, flagged


def _read_noise(detector: Detector, spots: Blemishes) -> NDArray[np.float32]:
    """Read noise of every pixel [e]; NOISY ones have five times the usual."""
    return np.where(spots.kinds == Kind.NOISY, np.float32(5), np.float32(1)) * np.float32(detector.read_noise)


def near_infrared(
    instrument: Instrument, detector: Detector, light: NDArray, sky: NDArray, spots: Blemishes, effects: Effects,
    t_group: float, n_groups: int, border: bool, rng: np.random.Generator,
) -> Planes:  # fmt: skip
    """A JWST ramp: `light` and `sky` in electrons per second; planes in electrons per second too.

    Rays that the pipeline saw are cut from the ramp and leave a flag (JUMP_DET), unseen ones stay as signal. `border`
    says that the array has the detector's reference pixels around it.
    """
    span = n_groups * t_group
    rate = brighter_fatter((light + sky) * span, effects.brighter_fatter, detector.full_well) / span
    rate *= spots.flat
    rate += spots.hot
    rate[spots.kinds == Kind.DEAD] = 0.0
    noise = _read_noise(detector, spots)
    ramp = expose_ramp(
        rate, t_group, n_groups, detector.full_well, noise, rng,
        photon=effects.photon_noise, read=effects.read_noise, saturate=effects.saturation,
    )  # fmt: skip
    _, unseen, jumps = _rays(instrument, spots.kinds.shape, span, effects, detector.read_noise, rng)
    data = ramp.rate + unseen / np.float32(span)
    full = ramp.good_groups < 2
    bits = np.where(ramp.good_groups < n_groups, int(JwstBit.SATURATED), 0).astype(np.uint32)
    bits[grow(full)] |= int(JwstBit.SATURATED | JwstBit.DO_NOT_USE)
    bits[jumps] |= int(JwstBit.JUMP_DET)
    for kind, bit in (
        (Kind.DEAD, JwstBit.DEAD),
        (Kind.HOT, JwstBit.HOT),
        (Kind.NOISY, JwstBit.OTHER_BAD_PIXEL),
    ):
        bits[spots.kinds == kind] |= int(bit | JwstBit.DO_NOT_USE)
    if border:
        frame = np.ones(light.shape, bool)
        frame[_BORDER:-_BORDER, _BORDER:-_BORDER] = False
        bits[frame] = np.uint32(JwstBit.REFERENCE_PIXEL | JwstBit.NON_SCIENCE | JwstBit.DO_NOT_USE)
        data[frame] = np.nan
    counted = ramp.var_poisson
    if effects.errors == "expected":
        counted = (rate / np.fmax((ramp.good_groups - 1.0) * t_group, t_group)).astype(np.float32)
    unusable = np.isnan(data)
    poisson, rnoise = (np.where(unusable, np.float32(np.nan), each) for each in (counted, ramp.var_rnoise))
    return Planes(data, np.sqrt(poisson + rnoise), bits, poisson, rnoise)


def ccd(
    instrument: Instrument, detector: Detector, array: Array, light: NDArray, sky: NDArray, spots: Blemishes,
    effects: Effects, seconds: float, rng: np.random.Generator,
) -> Planes:  # fmt: skip
    """A CCD read once: `light` and `sky` in electrons; planes in electrons, for WFPC2 in DN.

    Charge bleeds along columns, and trails away from the amplifier: that of an upper chip is above it.
    """
    charge = brighter_fatter((light + sky).astype(np.float32), effects.brighter_fatter, detector.full_well)
    charge *= spots.flat
    charge += spots.hot * np.float32(seconds)
    charge[spots.kinds == Kind.DEAD] = 0.0
    every, _, seen = _rays(instrument, spots.kinds.shape, seconds, effects, detector.read_noise, rng)
    charge += every
    full = np.zeros(light.shape, bool)
    if effects.saturation:
        charge, full = bleed(charge, detector.full_well)
    if effects.cte:
        upward, rows = array.y == 0, np.arange(array.n_y, dtype=float)
        charge = trail(charge, rows if upward else rows[::-1], effects.cte, upward=upward)
    noise = _read_noise(detector, spots)
    if instrument.name == "WFPC2":
        # Rounding to whole counts is part of the published read noise, and is still to come.
        noise = np.sqrt(noise**2 - np.float32(detector.gain**2 / 12))
    electrons = expose_ccd(charge, noise, rng, photon=effects.photon_noise, read=effects.read_noise)
    if instrument.name == "WFPC2":
        return _wfpc2(detector, electrons, spots, full, seen, effects.saturation)
    bits = np.zeros(light.shape, np.uint32)
    bits[full] |= int(HstBit.FULL_WELL)
    bits[seen] |= int(HstBit.COSMIC_RAY)
    faults = ((Kind.DEAD, HstBit.BAD_PIXEL), (Kind.HOT, HstBit.HOT | HstBit.UNSTABLE), (Kind.NOISY, HstBit.UNSTABLE))
    for kind, bit in faults:
        bits[spots.kinds == kind] |= int(bit)
    return Planes(electrons, ccd_error(charge if effects.errors == "expected" else electrons, noise), bits)


def _wfpc2(
    detector: Detector, electrons: NDArray, spots: Blemishes, full: NDArray, seen: NDArray, clip: bool
) -> Planes:
    """Counts of the 12-bit converter after bias subtraction, and WFPC2's own flags; its files hold no errors."""
    counts, clipped = digitise(electrons, detector.gain, detector.limit / detector.gain if clip else np.inf)
    bits = np.zeros(electrons.shape, np.uint32)
    bits[clipped | full] |= int(Wfpc2Bit.AD_LIMIT)
    bits[seen] |= int(Wfpc2Bit.COSMIC_RAY)
    bits[spots.kinds != Kind.GOOD] |= int(Wfpc2Bit.CALIBRATION)
    return Planes(counts, np.zeros_like(counts), bits)
