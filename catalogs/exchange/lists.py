"""Star lists for other programs: FITS, ECSV and VOTable tables with units, and plain text columns named by letters.

A text list names its columns by the letters of its extension, one each (`x`, `y` position, `m` magnitude, `q` quality
of fit), in lines of fixed width under a `#` header. Its pixel positions are 1-based.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from astropy.io.votable import from_table
from astropy.io.votable.tree import Param
from astropy.table import Column, MaskedColumn, Table
from astropy.units import Unit

from catalogs import schema
from catalogs.errors import UnusableError

__all__ = ["read_xymq", "write_ecsv", "write_fits", "write_votable", "write_xymq"]

# Letters of text lists: pixel positions, magnitudes, words; anything else is a number read as it stands.
PIXELS = "xyXYuvUVij"
MAGNITUDES = "mMwW"
WORDS = "IJKN"
LETTERS = PIXELS + MAGNITUDES + WORDS + "rdRDzsShHpPfFqcCnoOkeEtabg0123456789"

MISSING = 99.0
XYMQ = (
    ("x", "position, first pixel centre = 1.0 [pix]", 13, 6),
    ("y", "position, first pixel centre = 1.0 [pix]", 13, 6),
    ("m", "instrumental magnitude, 99.99999 where there is none", 10, 5),
    ("q", "quality of fit, 0 is perfect", 9, 4),
)


def write_fits(
    frame: pd.DataFrame, table: schema.Table, path: str | Path, meta: Mapping[str, object] | None = None
) -> None:
    """Write a frame as a FITS binary table: units in TUNIT, meanings in TCOMM, `meta` as header cards."""
    out = _described(frame, table)
    cards = {f"TCOMM{n}": out[name].description for n, name in enumerate(out.colnames, 1) if out[name].description}
    for key, value in (dict(meta or {}) | cards).items():
        if value is not None:
            out.meta[key.upper() if len(key) <= 8 else f"HIERARCH {key.upper()}"] = value
    out.write(path, format="fits", overwrite=True)


def write_ecsv(
    frame: pd.DataFrame, table: schema.Table, path: str | Path, meta: Mapping[str, object] | None = None
) -> None:
    """Write a frame as ECSV, units, meanings and `meta` in its YAML header."""
    out = _described(frame, table)
    out.meta.update({key: value for key, value in (meta or {}).items() if value is not None})
    out.write(path, format="ascii.ecsv", overwrite=True)


def write_votable(
    frame: pd.DataFrame, table: schema.Table, path: str | Path, meta: Mapping[str, object] | None = None
) -> None:
    """Write a frame as a VOTable in binary, with units, UCDs and meanings; `meta` becomes PARAMs."""
    unsigned = {name: "int64" for name, dtype in frame.dtypes.items() if dtype == "uint32"}  # not known to VOTables
    out = _described(frame.astype(unsigned), table)
    ucds = {column.name: column.ucd for column in (*table.columns, *table.keys)}
    for name in out.colnames:
        if ucds.get(name):
            out[name].meta["ucd"] = ucds[name]
    votable = from_table(out)
    resource = votable.resources[0]
    for key, value in (meta or {}).items():
        if value is not None:
            kind = "double" if isinstance(value, float) else "long" if isinstance(value, int) else "char"
            size = {"arraysize": "*"} if kind == "char" else {}
            resource.params.append(Param(votable, name=key, datatype=kind, value=value, **size))
    votable.to_xml(str(path), tabledata_format="binary2")


def write_xymq(frame: pd.DataFrame, path: str | Path) -> None:
    """Write `x`, `y`, `mag`, `qfit` of MEASUREMENTS as an ``.xymq`` text list.

    A missing magnitude becomes 99.99999 and a missing quality 99.9999; stars without a position are left out.
    """
    xymq = frame[["x", "y", "mag", "qfit"]].to_numpy(dtype=np.float64)
    xymq = xymq[np.abs(xymq[:, :2]).max(axis=1, initial=0) < 1e5]
    xymq[:, :2] += 1
    for column, limit in ((2, 99.99999), (3, 99.9999)):
        xymq[:, column] = np.clip(np.nan_to_num(xymq[:, column], nan=limit), -limit, limit)
    lines, start = ["pixel positions are 1-based", ""], 2
    for number, (letter, meaning, width, _) in enumerate(XYMQ, 1):
        lines.append(f"({number:02d})  {letter} -- {meaning:54s}c{start:03d}-c{start + width - 1:03d}")
        start += width + 1
    fmt = "".join(f" %{width}.{decimals}f" for *_, width, decimals in XYMQ)
    np.savetxt(path, xymq, fmt=fmt, header="\n".join([*lines, ""]), comments="# ")


def read_xymq(path: str | Path) -> pd.DataFrame:
    """Read a text list, ours or of the one-pass codes, whatever letters its extension has (``.xymq``, ``.uvwXYMpq``).

    Returns a column per letter. Pixel positions (xyXYuvUVij) become 0-based, magnitudes and qualities of 99 and more
    NaN; columns whose values carry a letter of their own (IJKN) stay text.

    Raises
    ------
    UnusableError
        An extension that is no column string, a line with more or fewer fields than letters, a field that is no number.
    """
    path = Path(path)
    letters = list(path.suffix[1:])
    if not letters or len(set(letters)) < len(letters) or not set(letters) <= set(LETTERS):
        raise UnusableError(f"{path.name} extension", path.suffix or "none", "one known letter per column, as in .xymq")
    rows = []
    for number, line in enumerate(_lines(path), 1):
        fields = line.split("#")[0].split()
        if fields and len(fields) != len(letters):
            raise UnusableError(f"{path.name} line {number}", f"{len(fields)} fields", f"{len(letters)}: {letters}")
        if fields:
            rows.append(fields)
    frame = pd.DataFrame(rows, columns=letters, dtype=str)
    try:
        frame = frame.astype({letter: np.float64 for letter in letters if letter not in WORDS})
    except ValueError as error:
        raise UnusableError(path.name, error, "numbers") from None
    for letter in letters:
        if letter in PIXELS:
            frame[letter] -= 1
        elif letter in MAGNITUDES or letter == "q":
            frame[letter] = frame[letter].where(frame[letter] < MISSING)
    return frame


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError as error:
        raise UnusableError(path.name, error.strerror, "a readable star list") from error


def _described(frame: pd.DataFrame, table: schema.Table) -> Table:
    """As an astropy Table, units and descriptions from the declaration; columns not declared go without."""
    specs = {column.name: column for column in (*table.columns, *table.keys)}
    out = Table()
    for name, series in frame.items():
        column = _column(series)
        if name in specs:
            unit = specs[name].unit
            column.unit = Unit(unit, parse_strict="silent") if unit else None
            column.description = specs[name].description
        out[str(name)] = column
    return out


def _column(series: pd.Series) -> Column:
    """Missing numbers are NaN, missing integers masked (never floats), missing words empty."""
    dtype = getattr(series.dtype, "numpy_dtype", series.dtype)
    missing = series.isna().to_numpy()
    if pd.api.types.is_float_dtype(series.dtype):
        return Column(series.to_numpy(dtype=dtype, na_value=np.nan))
    if not pd.api.types.is_numeric_dtype(series.dtype):
        return Column(np.where(missing, "", series.astype(object)).astype(str))
    values = series.to_numpy(dtype=dtype, na_value=0)
    if not missing.any():
        return Column(values)
    blank = np.iinfo(dtype).min if np.issubdtype(dtype, np.signedinteger) else None
    return MaskedColumn(values, mask=missing, fill_value=blank)
