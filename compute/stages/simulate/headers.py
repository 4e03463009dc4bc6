"""What the headers of a simulated frame say: the pointing as it was believed, the nominal distortion, the facts."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalogs.writers import FrameFacts, SipWcs
from compute.kernels.simulate.projection import tangent
from compute.stages.simulate.geometry import sip
from compute.stages.simulate.instruments import Array
from compute.stages.simulate.positions import Pointing, offset
from compute.stages.simulate.setup import Setup, true_distortion


def believed(setup: Setup) -> Pointing:
    """The pointing as headers have it: direction and roll from the guide star, the nominal scale."""
    exposure, detector = setup.exposure, setup.detector
    ra, dec, angle = offset(exposure.header_ra, exposure.header_dec, exposure.header_position_angle, detector)
    return replace(setup.pointing, ra=ra, dec=dec, position_angle=angle, scale=detector.scale)


def header_wcs(setup: Setup, chip: int, array: Array, corner: tuple[int, int]) -> SipWcs:
    """Nominal distortion about the middle of the chip, for the believed pointing."""
    plain = setup.effects.model_copy(update={"fine_distortion": 0.0})
    nominal = true_distortion(setup.instrument, setup.detector, setup.exposure.filter, plain)
    middle = setup.detector.middle if setup.jwst else ((array.n_x - 1) / 2, array.y + (array.n_y - 1) / 2)
    linear, a, b, corrected = sip(nominal, chip, middle)
    told = believed(setup)
    ra, dec = told.sky(corrected[0], corrected[1])
    (cd11, cd12), (cd21, cd22) = np.degrees(_matrix_at(told, corrected, float(ra), float(dec)) @ linear).tolist()
    place = middle[0] - corner[0], middle[1] - corner[1] - array.y
    terms = (a, b) if setup.effects.distortion else ()
    return SipWcs(float(ra), float(dec), *place, (cd11, cd12, cd21, cd22), *terms)


def _matrix_at(told: Pointing, corrected: NDArray, ra: float, dec: float) -> NDArray[np.float64]:
    """(2, 2) from corrected pixels to the tangent plane at (ra, dec), where pixel `corrected` is seen [rad/pix].

    Meridians converge: away from the pointing's own tangent point, north is another way.
    """
    step, (x, y) = 64.0, corrected
    ends = [
        (tangent(*told.sky(x + sign * a, y + sign * b), ra, dec)) for a, b in ((step, 0), (0, step)) for sign in (1, -1)
    ]
    return np.array([[(ends[k][axis] - ends[k + 1][axis]) / (2 * step) for k in (0, 2)] for axis in (0, 1)])


def facts(all_setups: list[Setup]) -> FrameFacts:
    """What the frame's primary header holds, for all its detectors together."""
    setup = all_setups[0]
    exposure, observation, instrument = setup.exposure, setup.observation, setup.instrument
    said: dict[str, Any] = {
        "root": exposure.root, "program": observation.program, "observation": observation.observation,
        "number": exposure.number, "instrument": instrument.name, "filter": exposure.filter,
        "detector": setup.detector.name if len(all_setups) == 1 else instrument.name,
        "mjd_start": exposure.mjd_start, "mjd_end": exposure.mjd_start + exposure.exptime / 86400,
        "exptime": exposure.exptime, "position_angle": exposure.header_position_angle,
        "va_scale": setup.pointing.va_scale, "observer": tuple(map(float, setup.pointing.observer)),
        "velocity": tuple(map(float, setup.pointing.velocity)), "target": setup.field.target or setup.field.name,
        "ra_target": setup.field.ra, "dec_target": setup.field.dec, "track": any(observation.track),
        "gain": setup.detector.gain, "read_noise": setup.detector.read_noise,
    }  # fmt: skip
    if not setup.jwst:
        return FrameFacts(
            **said, cte_corrected=setup.effects.cte == 0, photflam=setup.photflam, photplam=setup.band.pivot * 1e4
        )
    ((_, array, corner),) = setup.windows()
    step = exposure.exptime / exposure.n_groups
    return FrameFacts(
        **said, readout="NISRAPID" if instrument.name == "NIRISS" else "RAPID", n_groups=exposure.n_groups,
        t_frame=step, t_group=step, x_start=corner[0], y_start=corner[1],
        subarray=f"SUB{array.n_x}" if corner[0] else "FULL", photmjsr=setup.photmjsr, pixar_sr=setup.pixar_sr,
    )  # fmt: skip
