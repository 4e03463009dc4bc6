"""Tables that tie measurements to the sky: TRANSFORMS, MATCHES and MASTER."""

from functools import partial

from catalogs.schema import Column, Table

__all__ = ["FRAME_KEYS", "MASTER", "MATCHES", "TRANSFORMS"]

_F8, _F4, _I4, _I8, _STR, _BOOL = "float64", "float32", "int32", "int64", "string", "bool"
_X, _Y = (f"pos.cartesian.{axis}" for axis in "xy")
_RA, _DEC = "pos.eq.ra", "pos.eq.dec"
_optional = partial(Column, nullable=True)
_fitted = partial(Column, nan=True)

_EXPOSURE = Column("exposure", _STR, "", "meta.id;obs.exposure", "exposure, or name of the reference catalog")
_DETECTOR = Column("detector", _STR, "", "meta.id;instr.det", "detector; empty for a reference catalog")
_STAR_ID = Column(
    "star_id",
    _I8,
    "",
    "meta.id;meta.main",
    "number of the star in its field, given anew whenever frames are made",
    low=0,
)

# What tells one master frame from another; also the path keys of MASTER.
FRAME_KEYS = (
    Column("field", _STR, "", "meta.id;obs.field", "field of the sky"),
    Column("instrument", _STR, "", "meta.id;instr", "instrument"),
    Column("filter", _STR, "", "meta.id;instr.filter", "filter"),
    Column("epoch", _F8, "yr", "time.epoch", "Julian year the frame stands for, two decimals; also its name"),
)

TRANSFORMS = Table(
    "TRANSFORMS",
    (
        _EXPOSURE,
        _DETECTOR,
        *FRAME_KEYS[1:],
        Column("kind", _STR, "", "meta.code", "similar, affine, or polynomial: poly2 to poly5"),
        Column("corrected", _BOOL, "", "meta.code", "whether it starts from x_gdc, y_gdc, or from raw x, y"),
        Column("x_centre", _F8, "pix", f"{_X};instr.det", "where the normalised coordinates are zero"),
        Column("y_centre", _F8, "pix", f"{_Y};instr.det", "where the normalised coordinates are zero"),
        Column("half_width", _F8, "pix", "instr.param", "unit of the normalised coordinates", low=0),
        Column("coefficients", _STR, "pix", "stat.fit.param", "JSON: of x_frame, of y_frame; terms 1, u, v, u2, ..."),
        Column("covariance", _STR, "pix2", "stat.covariance", "JSON: covariance of the coefficients, x_frame's first"),
        _fitted("scale", _F8, "mas/pix", "instr.scale", "pixel scale, velocity aberration removed"),
        _fitted("scale_error", _F8, "mas/pix", "stat.error;instr.scale", "standard error of scale", low=0),
        _fitted("rotation", _F8, "deg", "pos.posAng", "of image +y, east of the frame's north", low=-180, high=360),
        _fitted("skew_on", _F8, "", "instr.param", "half the relative difference of the scales of the axes"),
        _fitted("skew_off", _F8, "", "instr.param", "half the departure of the axes from a right angle [rad]"),
        _fitted("zero_point", _F8, "mag", "phot.mag;arith.zp", "added to magnitudes of this exposure"),
        _fitted("zero_point_error", _F8, "mag", "stat.error;phot.mag;arith.zp", "standard error of zero_point", low=0),
        _fitted("floor", _F8, "pix", "stat.error", "added in quadrature to position errors, per axis", low=0),
        _fitted("floor_mag", _F8, "mag", "stat.error;phot.mag", "added in quadrature to mag errors", low=0),
        _fitted("rms", _F8, "pix", "stat.stdev;stat.fit.residual", "1-D scatter of the stars used, frame pix", low=0),
        Column("n_used", _I4, "", "meta.number;stat.fit", "stars used", low=0),
        Column("status", _STR, "", "meta.code.status", "ok, or why the exposure is not in the frame"),
    ),
    keys=(FRAME_KEYS[0],),
)  # fmt: skip

