"""What the arrays of one detector have in common during an exposure: pointing, optics, photometric zero points."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compute.campaign import Campaign, Effects, Observation, SkyField
from compute.kernels.simulate.distortion import Distortion
from compute.kernels.simulate.populations import colour
from compute.stages.simulate.epsfs import TrueEpsf
from compute.stages.simulate.geometry import distortion
from compute.stages.simulate.instruments import INSTRUMENTS, Array, Band, Detector, Instrument
from compute.stages.simulate.plan import Exposure, start
from compute.stages.simulate.positions import MAS, Pointing, point

AB_ZERO = 3631.0  # Jy
_LIGHT = 2.998e18  # Angstrom/s
_WARM = 3.6  # micron at which it equals the zodiacal light


@dataclass(frozen=True, eq=False)
class Setup:
    """One detector during one exposure of a campaign."""

    campaign: Campaign
    exposure: Exposure
    observation: Observation
    field: SkyField
    instrument: Instrument
    detector: Detector
    band: Band
    pointing: Pointing
    truth: Distortion
    epsf: TrueEpsf

    @property
    def effects(self) -> Effects:
        """The campaign's switches."""
        return self.campaign.effects

    @property
    def jwst(self) -> bool:
        """Whether frames hold surface brightness from ramps, and not counts of a CCD."""
        return self.instrument.telescope == "JWST"

    @property
    def first(self) -> float:
        """Start of the observation, when a moving target is at the field's centre [MJD]."""
        return start(self.observation)

    @property
    def electron(self) -> float:
        """Image unit of one electron collected in a pixel of nominal area."""
        if self.jwst:
            return self.photmjsr / self.detector.gain / self.exposure.exptime
        return 1 / self.detector.gain if self.instrument.name == "WFPC2" else 1.0

    @property
    def pixar_sr(self) -> float:
        """Nominal solid angle of a pixel [sr]."""
        return (self.detector.scale * MAS) ** 2

    @property
    def photmjsr(self) -> float:
        """MJy/sr for one DN/s in a pixel: a flux of 1 MJy/sr x pix has the AB magnitude that its Jy tell."""
        jansky = 1e6 * self.pixar_sr
        return self.detector.gain / float(self.instrument.electrons(self.band, -2.5 * np.log10(jansky / AB_ZERO)))

    @property
    def photflam(self) -> float:
        """Flux density of one count a second of a CCD [erg/s/cm2/Angstrom]."""
        jansky = AB_ZERO / float(self.instrument.electrons(self.band, 0.0)) / self.electron
        return jansky * 1e-23 * _LIGHT / (self.band.pivot * 1e4) ** 2

    @property
    def zero_point(self) -> float:
        """AB magnitude of a flux of one image unit times pixel."""
        return float(2.5 * np.log10(self.instrument.electrons(self.band, 0.0) * self.exposure.exptime * self.electron))

    @property
    def sky(self) -> float:
        """Sky in a pixel of nominal area [e]: zodiacal light, and beyond 3 micron the telescope's own warmth."""
        warmth = 1 + (self.band.pivot / _WARM) ** 6
        mag = self.instrument.sky - 5 * np.log10(self.detector.scale / 1e3) - 2.5 * np.log10(warmth)
        return float(self.effects.sky * self.instrument.electrons(self.band, mag) * self.exposure.exptime)

    def electrons(self, mag_ref: NDArray, teff: NDArray) -> tuple[NDArray, NDArray]:
        """AB magnitudes in the band, and charge collected [e]."""
        mag = mag_ref + colour(teff, self.band.pivot)
        return mag, np.asarray(self.instrument.electrons(self.band, mag) * self.exposure.exptime)

    def windows(self) -> list[tuple[int, Array, tuple[int, int]]]:
        """Arrays that are read: chip number, array, and the chip pixel of its element [0, 0]."""
        size, found = self.observation.size, []
        for chip, array in enumerate(self.detector.arrays):
            cut = (array.n_x - size) // 2 if size and self.jwst else 0
            found.append((chip, Array(array.name, array.n_x - 2 * cut, array.n_y - 2 * cut, array.y), (cut, cut)))
        return found


def setups(campaign: Campaign, exposure: Exposure, epsfs: dict[str, TrueEpsf]) -> list[Setup]:
    """The detectors of an exposure, with their true ePSFs by name."""
    observation = campaign.observations[exposure.observation]
    instrument = INSTRUMENTS[observation.instrument]
    found = []
    for detector in instrument.detector(observation.detector):
        truth = true_distortion(instrument, detector, exposure.filter, campaign.effects)
        found.append(
            Setup(
                campaign, exposure, observation, campaign.field_of(observation), instrument, detector,
                instrument.band(exposure.filter), point(exposure, instrument, detector, observation), truth,
                epsfs[detector.name],
            )
        )  # fmt: skip
    return found


def true_distortion(instrument: Instrument, detector: Detector, filter_name: str, effects: Effects) -> Distortion:
    """A detector's distortion under a campaign's switches."""
    truth = distortion(instrument, detector, filter_name, effects.fine_distortion)
    if effects.distortion:
        return truth
    return truth._replace(polynomial=np.zeros_like(truth.polynomial), fine=np.zeros((2, 1, 1), np.float32))
