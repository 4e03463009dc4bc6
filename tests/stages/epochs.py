"""Stars that move, as master frames and catalogs of several epochs see them: every motion is known."""

import numpy as np
import pandas as pd

from catalogs.masters import MASTER
from catalogs.references.columns import CORRELATIONS
from compute.kernels.motion.celestial import AU, propagate
from compute.settings import ReferenceSettings
from compute.stages.frame.groups import FrameKey
from compute.stages.motion.positions import Known
from compute.stages.plane import Plane
from compute.stages.reference import propagated

PLANE = Plane(80.49, -69.5)
FIRST, LAST = FrameKey("ACS", "F606W", 2006.39), FrameKey("NIRISS", "F090W", 2022.33)
MEAN, DISPERSION = np.array([1.9, 0.3]), 0.12
IDS = 2**62


def sky(n=4000, seed=1, strangers=0.05, parallax=0.0) -> pd.DataFrame:
    """Stars about the tangent point at 2014.0: most move together, `strangers` do not, and are redder."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(8800, 11200, (2, n))
    ra, dec = PLANE.sky(x, y)
    motion = MEAN + DISPERSION * rng.normal(size=(n, 2))
    strange = rng.random(n) < strangers
    motion[strange] = rng.normal(1.0, 4.0, (strange.sum(), 2))
    mag = 17.0 + 6.0 * np.sqrt(rng.random(n))
    columns = {"ra": ra, "dec": dec, "pmra": motion[:, 0], "pmdec": motion[:, 1], "mag": mag, "strange": strange}
    shade = np.where(strange, 1.2, 0.4) + 0.1 * rng.normal(size=n)
    return pd.DataFrame(columns | {"colour": shade, "parallax": np.where(strange, parallax, 0.0)})


def observer(time: float) -> tuple[float, float, float]:
    """On a circle about the barycentre, in the ecliptic's manner [km]."""
    angle = 2 * np.pi * time
    return AU * float(np.cos(angle)), AU * 0.917 * float(np.sin(angle)), AU * 0.398 * float(np.sin(angle))


def errors(stars: pd.DataFrame, best=0.15) -> np.ndarray:
    """Standard errors [mas], ten times the best ones at the faint end."""
    return best * 10 ** ((stars["mag"].to_numpy() - 17.0) / 6.0)


def master(stars, key: FrameKey, *, best=0.1, seed=0, link=None, seen=None) -> pd.DataFrame:
    """MASTER of one frame; `link` (2, 3) puts offsets [pix] and a matrix in place of the truth."""
    rng = np.random.default_rng([seed, round(100 * key.epoch)])
    ra, dec = propagate(stars["ra"], stars["dec"], stars["pmra"], stars["pmdec"], key.epoch - 2014.0,
                        stars["parallax"], seen or (0.0, 0.0, 0.0))  # fmt: skip
    x, y = PLANE.pixel(ra, dec)
    error, rho = errors(stars, best) / PLANE.scale, 0.3
    noise = rng.normal(size=(2, len(stars)))
    x, y = x + error * noise[0], y + error * (rho * noise[0] + np.sqrt(1 - rho**2) * noise[1])
    if link is not None:
        u, v = x - 10_000.0, y - 10_000.0
        x, y = (10_000.0 + a + b * u + c * v for a, b, c in link)
    ra, dec = PLANE.sky(x, y)
    mag = stars["mag"] + (stars["colour"] if key.filter == "F606W" else 0.0)
    rows = {
        "star_id": np.arange(len(stars)), "x": x, "y": y, "x_error": error, "y_error": error, "xy_corr": rho,
        "ra": ra, "dec": dec, "ra_error": error * PLANE.scale, "dec_error": error * PLANE.scale, "mag": mag,
        "mag_error": 0.01, "n_found": 9, "n_used": 8, "rms_x": error, "rms_y": error, "rms_mag": 0.01, "qfit": 0.02,
        "radxs": 0.0, "mean_epoch": key.epoch, "flags": 0,
    }  # fmt: skip
    return MASTER.conform(pd.DataFrame(rows))


def catalog(stars, name, epoch, *, best=0.15, motion_error=None, seed=9, systematic=0.0) -> Known:
    """A catalog of the stars as they are at `epoch`, with motions where these have an error [mas/yr]."""
    rng = np.random.default_rng(seed)
    ra, dec = propagate(stars["ra"], stars["dec"], stars["pmra"], stars["pmdec"], epoch - 2014.0)
    error, noise = errors(stars, best), rng.normal(size=(4, len(stars)))
    x, y = PLANE.pixel(ra, dec)
    ra, dec = PLANE.sky(x - error * noise[0] / PLANE.scale, y + error * noise[1] / PLANE.scale)
    known = {"id": IDS + stars.index, "ra": ra, "dec": dec, "ra_error": error, "dec_error": error}
    known |= dict.fromkeys(CORRELATIONS, 0.0) | dict.fromkeys(("parallax", "parallax_error"), np.nan)
    sources = pd.DataFrame(known | {"ref_epoch": epoch, "mag": stars["mag"].to_numpy(), "mag_error": 0.01})
    for k, axis in enumerate(("pmra", "pmdec")):
        blank = motion_error is None
        sources[axis] = np.nan if blank else stars[axis].to_numpy() + motion_error * noise[2 + k]
        sources[f"{axis}_error"] = np.nan if blank else motion_error
    settings = ReferenceSettings(file=name)
    return Known(name, sources, propagated(sources, LAST.epoch, settings), settings, systematic)
