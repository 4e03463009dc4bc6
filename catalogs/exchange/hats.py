"""Tables as HATS catalogs: Parquet files by HEALPix pixel, fine where stars are dense, as LSDB and its kin read them.

Rows are sorted by `_healpix_29`, the nested HEALPix index at order 29 of their place; a pixel of order k has the rows
whose index shifted right by 2 (29 - k) bits is its number.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray

from catalogs.aside import aside
from catalogs.errors import PiazziError
from catalogs.parquet import write_table
from catalogs.schema import Column, Table

__all__ = ["hats_pixels", "write_hats"]

INDEX = Column("_healpix_29", "int64", "", "meta.id;pos.healpix", "nested HEALPix index at order 29", low=0)
MAX_ROWS, DEEPEST = 1_000_000, 10
_FINEST = 29

Pixel = tuple[int, int]  # order, number


def write_hats(
    parts: Sequence[Callable[[], pd.DataFrame]], table: Table, name: str, out: Path, max_rows: int = MAX_ROWS
) -> list[Path]:
    """Write rows with `ra`, `dec` [deg] as the HATS catalog `name` in the folder `out`; returns its data files.

    Parameters
    ----------
    parts
        Each gives some of the rows, in the columns of `table` and its keys, whenever it is called. No more than one
        pixel's rows and one part are in memory at a time.
    max_rows
        Most rows of one file, as far as pixels of order 10 allow.

    Raises
    ------
    PiazziError
        Where there is something at `out` already.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise PiazziError(f"{out}: found something there, expected a new or empty folder for a HATS catalog")
    with aside(out) as new:
        written = _write(parts, table, name, new, max_rows)
        new.replace(out)
    return [out / path.relative_to(new) for path in written]


def _write(
    parts: Sequence[Callable[[], pd.DataFrame]], table: Table, name: str, out: Path, max_rows: int
) -> list[Path]:
    counts = [_counts(part()) for part in parts]
    pixels = hats_pixels(sum(counts, Counter()), max_rows)
    names = {column.name for column in table.columns}
    whole = replace(
        table, columns=(INDEX, *table.columns, *(key for key in table.keys if key.name not in names)), keys=()
    )
    written = []
    for order, number in pixels:
        shift = 2 * (DEEPEST - order)
        some = [part() for part, count in zip(parts, counts, strict=True) if any(p >> shift == number for p in count)]
        rows = pd.concat([_inside(_indexed(part), order, number) for part in some], ignore_index=True)
        rows = whole.conform(rows.sort_values(INDEX.name, kind="stable", ignore_index=True))
        path = out / "dataset" / f"Norder={order}" / f"Dir={number // 10_000 * 10_000}" / f"Npix={number}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_table(rows, whole, path)
        written.append(path)
    _describe(out, name, whole, pixels, sum(sum(count.values()) for count in counts), max_rows)
    return written


def hats_pixels(counts: Mapping[int, int], max_rows: int) -> list[Pixel]:
    """The coarsest pixels of at most `max_rows` rows that hold all, sorted along the sky's index.

    `counts` are the rows of each pixel of order 10; a pixel of that order is never divided.
    """
    levels = [dict(counts)]
    for _ in range(DEEPEST):
        coarser: Counter[int] = Counter()
        for number, n in levels[0].items():
            coarser[number >> 2] += n
        levels.insert(0, dict(coarser))
    found: list[Pixel] = []
    pending = [(0, number) for number in levels[0]]
    while pending:
        order, number = pending.pop()
        if levels[order][number] <= max_rows or order == DEEPEST:
            found.append((order, number))
        else:
            pending += [(order + 1, child) for child in range(4 * number, 4 * number + 4) if child in levels[order + 1]]
    return sorted(found, key=lambda pixel: pixel[1] << 2 * (DEEPEST - pixel[0]))


def _indexed(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(**{INDEX.name: _index(rows["ra"].to_numpy(), rows["dec"].to_numpy())})


def _index(ra: NDArray[np.float64], dec: NDArray[np.float64]) -> NDArray[np.int64]:
    """Nested index at order 29 of places in degrees."""
    try:
        from astropy_healpix.healpy import ang2pix
    except ImportError:
        raise PiazziError("HATS catalogs need astropy-healpix: pip install 'piazzi[hats]'") from None
    return ang2pix(1 << _FINEST, ra, dec, nest=True, lonlat=True).astype(np.int64)


def _counts(rows: pd.DataFrame) -> Counter[int]:
    """Rows of each pixel of order 10."""
    numbers = _index(rows["ra"].to_numpy(), rows["dec"].to_numpy()) >> 2 * (_FINEST - DEEPEST)
    return Counter(dict(zip(*(found.tolist() for found in np.unique(numbers, return_counts=True)), strict=True)))


def _inside(rows: pd.DataFrame, order: int, number: int) -> pd.DataFrame:
    return rows[rows[INDEX.name].to_numpy() >> 2 * (_FINEST - order) == number]


def _describe(out: Path, name: str, table: Table, pixels: Iterable[Pixel], n_rows: int, max_rows: int) -> None:
    """What tells readers that the folder is a catalog, and of what."""
    pixels = list(pixels)
    pq.write_metadata(table.arrow_schema(), out / "dataset" / "_common_metadata")
    lines = "".join(f"{order},{number}\n" for order, number in pixels)
    (out / "partition_info.csv").write_text(f"Norder,Npix\n{lines}")
    properties = {
        "obs_collection": name,
        "dataproduct_type": "object",
        "hats_nrows": n_rows,
        "hats_col_ra": "ra",
        "hats_col_dec": "dec",
        "hats_col_healpix": INDEX.name,
        "hats_col_healpix_order": _FINEST,
        "hats_npix_suffix": ".parquet",
        "hats_max_rows": max_rows,
        "hats_order": max(order for order, _ in pixels),
        "moc_sky_fraction": f"{sum(4.0**-order for order, _ in pixels) / 12:.6g}",
        "hats_version": "v1.0",
    }
    text = "".join(f"{key}={value}\n" for key, value in properties.items())
    for file in ("hats.properties", "properties"):
        (out / file).write_text(text)
