"""Where in a catalog each thing is, and that no name taken from a header leads out of it."""

import re
from collections.abc import Mapping
from typing import Any

from catalogs.errors import UnusableError
from catalogs.tables import MEASUREMENTS

__all__ = ["calibration_path", "field_path", "frame_path", "measurement_path", "own_epsf_path", "segment"]

_NUMBER, _NAME = re.compile(r"0|[1-9][0-9]*"), re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")


def measurement_path(row: Mapping[Any, Any]) -> str:
    """Path of an exposure's MEASUREMENTS inside the catalog.

    `row` has the columns of EXPOSURES. UnusableError where a value cannot safely be part of a path.
    """
    keys = [
        f"{key.name}={segment(key.name, row[key.name], _NUMBER if key.dtype == 'int32' else _NAME)}"
        for key in MEASUREMENTS.keys
    ]
    return "/".join(["measurements", *keys, f"{segment('exposure', row['exposure'])}.parquet"])


def field_path(dataset: str, field: str) -> str:
    """Folder of one field in a dataset, as `transforms`, `master` or `motions`; UnusableError for an unfit name."""
    return f"{dataset}/field={segment('field', field)}"


def frame_path(field: str, instrument: str, filter: str, epoch: str) -> str:
    """Folder of one master frame."""
    names = {"instrument": instrument, "filter": filter, "epoch": epoch}
    return "/".join([field_path("master", field), *(f"{key}={segment(key, value)}" for key, value in names.items())])


def calibration_path(kind: str, instrument: str, detector: str, filter: str, name: str) -> str:
    """Folder of a cube; `kind` is ``epsf`` or ``distortion``. The newest name in alphabetical order counts."""
    names = {"instrument": instrument, "detector": detector, "filter": filter}
    camera = "_".join(segment(key, value) for key, value in names.items())
    return f"cubes/{kind}/{camera}/{segment('calibration', name)}.zarr"


def own_epsf_path(row: Mapping[Any, Any]) -> str:
    """Folder of the ePSF cube that an exposure built for itself; `row` has the columns of EXPOSURES."""
    camera = "_".join(segment(name, row[name]) for name in ("instrument", "detector", "filter"))
    return f"cubes/epsf/{camera}/perturbed/{segment('exposure', row['exposure'])}.zarr"


def segment(name: str, value: object, allowed: re.Pattern[str] = _NAME) -> str:
    """A value as part of a path; UnusableError where it is not fit for one."""
    text = str(value)
    if not allowed.fullmatch(text):
        wanted = "a whole number" if allowed is _NUMBER else "letters, digits and _ . + - only"
        raise UnusableError(f"path key {name}", repr(text), wanted)
    return text
