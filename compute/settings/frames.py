"""Stages that bring exposures together, and the catalogs they are tied to."""

from typing import Literal, Self

from pydantic import Field, model_validator

from catalogs.references.gaia import DR3
from compute.settings.base import Settings


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
