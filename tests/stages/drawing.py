"""Small campaigns drawn in memory, for tests of what frames hold."""

from pathlib import Path

from compute.campaign import Campaign, Effects, Observation, Population, SkyField
from compute.stages.simulate.epsfs import build_epsf
from compute.stages.simulate.frames import simulate_frame
from compute.stages.simulate.instruments import INSTRUMENTS
from compute.stages.simulate.plan import half_width, plan
from compute.stages.simulate.setup import setups
from compute.stages.simulate.sky import draw_sky

STARS = Population(name="old", density=2500, faint=24.0, pmra=1.9, pmdec=0.3, dispersion=0.2)
QUIET = {
    "photon_noise": False, "read_noise": False, "sky": 0.0, "saturation": False, "flat": 0.0, "focus": 0.0,
    "bad_pixels": 0.0, "cosmic_rays": 0.0, "epsf_grid": 1,
}  # fmt: skip


def campaign(*, effects=None, field=None, **observation):
    """One exposure of a NIRISS subarray unless told otherwise; `effects` are added to none at all."""
    known = {
        "program": 7,
        "filters": ["F150W"],
        "epoch": 2022.33,
        "dither": "none",
        "size": 300,
        "position_angle": 37.0,
    }
    sky = {"name": "patch", "ra": 80.49, "dec": -69.5, "populations": [STARS]} | (field or {})
    return Campaign(
        name="test", fields=[SkyField(**sky)], observations=[Observation(**known | observation)],
        effects=Effects(**QUIET | (effects or {})), reference=None, gaia=None,
    )  # fmt: skip


class Drawn:
    """A campaign's first exposure: its file, its truth, and what it was made of."""

    _epsfs: dict = {}

    def __init__(self, folder: Path, made: Campaign, sky=None):
        self.campaign, self.exposure = made, plan(made)[0]
        observation = made.observations[0]
        self.sky = sky or draw_sky(made.fields[0], 0, half_width(made, made.fields[0].name), made.seed)
        self.epsfs = self._build(observation, made.effects)
        self.setups = setups(made, self.exposure, self.epsfs)
        self.truths = simulate_frame(made, self.exposure, self.sky, self.epsfs, folder)
        self.files = sorted(folder.glob("*.fits"))

    @classmethod
    def _build(cls, observation, effects):
        """True ePSFs, kept between tests."""
        instrument = INSTRUMENTS[observation.instrument]
        found = {}
        for detector in instrument.detector(observation.detector):
            key = (detector.name, observation.filters[0], effects.epsf_grid, effects.intra_pixel,
                   effects.diffusion, effects.jitter)  # fmt: skip
            if key not in cls._epsfs:
                cls._epsfs[key] = build_epsf(instrument, detector, observation.filters[0], effects)
            found[detector.name] = cls._epsfs[key]
        return found
