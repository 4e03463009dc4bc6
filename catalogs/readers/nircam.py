"""NIRCam imaging: filters of the filter wheel through a clear pupil, and those of the pupil wheel behind a wide one."""

from functools import partial

from catalogs.readers import jwst
from catalogs.readers.jwst_geometry import Detector

SHORT = ("F070W", "F090W", "F115W", "F140M", "F150W", "F150W2", "F182M", "F187N", "F200W", "F210M", "F212N")
LONG = ("F250M", "F277W", "F300M", "F322W2", "F335M", "F356W", "F360M", "F410M", "F430M", "F444W", "F460M", "F480M")
PUPIL_WHEEL = {
    "F162M": "F150W2",
    "F164N": "F150W2",
    "F323N": "F322W2",
    "F405N": "F444W",
    "F466N": "F444W",
    "F470N": "F444W",
}


def _detectors() -> dict[str, Detector]:
    """Ten detectors; A1, A3, ALONG, B2, B4 read towards -x and +y, the others the other way."""
    found = {}
    for module, towards_minus_x in (("A", "13L"), ("B", "24")):
        for chip in "1234L":
            fast, slow = (-1, 2) if chip in towards_minus_x else (1, -2)
            if chip == "L":
                found[f"NRC{module}LONG"] = Detector(63.0, 1.82, 13.3, fast, slow)
            else:
                found[f"NRC{module}{chip}"] = Detector(31.0, 2.05, 15.8, fast, slow)
    return found


CAMERA = jwst.Camera(
    exp_type="NRC_IMAGE",
    detectors=_detectors(),
    filters={(name, "CLEAR"): name for name in SHORT + LONG}
    | {(wide, name): name for name, wide in PUPIL_WHEEL.items()},
)

read = partial(jwst.read, CAMERA)
