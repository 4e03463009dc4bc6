"""The tables of a catalog. ``python -m catalogs.tables`` prints their documentation page."""

from functools import partial

from catalogs.flags import MEANINGS
from catalogs.kinematics import KINEMATICS
from catalogs.masters import MASTER, MATCHES, TRANSFORMS
from catalogs.motions import MOTIONS, ZERO_POINTS
from catalogs.residuals import RESIDUALS
from catalogs.scales import SCALE_DIFFERENCES, SCALE_MEANS, SCALES
from catalogs.schema import Column, Table
from catalogs.stability import STABILITY

__all__ = ["EXPOSURES", "MEASUREMENTS", "page"]

_F8, _F4, _I4, _STR = "float64", "float32", "int32", "string"
_X, _Y, _Z = (f"pos.cartesian.{axis}" for axis in "xyz")
_optional = partial(Column, nullable=True)  # null in a rejected exposure, or where the file does not tell
_fitted = partial(Column, nan=True)  # NaN where the fit gave none
_KM = "barycentric position of the observer, equatorial {} axis"

EXPOSURES = Table(
    "EXPOSURES",
    (
        Column("exposure", _STR, "", "meta.id;obs.exposure", "root of the file name, without _cal or _flt"),
        _optional("program", _I4, "", "meta.id;obs.proposal", "observing program", low=0),
        _optional("observation", _STR, "", "meta.id;obs", "observation within the program"),
        _optional("visit", _STR, "", "meta.id;obs", "visit within the observation"),
        _optional("instrument", _STR, "", "meta.id;instr", "instrument"),
        _optional("detector", _STR, "", "meta.id;instr.det", "detector"),
        _optional("filter", _STR, "", "meta.id;instr.filter", "filter that sets the passband"),
        _optional("subarray", _STR, "", "meta.id;instr.setup", "subarray, or FULL"),
        _optional("readout", _STR, "", "meta.id;instr.setup", "readout pattern or CCD mode"),
        _optional("n_x", _I4, "pix", "meta.number", "columns of the array", low=1),
        _optional("n_y", _I4, "pix", "meta.number", "rows of the array", low=1),
        _optional("x_start", _I4, "pix", f"{_X};instr.det", "full-detector x of array column 0"),
        _optional("y_start", _I4, "pix", f"{_Y};instr.det", "full-detector y of array row 0"),
        _optional("exptime", _F8, "s", "time.duration;obs.exposure", "exposure time", low=0),
        _optional("mjd_start", _F8, "d", "time.start;obs.exposure", "start, MJD UTC", low=40000, high=100000),
        _optional("mjd_mid", _F8, "d", "time.epoch;obs.exposure", "middle, MJD UTC", low=40000, high=100000),
        _optional("mjd_end", _F8, "d", "time.end;obs.exposure", "end, MJD UTC", low=40000, high=100000),
        _optional("epoch", _F8, "yr", "time.epoch;obs.exposure", "middle, Julian year", low=1960, high=2150),
        _optional("ra", _F8, "deg", "pos.eq.ra", "right ascension of the detector centre, ICRS", low=0, high=360),
        _optional("dec", _F8, "deg", "pos.eq.dec", "declination of the detector centre, ICRS", low=-90, high=90),
        _optional("position_angle", _F8, "deg", "pos.posAng", "of image +y, east of north", low=0, high=360),
        _optional("va_scale", _F8, "", "arith.factor;pos", "velocity-aberration scale factor", low=0.99, high=1.01),
        _optional("photmjsr", _F8, "", "phot.calib", "MJy/sr for one DN/s in a pixel"),
        _optional("observer_x", _F8, "km", _X, _KM.format("x")),
        _optional("observer_y", _F8, "km", _Y, _KM.format("y")),
        _optional("observer_z", _F8, "km", _Z, _KM.format("z")),
        _optional("cal_ver", _STR, "", "meta.version;meta.software", "version of the calibration software"),
        _optional("crds_ctx", _STR, "", "meta.version", "calibration reference context"),
        _optional("sdp_ver", _STR, "", "meta.version;meta.software", "version of the data processing system"),
        _optional("prd_ver", _STR, "", "meta.version", "version of the project reference database"),
        Column("path", _STR, "", "meta.ref.url", "file as it was given"),
        _optional(
            "sha256", _STR, "", "meta.checksum", "SHA-256 of the file, and a WFPC2 flag file; null if unreadable"
        ),
        _optional("n_stars", _I4, "", "meta.number;src", "stars measured; null before measuring", low=0),
        _optional("n_saturated", _I4, "", "meta.number;src", "stars with saturated pixels", low=0),
        _optional("qfit_median", _F4, "", "stat.fit.residual;stat.median", "median qfit of clean, bright stars"),
        _optional(
            "core_fraction",
            _F4,
            "",
            "phot.flux;arith.ratio",
            "central value of the ePSF used: share of a star's flux in the pixel it is centred on",
            low=0,
            high=1,
        ),
        Column("status", _STR, "", "meta.code.status", "ok or rejected"),
        _optional("reason", _STR, "", "meta.note", "why it was rejected: place, what was found and expected"),
        _optional("image_unit", _STR, "", "meta.unit", "unit of the pixels: MJy/sr, electron, electron/s or DN"),
        _optional(
            "measured_with",
            _STR,
            "",
            "meta.checksum",
            "digest of the settings, ePSF and code version of the measurement; null before measuring",
        ),
        _optional(
            "corrected_with",
            _STR,
            "",
            "meta.checksum",
            "digest of the distortion behind x_gdc, y_gdc; ends in +area where mag_area is from it; null without one",
        ),
        _optional("table_sha256", _STR, "", "meta.checksum", "SHA-256 of its MEASUREMENTS file; null before measuring"),
        _optional(
            "epsf_sha256", _STR, "", "meta.checksum", "SHA-256 of the files of the ePSF cube it built; null without one"
        ),
    ),
)

