"""A field of the LMC at two epochs, without pixels, through frames, motions and kinematics as a recipe has them."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from distributed import Client
from numpy.typing import NDArray

from catalogs import open_catalog
from compute.campaign import Campaign, Cluster, Observation, Population, Reference, SkyField
from compute.graph.run import run
from compute.graph.simulate import simulate
from compute.kernels.motion.celestial import project
from compute.recipe import Recipe
from compute.settings import KinematicsSettings, MotionSettings, PopulationSettings, ReferenceSettings
from tests.kinematic import OLD, YOUNG, Group

FIELD, CENTRE = "lmc", (80.49, -69.5)  # [deg]
EAST, NORTH = 20.0, -25.0  # of the cluster from the centre [arcsec]
EPOCHS = 2006.39, 2022.33
AXES = ["pmra", "pmdec"]
GROUPS = ("one", "two", "three")  # of young stars, in the order of YOUNG; the second is the cluster

# Instrumental: F090W is AB less 26.4. Young stars are bluer than -0.45, old ones redder than -0.40.
_CMD = {"magnitude": "F090W", "colour": "F090W-F150W"}
_BLUE = ((-0.9, -9.0), (-0.45, -9.0), (-0.45, -4.8), (-0.9, -4.8))
_RED = ((-0.43, -9.0), (0.05, -9.0), (0.05, -2.0), (-0.43, -2.0))
_MIDDLE = CENTRE[0] + EAST / 3600 / np.cos(np.radians(CENTRE[1])), CENTRE[1] + NORTH / 3600
POPULATIONS = {
    "old": PopulationSettings(**_CMD, cmd=_RED),
    "young": PopulationSettings(**_CMD, cmd=_BLUE, components=3, axis=45.0),
    "cluster": PopulationSettings(
        **_CMD, cmd=_BLUE, circle=(*_MIDDLE, 20.0), motion=YOUNG[1].motion, radii=((-8.0, 0.06), (-4.8, 0.08)),
        components=3, axis=45.0,
    ),
}  # fmt: skip
KINEMATICS = KinematicsSettings(max_error=0.06, samplings=0, populations=POPULATIONS)


class Field(NamedTuple):
    """What came out, beside the truth.

    `stars` are MOTIONS, less the `zero` point (2,) [mas/yr] that was added to them, with `true_pmra`, `true_pmdec`,
    `population`, `first_error` [mas] of the reference's position, `east`, `north` [arcsec], `colour`, and pixel phases.
    `kinematics` is that table; `motion` and `numbers` are what both stages recorded.
    """

    stars: pd.DataFrame
    zero: NDArray[np.float64]
    kinematics: pd.DataFrame
    motion: dict[str, Any]
    numbers: dict[str, Any]

    def rows(self, population: str, method: str) -> pd.DataFrame:
        """Of KINEMATICS."""
        table = self.kinematics
        return table[(table["population"] == population) & (table["method"] == method)]


def campaign(seed: int) -> Campaign:
    """Old stars, 6 500 young ones of three groups; 18 exposures, and 8 of another filter for colours."""
    sky = SkyField(
        name=FIELD, ra=CENTRE[0], dec=CENTRE[1],
        populations=(
            Population(name="old", density=2500.0, spread=0.03, faint=24.0, **_moving(OLD)),
            Population(name="one", density=147.0, **_young(YOUNG[0])),
            Population(name="three", density=834.0, **_young(YOUNG[2])),
            Population(name="milky-way", kind="dwarfs", density=20.0, distance_modulus=11.0, spread=1.5, faint=24.0,
                       pmra=1.0, pmdec=2.0, dispersion=5.0),
        ),
        clusters=(Cluster(name="two", stars=1300, radius=15.0, dx=EAST, dy=NORTH, **_young(YOUNG[1])),),
    )  # fmt: skip
    usual = {"program": 1086, "epoch": EPOCHS[1], "step": 8.0, "exposures": 2, "position_angle": 94.0}
    seen = (
        Observation(filters=("F090W",), dither="3x3", **usual),
        Observation(filters=("F150W",), dither="box", observation=2, **usual),
    )
    first = Reference(epoch=EPOCHS[0], bright_error=0.14)
    return Campaign(name="lmc-populations", seed=seed, fields=(sky,), observations=seen, reference=first)


def _moving(group: Group) -> dict[str, Any]:
    return {"pmra": group.motion[0], "pmdec": group.motion[1], "dispersion": group.sigma}


def _young(group: Group) -> dict[str, Any]:
    """Down to where the two main sequences meet."""
    return {"kind": "young", "spread": 0.03, "faint": 21.5, "slope": 0.45} | _moving(group)


def recipe(folder: Path) -> Recipe:
    """Positions of F090W alone, aligned by old stars, on Gaia's zero point."""
    limits = {"colour": "F090W-F150W", "blue": -0.43, "red": 0.05}
    return Recipe(
        catalog=str(folder / "catalog"), field=FIELD, stages=("frame", "motion", "kinematics"),
        reference=ReferenceSettings(file=str(folder / "reference_catalog.parquet")),
        motion=MotionSettings(filters=("F090W",), absolute=True, zero_point=str(folder / "gaia.parquet"), **limits),
        kinematics=KINEMATICS,
    )  # fmt: skip


def observed(seed: int, client: Client) -> Field:
    """One field, from its sky to its populations."""
    with TemporaryDirectory() as place:
        folder = Path(place) / "campaign"
        simulate(campaign(seed), str(folder), client, tables=True)
        run(recipe(folder), client)
        catalog = open_catalog(folder / "catalog")
        motion, kinematics = (catalog.manifest.provenance[stage][FIELD] for stage in ("motion", "kinematics"))
        stars = _with_truth(catalog.motions.compute().sort_values("star_id", ignore_index=True), folder)
        rows = pd.read_parquet(folder / "catalog" / "kinematics")
    zero = np.array([motion["zero_points"][1][axis] for axis in AXES])
    stars[AXES] -= zero
    return Field(stars, zero, rows, motion, kinematics["numbers"])


def _with_truth(motions: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """Stars of the reference, whose numbers are the true ones."""
    motions = motions[motions["source_id"].notna()].reset_index(drop=True)
    number = motions["source_id"].astype("int64").to_numpy()
    true = pd.read_parquet(folder / "truth" / "stars").set_index("star_id").loc[number]
    first = pd.read_parquet(folder / "reference_catalog.parquet").set_index("source_id").loc[number]
    places = pd.read_parquet(folder / "truth" / "positions")
    places = places[places["exposure"] == places["exposure"].min()].set_index("star_id").reindex(number)
    x, y = project(motions["ra"].to_numpy(), motions["dec"].to_numpy(), *CENTRE)
    more = {
        "true_pmra": true["pmra"], "true_pmdec": true["pmdec"], "population": true["population"],
        "first_error": first["ra_error"], "east": x / 1000, "north": y / 1000,
        "colour": motions["mag_F090W"] - motions["mag_F150W"],
        "phase_x": places["x"] - places["x"].round(), "phase_y": places["y"] - places["y"].round(),
    }  # fmt: skip
    return motions.assign(**{name: np.asarray(values) for name, values in more.items()})
