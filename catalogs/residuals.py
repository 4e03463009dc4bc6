"""RESIDUALS: what is left of measured positions about their means, before and after a distortion correction."""

from functools import partial

from catalogs.schema import Column, Table

__all__ = ["RESIDUALS"]

_F8, _F4, _I8, _STR, _BOOL = "float64", "float32", "int64", "string", "bool"
_X, _Y = (f"pos.cartesian.{axis}" for axis in "xy")
_fitted = partial(Column, nan=True)
_WITHOUT = "the same with a four-parameter link and no correction at all"

RESIDUALS = Table(
    "RESIDUALS",
    (
        Column("exposure", _STR, "", "meta.id;obs.exposure", "exposure"),
        Column("star_id", _I8, "", "meta.id", "number of the star, among those of this table", low=0),
        Column("x", _F8, "pix", f"{_X};instr.det", "raw position"),
        Column("y", _F8, "pix", f"{_Y};instr.det", "raw position"),
        _fitted("dx", _F8, "pix", f"{_X};arith.diff", "where it should be, minus where the correction puts it"),
        _fitted("dy", _F8, "pix", f"{_Y};arith.diff", "where it should be, minus where the correction puts it"),
        _fitted("dx_before", _F8, "pix", f"{_X};arith.diff", _WITHOUT),
        _fitted("dy_before", _F8, "pix", f"{_Y};arith.diff", _WITHOUT),
        _fitted("x_error", _F4, "pix", f"stat.error;{_X}", "standard error of dx", low=0),
        _fitted("y_error", _F4, "pix", f"stat.error;{_Y}", "standard error of dy", low=0),
        _fitted("mag", _F8, "mag", "phot.mag", "magnitude on the zero point of the middle exposure"),
        Column("reserved", _BOOL, "", "meta.code", "kept out of the solution, to judge it"),
        Column("reference", _BOOL, "", "meta.code", "against the reference catalog, or else the exposures' mean"),
    ),
)  # fmt: skip
