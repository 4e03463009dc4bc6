"""Tables of pixel scales: of single exposures, their means by filter and visit, and how these differ."""

from functools import partial

from catalogs.masters import FRAME_KEYS
from catalogs.schema import Column, Table

__all__ = ["SCALES", "SCALE_DIFFERENCES", "SCALE_MEANS"]

_F8, _I4, _STR = "float64", "int32", "string"
_SCALE, _ERROR = "instr.scale", "stat.error;instr.scale"
_fitted = partial(Column, nan=True)

_CAMERA = (
    Column("instrument", _STR, "", "meta.id;instr", "instrument"),
    Column("detector", _STR, "", "meta.id;instr.det", "detector"),
    Column("filter", _STR, "", "meta.id;instr.filter", "filter"),
)
_TIED = "catalog the scale rests on; central:NAME where it is the central exposure, which NAME ties to the sky"
_AGAINST = Column("against", _STR, "", "meta.id;meta.ref", _TIED)
_KEYS = FRAME_KEYS[:1]

SCALES = Table(
    "SCALES",
    (
        Column("exposure", _STR, "", "meta.id;obs.exposure", "exposure"),
        *_CAMERA,
        _AGAINST,
        Column("mjd", _F8, "d", "time.epoch;obs.exposure", "middle of the exposure, MJD UTC", low=40000, high=100000),
        _fitted("scale", _F8, "mas/pix", _SCALE, "pixel scale at the detector's middle, velocity aberration removed"),
        _fitted("scale_error", _F8, "mas/pix", _ERROR, "standard error by this exposure's own measurements", low=0),
        _fitted("common_error", _F8, "mas/pix", _ERROR, "that by what it is compared with, shared by others", low=0),
        _fitted("rms", _F8, "mas", "stat.stdev;stat.fit.residual", "1-D scatter of the stars used", low=0),
        Column("n_used", _I4, "", "meta.number;stat.fit", "stars used", low=0),
        Column("status", _STR, "", "meta.code.status", "ok, or why there is no scale"),
    ),
    keys=_KEYS,
)

SCALE_MEANS = Table(
    "SCALE_MEANS",
    (
        *_CAMERA,
        _AGAINST,
        Column("mjd", _F8, "d", "time.epoch;stat.mean", "mean time of the exposures, MJD UTC", low=40000, high=100000),
        Column("n", _I4, "", "meta.number;obs.exposure", "exposures", low=1),
        Column("scale", _F8, "mas/pix", f"{_SCALE};stat.mean", "weighted mean scale"),
        _fitted("scale_error", _F8, "mas/pix", _ERROR, "its standard error by measurements and scatter", low=0),
        Column("common_error", _F8, "mas/pix", _ERROR, "that by what all are compared with", low=0),
        _fitted("scatter", _F8, "mas/pix", f"stat.stdev;{_SCALE}", "of exposures, beyond their errors", low=0),
        Column("chi2", _F8, "", "stat.fit.chi2", "of the exposures about one scale, by their errors alone", low=0),
        Column("dof", _I4, "", "stat.fit.dof", "degrees of freedom of chi2", low=0),
        _fitted("p", _F8, "", "stat.probability", "chance of such a chi2 if the scale were constant", low=0, high=1),
        _fitted("slope", _F8, "mas/pix/h", "instr.scale;arith.rate", "change with time; NaN below three exposures"),
        _fitted("slope_error", _F8, "mas/pix/h", "stat.error;instr.scale;arith.rate", "error of slope", low=0),
    ),
    keys=_KEYS,
)

SCALE_DIFFERENCES = Table(
    "SCALE_DIFFERENCES",
    (
        *_CAMERA,
        _AGAINST,
        Column("mjd", _F8, "d", "time.epoch;stat.mean", "mean time of the first, MJD UTC"),
        Column("filter_2", _STR, "", "meta.id;instr.filter", "filter of the second"),
        Column("mjd_2", _F8, "d", "time.epoch;stat.mean", "mean time of the second, MJD UTC"),
        Column("difference", _F8, "mas/pix", f"{_SCALE};arith.diff", "second minus first"),
        _fitted("error", _F8, "mas/pix", _ERROR, "standard error; what both share cancels", low=0),
        _fitted("significance", _F8, "", "stat.snr", "difference over error"),
    ),
    keys=_KEYS,
)
