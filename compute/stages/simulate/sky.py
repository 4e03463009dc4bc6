"""A field of the sky: its stars and galaxies, drawn from what the campaign says of it."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri
from scipy.stats import rankdata

from catalogs.errors import PiazziError
from catalogs.truth import GALAXIES, STARS
from compute.campaign import Cluster, Galaxies, Population, SkyField
from compute.kernels.simulate.motion import MAS, displaced
from compute.kernels.simulate.populations import draw_magnitudes, plummer, power_law, temperature
from compute.kernels.simulate.streams import stream

REF_EPOCH = 2016.0
IDS_PER_FIELD = 10**10
FIRST_GALAXY = 5 * 10**9
BLEND_SEPARATIONS = (0.02, 0.2)  # of a companion [arcsec]
BLEND_FAINTER = 3.0  # most that a companion is fainter [mag]
_ARCSEC = 1000 * MAS


class Sky(NamedTuple):
    """What there is in a field: rows of STARS and of GALAXIES."""

    stars: pd.DataFrame
    galaxies: pd.DataFrame


def draw_sky(field: SkyField, number: int, half_width: float, seed: int) -> Sky:
    """Draw a field's sky, complete where |xi|, |eta| <= `half_width` [arcsec] in the tangent plane at its centre.

    Every population has a random stream of its own: another one beside it changes no star but in its number. Clusters
    are drawn whole, wherever the square ends. `number` is the field's in the campaign and leads all its identifiers.
    PiazziError where a population's faint limit leaves no stars.
    """
    parts = []
    for group in (field.populations, field.clusters):
        for index, population in enumerate(group):
            rng = stream(seed, "sky", field.name, type(population).__name__, population.name, index)
            parts.append(_draw_stars(population, half_width, field.blends, rng))
    stars = _numbered(parts, number * IDS_PER_FIELD)
    stars["field"] = _repeated(field.name, len(stars))
    stars["ref_epoch"] = REF_EPOCH
    galaxies = _draw_galaxies(field.galaxies, half_width, stream(seed, "sky", field.name, "galaxies"))
    galaxies["galaxy_id"] = number * IDS_PER_FIELD + FIRST_GALAXY + np.arange(len(galaxies))
    galaxies["field"] = _repeated(field.name, len(galaxies))
    for frame in (stars, galaxies):
        frame["ra"], frame["dec"] = displaced(field.ra, field.dec, frame["xi"].to_numpy(), frame["eta"].to_numpy())
    return Sky(STARS.conform(stars), GALAXIES.conform(galaxies))


def _draw_stars(population: Population, half_width: float, blends: float, rng: np.random.Generator) -> pd.DataFrame:
    """Stars of one population, companions after all the others; offsets in radians, `companion_of` a row number."""
    if isinstance(population, Cluster):
        n = population.stars
        dx, dy = plummer(n, population.radius, rng)
        xi, eta = dx + population.dx, dy + population.dy
    else:
        n = rng.poisson(population.density * (half_width / 30) ** 2)
        xi, eta = rng.uniform(-half_width, half_width, (2, n))
    modulus = population.distance_modulus + population.spread * rng.standard_normal(n)
    try:
        mag, teff = draw_magnitudes(population.kind, n, modulus, population.faint, population.slope, rng)
    except ValueError as error:
        raise PiazziError(f"population {population.name}: {error}") from None
    stars = pd.DataFrame(
        {
            "xi": xi * _ARCSEC,
            "eta": eta * _ARCSEC,
            "pmra": population.pmra + population.dispersion * rng.standard_normal(n),
            "pmdec": population.pmdec + population.dispersion * rng.standard_normal(n),
            "modulus": modulus,
            "teff": teff,
            "mag_ref": mag,
            "companion_of": -1,
        }
    )
    companions = _draw_companions(stars, population.kind, blends, rng)
    both = pd.concat([stars, companions], ignore_index=True)
    both["parallax"] = 100 * 10 ** (-both["modulus"] / 5)  # 1000 / d [pc]
    both["population"] = _repeated(population.name, len(both))
    return both


def _draw_companions(stars: pd.DataFrame, kind: str, share: float, rng: np.random.Generator) -> pd.DataFrame:
    """Fainter stars beside a share of the stars, moving with them at the same distance; some beyond the faint limit."""
    chosen = np.flatnonzero(rng.random(len(stars)) < share)
    separation = rng.uniform(*BLEND_SEPARATIONS, len(chosen)) * _ARCSEC
    angle = rng.uniform(0, 2 * np.pi, len(chosen))
    companions = stars.iloc[chosen].copy()
    companions["xi"] += separation * np.sin(angle)
    companions["eta"] += separation * np.cos(angle)
    companions["mag_ref"] += rng.uniform(0, BLEND_FAINTER, len(chosen))
    companions["teff"] = temperature(kind, (companions["mag_ref"] - companions["modulus"]).to_numpy(), rng)
    companions["companion_of"] = chosen
    return companions


def _numbered(parts: list[pd.DataFrame], first: int) -> pd.DataFrame:
    """All parts, numbered in the order drawn; row numbers in `companion_of` become star_id."""
    start = first
    for part in parts:
        part["star_id"] = start + np.arange(len(part))
        part["companion_of"] = np.where(part["companion_of"] < 0, -1, start + part["companion_of"])
        start += len(part)
    if not parts:
        return pd.DataFrame(columns=[*STARS.names, "xi", "eta"], dtype=float)
    return pd.concat(parts, ignore_index=True)


def _draw_galaxies(settings: Galaxies, half_width: float, rng: np.random.Generator) -> pd.DataFrame:
    """Galaxies of a field; radii are uniform in their logarithm, and the brighter tend to be the larger."""
    n = rng.poisson(settings.density * (half_width / 30) ** 2)
    xi, eta = rng.uniform(-half_width, half_width, (2, n)) * _ARCSEC
    mag = power_law(n, settings.bright, settings.faint, settings.slope, rng)
    brightness = ndtri(1 - rankdata(mag) / (n + 1))
    size = ndtr(0.4 * brightness + np.sqrt(1 - 0.4**2) * rng.standard_normal(n))
    return pd.DataFrame(
        {
            "xi": xi,
            "eta": eta,
            "mag_ref": mag,
            "teff": rng.uniform(4000, 7000, n),
            "radius": settings.small * (settings.large / settings.small) ** size,
            "sersic": rng.uniform(0.8, 4, n),
            "axis_ratio": rng.uniform(0.3, 1, n),
            "position_angle": rng.uniform(0, 180, n),
        }
    )


def _repeated(text: str, n: int) -> pd.Series:
    return pd.Series(text, index=range(n), dtype="str")
