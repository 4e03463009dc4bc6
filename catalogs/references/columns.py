"""What columns of reference catalogs mean: found by name, else by UCD, unless a mapping tells."""

import re
from collections.abc import Iterable, Mapping
from itertools import combinations

from catalogs.errors import UnusableError
from catalogs.references.described import Field
from catalogs.schema import Column

__all__ = ["CORRELATIONS", "MOTIONS", "SOLVED", "SOURCES", "UNITS", "find_columns", "find_magnitudes"]

SOLVED = ("ra", "dec", "parallax", "pmra", "pmdec")
MOTIONS = ("pmra", "pmdec")
CORRELATIONS = tuple(f"{one}_{other}_corr" for one, other in combinations(SOLVED, 2))

_RA, _DEC, _PM = "pos.eq.ra", "pos.eq.dec", "pos.pm"


def _error(name: str, unit: str, ucd: str) -> Column:
    return Column(f"{name}_error", "float64", unit, f"stat.error;{ucd}", f"standard error of {name}", low=0, nan=True)


def _number(name: str, unit: str, ucd: str, description: str) -> Column:
    return Column(name, "float64", unit, ucd, description, nan=True)


SOURCES = (
    Column("id", "int64", "", "meta.id;meta.main", "number or name of the source in its catalog"),
    Column("ra", "float64", "deg", _RA, "right ascension at ref_epoch, ICRS", low=0, high=360),
    Column("dec", "float64", "deg", _DEC, "declination at ref_epoch, ICRS", low=-90, high=90),
    Column("ra_error", "float64", "mas", f"stat.error;{_RA}", "standard error of ra, with cos dec", low=0),
    Column("dec_error", "float64", "mas", f"stat.error;{_DEC}", "standard error of dec", low=0),
    Column("ref_epoch", "float64", "yr", "meta.ref;time.epoch", "Julian year of ra and dec", low=1900, high=2150),
    _number("parallax", "mas", "pos.parallax", "parallax, may be negative; NaN where unknown"),
    _error("parallax", "mas", "pos.parallax"),
    _number("pmra", "mas/yr", f"{_PM};{_RA}", "proper motion in right ascension, with cos dec; NaN where unknown"),
    _error("pmra", "mas/yr", f"{_PM};{_RA}"),
    _number("pmdec", "mas/yr", f"{_PM};{_DEC}", "proper motion in declination; NaN where unknown"),
    _error("pmdec", "mas/yr", f"{_PM};{_DEC}"),
    *(_number(name, "", "stat.correlation", "correlation of errors; 0 where unknown") for name in CORRELATIONS),
    _number("mag", "mag", "phot.mag", "magnitude, for choosing and matching"),
    _error("mag", "mag", "phot.mag"),
)
UNITS = {column.name: column.unit for column in SOURCES}
REQUIRED = ("ra", "dec", "ra_error", "dec_error", "mag")

# Names in use besides our own, without regard to case; VizieR's among them.
ALIASES: dict[str, tuple[str, ...]] = {
    "id": ("source_id", "star_id", "source", "objid", "obj_id", "sourceid"),
    "ra": ("ra_icrs", "raj2000", "_raj2000", "alpha"),
    "dec": ("de_icrs", "dec_icrs", "dej2000", "_dej2000", "decj2000", "delta"),
    "ra_error": ("e_ra_icrs", "e_raj2000", "ra_err", "e_ra", "raerr"),
    "dec_error": ("e_de_icrs", "e_dec_icrs", "e_dej2000", "dec_err", "e_dec", "decerr"),
    "ref_epoch": ("epoch", "epoch_ref", "refepoch"),
    "parallax": ("plx",),
    "parallax_error": ("e_plx", "parallax_err"),
    "pmra": ("pm_ra_cosdec", "pm_ra", "pmra_cosdec"),
    "pmra_error": ("e_pmra", "pmra_err", "pm_ra_error"),
    "pmdec": ("pmde", "pm_dec"),
    "pmdec_error": ("e_pmde", "e_pmdec", "pmdec_err", "pm_dec_error"),
    "mag": ("phot_g_mean_mag", "gmag"),
    "mag_error": ("phot_g_mean_mag_error", "e_gmag", "mag_err"),
}
_OTHER_UCDS = {"pos.parallax": ("pos.parallax.trig",), "meta.ref;time.epoch": ("time.epoch;meta.ref", "time.epoch")}


