"""Stages that work on one exposure: its own ePSF, measuring, times, and which of its stars count."""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from catalogs.flags import Flag
from compute.settings.base import Settings


class EpsfSettings(Settings):
    """How the first ePSF of an exposure is built from its own stars, where no library is given."""

    oversampling: int = Field(4, ge=4, le=8, description="samples per pixel")
    grid: int = Field(3, ge=1, le=5, description="most fiducials along each axis; fewer where stars are few")
    stars: int = Field(2000, ge=10, description="most stars to build from, brightest first")
    signal_to_noise: float = Field(50.0, gt=0, description="least S/N of a star to build from")
    per_fiducial: int = Field(100, ge=10, description="least stars for each fiducial")
    passes: int = Field(6, ge=1, le=50, description="rounds of measuring and rebuilding")


class MeasureSettings(Settings):
    """Finding and fitting stars in one exposure."""

    threshold: float = Field(5.0, gt=0, description="least significance of a detection [sigma]")
    isolation: float = Field(2.5, ge=1, le=20, description="radius within which a star must be the highest peak [pix]")
    sharpness: float = Field(
        0.5, gt=0, le=1, description="sharpest peak kept: 0 is the sharpest star there can be, 1 a lone pixel"
    )
    sky_inner: float = Field(4.0, ge=0, description="inner radius of the sky annulus [pix]")
    sky_outer: float = Field(7.0, gt=0, le=50, description="outer radius of the sky annulus [pix]")
    window: Literal[5, 7, 9] = Field(5, description="side of the square of fitted pixels")
    aperture: Literal["window", "tapered"] = Field(
        "window", description="fit the whole window, or a disc whose weight falls from 1 to 0 between two radii"
    )
    taper_inner: float = Field(1.5, gt=0, description="tapered aperture: full weight inside [pix]")
    taper_outer: float = Field(2.0, gt=0, description="tapered aperture: no weight outside [pix]")
    spline_order: Literal[3, 5] = Field(5, description="B-spline between ePSF samples: cubic or quintic")
    template_error: float = Field(0.002, ge=0, le=0.5, description="fractional error of the ePSF itself")
    searches: int = Field(2, ge=1, le=5, description="searches; all but the first with fitted stars removed")
    rounds: int = Field(3, ge=1, le=10, description="rounds of sky and fit; all but the first see neighbours removed")
    max_iterations: int = Field(30, ge=3, le=1000, description="most steps of one fit")
    perturb: int = Field(
        0,
        ge=0,
        le=5,
        description="zones along each axis in which the library ePSF is adjusted to each exposure; 0: none",
    )
    own_epsf: EpsfSettings = Field(EpsfSettings(), description="the ePSF built where none is given")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.sky_outer <= self.sky_inner:
            raise ValueError(f"sky_outer is {self.sky_outer}, expected more than sky_inner, {self.sky_inner}")
        if self.taper_outer <= self.taper_inner:
            raise ValueError(f"taper_outer is {self.taper_outer}, expected more than taper_inner, {self.taper_inner}")
        if self.aperture == "tapered" and self.taper_outer > self.window / 2:
            raise ValueError(f"taper_outer is {self.taper_outer}, expected at most {self.window / 2}, half the window")
        return self


class TimingSettings(Settings):
    """When a pixel was exposed."""

    integration: int | None = Field(None, ge=1, description="integration of INT_TIMES; the middle one unless given")
    alternating: bool = Field(False, description="every second amplifier reads against FASTAXIS, not along it")
    clock_offset: float | None = Field(None, ge=-10, le=10, description="spacecraft clock minus UTC, if known [s]")


class CutSettings(Settings):
    """What counts as a star, and as a well measured one, for stages that choose among measurements."""

    nearest: int = Field(201, ge=20, description="sources nearest in magnitude that limits are made from")
    least: int = Field(100, ge=20, description="sources of an exposure below which limits are fixed")
    sigmas: float = Field(3.5, gt=0, description="limits of QFIT and RADXS [spreads about the median of like sources]")
    qfit: float = Field(0.2, gt=0, description="most QFIT of a star without noise; the fixed limit")
    radxs: float = Field(0.1, gt=0, description="most |RADXS| of a star without noise; the fixed limit")
    signal_to_noise: float = Field(10.0, ge=0, description="least S/N of a well measured star")
    flags: tuple[str, ...] = Field(
        tuple(flag.name for flag in Flag if flag not in (Flag.GROUP_FIT, Flag.CTE, Flag.CUTOUT)),
        description="names of the flags that a well measured star must not have",
    )

    @field_validator("flags")
    @classmethod
    def _known(cls, flags: tuple[str, ...]) -> tuple[str, ...]:
        unknown = sorted(set(flags) - set(Flag.__members__))
        if unknown:
            raise ValueError(f"flags names {', '.join(unknown)}, expected names among {', '.join(Flag.__members__)}")
        return flags
