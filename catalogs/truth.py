"""The tables of a simulated campaign: what the sky was, and what catalogs of it were known beforehand.

``python -m catalogs.truth`` prints their documentation page.
"""

from functools import partial
from itertools import combinations

from catalogs.schema import Column, Table

__all__ = ["GAIA", "GALAXIES", "POINTINGS", "POSITIONS", "REFERENCE", "STARS"]

_F8, _I4, _I8, _STR, _BOOL = "float64", "int32", "int64", "string", "bool"
_RA, _DEC, _PMRA, _PMDEC = "pos.eq.ra", "pos.eq.dec", "pos.pm;pos.eq.ra", "pos.pm;pos.eq.dec"
_X, _Y, _Z = (f"pos.cartesian.{axis}" for axis in "xyz")
_optional = partial(Column, nullable=True)
_time = partial(Column, dtype=_F8, unit="d", low=40000, high=100000)
_KM = "barycentric position of the observer, equatorial {} axis"


def _ra(meaning: str) -> Column:
    return Column("ra", _F8, "deg", _RA, f"right ascension {meaning}", low=0, high=360)


def _dec(meaning: str) -> Column:
    return Column("dec", _F8, "deg", _DEC, f"declination {meaning}", low=-90, high=90)


_AT_EPOCH = "at ref_epoch, ICRS"
_FIELD = Column("field", _STR, "", "meta.id;obs.field", "field of the sky")
_REF_EPOCH = Column("ref_epoch", _F8, "yr", "meta.ref;time.epoch", "Julian year of ra and dec", low=1900, high=2150)
_MAG_REF = Column("mag_ref", _F8, "mag", "phot.mag;em.IR.NIR", "AB magnitude at 0.9 micron")

STARS = Table(
    "STARS",
    (
        Column("star_id", _I8, "", "meta.id;meta.main", "number of the star, unique in a campaign", low=0),
        _FIELD,
        Column("population", _STR, "", "meta.id;src.class", "population or cluster it was drawn from"),
        _ra(_AT_EPOCH),
        _dec(_AT_EPOCH),
        _REF_EPOCH,
        Column("pmra", _F8, "mas/yr", _PMRA, "proper motion in right ascension, with cos dec"),
        Column("pmdec", _F8, "mas/yr", _PMDEC, "proper motion in declination"),
        Column("parallax", _F8, "mas", "pos.parallax", "parallax", low=0),
        Column("teff", _F8, "K", "phys.temperature.effective", "effective temperature", low=1000, high=100000),
        _MAG_REF,
        Column("companion_of", _I8, "", "meta.id.parent", "star_id of a blend's brighter star; -1 for none", low=-1),
    ),
)

GALAXIES = Table(
    "GALAXIES",
    (
        Column("galaxy_id", _I8, "", "meta.id;meta.main", "number of the galaxy, unique among stars too", low=0),
        _FIELD,
        _ra("of the centre, ICRS"),
        _dec("of the centre, ICRS"),
        _MAG_REF,
        Column("teff", _F8, "K", "phys.temperature", "colour temperature of the light", low=1000, high=100000),
        Column("radius", _F8, "arcsec", "phys.angSize", "half-light radius along the major axis", low=0),
        Column("sersic", _F8, "", "src.morph.param", "Sersic index", low=0.3, high=10),
        Column("axis_ratio", _F8, "", "src.morph.param", "minor over major axis", low=0, high=1),
        Column("position_angle", _F8, "deg", "pos.posAng", "of the major axis, east of north", low=0, high=180),
    ),
)

POSITIONS = Table(
    "POSITIONS",
    (
        Column("exposure", _STR, "", "meta.id;obs.exposure", "root of the file name, without _cal or _flt"),
        Column("star_id", _I8, "", "meta.id;src", "number of the star or galaxy; -1 for the moving target", low=-1),
        Column("kind", _STR, "", "src.class", "star, galaxy or target"),
        Column("x", _F8, "pix", f"{_X};instr.det", "full-detector x, pixel centres at integers from 0"),
        Column("y", _F8, "pix", f"{_Y};instr.det", "full-detector y, pixel centres at integers from 0"),
        Column("x_gdc", _F8, "pix", f"{_X};instr.det", "x corrected for distortion"),
        Column("y_gdc", _F8, "pix", f"{_Y};instr.det", "y corrected for distortion"),
        _ra("where it is seen at that moment, parallax included, ICRS"),
        _dec("where it is seen at that moment, parallax included, ICRS"),
        Column("flux", _F8, "", "phot.flux", "flux as the true ePSF counts it [image unit times pix]", low=0),
        Column("electrons", _F8, "electron", "phot.count", "the same flux as charge", low=0),
        Column("mag_ab", _F8, "mag", "phot.mag", "AB magnitude in the filter"),
        _time("mjd", ucd="time.epoch", description="middle of that pixel's exposure, MJD UTC"),
        Column("trail_x", _F8, "pix", f"{_X};instr.det", "length of the trail of a tracked exposure, along x"),
        Column("trail_y", _F8, "pix", f"{_Y};instr.det", "length of the trail of a tracked exposure, along y"),
        Column("peak", _F8, "electron", "phot.count;stat.max", "brightest pixel without noise, with sky", low=0),
        Column("saturated", _BOOL, "", "meta.code.qual;instr.saturation", "some pixel is beyond full well"),
    ),
)

