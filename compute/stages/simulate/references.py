"""Catalogs known beforehand: one like those of HST's astrometric fields, and an extract of Gaia's.

A star's errors come from a hash of its number: it has the same ones in every catalog of the same seed, whatever other
stars are there.
"""

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from catalogs.truth import GAIA, REFERENCE
from compute.campaign import Gaia, Reference
from compute.kernels.simulate.deviates import normals, uniforms
from compute.kernels.simulate.motion import MAS, apparent, displaced
from compute.kernels.simulate.populations import colour

REFERENCE_WAVELENGTH = 0.6  # [micron]
REFERENCE_RESOLUTION = 80.0  # companions nearer than this are not in the catalog [mas]
BRIGHT_MAG_ERROR = 0.005

GAIA_EPOCH = 2016.0
GAIA_IDS = 2**62  # added to star_id: numbers that floats cannot hold
GAIA_RESOLUTION = 180.0  # [mas]
# Mean wavelength [micron], and AB minus Vega magnitude (Riello et al. 2021, A&A 649, A3; zero points of DR3).
GAIA_BANDS = {"g": (0.62, 0.11), "bp": (0.51, 0.02), "rp": (0.78, 0.36)}
# Typical errors against G, after Lindegren et al. 2021, A&A 649, A2: position [mas], parallax [mas], motion [mas/yr].
GAIA_ERRORS = np.array(
    [
        (15.0, 0.02, 0.02, 0.02),
        (17.0, 0.05, 0.07, 0.07),
        (19.0, 0.15, 0.22, 0.21),
        (20.0, 0.32, 0.45, 0.40),
        (20.7, 0.50, 0.70, 0.60),
    ]
)
GAIA_SOLVED = {"ra": 1, "dec": 1, "parallax": 2, "pmra": 3, "pmdec": 3}  # column of GAIA_ERRORS for each parameter
# Of stars fainter than this G, a share has a position alone, with larger errors.
LONE_FAINTER, LONE_SHARE, LONE_INFLATION = 20.3, 0.3, 4.0


def reference_catalog(stars: pd.DataFrame, settings: Reference, seed: int) -> pd.DataFrame:
    """Rows of REFERENCE for rows of STARS: positions at the catalog's epoch, without parallax, and with its errors.

    Companions are left out that are too near to a brighter star, if that star is among `stars`.
    """
    mag = (stars["mag_ref"] + colour(stars["teff"], REFERENCE_WAVELENGTH)).to_numpy()
    seen = (mag <= settings.faint) & ~_hidden(stars, REFERENCE_RESOLUTION)
    stars, mag = stars[seen], mag[seen]
    ids = stars["star_id"].to_numpy()
    growth = _growth(mag, settings)
    error, mag_error = growth * settings.bright_error, growth * BRIGHT_MAG_ERROR
    noise = {name: normals(ids, seed, "reference", name) for name in ("ra", "dec", "mag", "pmra", "pmdec")}
    ra, dec = _at_epoch(stars, settings.epoch)
    ra, dec = displaced(ra, dec, error * noise["ra"] * MAS, error * noise["dec"] * MAS)
    columns = {
        "source_id": ids,
        "ra": ra,
        "dec": dec,
        "ra_error": error,
        "dec_error": error,
        "ref_epoch": settings.epoch,
        "mag": mag + mag_error * noise["mag"],
        "mag_error": mag_error,
    }
    if settings.motions:
        motion_error = growth * settings.motion_error
        for name in ("pmra", "pmdec"):
            columns[name] = stars[name].to_numpy() + motion_error * noise[name]
            columns[f"{name}_error"] = motion_error
    return REFERENCE.conform(pd.DataFrame(columns))


def _growth(mag: np.ndarray, settings: Reference) -> np.ndarray:
    """Errors in units of those of bright stars: 1 up to `bright`, from there smoothly to the faint limit's."""
    way = np.clip((mag - settings.bright) / (settings.faint - settings.bright), 0, 1)
    return (settings.faint_error / settings.bright_error) ** way**2


def gaia_extract(stars: pd.DataFrame, settings: Gaia, seed: int) -> pd.DataFrame:
    """Rows of GAIA for rows of STARS: what DR3 would have of them, with correlated errors.

    `source_id` is star_id + GAIA_IDS. Stars of blends have large `ruwe`; companions are left out as Gaia's resolution
    has it, if the brighter star is among `stars`. Beyond G = 20.3 some rows have a position and nothing more.
    """
    light = {band: _vega(stars, band) for band in GAIA_BANDS}
    seen = (light["g"] <= settings.faint) & ~_hidden(stars, GAIA_RESOLUTION)
    blended = stars["companion_of"].ge(0).to_numpy() | stars["star_id"].isin(stars["companion_of"]).to_numpy()
    stars, blended = stars[seen], blended[seen]
    ids, g = stars["star_id"].to_numpy(), light["g"][seen]
    two = (g > LONE_FAINTER) & (uniforms(ids, seed, "gaia", "two") < LONE_SHARE)
    columns = _solution(stars, g, two, seed) | _quality(ids, blended, seed)
    columns["ruwe"] = np.where(two, np.nan, columns["ruwe"])
    for band, at_20 in (("g", 0.005), ("bp", 0.1), ("rp", 0.08)):
        noise = at_20 * 10 ** (0.3 * np.minimum(g - 20, 0)) * normals(ids, seed, "gaia", band)
        columns[f"phot_{band}_mean_mag"] = light[band][seen] + noise
    columns["bp_rp"] = columns["phot_bp_mean_mag"] - columns["phot_rp_mean_mag"]
    return GAIA.conform(pd.DataFrame(columns))


