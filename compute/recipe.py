"""RECIPE.toml: what a run is made of, checked whole before anything is computed."""

import tomllib
from pathlib import Path
from typing import Any, Literal, Self

import fsspec
from pydantic import Field, ValidationError, field_validator, model_validator

from catalogs.errors import PiazziError
from compute.settings import (
    CalibrateSettings,
    FrameSettings,
    GeometrySettings,
    KinematicsSettings,
    MatchSettings,
    MeasureSettings,
    MotionSettings,
    ReferenceSettings,
    Settings,
    faults,
)

STAGES = ("ingest", "calibrate", "measure", "frame", "match", "motion", "kinematics", "report")


class ExposureSection(Settings):
    """``[exposures]``: where the frames are."""

    files: tuple[str, ...] = Field(min_length=1, description="paths, URLs or glob patterns")
    replace: bool = Field(False, description="accept new bytes under the name of an exposure already there")


class MeasureSection(MeasureSettings):
    """``[measure]``: settings of the stage, and the library ePSFs and distortions it uses."""

    epsf: tuple[str, ...] = Field((), description="STDPSF files or cubes; without any, exposures build their own")
    distortion: tuple[str, ...] = Field((), description="STDGDC files or cubes; without any, the catalog's own cubes")

    @property
    def settings(self) -> MeasureSettings:
        """The settings alone."""
        return MeasureSettings(**self.model_dump(include=set(MeasureSettings.model_fields)))


class CalibrateSection(CalibrateSettings):
    """``[calibrate]``: settings of the library ePSFs, and where ePSFs and distortions come from."""

    epsf: str = Field("build", description="build, none, or a library: STDPSF file or cube")
    distortion: str = Field(
        "", description="solve (against a reference), self, none, or STDGDC file or cube [solve with a reference]"
    )

    @property
    def settings(self) -> CalibrateSettings:
        """The settings alone."""
        return CalibrateSettings(**self.model_dump(include=set(CalibrateSettings.model_fields)))

    @property
    def libraries(self) -> dict[str, tuple[str, ...]]:
        """What measuring shall use, where that is given rather than made."""
        made = {"epsf": ("build", "none"), "distortion": ("", "solve", "self", "none")}
        return {name: (path,) for name in made if (path := getattr(self, name)) not in made[name]}


class Recipe(Settings):
    """A whole recipe; relative paths are relative to the recipe's own folder. Stages run in their natural order."""

    catalog: str
    field: str = ""
    stages: tuple[Literal[STAGES], ...] = Field(("ingest", "measure"), min_length=1)  # type: ignore[valid-type]
    exposures: ExposureSection | None = None
    reference: ReferenceSettings | None = None
    calibrate: CalibrateSection = CalibrateSection()
    geometry: GeometrySettings = GeometrySettings()
    measure: MeasureSection = MeasureSection()
    frame: FrameSettings = FrameSettings()
    match: MatchSettings = MatchSettings()
    motion: MotionSettings = MotionSettings()
    kinematics: KinematicsSettings = KinematicsSettings()

    @field_validator("stages")
    @classmethod
    def _in_order(cls, stages: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(stage for stage in STAGES if stage in stages)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if "ingest" in self.stages and self.exposures is None:
            raise ValueError("[exposures] is absent, expected files for stage ingest")
        if {"frame", "match"} & set(self.stages) and not self.field:
            raise ValueError("field is not set, expected a name: stages frame and match work on one field of sky")
        if "motion" in self.stages and not self.field:
            raise ValueError("field is not set, expected a name: stage motion works on one field of sky")
        if "kinematics" in self.stages and not self.field:
            raise ValueError("field is not set, expected a name: stage kinematics works on one field of sky")
        if self.calibrate.distortion == "solve" and self.reference is None:
            raise ValueError('[reference] is absent, expected a catalog, or distortion = "self" in [calibrate]')
        if "match" in self.stages and self.reference is None:
            raise ValueError("[reference] is absent, expected a catalog for stage match")
        return self


def read_recipe(path: str | Path) -> Recipe:
    """Read and check a recipe; paths come back absolute.

    Raises
    ------
    PiazziError
        With every fault on a line of its own: section, name, what was found and what was expected.
    """
    path = Path(path)
    try:
        recipe = Recipe.model_validate(tomllib.loads(path.read_text()))
    except OSError as error:
        raise PiazziError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PiazziError(f"{path}: not TOML: {error}") from None
    except ValidationError as error:
        raise PiazziError("\n".join(f"{path}: {line}" for line in faults(error))) from None
    return _located(recipe, path.resolve().parent)


def _located(recipe: Recipe, base: Path) -> Recipe:
    """With every path absolute, relative ones from `base`."""
    given = recipe.calibrate.libraries
    libraries = {name: tuple(absolute(file, base) for file in getattr(recipe.measure, name) or given.get(name, ()))
                 for name in ("epsf", "distortion")}  # fmt: skip
    changed: dict[str, Any] = {
        "catalog": absolute(recipe.catalog, base),
        "measure": recipe.measure.model_copy(update=libraries),
    }
    if recipe.exposures:
        files = tuple(absolute(file, base) for file in recipe.exposures.files)
        changed["exposures"] = recipe.exposures.model_copy(update={"files": files})
    if recipe.reference:
        file = absolute(recipe.reference.file, base)
        changed["reference"] = recipe.reference.model_copy(update={"file": file})
    changed["motion"] = _located_motion(recipe.motion, base)
    if compare := recipe.kinematics.compare:
        file = absolute(compare.reference.file, base)
        against = compare.model_copy(update={"reference": compare.reference.model_copy(update={"file": file})})
        changed["kinematics"] = recipe.kinematics.model_copy(update={"compare": against})
    return recipe.model_copy(update=changed)


def _located_motion(settings: MotionSettings, base: Path) -> MotionSettings:
    """Frames inside the catalog, and the name of the reference, are no paths."""
    first, zero = settings.first_epoch, settings.zero_point
    if first.partition("master/")[0]:
        first = first if first == "reference" else absolute(first, base)
    return settings.model_copy(update={"first_epoch": first, "zero_point": zero and absolute(zero, base)})


def absolute(path: str, base: Path) -> str:
    """A local path made absolute from `base`; URLs are left alone."""
    return path if "://" in path else str(base / Path(path).expanduser())


def expand(patterns: tuple[str, ...]) -> list[str]:
    """Files named by paths, URLs and glob patterns, sorted, each once.

    Raises
    ------
    PiazziError
        If a pattern matches nothing, or its kind of URL is not known here.
    """
    found: set[str] = set()
    for pattern in patterns:
        try:
            fs, place = fsspec.url_to_fs(pattern)
        except (ValueError, ImportError) as error:
            raise PiazziError(f"{pattern}: found {error}, expected a path or URL that fsspec opens") from None
        if not any(mark in pattern for mark in "*?[") or fs.exists(place):
            found.add(pattern)
            continue
        matches = [fs.unstrip_protocol(match) if "://" in pattern else match for match in fs.glob(place)]
        if not matches:
            raise PiazziError(f"{pattern}: found no file, expected at least one")
        found.update(matches)
    return sorted(found)