MATCHES = Table(
    "MATCHES",
    (
        _STAR_ID,
        _EXPOSURE,
        _DETECTOR,
        Column("star", _I8, "", "meta.id", "its number in the exposure, or its id in the reference catalog"),
        Column("x_frame", _F8, "pix", _X, "position on the frame"),
        Column("y_frame", _F8, "pix", _Y, "position on the frame"),
        _fitted("dx", _F8, "pix", f"{_X};arith.diff", "position minus the star's mean, pixels of the frame"),
        _fitted("dy", _F8, "pix", f"{_Y};arith.diff", "position minus the star's mean, pixels of the frame"),
        _fitted("x_error", _F4, "pix", f"stat.error;{_X}", "standard error on the frame, floor included", low=0),
        _fitted("y_error", _F4, "pix", f"stat.error;{_Y}", "standard error on the frame, floor included", low=0),
        Column("ra", _F8, "deg", _RA, "right ascension of x_frame, y_frame, ICRS", low=0, high=360),
        Column("dec", _F8, "deg", _DEC, "declination of x_frame, y_frame, ICRS", low=-90, high=90),
        _fitted("mag", _F8, "mag", "phot.mag", "magnitude on the frame's zero point"),
        Column("used", _BOOL, "", "meta.code", "part of the star's mean"),
        Column("reserved", _BOOL, "", "meta.code", "kept out of every solve, to judge it"),
    ),
    keys=(FRAME_KEYS[0],),
)

MASTER = Table(
    "MASTER",
    (
        _STAR_ID,
        Column("x", _F8, "pix", _X, "mean position on the frame"),
        Column("y", _F8, "pix", _Y, "mean position on the frame"),
        _fitted("x_error", _F8, "pix", f"stat.error;{_X}", "standard error of x", low=0),
        _fitted("y_error", _F8, "pix", f"stat.error;{_Y}", "standard error of y", low=0),
        _fitted("xy_corr", _F8, "", "stat.correlation", "correlation of the errors of x and y", low=-1, high=1),
        Column("ra", _F8, "deg", _RA, "right ascension, ICRS", low=0, high=360),
        Column("dec", _F8, "deg", _DEC, "declination, ICRS", low=-90, high=90),
        _fitted("ra_error", _F8, "mas", f"stat.error;{_RA}", "standard error of ra, with cos dec", low=0),
        _fitted("dec_error", _F8, "mas", f"stat.error;{_DEC}", "standard error of dec", low=0),
        _fitted("mag", _F8, "mag", "phot.mag", "mean magnitude on the frame's zero point"),
        _fitted("mag_error", _F8, "mag", "stat.error;phot.mag", "standard error of mag", low=0),
        Column("n_found", _I4, "", "meta.number", "exposures the star was found in", low=1),
        Column("n_used", _I4, "", "meta.number", "exposures its mean is made of", low=0),
        _fitted("rms_x", _F8, "pix", f"stat.stdev;{_X}", "scatter about x; NaN for a single position", low=0),
        _fitted("rms_y", _F8, "pix", f"stat.stdev;{_Y}", "scatter about y; NaN for a single position", low=0),
        _fitted("rms_mag", _F8, "mag", "stat.stdev;phot.mag", "scatter of mag; NaN for a single one", low=0),
        _fitted("qfit", _F4, "", "stat.fit.residual", "median of its measurements"),
        _fitted("radxs", _F4, "", "stat.fit.residual", "median of its measurements"),
        Column("mean_epoch", _F8, "yr", "time.epoch;stat.mean", "mean time of its measurements", low=1960, high=2150),
        Column("flags", "uint32", "", "meta.code.qual", "bits set in every measurement used, or in every one found"),
    ),
    keys=FRAME_KEYS,
)  # fmt: skip

# A measured star on the frame, between two tasks of the stage that makes the frames.
PLACED = Table(
    "PLACED",
    (
        Column("frame", _I4, "", "meta.id", "number of the master frame", low=0),
        Column("number", _I4, "", "meta.id", "number of the exposure in the field", low=0),
        Column("star", _I8, "", "meta.id", "number in the exposure", low=0),
        Column("x", _F8, "pix", _X, "position on the frame"),
        Column("y", _F8, "pix", _Y, "position on the frame"),
        _fitted("var_x", _F8, "pix2", f"stat.variance;{_X}", "variance of x, floor included"),
        _fitted("var_y", _F8, "pix2", f"stat.variance;{_Y}", "variance of y, floor included"),
        _fitted("cov_xy", _F8, "pix2", "stat.covariance", "covariance of x and y"),
        _fitted("mag", _F8, "mag", "phot.mag", "magnitude on the frame's zero point"),
        _fitted("var_mag", _F8, "mag2", "stat.variance;phot.mag", "variance of mag, floor included"),
        _fitted("qfit", _F4, "", "stat.fit.residual", "QFIT"),
        _fitted("radxs", _F4, "", "stat.fit.residual", "RADXS"),
        Column("mjd", _F8, "d", "time.epoch", "middle of that pixel's exposure, MJD UTC"),
        Column("flags", "uint32", "", "meta.code.qual", "flags of the measurement"),
    ),
)
