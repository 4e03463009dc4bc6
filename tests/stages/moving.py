"""Stars that move: MOTIONS of populations whose colours, motions and errors are known."""

import numpy as np
import pandas as pd

from catalogs.motions import with_magnitudes

CENTRE = (80.49, -69.5)
FILTERS = ("F090W", "F115W", "F150W")
WAVES = {name: 0.01 * int(name[1:4]) for name in FILTERS}
CLUSTER = (25.0, -30.0)  # east, north [arcsec]
#        share, mean (pmra, pmdec), dispersion, middle and width of the colour, cluster
GROUPS = {
    "old": (0.60, (1.90, 0.38), 0.144, 0.75, 0.05, False),
    "group 1": (0.05, (1.70, 0.05), 0.040, -0.05, 0.12, False),
    "group 2": (0.08, (1.873, 0.321), 0.024, -0.08, 0.05, True),
    "group 3": (0.27, (1.98, 0.45), 0.070, 0.00, 0.12, False),
}


def motions(n=4000, seed=1, filters=FILTERS) -> pd.DataFrame:
    """MOTIONS of `n` stars in `filters`, with `group`, the name of the true one, beside the table's columns."""
    rng = np.random.default_rng(seed)
    names = list(GROUPS)
    group = rng.choice(len(names), n, p=[GROUPS[name][0] for name in names])
    columns = (np.array(column)[group] for column in zip(*GROUPS.values(), strict=True))
    _, mean, dispersion, colour, width, cluster = columns
    mag = -7.0 + 5.0 * np.sqrt(rng.random(n))
    error = 0.012 * (1 + 10 ** (0.4 * (mag + 4.0))) * np.exp(0.2 * rng.normal(size=n))
    motion = mean + (dispersion * rng.normal(size=(2, n)) + error * rng.normal(size=(2, n))).T
    colour = colour + width * rng.normal(size=n) + np.where(group == 0, 0.12, 0.03) * (mag + 5)
    east, north = rng.uniform(-66, 66, (2, n))
    east[cluster], north[cluster] = np.array(CLUSTER)[:, None] + 8 * rng.normal(size=(2, cluster.sum()))
    at = np.array([0.0, 0.5, 1.0])
    known = {
        "star_id": 2**53 + 1 + np.arange(n), "ra": CENTRE[0] + east / 3600 / np.cos(np.radians(CENTRE[1])),
        "dec": CENTRE[1] + north / 3600, "ref_epoch": 2014.36, "ra_error": 0.2, "dec_error": 0.2, "pmra": motion[:, 0],
        "pmdec": motion[:, 1], "pmra_error": error, "pmdec_error": error, "n_epochs": 2, "n_used": 19,
        "baseline": 15.94, "chi2": 0.0, "flags": np.where(rng.random(n) < 0.03, 1, 0), "absolute": True,
        "aligning": (group == 0) & (mag < -4),
    }  # fmt: skip
    shades = {f"mag_{name}": mag - colour * at[FILTERS.index(name)] for name in filters}
    rows = with_magnitudes(filters).conform(pd.DataFrame(known | shades))
    return rows.assign(group=np.array(names)[group])
