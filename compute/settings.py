"""Settings of every stage: frozen, validated before any computing, with the same names in recipes and options."""

import hashlib
import json
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from catalogs.flags import Flag
from catalogs.references.gaia import DR3


class Settings(BaseModel):
    """Base of all settings: immutable, and unknown names are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def digest(self, *more: str) -> str:
        """Sixteen hex digits that change when any setting, or any of the strings `more`, changes."""
        text = json.dumps([self.model_dump(mode="json"), *more], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def faults(error: ValidationError) -> list[str]:
    """One line per fault of a settings model: where, what was found, what was expected."""
    lines, places = [], [fault["loc"] for fault in error.errors()]
    for fault in error.errors():
        # A list whose only items are faulty also counts as too short; the items' own faults say enough.
        inner = any(len(place) > len(fault["loc"]) and place[: len(fault["loc"])] == fault["loc"] for place in places)
        if fault["type"] == "too_short" and inner:
            continue
        place = ".".join(str(part) for part in fault["loc"]) or "settings"
        found = "" if fault["type"] in ("missing", "value_error") else f" (found {fault['input']!r})"
        lines.append(f"{place}: {fault['msg']}{found}")
    return lines


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


class FrameSettings(Settings):
    """Master frames: how exposures are tied together and to the sky."""

    scale: float = Field(50.0, gt=0, le=1000, description="scale of the frame [mas/pix]")
    ra: float | None = Field(
        None, ge=0, lt=360, description="tangent point [deg]; the middle of the exposures unless set"
    )
    dec: float | None = Field(None, ge=-90, le=90, description="tangent point [deg]")
    within: float = Field(
        15.0, gt=0, le=120, description="exposures farther from the tangent point are left out [arcmin]"
    )
    transform: Literal["similar", "affine", "poly2", "poly3", "poly4", "poly5"] = Field(
        "affine", description="from an exposure's corrected positions to the frame"
    )
    raw_transform: Literal["affine", "poly2", "poly3", "poly4", "poly5"] = Field(
        "poly3", description="the same where positions are not corrected for distortion"
    )
    tie: Literal["similar", "affine"] = Field("affine", description="from the mean positions to the reference catalog")
    radius: float = Field(1.0, gt=0, le=10, description="farthest a detection may lie from its star [frame pix]")
    motion_radius: float = Field(2.0, gt=0, le=50, description="farthest a star may move between epochs [frame pix]")
    min_found: int = Field(3, ge=1, description="least exposures a star must be found in; fewer where there are fewer")
    clip: float = Field(4.0, ge=2, description="detections beyond this many standard errors are not used")
    link_stars: int = Field(4000, ge=50, description="most stars of an exposure that its transformation is made from")
    link_snr: float = Field(20.0, gt=0, description="least S/N of a star that transformations are made from")
    reserve: float = Field(0.1, ge=0, le=0.5, description="share of the sky whose stars are kept out of every solve")
    rounds: int = Field(50, ge=2, le=1000, description="most rounds of averaging and transforming")
    tolerance: float = Field(1e-4, gt=0, description="settled when no exposure moves more than this [frame pix]")
    epoch_gap: float = Field(0.25, ge=0.01, description="exposures farther apart than this are of two epochs [yr]")
    photometry: str = Field(
        "", description="exposure that sets the zero point of magnitudes; the middle one unless set"
    )
    pointing_error: float = Field(5.0, gt=0, le=60, description="farthest a header may point from the truth [arcsec]")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.ra is None) != (self.dec is None):
            raise ValueError("only one of ra and dec is set, expected both or neither")
        return self


class GaiaSettings(Settings):
    """Which solutions of Gaia DR3 are trusted, and how far."""

    ruwe: float = Field(DR3.ruwe, gt=0, description="greatest renormalised unit weight error")
    ipd_gof_harmonic_amplitude: float = Field(
        DR3.ipd_gof_harmonic_amplitude, ge=0, description="greatest dependence of image fits on scan angle"
    )
    visibility_periods_used: int = Field(DR3.visibility_periods_used, ge=0, description="least visibility periods")
    astrometric_excess_noise_sig: float = Field(
        DR3.astrometric_excess_noise_sig, ge=0, description="greatest significance of noise the solution leaves"
    )
    duplicated_source: bool = Field(DR3.duplicated_source, description="keep sources that were taken for two")
    inflation: tuple[float, float] = Field(
        DR3.inflation, description="factors on covariances of 5- and 6-parameter solutions"
    )
    systematics: tuple[float, float] = Field(
        (DR3.systematics.pm, DR3.systematics.parallax),
        description="errors all sources share: motion [mas/yr], parallax [mas]",
    )


class ReferenceSettings(Settings):
    """``[reference]``: a catalog of sources known beforehand, that frames and calibrations are tied to."""

    file: str = Field(description="Parquet file or folder, HATS catalog, FITS, ECSV or VOTable file; path or URL")
    epoch: float | None = Field(
        None, ge=1900, le=2150, description="Julian year of its positions, where it has no ref_epoch"
    )
    columns: dict[str, str] = Field(
        {}, description="our name for a column to its own, where name and UCD do not tell; empty: leave it out"
    )
    radius: float | None = Field(
        None, gt=0, le=180, description="sources farther than this from the field's centre are not read [deg]"
    )
    motions: bool = Field(True, description="move sources by their proper motions to the epoch of a frame")
    without_motion: Literal["auto", "keep", "drop", "refuse"] = Field(
        "auto", description="single sources without a motion: auto keeps those of Gaia and refuses others"
    )
    dispersion: float = Field(
        0.2, ge=0, description="rms motion, per axis, of sources that are not moved; grows their errors [mas/yr]"
    )
    gaia: GaiaSettings = Field(GaiaSettings(), description="rules for Gaia DR3")


class MatchSettings(Settings):
    """Which source of a reference catalog is which star of a master frame."""

    radius: float = Field(100.0, gt=0, le=5000, description="farthest a source may lie from its star [mas]")


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


class StampSettings(Settings):
    """Which stars of an exposure tell of its ePSF and are cut out."""

    stars: int = Field(1500, ge=50, description="most stars of an exposure, brightest first")
    signal_to_noise: float = Field(60.0, gt=5, description="least S/N of a star")
    isolation: float = Field(5.0, ge=0, description="no brighter neighbour within this [pix]")


class CalibrateSettings(StampSettings):
    """Library ePSFs from dithered exposures: which stars, and how they are solved."""

    oversampling: int = Field(4, ge=4, le=8, description="samples per pixel of the ePSF")
    grid: int = Field(5, ge=1, le=9, description="fiducials along each axis; fewer where stars are few")
    per_fiducial: int = Field(150, ge=20, description="least star images for each fiducial")
    least: int = Field(100, ge=10, description="least stars of a detector, over all its exposures")
    transform: Literal["affine", "poly2", "poly3", "poly4", "poly5"] = Field(
        "poly5", description="from the raw pixels of an exposure to the common frame"
    )
    radius: float = Field(2.0, gt=0, le=10, description="farthest a detection may lie from its star [frame pix]")
    together: bool = Field(
        False, description="filters of a detector as one dither: common star positions, for exposures without dithers"
    )
    passes: int = Field(6, ge=3, le=30, description="most updates of the ePSF; the first two have one for all places")
    settled: float = Field(3e-4, gt=0, description="ends when no sample changes by more, in units of the peak (rms)")
    slack: float = Field(0.003, gt=0, le=0.5, description="what transformations may leave of a position [pix]")
    stiffness: float = Field(1e-6, gt=0, description="weight of roughness in the core, in units of the stars' weight")
    half: int = Field(5, ge=4, le=8, description="half width of the fitted pixels until the last update [pix]")
    steps: int = Field(60, ge=10, description="most steps of conjugate gradients in one update")
    solver: Literal["joint", "direct", "averaging"] = Field(
        "joint", description="ePSF and stars together; the ePSF alone, stars as averaged; averages of residuals"
    )
    reserve: float = Field(0.1, ge=0, le=0.5, description="share of the sky whose stars are kept out, to judge")
    most: int = Field(4000, ge=100, description="most star images of a fiducial's region, over all exposures")
    flux_term: bool = Field(False, description="solve for how the ePSF widens with a star's charge (brighter-fatter)")
    control: bool = Field(False, description="also try two passes without averages, which must keep the phase bias")


class PerturbSettings(StampSettings):
    """A library ePSF adjusted to each exposure."""

    zones: int = Field(1, ge=1, le=5, description="zones along each axis, fewer where stars are few")
    least: int = Field(100, ge=20, description="least stars of a zone; fewer zones where stars are few")
    stiffness: float = Field(1e-3, gt=0, description="weight of roughness in the change, in units of the stars' weight")
    clip: float = Field(5.0, gt=1, description="stars whose chi2 is more than so many times the median are left out")


class GeometrySettings(Settings):
    """The geometric distortion: which stars tell of it, and how it is solved."""

    method: Literal["smooth", "published"] = Field(
        "smooth", description="one smooth model with all star positions, or polynomial, look-up table and pixel map"
    )
    order: int = Field(5, ge=1, le=9, description="order of the polynomial")
    update: int = Field(
        0, ge=0, le=5, description="only add a polynomial of this order to the distortion known before; 0: solve anew"
    )
    cells: int = Field(32, ge=2, le=64, description="cells of the spline, or of the look-up table, along each axis")
    knots: float = Field(
        4.0, ge=0, le=64, description="knots of what depends on x or on y alone [pix]; 0 for none; smooth method"
    )
    amplifiers: bool = Field(True, description="let fine structure break where another amplifier reads; smooth method")
    direct: bool = Field(False, description="least squares at once instead of half-gain iterations; published method")
    share: bool = Field(True, description="fine structure of all filters of a detector where that is the better one")
    nearest: int = Field(50, ge=5, le=500, description="residuals behind a pixel of the map; published method")
    qfit: float = Field(0.1, gt=0, description="most QFIT of a star")
    signal_to_noise: float = Field(30.0, gt=0, description="least S/N of a star")
    least: int = Field(300, ge=50, description="least positions of well measured stars")
    min_found: int = Field(3, ge=2, description="exposures a star must be found in, where there is no reference")
    radius: float = Field(1.5, gt=0, le=10, description="farthest a detection may lie from its star [pix]")
    raw_transform: Literal["affine", "poly2", "poly3", "poly4", "poly5"] = Field(
        "poly5", description="from raw pixels to the frame, to identify stars"
    )
    link: Literal["similar", "affine"] = Field(
        "similar", description="from corrected positions to the frame; similar leaves skew to the distortion"
    )
    pointing_error: float = Field(5.0, gt=0, le=60, description="farthest a header may point from the truth [arcsec]")
    epoch_gap: float = Field(0.25, ge=0.01, description="exposures farther apart are of two calibrations [yr]")
    reserve: float = Field(0.1, ge=0, le=0.5, description="share of the sky whose stars are kept out, to judge")


class MotionSettings(Settings):
    """Proper motions: from which positions, and relative to which stars."""

    first_epoch: str = Field(
        "", description="reference, or a master frame of another catalog: PATH/master/field=.../epoch=... [the field's "
        "own frames, or the reference where these are of one epoch]"
    )  # fmt: skip
    filters: tuple[str, ...] = Field((), description="filters whose positions are used; all unless set")
    parallax: bool = Field(False, description="fit parallaxes too, where positions determine them")
    ref_epoch: float | None = Field(
        None, ge=1900, le=2150, description="Julian year of the places; that of the first epoch unless set"
    )
    radius: float = Field(100.0, gt=0, le=5000, description="farthest a source may lie from its star [mas]")
    link: Literal["similar", "affine", "poly2", "poly3"] = Field("affine", description="from one epoch to the first")
    magnitude: str = Field("", description="filter of bright and faint; the one with most stars unless set")
    bright: float | None = Field(None, description="aligning stars are fainter than this [mag]")
    faint: float | None = Field(None, description="aligning stars are brighter than this [mag]")
    colour: str = Field("", description="colour of the limits, two filters as in F090W-F150W; reference for its own")
    blue: float | None = Field(None, description="aligning stars are redder than this [mag]")
    red: float | None = Field(None, description="aligning stars are bluer than this [mag]")
    sigmas: float = Field(3.0, ge=2, description="aligning stars move with each other, within so many deviations")
    least: int = Field(20, ge=4, description="least aligning stars")
    rounds: int = Field(20, ge=1, le=200, description="most rounds of choosing stars and aligning epochs")
    local_radius: float = Field(
        0.0, ge=0, le=600, description="take off the mean motion of aligning stars within this; 0 for none [arcsec]"
    )
    local_magnitudes: float = Field(1.0, gt=0, description="largest difference of magnitude of such stars [mag]")
    local_most: int = Field(50, ge=1, description="most of them, the nearest")
    local_least: int = Field(5, ge=1, description="fewest of them; with fewer nothing is taken off")
    absolute: bool = Field(False, description="put motions on the zero point of a catalog's motions")
    zero_point: str = Field("", description="catalog of these motions, as of Gaia; the reference unless set")

    @model_validator(mode="after")
    def _agreed(self) -> Self:
        if self.zero_point and not self.absolute:
            raise ValueError("zero_point is set without absolute, expected both or neither")
        if (self.blue is not None or self.red is not None) and self.colour.count("-") != 1:
            raise ValueError(
                f"colour is {self.colour!r}, expected two filters as in F090W-F150W where blue or red is set"
            )
        return self


class PopulationSettings(Settings):
    """Stars that are looked at together: by magnitude and colour, place, motion; what is not set leaves out none."""

    magnitude: str = Field("", description="filter of magnitudes, of bright, faint, the CMD and radii")
    bright: float | None = Field(None, description="stars are fainter than this [mag]")
    faint: float | None = Field(None, description="stars are brighter than this [mag]")
    colour: str = Field("", description="two filters as in F090W-F150W")
    cmd: tuple[tuple[float, float], ...] = Field((), description="polygon of colour and magnitude [mag]")
    circle: tuple[float, float, float] | None = Field(None, description="ra, dec [deg] and radius [arcsec] on the sky")
    sky: tuple[tuple[float, float], ...] = Field((), description="polygon of ra and dec [deg]")
    motion: tuple[float, float] | None = Field(None, description="pmra, pmdec of a cluster whose members are sought")
    radii: tuple[tuple[float, float], ...] = Field(
        (), description="magnitudes and how far from that motion members are there [mag, mas/yr]; linear in between"
    )
    components: int = Field(
        1, ge=1, le=8, description="Gaussians that motions are a mixture of; a cluster's field stars are one of them"
    )
    axis: float | None = Field(
        None, ge=-180, le=360, description="position angle of the line of a histogram [deg]; the long axis unless set"
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        for name in ("cmd", "sky"):
            if 0 < len(getattr(self, name)) < 3:
                raise ValueError(f"{name} has {len(getattr(self, name))} vertices, expected three at least")
        if self.cmd and self.colour.count("-") != 1:
            raise ValueError(f"colour is {self.colour!r}, expected two filters as in F090W-F150W where cmd is set")
        limits = self.bright is not None or self.faint is not None or self.cmd or len(self.radii) > 1
        if limits and not self.magnitude:
            raise ValueError("magnitude is not set, expected the filter of bright, faint, cmd and radii")
        if (self.motion is None) != (not self.radii):
            raise ValueError("only one of motion and radii is set, expected both or neither")
        if any(radius <= 0 for _, radius in self.radii) or list(self.radii) != sorted(self.radii):
            raise ValueError(f"radii are {self.radii}, expected rising magnitudes and radii above zero")
        return self


class ComparisonSettings(Settings):
    """Another catalog of motions, as of Gaia, that motions are compared with by magnitude."""

    reference: ReferenceSettings
    radius: float = Field(100.0, gt=0, le=5000, description="farthest a source may lie from its star then [mas]")
    magnitudes: tuple[float, ...] = Field(
        (17.0, 18.0, 19.0, 20.0), min_length=2, description="edges of bins of its magnitudes [mag]"
    )

    @field_validator("magnitudes")
    @classmethod
    def _rising(cls, edges: tuple[float, ...]) -> tuple[float, ...]:
        if any(low >= high for low, high in zip(edges[:-1], edges[1:], strict=True)):
            raise ValueError(f"magnitudes are {edges}, expected rising edges of bins")
        return edges


class KinematicsSettings(Settings):
    """Kinematics of populations."""

    distance: float | None = Field(None, gt=0, description="of the stars, for velocities [kpc]; none without")
    distance_error: float = Field(0.0, ge=0, description="its standard error [kpc]")
    max_error: float | None = Field(None, gt=0, description="largest error of a motion, along either axis [mas/yr]")
    clip: float = Field(3.0, ge=2, description="stars farther from the median motion do not count in it [sigma]")
    starts: int = Field(12, ge=1, le=1000, description="places that fits of mixtures start from")
    samplings: int = Field(
        1000, ge=0, le=100_000, description="histograms with noise added that are averaged; 0: no histogram"
    )
    bin: float = Field(0.02, gt=0, description="width of their bins [mas/yr]")
    seed: int = Field(1, ge=0, description="of starting places and samplings")
    flags: tuple[str, ...] = Field(
        CutSettings.model_fields["flags"].default, description="names of the flags that stars must not have"
    )
    populations: dict[str, PopulationSettings] = Field(
        {"all": PopulationSettings()}, min_length=1, description="their names, and which stars they are"
    )
    compare: ComparisonSettings | None = Field(None, description="catalog that motions are compared with")

    @field_validator("flags")
    @classmethod
    def _known(cls, flags: tuple[str, ...]) -> tuple[str, ...]:
        return CutSettings._known(flags)


class CombineSettings(Settings):
    """Motions of fields from those of single exposures."""

    distance: float | None = Field(None, gt=0, description="of the fields, for velocities [kpc]; none without")
    distance_error: float = Field(0.0, ge=0, description="its standard error [kpc]")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.distance_error and self.distance is None:
            raise ValueError(f"distance_error is {self.distance_error} without distance, expected both or neither")
        return self
