"""True effective PSFs of an instrument and filter, and how they rest on disk for the exposures to draw from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from catalogs.cubes import EpsfCube, enclosed_sum
from compute.campaign import Effects
from compute.kernels.simulate import optics, pupil
from compute.kernels.simulate.drawing import RADIUS, Table, by_phase
from compute.kernels.simulate.streams import stream
from compute.stages.simulate.instruments import Detector, Instrument

OVERSAMPLING = 12
HALF, CUBE_HALF = 13, 12.5  # pix: of the tables drawn from, of the cubes that tell truth
WING, WING_OVERSAMPLING = 80, 4
NORMALISATION = 5.0  # pix
_CELLS = {"JWST": 256, "HST": 384}  # least cells across a pupil: cores are good to 0.3 %
_FOCUS = 0.15  # loss of the core that the focus term is derived from
_STATIC = {"JWST": 0.8, "HST": 0.45}  # share of the wavefront error that no low mode makes: segments, polish
_DEFOCUS = pupil.MODES.index("defocus")
_RADIAN = 180 / np.pi * 3600  # arcsec


@dataclass(frozen=True, eq=False)
class TrueEpsf:
    """Effective PSFs at `fx`, `fy`, their change with focus, and far wings, in one normalisation.

    `values` (n_fy, n_fx, n, n), `focus` (n, n): an exposure's ePSF is values + f * focus, and its mean core is (1 + f)
    times that of `values`. `wing` (m, m) at WING_OVERSAMPLING. Positions are full-detector pixels.
    """

    values: NDArray[np.float64]
    focus: NDArray[np.float64]
    wing: NDArray[np.float64]
    fx: NDArray[np.float64]
    fy: NDArray[np.float64]

    def table(self, focus: float, x_start: float, y_start: float) -> Table:
        """What an array whose pixel [0, 0] is (x_start, y_start) draws from."""
        phases = by_phase(self.values + focus * self.focus, OVERSAMPLING)
        return Table(phases, self.fx - x_start, self.fy - y_start)

    def core(self, focus: float = 0.0) -> float:
        """Mean share of flux in the pixel a star is centred on."""
        middle = self.values.shape[-1] // 2
        return float((self.values + focus * self.focus)[..., middle, middle].mean())

    @property
    def total(self) -> float:
        """All light of a star, far wings included, over its flux."""
        middle, cell = len(self.wing) // 2, round((RADIUS + 0.5) * WING_OVERSAMPLING)
        inner = self.wing[middle - cell : middle + cell + 1, middle - cell : middle + cell + 1].sum()
        half, near = self.values.shape[-1] // 2, round((RADIUS + 0.5) * OVERSAMPLING)
        core = self.values.mean(axis=(0, 1))[half - near : half + near + 1, half - near : half + near + 1].sum()
        return float((self.wing.sum() - inner) / WING_OVERSAMPLING**2 + core / OVERSAMPLING**2)

    def dataset(self, instrument: str, detector: str, filter_name: str) -> xr.Dataset:
        """The ePSF cube, as those the fitter uses but finer, with `focus` beside it."""
        cut = round((HALF - CUBE_HALF) * OVERSAMPLING)
        inner = np.s_[..., cut:-cut, cut:-cut]
        cube = EpsfCube(
            self.values[inner], self.fx, self.fy, OVERSAMPLING, NORMALISATION,
            np.zeros((len(self.fy), len(self.fx)), np.int64), instrument, detector, filter_name, "simulated",
        )  # fmt: skip
        meaning = "added to epsf, times the focus of an exposure"
        return cube.to_dataset().assign(focus=(("v", "u"), self.focus[inner], {"units": "1", "description": meaning}))


def build_epsf(instrument: Instrument, detector: Detector, filter_name: str, effects: Effects) -> TrueEpsf:
    """Diffract, blur and normalise: fiducials on a grid, wavelengths across the passband."""
    nodes, half = effects.epsf_grid, HALF * OVERSAMPLING
    diffusion = detector.diffusion if effects.diffusion is None else effects.diffusion
    smear = float(np.hypot(diffusion, effects.jitter / detector.scale))
    near, far = (
        _Optics.of(instrument, detector, filter_name, smear, effects.intra_pixel, *each)
        for each in ((HALF + optics.MARGIN, OVERSAMPLING, 3), (WING, WING_OVERSAMPLING, 15))
    )
    places = np.linspace(-1, 1, nodes) if nodes > 1 else np.zeros(1)
    inner = np.s_[near.steps - half : near.steps + half + 1]
    values = np.array([[near.epsf(u, v)[inner, inner] for u in places] for v in places])
    norms = enclosed_sum(values, OVERSAMPLING, NORMALISATION)
    values /= norms[..., None, None]
    there, beyond = (near.epsf(defocus=extra)[inner, inner] for extra in (0.0, near.defocus(_FOCUS)))
    focus = beyond / enclosed_sum(beyond, OVERSAMPLING, NORMALISATION)
    focus -= there / enclosed_sum(there, OVERSAMPLING, NORMALISATION)
    focus *= values[..., half, half].mean() / focus[half, half]
    fx, fy = ((places + 1) / 2 * (size - 1) for size in (detector.width, detector.height))
    return TrueEpsf(values, focus, _joined(far.epsf(), values), fx, fy)


def _joined(wing: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Far wings scaled to go on where the mean of the fine tables ends."""
    rings = []
    for table, step in ((wing, WING_OVERSAMPLING), (values.mean(axis=(0, 1)), OVERSAMPLING)):
        offsets = np.abs(np.arange(len(table)) - len(table) // 2) / step
        ring = np.maximum(offsets[:, None], offsets[None, :])
        rings.append(table[(ring >= RADIUS - 0.5) & (ring <= RADIUS + 0.5)].mean())
    return wing * rings[1] / rings[0]


@dataclass(frozen=True, eq=False)
class _Optics:
    """A pupil ready to diffract onto a grid of offsets, `steps` to either side, and what the detector adds.

    `coefficients` (modes, 6) of the constant, u, v, u^2, u v, v^2 of every mode [m]; `scale` [mas/pix]; `smear` [pix].
    """

    pupil: pupil.Pupil
    modes: NDArray[np.float64]
    static: NDArray[np.float64]
    coefficients: NDArray[np.float64]
    wavelengths: NDArray[np.float64]
    weights: NDArray[np.float64]
    scale: float
    steps: int
    oversampling: int
    smear: float
    intra: float

    @classmethod
    def of(
        cls, instrument: Instrument, detector: Detector, filter_name: str, smear: float, intra: float, reach: float,
        oversampling: int, samples: int,
    ) -> "_Optics":  # fmt: skip
        """Optics of an instrument out to `reach` pix, at `samples` wavelengths or more."""
        band = instrument.band(filter_name)
        samples = max(samples, round(band.width / band.pivot * 25))
        wavelengths, weights = optics.band(band.pivot * 1e-6, band.width * 1e-6, samples)
        width = pupil.JWST_WIDTH if instrument.telescope == "JWST" else pupil.HST_WIDTH
        # The pupil's cells must be fine enough for its images of order one to lie outside the grid.
        n = max(
            _CELLS[instrument.telescope],
            2 * int(np.ceil(1.1 * reach * detector.scale / 1e3 * width / (wavelengths[0] * _RADIAN))),
        )
        if instrument.telescope == "JWST":
            made = pupil.jwst_pupil(n, alignment=filter_name in instrument.stops)
        else:
            made = pupil.hst_pupil(n, relay=instrument.name == "WFPC2")
        rng = stream(0, "wavefront", instrument.name, detector.name)
        share = _STATIC[instrument.telescope]
        static = pupil.segment_errors(made, share * instrument.wavefront, rng)
        coefficients = rng.normal(size=(len(pupil.MODES), 6)) * np.array([1, *[instrument.variation] * 5])
        coefficients *= np.sqrt(1 - share**2) * instrument.wavefront / np.sqrt((coefficients[:, 0] ** 2).sum())
        modes = np.array(list(pupil.zernikes(made).values()))
        return cls(
            made, modes, static, coefficients, wavelengths, weights, detector.scale, round(reach * oversampling),
            oversampling, smear, intra,
        )  # fmt: skip

    def epsf(self, u: float = 0.0, v: float = 0.0, defocus: float = 0.0) -> NDArray[np.float64]:
        """Centred effective PSF at field position (u, v) from -1 to 1, with extra defocus [m rms]."""
        terms = self.coefficients @ np.array([1, u, v, u * u, u * v, v * v])
        terms[_DEFOCUS] += defocus
        wavefront = self.static + np.tensordot(terms, self.modes, 1)
        offsets = np.arange(-self.steps, self.steps + 1) / self.oversampling * self.scale
        found = optics.intensity(
            self.pupil.transmission, wavefront, self.pupil.step, self.wavelengths, self.weights, offsets
        )
        return optics.effective(found * self.scale**2, self.oversampling, self.smear, self.intra)[0]

    def defocus(self, loss: float) -> float:
        """Defocus that takes about the share `loss` from the peak [m rms] (Marechal), away from the best focus."""
        step = np.sqrt(loss) * (self.wavelengths @ self.weights) / (2 * np.pi)
        return float(np.copysign(step, self.coefficients[_DEFOCUS, 0]))


def save_epsf(folder: Path, epsf: TrueEpsf) -> None:
    """Plain arrays, so that every exposure's task maps what others read too."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("values", "focus", "wing", "fx", "fy"):
        np.save(folder / f"{name}.npy", getattr(epsf, name))


def load_epsf(folder: Path) -> TrueEpsf:
    """Inverse of :func:`save_epsf`."""
    parts: dict[str, Any] = {name: np.load(folder / f"{name}.npy") for name in ("values", "focus", "wing", "fx", "fy")}
    return TrueEpsf(**parts)
