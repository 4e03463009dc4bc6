"""Settings of every stage: frozen, validated before any computing, with the same names in recipes and options."""

from compute.settings.base import Settings, faults
from compute.settings.calibrations import CalibrateSettings, GeometrySettings, PerturbSettings, StampSettings
from compute.settings.frames import FrameSettings, GaiaSettings, MatchSettings, ReferenceSettings
from compute.settings.measuring import CutSettings, EpsfSettings, MeasureSettings, TimingSettings
from compute.settings.motions import (
    CombineSettings,
    ComparisonSettings,
    KinematicsSettings,
    MotionSettings,
    PopulationSettings,
)

__all__ = [
    "CalibrateSettings",
    "CombineSettings",
    "ComparisonSettings",
    "CutSettings",
    "EpsfSettings",
    "FrameSettings",
    "GaiaSettings",
    "GeometrySettings",
    "KinematicsSettings",
    "MatchSettings",
    "MeasureSettings",
    "MotionSettings",
    "PerturbSettings",
    "PopulationSettings",
    "ReferenceSettings",
    "Settings",
    "StampSettings",
    "TimingSettings",
    "faults",
]