MEASUREMENTS = Table(
    "MEASUREMENTS",
    (
        Column("exposure", _STR, "", "meta.id;obs.exposure", "exposure the star was measured in"),
        Column("star", _I4, "", "meta.id;meta.main", "number in the exposure, by decreasing flux", low=0),
        Column(
            "x", _F8, "pix", f"{_X};instr.det", "full-detector x, pixel centres at integers from 0", low=-100, high=5000
        ),
        Column(
            "y", _F8, "pix", f"{_Y};instr.det", "full-detector y, pixel centres at integers from 0", low=-100, high=5000
        ),
        _fitted("x_error", _F4, "pix", f"stat.error;{_X};instr.det", "standard error of x", low=0),
        _fitted("y_error", _F4, "pix", f"stat.error;{_Y};instr.det", "standard error of y", low=0),
        _fitted("xy_corr", _F4, "", "stat.correlation", "correlation of the errors of x and y", low=-1, high=1),
        _fitted("flux", _F8, "", "phot.flux", "fitted flux [image_unit of the exposure times pix]"),
        _fitted("flux_error", _F4, "", "stat.error;phot.flux", "standard error of flux, same unit", low=0),
        _fitted("mag", _F8, "mag", "phot.mag", "instrumental magnitude, -2.5 log10(flux)"),
        _fitted("mag_error", _F4, "mag", "stat.error;phot.mag", "standard error of mag"),
        _fitted("sky", _F4, "", "instr.skyLevel", "sky under the star [image_unit]"),
        _fitted("sky_error", _F4, "", "stat.error;instr.skyLevel", "standard error of sky [image_unit]", low=0),
        _fitted("qfit", _F4, "", "stat.fit.residual", "sum |P - s - f psi| / sum (P - s) over the fitted pixels"),
        _fitted(
            "radxs",
            _F4,
            "",
            "stat.fit.residual",
            "sum (P - s - f psi) / f over 1 < r <= 2.5 pix: negative for cosmic rays, positive for galaxies",
        ),
        _fitted("chi2", _F4, "", "stat.fit.chi2", "reduced chi-square of the fit", low=0),
        _fitted("peak", _F4, "", "phot.flux;stat.max", "highest pixel of the star [image_unit]"),
        Column("n_pix", _I4, "pix", "meta.number", "pixels fitted", low=0),
        _fitted("neighbour", _F4, "", "phot.flux;arith.ratio", "share of the fitted flux owed to other stars"),
        _fitted("x_gdc", _F8, "pix", f"{_X};instr.det", "x corrected for distortion; NaN before there is one"),
        _fitted("y_gdc", _F8, "pix", f"{_Y};instr.det", "y corrected for distortion; NaN before there is one"),
        _fitted("mag_area", _F8, "mag", "phot.mag", "mag corrected for the area of the pixel"),
        Column("mjd", _F8, "d", "time.epoch", "middle of that pixel's exposure, MJD UTC", low=40000, high=100000),
        Column("flags", "uint32", "", "meta.code.qual", "bits listed below; 0 is a clean star"),
    ),
    keys=(
        Column("program", _I4, "", "meta.id;obs.proposal", "observing program"),
        Column("instrument", _STR, "", "meta.id;instr", "instrument"),
        Column("detector", _STR, "", "meta.id;instr.det", "detector"),
        Column("filter", _STR, "", "meta.id;instr.filter", "filter"),
    ),
)

_OTHERS = (
    TRANSFORMS,
    MATCHES,
    MASTER,
    SCALES,
    SCALE_MEANS,
    SCALE_DIFFERENCES,
    RESIDUALS,
    STABILITY,
    MOTIONS,
    ZERO_POINTS,
    KINEMATICS,
)


def page() -> str:
    """The documentation page, Markdown."""
    parts = [
        "# Tables\n",
        "Printed by `python -m catalogs.tables`. Every file carries these units, UCDs and meanings itself.\n",
        EXPOSURES.markdown(),
        MEASUREMENTS.markdown(),
        "### Bits of `flags`\n",
        "| bit | value | name | meaning |\n|---|---|---|---|",
        *(f"| {f.bit_length() - 1} | {f.value} | `{f.name}` | {meaning} |" for f, meaning in MEANINGS.items()),
        "",
        *(table.markdown() for table in _OTHERS),
    ]
    return "\n".join(parts).rstrip() + "\n"


if __name__ == "__main__":
    print(page(), end="")
