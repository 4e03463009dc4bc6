"""How the ePSFs of exposures differ from that of the library they were adjusted from: STABILITY."""

from catalogs.schema import Column, Table

__all__ = ["STABILITY"]

_F8, _STR, _CORE = "float64", "string", "phot.flux;arith.ratio"
_ZONE = "middle of the zone, 0-based full-detector pixels"

STABILITY = Table(
    "STABILITY",
    (
        Column("exposure", _STR, "", "meta.id;obs.exposure", "exposure"),
        Column("instrument", _STR, "", "meta.id;instr", "instrument"),
        Column("detector", _STR, "", "meta.id;instr.det", "detector"),
        Column("filter", _STR, "", "meta.id;instr.filter", "filter"),
        Column("mjd_mid", _F8, "d", "time.epoch;obs.exposure", "middle of the exposure, MJD UTC"),
        Column("zone_x", _F8, "pix", "pos.cartesian.x;instr.det", _ZONE),
        Column("zone_y", _F8, "pix", "pos.cartesian.y;instr.det", _ZONE),
        Column("core_fraction", _F8, "", _CORE, "share of a star's flux in the pixel it is centred on", low=0, high=1),
        Column("library_core_fraction", _F8, "", _CORE, "the same of the library's ePSF there", low=0, high=1),
        Column("qfit_before", _F8, "", "stat.fit.residual;stat.median", "median qfit with the library's ePSF", low=0),
        Column("qfit_after", _F8, "", "stat.fit.residual;stat.median", "the same with the exposure's own", low=0),
        Column("n_stars", "int32", "", "meta.number;src", "stars of the exposure that were used", low=0),
    ),
)