def find_columns(place: str, fields: Mapping[str, Field], given: Mapping[str, str]) -> dict[str, str]:
    """Which column of a file is which of SOURCES.

    Parameters
    ----------
    place
        File name for messages.
    fields
        Columns of the file.
    given
        Names that were told: ``{"mag": "F606W"}``; they go before any that are found. An empty one says that there is
        none, whatever the file has.

    Raises
    ------
    UnusableError
        A told column that is not there, a required one that is not found, several candidates for one.
    """
    known = [column.name for column in SOURCES]
    for name, told in given.items():
        if name not in known and not name.startswith("mag_"):
            raise UnusableError(f"{place} columns", name, f"one of {', '.join(known)}, or mag_<name>")
        if told and told not in fields:
            raise UnusableError(f"{place} columns", f"no {told} for {name}", f"one of {_listed(fields)}")
    found = dict(given)
    for column in SOURCES:
        if column.name not in found and (own := _find(place, column, fields)):
            found[column.name] = own
    found = {name: own for name, own in found.items() if own}
    if missing := [name for name in REQUIRED if name not in found]:
        raise UnusableError(f"{place} columns", f"no {', '.join(missing)} among {_listed(fields)}", ", ".join(REQUIRED))
    for name in ("parallax", *MOTIONS):
        if name in found and f"{name}_error" not in found:
            raise UnusableError(f"{place} columns", f"{name} without {name}_error", f"both, or columns.{name} = ''")
    if ("pmra" in found) != ("pmdec" in found):
        raise UnusableError(f"{place} columns", "one of pmra and pmdec", "both or neither")
    return found


def find_magnitudes(fields: Mapping[str, Field], taken: Iterable[str]) -> list[str]:
    """Magnitudes that are not `taken`, in the file's order: by UCD, or named ``mag_...`` or ``phot_..._mean_mag``."""
    taken = {*taken, *UNITS}
    named = re.compile(r"mag_(?!.*err).*|phot_\w+_mean_mag", re.IGNORECASE)
    return [
        name
        for name, field in fields.items()
        if name not in taken and (field.ucd.lower().startswith("phot.mag") or (not field.ucd and named.fullmatch(name)))
    ]


def _find(place: str, column: Column, fields: Mapping[str, Field]) -> str | None:
    for alias in (column.name, *ALIASES.get(column.name, ())):
        if names := [name for name in fields if name.lower() == alias]:
            return _only(place, column.name, names)
    if column.ucd == "stat.correlation":
        return None
    words = {column.ucd, *_OTHER_UCDS.get(column.ucd, ())}
    main = {word if word.endswith(";meta.main") else f"{word};meta.main" for word in words}
    # A magnitude's band does not matter here.
    ucds = {name: re.sub(r"\s|;em\.[\w.]+", "", field.ucd.lower()) for name, field in fields.items()}
    names = [name for name in ucds if ucds[name] in main] or [name for name in ucds if ucds[name] in words]
    return _only(place, column.name, names) if names else None


def _only(place: str, wanted: str, names: list[str]) -> str:
    if len(names) > 1:
        raise UnusableError(f"{place} columns", f"{', '.join(names)} for {wanted}", f"one, or columns.{wanted} to tell")
    return names[0]


def _listed(fields: Mapping[str, Field]) -> str:
    """Column names for a message that stays one line."""
    names = list(fields)
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
