"""Stage `epsf`: one exposure in, the ePSF of that exposure out."""

import numpy as np

from catalogs.cubes import EpsfCube
from catalogs.errors import UnusableError
from catalogs.exposure import Exposure
from compute.kernels.calibrate.epsf import NORMALISATION_RADIUS
from compute.kernels.calibrate.undithered import build
from compute.settings import EpsfSettings
from compute.stages.frames import frame_of


def epsf(exposure: Exposure, settings: EpsfSettings, threads: int = 1) -> EpsfCube:
    """Build a first ePSF from an exposure's own stars (Anderson & King 2000, sections 4 and 5.2).

    `threads` change no result.

    Raises
    ------
    UnusableError
        If the exposure shows no star to build from.
    """
    header = exposure.header
    try:
        built = build(frame_of(exposure), **settings.model_dump(), threads=threads)
    except ValueError as error:
        raise UnusableError(f"epsf: {header.exposure} {header.detector}", error, "stars above 10 sigma") from None
    return EpsfCube(
        values=built.tables,
        fx=built.fx + header.x_start,
        fy=built.fy + header.y_start,
        oversampling=settings.oversampling,
        normalisation_radius=NORMALISATION_RADIUS,
        n_samples=built.n_samples.astype(np.int64),
        instrument=header.instrument,
        detector=header.detector,
        filter=header.filter,
        source=f"{header.exposure}: {built.how}",
        valid_from=header.mjd_start,
        valid_to=header.mjd_end,
        extra={"rough": built.rough},
    )