POINTINGS = Table(
    "POINTINGS",
    (
        Column("exposure", _STR, "", "meta.id;obs.exposure", "root of the file name, without _cal or _flt"),
        Column("path", _STR, "", "meta.ref.url", "file, relative to the campaign"),
        _FIELD,
        Column("program", _I4, "", "meta.id;obs.proposal", "observing program", low=0),
        Column("instrument", _STR, "", "meta.id;instr", "instrument"),
        Column("detector", _STR, "", "meta.id;instr.det", "detector"),
        Column("filter", _STR, "", "meta.id;instr.filter", "filter"),
        Column("epoch", _F8, "yr", "time.epoch;obs.exposure", "middle, Julian year", low=1960, high=2150),
        _time("mjd_start", ucd="time.start;obs.exposure", description="start, MJD UTC"),
        _time("mjd_mid", ucd="time.epoch;obs.exposure", description="middle for the pixel read first, MJD UTC"),
        _time("mjd_end", ucd="time.end;obs.exposure", description="end, MJD UTC"),
        Column("exptime", _F8, "s", "time.duration;obs.exposure", "exposure time", low=0),
        _ra("of the corrected reference pixel, true, ICRS"),
        _dec("of the corrected reference pixel, true, ICRS"),
        Column("x_ref", _F8, "pix", f"{_X};instr.det", "x of the reference pixel in the corrected frame"),
        Column("y_ref", _F8, "pix", f"{_Y};instr.det", "y of the reference pixel in the corrected frame"),
        Column("position_angle", _F8, "deg", "pos.posAng", "of image +y, east of north, true", low=0, high=360),
        Column("scale", _F8, "mas/pix", "instr.scale", "drift included, velocity aberration removed", low=0),
        Column("va_scale", _F8, "", "arith.factor;pos", "velocity-aberration scale factor", low=0.99, high=1.01),
        Column("header_ra", _F8, "deg", f"{_RA}", "ra as the file's header has it", low=0, high=360),
        Column("header_dec", _F8, "deg", f"{_DEC}", "dec as the header has it", low=-90, high=90),
        Column("header_position_angle", _F8, "deg", "pos.posAng", "as the header has it", low=0, high=360),
        Column("focus", _F8, "", "instr.param", "coefficient of the ePSF's focus term"),
        Column(
            "core_fraction",
            _F8,
            "",
            "phot.flux;arith.ratio",
            "share of a star's flux in the pixel it is centred on, at the detector centre",
            low=0,
            high=1,
        ),
        Column("zero_point", _F8, "mag", "phot.mag;arith.zp", "AB magnitude of flux 1 image unit times pix"),
        Column("gain", _F8, "electron", "instr.param", "electrons in one pixel at 1 image unit", low=0),
        Column("sky", _F8, "electron/pix", "instr.skyLevel", "sky in a pixel", low=0),
        Column("observer_x", _F8, "km", _X, _KM.format("x")),
        Column("observer_y", _F8, "km", _Y, _KM.format("y")),
        Column("observer_z", _F8, "km", _Z, _KM.format("z")),
        Column("track_east", _F8, "mas/s", "pos.pm;pos.eq.ra", "rate of the pointing at mjd_mid, with cos dec"),
        Column("track_north", _F8, "mas/s", "pos.pm;pos.eq.dec", "rate of the pointing at mjd_mid"),
        Column(
            "total", _F8, "", "phot.flux;arith.ratio", "all light of a star, far wings included, over its flux", low=1
        ),
        Column("n_stars", _I4, "", "meta.number;src", "stars on the array", low=0),
        Column("n_saturated", _I4, "", "meta.number;src", "stars with saturated pixels", low=0),
    ),
)


