"""Motions of stars, what populations they are of, and means over fields."""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from compute.settings.base import Settings
from compute.settings.frames import ReferenceSettings
from compute.settings.measuring import CutSettings


def _two_filters(colour: str) -> str:
    """A colour without spaces around its filters; empty for none."""
    filters = [name.strip() for name in colour.split("-")]
    if colour.strip() and (len(filters) != 2 or "" in filters):
        raise ValueError(f"colour is {colour!r}, expected two filters as in F090W-F150W")
    return "-".join(filters)


_RESAMPLES = 100  # fewest that tell an error: to 7 percent
_NAME = re.compile(r"[A-Za-z0-9_.+-]+")
_Filter = Annotated[str, AfterValidator(str.strip)]
_Colour = Annotated[str, AfterValidator(_two_filters)]


def _in_order(settings: Settings, *limits: tuple[str, str]) -> None:
    """ValueError where the first of two limits is not less than the second one."""
    for low, high in limits:
        least, most = getattr(settings, low), getattr(settings, high)
        if least is not None and most is not None and least >= most:
            raise ValueError(f"{low} is {least}, expected less than {high}, {most}")


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
    magnitude: _Filter = Field("", description="filter of bright and faint; the one with most stars unless set")
    bright: float | None = Field(None, description="aligning stars are fainter than this [mag]")
    faint: float | None = Field(None, description="aligning stars are brighter than this [mag]")
    colour: _Colour = Field(
        "", description="colour of the limits, two filters as in F090W-F150W; reference for its own"
    )
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
    bootstrap: int = Field(
        10_000,
        ge=0,
        le=1_000_000,
        description="resamples of stars that tell errors of zero points, 100 at least; 0: their own errors do",
    )
    seed: int = Field(1, ge=0, description="of the resamples")

    @model_validator(mode="after")
    def _agreed(self) -> Self:
        if 0 < self.bootstrap < _RESAMPLES:
            raise ValueError(f"bootstrap is {self.bootstrap}, expected 0 or {_RESAMPLES} and more")
        if self.zero_point and not self.absolute:
            raise ValueError("zero_point is set without absolute, expected both or neither")
        if (self.blue is not None or self.red is not None) and not self.colour:
            raise ValueError("colour is '', expected two filters as in F090W-F150W where blue or red is set")
        _in_order(self, ("bright", "faint"), ("blue", "red"))
        return self


class PopulationSettings(Settings):
    """Stars that are looked at together: by magnitude and colour, place, motion; what is not set leaves out none."""

    magnitude: _Filter = Field("", description="filter of magnitudes, of bright, faint, the CMD and radii")
    bright: float | None = Field(None, description="stars are fainter than this [mag]")
    faint: float | None = Field(None, description="stars are brighter than this [mag]")
    colour: _Colour = Field("", description="two filters as in F090W-F150W, of the CMD")
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
    background: bool = Field(
        False, description="let some of a mixture's stars belong to none of the Gaussians, but be spread evenly"
    )
    axis: float | None = Field(
        None, ge=-180, le=360, description="position angle of the line of a histogram [deg]; the long axis unless set"
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        for name in ("cmd", "sky"):
            if 0 < len(getattr(self, name)) < 3:
                raise ValueError(f"{name} has {len(getattr(self, name))} vertices, expected three at least")
        if bool(self.cmd) != bool(self.colour):
            found = "colour is '' and cmd is set" if self.cmd else f"colour is {self.colour!r} without cmd"
            raise ValueError(f"{found}, expected two filters as in F090W-F150W and a polygon, or neither")
        _in_order(self, ("bright", "faint"))
        if self.background and self.motion is not None and self.components == 1:
            raise ValueError(
                "background is set for a cluster with one component, expected two or more: its field is one"
            )
        limits = self.bright is not None or self.faint is not None or self.cmd or len(self.radii) > 1
        if limits and not self.magnitude:
            raise ValueError("magnitude is not set, expected the filter of bright, faint, cmd and radii")
        if (self.motion is None) != (not self.radii):
            raise ValueError("only one of motion and radii is set, expected both or neither")
        if any(radius <= 0 for _, radius in self.radii) or list(self.radii) != sorted(self.radii):
            raise ValueError(f"radii are {self.radii}, expected rising magnitudes and radii above zero")
        return self

    @model_validator(mode="after")
    def _on_the_sky(self) -> Self:
        places = (*self.sky, *([self.circle[:2]] if self.circle is not None else []))
        if off := [place for place in places if not (0 <= place[0] < 360 and -90 <= place[1] <= 90)]:
            raise ValueError(f"{'circle or ' * (self.circle is not None)}sky has {off[0]}, expected ra, dec [deg]")
        if self.circle is not None and self.circle[2] <= 0:
            raise ValueError(f"circle has radius {self.circle[2]}, expected more than 0 arcsec")
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

    @model_validator(mode="after")
    def _both(self) -> Self:
        if self.distance is None and self.distance_error:
            raise ValueError("distance_error is set without distance, expected both or neither")
        return self

    @field_validator("populations")
    @classmethod
    def _named(cls, populations: dict[str, PopulationSettings]) -> dict[str, PopulationSettings]:
        if wrong := [name for name in populations if not _NAME.fullmatch(name)]:
            raise ValueError(f"populations has {wrong[0]!r}, expected names of letters, digits and _ . + -")
        return populations

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