def _vega(stars: pd.DataFrame, band: str) -> np.ndarray:
    wavelength, ab_minus_vega = GAIA_BANDS[band]
    return (stars["mag_ref"] + colour(stars["teff"], wavelength)).to_numpy() - ab_minus_vega


def _solution(stars: pd.DataFrame, g: np.ndarray, two: np.ndarray, seed: int) -> dict[str, Any]:
    """The five parameters, their errors and correlations; `two` marks rows with a position alone."""
    ids, names = stars["star_id"].to_numpy(), list(GAIA_SOLVED)
    errors, correlation = _errors(ids, g, seed), np.tile(np.eye(len(names)), (len(ids), 1, 1))
    errors[two, :2] *= LONE_INFLATION
    columns: dict[str, Any] = {
        "source_id": ids + GAIA_IDS,
        "ref_epoch": GAIA_EPOCH,
        "astrometric_params_solved": np.where(two, 3, 31),
    }
    for i, j in combinations(range(len(names)), 2):
        name = f"{names[i]}_{names[j]}_corr"
        # Below 0.25 any five parameters have a positive definite matrix: the diagonal outweighs the rest of its row.
        each = np.clip(0.1 * normals(ids, seed, "gaia", name), -0.24, 0.24)
        correlation[:, i, j] = correlation[:, j, i] = each
        columns[name] = each if j < 2 else np.where(two, np.nan, each)
    white = np.stack([normals(ids, seed, "gaia", name) for name in names], axis=1)
    noise = errors * np.einsum("nij,nj->ni", np.linalg.cholesky(correlation), white)
    ra, dec = _at_epoch(stars, GAIA_EPOCH)
    columns["ra"], columns["dec"] = displaced(ra, dec, noise[:, 0] * MAS, noise[:, 1] * MAS)
    for k, name in enumerate(names):
        columns[f"{name}_error"] = errors[:, k] if k < 2 else np.where(two, np.nan, errors[:, k])
        if k >= 2:
            columns[name] = np.where(two, np.nan, stars[name].to_numpy() + noise[:, k])
    return columns


def _errors(ids: np.ndarray, g: np.ndarray, seed: int) -> np.ndarray:
    """Standard errors (N, 5): those typical of the magnitude, with 10 % of scatter."""
    curve = np.log(GAIA_ERRORS[:, 1:])
    return np.stack(
        [
            np.exp(np.interp(g, GAIA_ERRORS[:, 0], curve[:, k - 1]) + 0.1 * normals(ids, seed, "gaia", name, "error"))
            for name, k in GAIA_SOLVED.items()
        ],
        axis=1,
    )


def _quality(ids: np.ndarray, blended: np.ndarray, seed: int) -> dict[str, Any]:
    """What Gaia tells of how good a solution is; worse for blended stars, and nothing that moves the errors."""
    ruwe = 1.02 + 0.05 * normals(ids, seed, "gaia", "ruwe") + blended * (0.3 + 2 * uniforms(ids, seed, "gaia", "blend"))
    excess = np.maximum(0.3 * (ruwe - 1.05), 0)
    return {
        "ruwe": ruwe,
        "visibility_periods_used": (12 + 14 * uniforms(ids, seed, "gaia", "visibility")).astype(np.int32),
        "ipd_gof_harmonic_amplitude": (0.02 + 0.15 * blended) * (0.5 + uniforms(ids, seed, "gaia", "harmonic")),
        "astrometric_excess_noise": excess,
        "astrometric_excess_noise_sig": 12 * excess,
        "duplicated_source": False,
        "in_qso_candidates": False,
        "in_galaxy_candidates": False,
    }


def _at_epoch(stars: pd.DataFrame, epoch: float) -> tuple[np.ndarray, np.ndarray]:
    """Barycentric places, which have no parallax [deg]."""
    ra, dec, pmra, pmdec, years = (stars[name].to_numpy() for name in ("ra", "dec", "pmra", "pmdec", "ref_epoch"))
    return apparent(ra, dec, pmra, pmdec, 0.0, epoch - years, np.zeros(3))


def _hidden(stars: pd.DataFrame, resolution: float) -> np.ndarray:
    """Companions within `resolution` [mas] of the brighter star they belong to."""
    row = pd.Index(stars["star_id"]).get_indexer(stars["companion_of"])
    pair = np.flatnonzero((row >= 0) & (stars["companion_of"] >= 0).to_numpy())
    ra, dec = stars["ra"].to_numpy(), stars["dec"].to_numpy()
    turn = np.remainder(ra[pair] - ra[row[pair]] + 180, 360) - 180
    apart = np.hypot(turn * np.cos(np.radians(dec[pair])), dec[pair] - dec[row[pair]]) * 3.6e6
    hidden = np.zeros(len(stars), bool)
    hidden[pair] = apart < resolution
    return hidden
