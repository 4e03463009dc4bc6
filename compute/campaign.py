"""CAMPAIGN.toml: what is simulated. Fields of the sky, the programs that observe them, and what the detectors do.

A campaign is checked whole before anything is drawn. Those that come with the package are read by their name.
"""

import re
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from catalogs.errors import PiazziError
from compute.settings import Settings, faults

_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$"


class Population(Settings):
    """Stars of one age and distance, spread evenly over a field."""

    name: str = Field(pattern=_NAME)
    kind: Literal["old", "young", "dwarfs"] = Field("old", description="ridge line in the colour-magnitude diagram")
    density: float = Field(gt=0, description="stars above the faint limit [per square arcminute]")
    distance_modulus: float = Field(18.5, ge=0, le=30, description="[mag]")
    spread: float = Field(0.0, ge=0, le=5, description="depth along the line of sight, rms of the modulus [mag]")
    faint: float = Field(26.0, gt=10, le=32, description="faint limit, AB magnitude at 0.9 micron")
    slope: float = Field(0.2, ge=0, le=1, description="d log10 N / dm of the luminosity function")
    pmra: float = Field(0.0, description="mean motion along right ascension, with cos dec [mas/yr]")
    pmdec: float = Field(0.0, description="mean motion along declination [mas/yr]")
    dispersion: float = Field(0.0, ge=0, description="rms of the motions along each axis [mas/yr]")


class Cluster(Population):
    """A population gathered in a Plummer sphere; `density` is replaced by a number of stars."""

    density: float = Field(1.0, gt=0, description="not used")
    stars: int = Field(gt=0, description="stars above the faint limit")
    dx: float = Field(0.0, description="offset of the centre from the field's, to the east [arcsec]")
    dy: float = Field(0.0, description="offset to the north [arcsec]")
    radius: float = Field(10.0, gt=0, description="Plummer radius, half of the stars in projection [arcsec]")


class Galaxies(Settings):
    """Background galaxies: Sersic profiles that stand still."""

    density: float = Field(40.0, ge=0, description="[per square arcminute]")
    bright: float = Field(19.0, description="brightest, AB magnitude at 0.9 micron")
    faint: float = Field(25.0, description="faintest")
    slope: float = Field(0.3, ge=0, le=1, description="d log10 N / dm")
    small: float = Field(0.05, gt=0, description="least half-light radius [arcsec]")
    large: float = Field(0.8, gt=0, le=3, description="greatest half-light radius [arcsec]")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.bright >= self.faint:
            raise ValueError(f"bright is {self.bright}, expected less than faint, {self.faint}")
        if self.small > self.large:
            raise ValueError(f"small is {self.small}, expected at most large, {self.large}")
        return self


class SkyField(Settings):
    """A piece of sky: where it is and what fills it."""

    name: str = Field(pattern=_NAME)
    ra: float = Field(ge=0, lt=360, description="centre, ICRS [deg]")
    dec: float = Field(ge=-90, le=90, description="centre, ICRS [deg]")
    populations: tuple[Population, ...] = ()
    clusters: tuple[Cluster, ...] = ()
    galaxies: Galaxies = Galaxies(density=0.0)
    blends: float = Field(0.0, ge=0, le=1, description="share of stars with a companion within 3 NIRISS pixels")
    target: str = Field("", description="name of a moving target, seen in tracked observations; none without")
    target_mag: float = Field(17.0, description="its nucleus, AB magnitude at 0.9 micron")
    target_coma: float = Field(5.0, ge=0, description="light of the coma within 1 arcsec, in units of the nucleus")


