"""A small reference catalog, and the same in every format."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.table import MaskedColumn, Table

from catalogs.truth import GAIA, REFERENCE

CENTRE = (80.5, -69.5)
UNITS = {column.name: column.unit for column in (*REFERENCE.columns, *GAIA.columns)}


def make_sources(n=60, seed=1):
    """Rows of REFERENCE with motions, ids beyond what floats hold, 3 arcmin around CENTRE."""
    rng = np.random.default_rng(seed)
    columns = {"source_id": 2**62 + np.arange(n), "ref_epoch": 2006.39}
    columns |= {"ra": CENTRE[0] + rng.uniform(-0.14, 0.14, n), "dec": CENTRE[1] + rng.uniform(-0.05, 0.05, n)}
    columns |= {"ra_error": rng.uniform(0.14, 1, n), "dec_error": rng.uniform(0.14, 1, n)}
    columns |= {"pmra": rng.normal(1.9, 0.2, n), "pmdec": rng.normal(0.4, 0.2, n)}
    columns |= {"pmra_error": rng.uniform(0.05, 0.3, n), "pmdec_error": rng.uniform(0.05, 0.3, n)}
    columns |= {"mag": rng.uniform(17, 24, n), "mag_error": 0.01}
    return REFERENCE.conform(pd.DataFrame(columns))


def make_gaia(n=60, seed=2):
    """Rows of GAIA, all of them good; row 0 has a position alone."""
    rng = np.random.default_rng(seed)
    columns = {column.name: rng.uniform(0.01, 0.2, n) for column in GAIA.columns}
    own = make_sources(n, seed)
    columns |= {name: own[name] for name in ("source_id", "ra", "dec", "pmra", "pmdec")}
    columns |= {"ref_epoch": 2016.0, "astrometric_params_solved": 31, "ruwe": 1.02, "visibility_periods_used": 20}
    columns |= {"phot_g_mean_mag": own["mag"], "phot_bp_mean_mag": own["mag"] + 0.5}
    columns |= dict.fromkeys(("duplicated_source", "in_qso_candidates", "in_galaxy_candidates"), False)
    frame = GAIA.conform(pd.DataFrame(columns))
    alone = [name for name in frame if "pm" in name or "parallax" in name]
    frame.loc[0, [*alone, "ruwe"]] = np.nan
    frame.loc[0, "astrometric_params_solved"] = 3
    return frame


def as_table(frame, units=UNITS):
    """An astropy Table with units, NaN masked."""
    table = Table()
    for name in frame:
        values = frame[name].to_numpy()
        values = values.astype(str) if values.dtype.kind == "O" else values
        if values.dtype.kind == "f" and np.isnan(values).any():
            values = MaskedColumn(values, mask=np.isnan(values))
        table[name] = values
        table[name].unit = units.get(name) or None
    return table


def write_parquet(frame, path):
    pq.write_table(as_arrow(frame), path)


def write_parquet_folder(frame, path):
    path.mkdir()
    half = len(frame) // 2
    write_parquet(frame.iloc[half:], path / "part-1.parquet")
    write_parquet(frame.iloc[:half], path / "part-0.parquet")


def write_fits(frame, path):
    as_table(frame).write(path, format="fits")


def write_ecsv(frame, path):
    as_table(frame).write(path, format="ascii.ecsv")


def write_votable(frame, path):
    as_table(frame).write(path, format="votable")


def write_hats(frame, path, order=1, pixels=(33, 34, 40)):
    """Three leaves, the rows dealt out by ra, and the files around them; pixels are not where the rows are."""
    frame = frame.sort_values("ra", ignore_index=True)
    parts = np.array_split(np.arange(len(frame)), len(pixels))
    for pixel, rows in zip(pixels, parts, strict=True):
        leaf = path / "dataset" / f"Norder={order}" / "Dir=0" / f"Npix={pixel}.parquet"
        leaf.parent.mkdir(parents=True, exist_ok=True)
        write_parquet(frame.iloc[rows].assign(_healpix_29=np.int64(pixel) << 56), leaf)
    pq.write_metadata(pq.read_schema(leaf), path / "dataset" / "_common_metadata")
    (path / "partition_info.csv").write_text("Norder,Npix\n" + "".join(f"{order},{pixel}\n" for pixel in pixels))
    (path / "hats.properties").write_text(
        "#HATS catalog\nobs_collection=small\ndataproduct_type=object\n"
        f"hats_nrows={len(frame)}\nhats_col_ra=ra\nhats_col_dec=dec\nhats_npix_suffix=.parquet\nhats_version=v1.0\n"
    )


def as_arrow(frame):
    """With each field's unit in its metadata, as our own tables have it."""
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    return table.cast(pa.schema([field.with_metadata({"unit": UNITS.get(field.name, "")}) for field in table.schema]))
