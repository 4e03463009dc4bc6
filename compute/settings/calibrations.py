"""Library ePSFs, perturbed ones, and distortions."""

from typing import Literal

from pydantic import Field

from compute.settings.base import Settings


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
    epoch_gap: float = Field(
        0.25, ge=0.01, description="exposures farther apart are of two calibrations; longer where nothing changed [yr]"
    )
    control: bool = Field(False, description="also try two passes without averages, which must keep the phase bias")


class PerturbSettings(StampSettings):
    """A library ePSF adjusted to each exposure."""

    zones: int = Field(1, ge=1, le=5, description="zones along each axis, fewer where stars are few")
    least: int = Field(100, ge=20, description="least stars of a zone; fewer zones where stars are few")
    stiffness: float = Field(1e-3, gt=0, description="weight of roughness in the change, in units of the stars' weight")
    clip: float = Field(5.0, gt=1, description="stars whose chi2 is more than so many times the median are left out")


class GeometrySettings(Settings):
    """The geometric distortion: which stars tell of it, and how it is solved."""

    @property
    def published(self) -> bool:
        """Whether the published chain solves it: an update is a polynomial on top of whatever there is."""
        return self.method == "published" and not self.update

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
    epoch_gap: float = Field(
        0.25, ge=0.01, description="exposures farther apart are of two calibrations; longer where nothing changed [yr]"
    )
    reserve: float = Field(0.1, ge=0, le=0.5, description="share of the sky whose stars are kept out, to judge")