class Observation(Settings):
    """Exposures of one program: an instrument, its filters, a dither pattern, at one epoch."""

    program: int = Field(gt=0, le=99999)
    observation: int = Field(1, ge=1, le=99)
    field: str = Field("", description="name of the field; the first one unless given")
    instrument: Literal["NIRISS", "NIRCAM", "WFPC2", "ACS", "WFC3"] = "NIRISS"
    detector: str = Field("", description="NIS, NRCB1 ..., WFC, UVIS; the instrument's first unless given")
    filters: tuple[str, ...] = Field(min_length=1)
    epoch: float = Field(ge=1990, le=2060, description="Julian year of the first exposure")
    exptime: float = Field(0.0, ge=0, description="seconds; 0 is the instrument's usual")
    groups: int = Field(0, ge=0, le=255, description="groups of a JWST ramp; 0 is the filter's usual")
    dither: Literal["none", "line", "box", "3x3", "5x5"] = "3x3"
    step: float = Field(8.0, ge=0, description="step of the dither [arcsec]")
    exposures: int = Field(1, ge=1, le=1000, description="exposures at each pointing")
    position_angle: float = Field(0.0, ge=0, lt=360, description="of the array's +y, east of north [deg]")
    dx: float = Field(0.0, description="offset of the pointing from the field's centre, to the east [arcsec]")
    dy: float = Field(0.0, description="offset to the north [arcsec]")
    size: int = Field(
        0, ge=0, le=2040, multiple_of=2, description="side of a centred subarray, JWST only; 0 is the full frame [pix]"
    )
    track: tuple[float, float] = Field(
        (0.0, 0.0), description="rate at which a target is followed, east and north [mas/s]"
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.groups == 1:
            raise ValueError("groups is 1, expected at least 2: a slope needs two")
        if self.groups and self.exptime:
            raise ValueError(f"exptime is {self.exptime} and groups is {self.groups}, expected one of them")
        if self.instrument in ("ACS", "WFC3", "WFPC2") and (self.groups or self.size):
            raise ValueError(f"groups is {self.groups}, size {self.size}, expected neither: {self.instrument} has CCDs")
        return self


class Effects(Settings):
    """What optics and detectors do to the light; each can be switched off, alone or together."""

    photon_noise: bool = True
    read_noise: bool = True
    errors: Literal["expected", "measured"] = Field(
        "expected", description="ERR from the expected charge, or as pipelines must from each noisy pixel itself"
    )
    epsf_grid: int = Field(5, ge=1, le=9, description="fiducials of the true ePSF along each axis")
    sky: float = Field(1.0, ge=0, description="sky brightness, in units of the instrument's usual")
    saturation: bool = Field(True, description="full wells: ramps cut short, bleeding on CCDs")
    flat: float = Field(0.002, ge=0, le=0.2, description="rms of what flat-fielding leaves, per pixel")
    intra_pixel: float = Field(0.0, ge=0, le=1, description="fall of sensitivity from a pixel's centre to its edge")
    diffusion: float | None = Field(
        None, ge=0, le=1, description="charge diffusion, rms [pix]; the detector's unless given"
    )
    brighter_fatter: float = Field(0.0, ge=0, le=0.1, description="loss of the core at full well")
    focus: float = Field(
        0.02, ge=0, le=0.1, description="rms loss of the core by defocus, at 0.9 micron; differs between exposures"
    )
    cte: float = Field(0.0, ge=0, le=1, description="CTE trails of CCDs; 1 is the end of a long mission")
    bad_pixels: float = Field(0.004, ge=0, le=0.2, description="share of pixels, all flagged")
    cosmic_rays: float = Field(1.0, ge=0, description="rate, in units of the usual for the orbit")
    flagged_rays: float = Field(0.98, ge=0, le=1, description="share of cosmic rays that the pipeline flagged")
    distortion: bool = Field(True, description="optical distortion; without it pixels are square and equal")
    fine_distortion: float = Field(
        1.0, ge=0, description="filter terms, amplifier waves, void and bands: times the usual"
    )
    scale_drift: float = Field(
        5e-6, ge=0, le=1e-3, description="rms relative change of scale from exposure to exposure"
    )
    pointing_error: float = Field(
        0.1, ge=0, le=5, description="rms error of the pointing in headers, per axis [arcsec]"
    )
    roll_error: float = Field(0.002, ge=0, le=1, description="rms error of the roll in headers [deg]")
    jitter: float = Field(0.0, ge=0, le=20, description="rms jitter during an exposure, per axis [mas]")


class Reference(Settings):
    """A catalog like that of HST's astrometric fields: what a calibration is solved against."""

    epoch: float = Field(2006.39, ge=1990, le=2060)
    bright_error: float = Field(0.14, gt=0, description="error of bright stars, per axis [mas]")
    faint_error: float = Field(1.0, gt=0, description="error at the faint limit [mas]")
    bright: float = Field(19.0, description="AB magnitude at 0.6 micron up to which errors are least")
    faint: float = Field(25.0, description="faint limit")
    motions: bool = Field(False, description="give proper motions")
    motion_error: float = Field(0.05, gt=0, description="error of bright stars' motions, per axis [mas/yr]")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.bright >= self.faint:
            raise ValueError(f"bright is {self.bright}, expected less than faint, {self.faint}")
        if self.bright_error > self.faint_error:
            raise ValueError(f"bright_error is {self.bright_error}, expected at most {self.faint_error}")
        return self


class Gaia(Settings):
    """An extract with Gaia DR3's columns, errors and limits."""

    faint: float = Field(20.7, ge=10, le=22, description="faint limit in G")


class Campaign(Settings):
    """Everything that is simulated together, from one seed."""

    name: str = Field(pattern=_NAME)
    seed: int = Field(1801, ge=0, description="seed of all randomness")
    fields: tuple[SkyField, ...] = Field(min_length=1)
    observations: tuple[Observation, ...] = Field(min_length=1)
    effects: Effects = Effects()
    reference: Reference | None = Reference()
    gaia: Gaia | None = Gaia()

    @field_validator("fields")
    @classmethod
    def _named_apart(cls, fields: tuple[SkyField, ...]) -> tuple[SkyField, ...]:
        names = [field.name for field in fields]
        if len(set(names)) < len(names):
            raise ValueError(f"names are {names}, expected each once")
        return fields

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = {field.name for field in self.fields}
        for index, each in enumerate(self.observations):
            if each.field and each.field not in names:
                raise ValueError(f"observations.{index}.field is {each.field!r}, expected one of {sorted(names)}")
        keys = [(each.program, each.observation) for each in self.observations]
        if len(set(keys)) < len(keys):
            raise ValueError(f"program and observation are {keys}, expected each pair once")
        return self

    def field_of(self, observation: Observation) -> SkyField:
        """The field an observation looks at."""
        return next(field for field in self.fields if field.name == (observation.field or self.fields[0].name))


def packaged() -> list[str]:
    """Names of the campaigns that come with the package."""
    return sorted(
        entry.name.removesuffix(".toml")
        for entry in files("compute.campaigns").iterdir()
        if entry.name.endswith(".toml")
    )


def read_campaign(place: str) -> Campaign:
    """Read and check a campaign: a file, or the name of one that comes with the package.

    Raises
    ------
    PiazziError
        With every fault on a line of its own.
    """
    if re.fullmatch(_NAME, place) and place in packaged():
        text = files("compute.campaigns").joinpath(f"{place}.toml").read_text()
    else:
        try:
            text = Path(place).read_text()
        except (OSError, UnicodeDecodeError) as error:
            found = getattr(error, "strerror", None) or "not text"
            raise PiazziError(f"{place}: {found}; expected a file, or one of {', '.join(packaged())}") from None
    try:
        return Campaign.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise PiazziError(f"{place}: not TOML: {error}") from None
    except ValidationError as error:
        raise PiazziError("\n".join(f"{place}: {line}" for line in faults(error))) from None