def _error(name: str, unit: str, ucd: str, make: partial | type[Column] = Column) -> Column:
    return make(f"{name}_error", _F8, unit, f"stat.error;{ucd}", f"standard error of {name}", low=0)


REFERENCE = Table(
    "REFERENCE",
    (
        Column("source_id", _I8, "", "meta.id;meta.main", "number of the source", low=0),
        _ra(_AT_EPOCH),
        _dec(_AT_EPOCH),
        Column("ra_error", _F8, "mas", f"stat.error;{_RA}", "standard error of ra, with cos dec", low=0),
        _error("dec", "mas", _DEC),
        _REF_EPOCH,
        _optional("pmra", _F8, "mas/yr", _PMRA, "proper motion in right ascension, with cos dec"),
        _optional("pmdec", _F8, "mas/yr", _PMDEC, "proper motion in declination"),
        _error("pmra", "mas/yr", _PMRA, _optional),
        _error("pmdec", "mas/yr", _PMDEC, _optional),
        Column("mag", _F8, "mag", "phot.mag;em.opt.R", "AB magnitude near 0.6 micron"),
        Column("mag_error", _F8, "mag", "stat.error;phot.mag", "standard error of mag", low=0),
    ),
)

_SOLVED = ("ra", "dec", "parallax", "pmra", "pmdec")


def _correlation(one: str, other: str) -> Column:
    make = Column if (one, other) == ("ra", "dec") else _optional
    return make(
        f"{one}_{other}_corr", _F8, "", "stat.correlation", f"correlation of errors, {one} and {other}", low=-1, high=1
    )


GAIA = Table(
    "GAIA",
    (
        Column("source_id", _I8, "", "meta.id;meta.main", "number of the source", low=0),
        _REF_EPOCH,
        _ra(_AT_EPOCH),
        Column("ra_error", _F8, "mas", f"stat.error;{_RA}", "standard error of ra, with cos dec", low=0),
        _dec(_AT_EPOCH),
        _error("dec", "mas", _DEC),
        _optional("parallax", _F8, "mas", "pos.parallax", "parallax, may be negative; null in 2-parameter solutions"),
        _error("parallax", "mas", "pos.parallax", _optional),
        _optional("pmra", _F8, "mas/yr", _PMRA, "proper motion in right ascension, with cos dec"),
        _error("pmra", "mas/yr", _PMRA, _optional),
        _optional("pmdec", _F8, "mas/yr", _PMDEC, "proper motion in declination"),
        _error("pmdec", "mas/yr", _PMDEC, _optional),
        *(_correlation(one, other) for one, other in combinations(_SOLVED, 2)),
        Column("astrometric_params_solved", _I4, "", "meta.code", "31: all five; 3: position alone", low=3, high=95),
        _optional("ruwe", _F8, "", "stat.error", "renormalised unit weight error; null at 2 parameters", low=0),
        Column("visibility_periods_used", _I4, "", "meta.number", "visibility periods in the solution", low=0),
        Column(
            "ipd_gof_harmonic_amplitude", _F8, "", "stat.fit.goodness", "how much the fit depends on scan angle", low=0
        ),
        Column("astrometric_excess_noise", _F8, "mas", "stat.value", "noise the solution does not explain", low=0),
        Column("astrometric_excess_noise_sig", _F8, "", "stat.value", "significance of the excess noise", low=0),
        Column("phot_g_mean_mag", _F8, "mag", "phot.mag;em.opt", "G magnitude"),
        _optional("phot_bp_mean_mag", _F8, "mag", "phot.mag;em.opt.B", "BP magnitude"),
        _optional("phot_rp_mean_mag", _F8, "mag", "phot.mag;em.opt.R", "RP magnitude"),
        _optional("bp_rp", _F8, "mag", "phot.color;em.opt.B;em.opt.R", "colour BP - RP"),
        Column("duplicated_source", _BOOL, "", "meta.code.qual", "one source taken for two in the processing"),
        Column("in_qso_candidates", _BOOL, "", "meta.code", "among Gaia's candidate quasars"),
        Column("in_galaxy_candidates", _BOOL, "", "meta.code", "among Gaia's candidate galaxies"),
    ),
)


def page() -> str:
    """The documentation page, Markdown."""
    tables = (STARS, GALAXIES, POSITIONS, POINTINGS, REFERENCE, GAIA)
    head = "# Tables of a simulated campaign\n\nPrinted by `python -m catalogs.truth`.\n"
    return "\n".join([head, *(table.markdown() for table in tables)])


if __name__ == "__main__":
    print(page(), end="")
