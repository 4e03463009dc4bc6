"""Plausible rows of the tables, and a small catalog of them."""

import numpy as np
import pandas as pd

from catalogs.catalog import measurement_path
from catalogs.parquet import write_table
from catalogs.tables import EXPOSURES, MEASUREMENTS

NAMES = ("jw01086001001_01101_00001_nis", "jw01086001001_01101_00002_nis")
FILTERS = ("F090W", "F150W")


def make_stars(exposure=NAMES[0], n=50, seed=0):
    """Plausible rows of MEASUREMENTS; every fifth has qfit 0.2, the others 0.05."""
    rng = np.random.default_rng(seed)
    flux = np.sort(10 ** rng.uniform(1, 5, n))[::-1]
    columns = {column.name: np.full(n, 0.05) for column in MEASUREMENTS.columns if column.dtype != "string"}
    columns |= {"exposure": exposure, "star": np.arange(1, n + 1), "flux": flux, "mag": -2.5 * np.log10(flux)}
    columns |= {"x": rng.uniform(0, 2047, n), "y": rng.uniform(0, 2047, n), "x_gdc": np.nan, "y_gdc": np.nan}
    columns |= {"qfit": np.where(np.arange(n) % 5 == 0, 0.2, 0.05), "mjd": 59700.25, "n_pix": 25, "flags": 16}
    return MEASUREMENTS.conform(pd.DataFrame(columns))


def make_exposures():
    """Rows of EXPOSURES: two measured, one ingested only, one rejected."""
    common = {"program": 1086, "instrument": "NIRISS", "detector": "NIS", "status": "ok", "sha256": "0" * 64}
    rows = [
        common | {"exposure": name, "filter": filter, "path": f"{name}_cal.fits", "n_stars": 50, "ra": 80.5}
        for name, filter in zip(NAMES, FILTERS, strict=True)
    ]
    rows.append(common | {"exposure": "unmeasured", "filter": "F090W", "path": "unmeasured_cal.fits"})
    rows.append({"exposure": "broken", "path": "broken_cal.fits", "status": "rejected", "reason": "truncated"})
    return EXPOSURES.conform(pd.DataFrame(rows))


def fill(catalog):
    """Write EXPOSURES and the two measured tables, and one file of a stage that has not finished."""
    exposures = make_exposures()
    catalog.write_exposures(exposures)
    for seed, row in enumerate(exposures.to_dict("records")[:3]):
        stars = make_stars(row["exposure"], seed=seed)
        catalog.store.commit(measurement_path(row), lambda file, stars=stars: write_table(stars, MEASUREMENTS, file))
    return catalog
