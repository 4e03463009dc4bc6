"""MOTIONS: places, proper motions and parallaxes of stars, and what all of a field have in common."""

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from itertools import combinations

from catalogs.masters import FRAME_KEYS
from catalogs.schema import Column, Table

__all__ = ["MOTIONS", "SOLVED", "ZERO_POINTS", "magnitude_column", "with_magnitudes"]

_F8, _F4, _I4, _I8, _STR, _BOOL = "float64", "float32", "int32", "int64", "string", "bool"
_RA, _DEC, _PARALLAX = "pos.eq.ra", "pos.eq.dec", "pos.parallax"
_PMRA, _PMDEC = "pos.pm;pos.eq.ra", "pos.pm;pos.eq.dec"
_MAS, _RATE = "mas", "mas/yr"
_fitted = partial(Column, nan=True)
_optional = partial(Column, nullable=True)

SOLVED = ("ra", "dec", "parallax", "pmra", "pmdec")  # in the order of Gaia's covariances


def _correlation(one: str, other: str) -> Column:
    return _optional(f"{one}_{other}_corr", _F4, "", "stat.correlation", f"of {one} and {other}", low=-1, high=1)


# Nulls are parallaxes that were not fitted, names in Gaia that are not known, and magnitudes of filters without a star.
MOTIONS = Table(
    "MOTIONS",
    (
        Column("star_id", _I8, "", "meta.id;meta.main", "number of the star in its field, as in MASTER", low=0),
        _optional("source_id", _I8, "", "meta.id;meta.ref", "its number in the reference catalog", low=0),
        Column("ra", _F8, "deg", f"{_RA};meta.main", "right ascension at ref_epoch, ICRS", low=0, high=360),
        Column("dec", _F8, "deg", f"{_DEC};meta.main", "declination at ref_epoch, ICRS", low=-90, high=90),
        Column("ref_epoch", _F8, "yr", "meta.ref;time.epoch", "Julian year of ra and dec", low=1800, high=2200),
        _fitted("ra_error", _F8, _MAS, f"stat.error;{_RA}", "standard error of ra, with cos dec", low=0),
        _fitted("dec_error", _F8, _MAS, f"stat.error;{_DEC}", "standard error of dec", low=0),
        _fitted("pmra", _F8, _RATE, _PMRA, "proper motion in right ascension, with cos dec"),
        _fitted("pmdec", _F8, _RATE, _PMDEC, "proper motion in declination"),
        _fitted("pmra_error", _F8, _RATE, f"stat.error;{_PMRA}", "standard error of pmra, the star's own", low=0),
        _fitted("pmdec_error", _F8, _RATE, f"stat.error;{_PMDEC}", "standard error of pmdec, the star's own", low=0),
        _optional("parallax", _F8, _MAS, _PARALLAX, "parallax"),
        _optional("parallax_error", _F8, _MAS, f"stat.error;{_PARALLAX}", "standard error of parallax", low=0),
        *(_correlation(*pair) for pair in combinations(SOLVED, 2)),
        Column("n_epochs", _I4, "", "meta.number;time.epoch", "epochs the fit is made of", low=2),
        Column("n_used", _I4, "", "meta.number", "measurements these are means of, one for a reference", low=2),
        Column("baseline", _F8, "yr", "time.duration", "from the first epoch to the last", low=0),
        Column("chi2", _F8, "", "stat.fit.chi2", "of the fit; zero where nothing is left over", low=0),
        Column("flags", "uint32", "", "meta.code.qual", "bits set in the mean of any of its epochs"),
        Column("absolute", _BOOL, "", "meta.code", "whether motions are on the zero point of a catalog of motions"),
        Column("aligning", _BOOL, "", "meta.code", "one of the stars by which epochs are aligned"),
    ),
    keys=FRAME_KEYS[:1],
)  # fmt: skip

# What is common to all motions of a field: not part of any star's own error.
ZERO_POINTS = Table(
    "ZERO_POINTS",
    (
        Column("against", _STR, "", "meta.id;meta.ref", "what stands still, or catalog whose motions are taken over"),
        Column("how", _STR, "", "meta.code", "mean: of aligning stars; catalog: mean difference of motions"),
        Column("pmra", _F8, _RATE, f"{_PMRA};arith.zp", "added to relative motions"),
        Column("pmdec", _F8, _RATE, f"{_PMDEC};arith.zp", "added to relative motions"),
        Column("pmra_error", _F8, _RATE, f"stat.error;{_PMRA};arith.zp", "standard error of the zero point", low=0),
        Column("pmdec_error", _F8, _RATE, f"stat.error;{_PMDEC};arith.zp", "standard error of the zero point", low=0),
        Column("pmra_pmdec_corr", _F8, "", "stat.correlation", "of these errors", low=-1, high=1),
        Column("n", _I4, "", "meta.number", "stars the zero point rests on", low=0),
        Column("dispersion", _F8, _RATE, "stat.stdev;pos.pm", "their scatter per axis beyond their errors", low=0),
        Column("chi2", _F8, "", "stat.fit.chi2", "of these stars about it, by their own errors", low=0),
        Column("dof", _I4, "", "stat.fit.dof", "degrees of freedom of chi2", low=0),
        Column("used", _BOOL, "", "meta.code", "whether MOTIONS are on this zero point"),
    ),
    keys=FRAME_KEYS[:1],
)  # fmt: skip


def magnitude_column(filter: str) -> Column:
    """The column of mean magnitudes in a filter: ``mag_F090W``."""
    return _optional(f"mag_{filter}", _F8, "mag", "phot.mag", f"mean magnitude in {filter} at its last epoch")


def with_magnitudes(filters: Iterable[str]) -> Table:
    """MOTIONS with a magnitude for each of the filters, in order of name and before the flags."""
    at = MOTIONS.names.index("flags")
    magnitudes = tuple(magnitude_column(name) for name in sorted(set(filters)))
    return replace(MOTIONS, columns=(*MOTIONS.columns[:at], *magnitudes, *MOTIONS.columns[at:]))
