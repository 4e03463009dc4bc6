"""Stars by kind: how bright and how hot they are, and how they gather.

Schematic ridge lines in round numbers, right in kind: to astrometry, magnitudes and colours matter by their range.
"""

import numpy as np

# Absolute AB magnitude at 0.9 micron, and effective temperature [K].
RIDGES = {
    "old": np.array(  # 12 Gyr: giant branch from its tip, turn-off, main sequence
        [
            (-4.0, 3600.0),
            (-2.5, 4000.0),
            (-0.5, 4500.0),
            (0.5, 4800.0),
            (2.2, 5000.0),
            (2.8, 5400.0),
            (3.2, 5900.0),
            (3.6, 6100.0),
            (4.2, 6000.0),
            (5.0, 5600.0),
            (6.0, 5000.0),
            (7.0, 4400.0),
            (8.0, 3900.0),
            (9.0, 3550.0),
            (10.0, 3300.0),
        ]
    ),
    "young": np.array(  # main sequence
        [
            (-5.0, 24000.0),
            (-2.5, 17000.0),
            (0.0, 11500.0),
            (2.0, 8200.0),
            (3.5, 6600.0),
            (5.0, 5500.0),
            (7.0, 4300.0),
            (10.0, 3200.0),
        ]
    ),
    "dwarfs": np.array(  # the nearby disc
        [
            (2.0, 8000.0),
            (3.0, 7000.0),
            (4.0, 6100.0),
            (5.0, 5500.0),
            (6.0, 4800.0),
            (7.0, 4200.0),
            (8.0, 3800.0),
            (10.0, 3300.0),
            (13.0, 2700.0),
        ]
    ),
}
CLUMP, CLUMP_SIGMA, CLUMP_SHARE = -0.3, 0.12, 0.04  # the red clump of the old: magnitude, its rms, share of all stars
TEFF_SCATTER = 0.005
REFERENCE_WAVELENGTH = 0.9  # of all magnitudes here [micron]
_HC_OVER_K = 14387.769  # [micron K]


def power_law(n, bright, faint, slope, rng):
    """`n` magnitudes from dN/dm ~ 10^(slope m) between `bright` (number, or array of n) and `faint`."""
    share, steep = rng.random(n), slope * np.log(10)
    if steep == 0:
        return bright + share * (faint - bright)
    return bright + np.log1p(share * np.expm1(steep * (faint - bright))) / steep


def temperature(kind, magnitude, rng):
    """Effective temperatures [K] of stars of these absolute magnitudes; beyond a ridge's end that of its end."""
    ridge = np.interp(magnitude, *RIDGES[kind].T)
    return ridge * (1 + TEFF_SCATTER * rng.standard_normal(np.shape(magnitude)))


def draw_magnitudes(kind, n, distance_modulus, faint, slope, rng):
    """Magnitudes and temperatures of `n` stars of a kind, from the bright end of its ridge to the faint limit.

    Parameters
    ----------
    kind : str
        One of RIDGES. The old have a red clump on top of the power law.
    n : int
    distance_modulus : float or array (n,) [mag]
    faint : float
        Faint limit, apparent AB magnitude at 0.9 micron.
    slope : float
        d log10 N / dm.
    rng : numpy.random.Generator

    Returns
    -------
    mag : ndarray (n,)
        Apparent AB magnitude at 0.9 micron.
    teff : ndarray (n,) [K]

    Raises
    ------
    ValueError
        Where the faint limit is brighter than the brightest star.
    """
    bright = RIDGES[kind][0, 0] + np.asarray(distance_modulus, float)
    if n and np.max(bright) >= faint:
        raise ValueError(f"faint limit is {faint:g}, expected fainter than {np.max(bright):.2f}, the brightest star")
    mag = power_law(n, bright, faint, slope, rng)
    if kind == "old":
        clump = CLUMP + CLUMP_SIGMA * rng.standard_normal(n) + distance_modulus
        mag = np.where((rng.random(n) < CLUMP_SHARE) & (clump < faint), clump, mag)
    return mag, temperature(kind, mag - distance_modulus, rng)


def colour(teff, wavelength):
    """m(wavelength) - m(0.9 micron), AB, of black bodies; `teff` [K] and `wavelength` [micron] broadcast."""
    teff, wavelength = np.asarray(teff, float), np.asarray(wavelength, float)
    here = np.expm1(_HC_OVER_K / (wavelength * teff))
    there = np.expm1(_HC_OVER_K / (REFERENCE_WAVELENGTH * teff))
    return 2.5 * np.log10(here / there * (wavelength / REFERENCE_WAVELENGTH) ** 3)


def plummer(n, radius, rng):
    """Projected offsets (dx, dy) of `n` stars of a Plummer sphere of this radius, cut at 10 radii; unit of `radius`."""
    share = rng.random(n) * (100 / 101)  # the share of light inside R is R^2 / (R^2 + radius^2)
    distance = radius * np.sqrt(share / (1 - share))
    angle = rng.random(n) * 2 * np.pi
    return distance * np.cos(angle), distance * np.sin(angle)
