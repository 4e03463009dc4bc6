"""KINEMATICS: how populations of stars move, and how much they scatter beyond their errors."""

from functools import partial

from catalogs.masters import FRAME_KEYS
from catalogs.schema import Column, Table

__all__ = ["KINEMATICS"]

_F8, _I4, _STR, _BOOL = "float64", "int32", "string", "bool"
_RATE, _SPEED = "mas/yr", "km/s"
_PMRA, _PMDEC = "pos.pm;pos.eq.ra", "pos.pm;pos.eq.dec"
_fitted = partial(Column, nan=True)
_velocity = partial(Column, nullable=True)  # null without a distance
_zero = partial(Column, nullable=True)  # null in tables made before there were these columns
_V_ERROR = "with the distance's; the zero point's not in it"
_METHOD = (
    "median: clipped median and ML dispersion of the stars kept; mixture: a Gaussian of a mixture; "
    "background: stars of none of these; members: a cluster among a constant background within its radii"
)

KINEMATICS = Table(
    "KINEMATICS",
    (
        Column("population", _STR, "", "meta.id", "name of the population"),
        Column("method", _STR, "", "meta.code", _METHOD),
        Column("component", _I4, "", "meta.id", "number along a mixture's axis from 1; 0: median or background", low=0),
        Column("n", _I4, "", "meta.number;src", "stars the row is made of, all components together", low=0),
        _fitted("fraction", _F8, "", "stat.fit.param;arith.ratio", "share of these stars", low=0, high=1),
        _fitted("fraction_error", _F8, "", "stat.error;arith.ratio", "standard error of fraction", low=0),
        _fitted("pmra", _F8, _RATE, _PMRA, "mean motion in right ascension, with cos dec"),
        _fitted("pmdec", _F8, _RATE, _PMDEC, "mean motion in declination"),
        _fitted("pmra_error", _F8, _RATE, f"stat.error;{_PMRA}", "standard error, without the zero point's", low=0),
        _fitted("pmdec_error", _F8, _RATE, f"stat.error;{_PMDEC}", "standard error, without the zero point's", low=0),
        _fitted("pmra_pmdec_corr", _F8, "", "stat.correlation", "of these errors", low=-1, high=1),
        _fitted("sigma_ra", _F8, _RATE, f"stat.stdev;{_PMRA}", "intrinsic dispersion of pmra", low=0),
        _fitted("sigma_dec", _F8, _RATE, f"stat.stdev;{_PMDEC}", "intrinsic dispersion of pmdec", low=0),
        _fitted("sigma_ra_error", _F8, _RATE, f"stat.error;{_PMRA}", "standard error of sigma_ra", low=0),
        _fitted("sigma_dec_error", _F8, _RATE, f"stat.error;{_PMDEC}", "standard error of sigma_dec", low=0),
        _fitted("sigma_corr", _F8, "", "stat.correlation", "of intrinsic motions", low=-1, high=1),
        _fitted("sigma", _F8, _RATE, "stat.stdev;pos.pm", "intrinsic dispersion per axis, both together", low=0),
        _fitted("sigma_error", _F8, _RATE, "stat.error;pos.pm", "standard error of sigma", low=0),
        _velocity("v_ra", _F8, _SPEED, f"phys.veloc.transverse;{_PMRA}", "velocity of pmra at the distance"),
        _velocity("v_dec", _F8, _SPEED, f"phys.veloc.transverse;{_PMDEC}", "velocity of pmdec at the distance"),
        _velocity("v_ra_error", _F8, _SPEED, "stat.error;phys.veloc.transverse", _V_ERROR, low=0),
        _velocity("v_dec_error", _F8, _SPEED, "stat.error;phys.veloc.transverse", _V_ERROR, low=0),
        _velocity("sigma_v", _F8, _SPEED, "phys.veloc.dispersion", "sigma at the distance", low=0),
        _velocity("sigma_v_error", _F8, _SPEED, "stat.error;phys.veloc.dispersion", "with the distance's", low=0),
        _zero("absolute", _BOOL, "", "meta.code", "whether motions are on the zero point of a catalog of motions"),
        _zero("zero_ra_error", _F8, _RATE, f"stat.error;{_PMRA};arith.zp", "of the zero point common to all", low=0),
        _zero("zero_dec_error", _F8, _RATE, f"stat.error;{_PMDEC};arith.zp", "of the zero point common to all", low=0),
    ),
    keys=FRAME_KEYS[:1],
)  # fmt: skip
