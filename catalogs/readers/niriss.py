"""NIRISS imaging: six filters in the pupil wheel, six in the filter wheel."""

from functools import partial

from catalogs.readers import jwst
from catalogs.readers.jwst_geometry import Detector

PUPIL_WHEEL = ("F090W", "F115W", "F140M", "F150W", "F158M", "F200W")
FILTER_WHEEL = ("F277W", "F356W", "F380M", "F430M", "F444W", "F480M")

# The fast axis runs along -y (amplifiers are stripes of rows), the slow one along -x.
CAMERA = jwst.Camera(
    exp_type="NIS_IMAGE",
    detectors={"NIS": Detector(scale=65.5, gain=1.61, read_noise=23.0, fast=-2, slow=-1)},
    filters={("CLEAR", name): name for name in PUPIL_WHEEL} | {(name, "CLEARP"): name for name in FILTER_WHEEL},
)

read = partial(jwst.read, CAMERA)
