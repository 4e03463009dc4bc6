"""Stage `match`: stars of a master frame in one tile of sky, and the sources of a reference catalog that they are."""

import numpy as np
import pandas as pd

from catalogs.masters import MATCHES
from compute.kernels.frame.reserve import reserved
from compute.kernels.match.crossmatch import match as nearest_pairs
from compute.settings import MatchSettings
from compute.stages.plane import TILE, Plane

__all__ = ["match"]


def match(
    master: pd.DataFrame,
    reference: pd.DataFrame,
    name: str,
    tile: tuple[int, int],
    plane: Plane,
    settings: MatchSettings,
    reserve: float,
) -> pd.DataFrame:
    """Pair stars and sources that are each other's nearest within a radius.

    Parameters
    ----------
    master
        MASTER rows of the tile and of all within twice the radius of it.
    reference
        Sources at the epoch of the frame, with `id`, `row`, `ra`, `dec`, their errors and `mag`; at least those within
        the radius of the tile's stars. Sources without whole numbers for names are told by their row.
    name
        What the catalog is called in MATCHES.

    Returns
    -------
    DataFrame
        MATCHES of the stars in the tile; `dx`, `dy` are source minus star.
    """
    x, y = plane.pixel(reference["ra"].to_numpy(), reference["dec"].to_numpy())
    xm, ym = master["x"].to_numpy(), master["y"].to_numpy()
    pairs = nearest_pairs(xm, ym, x, y, settings.radius / plane.scale)
    mine = (np.floor(xm[pairs.first] / TILE) == tile[0]) & (np.floor(ym[pairs.first] / TILE) == tile[1])
    star, source = pairs.first[mine], pairs.second[mine]
    found = reference.iloc[source]
    whole_numbers = pd.api.types.is_integer_dtype(reference["id"])
    columns = {
        "star_id": master["star_id"].to_numpy()[star],
        "exposure": name,
        "detector": "",
        "star": found["id"].to_numpy() if whole_numbers else found["row"].to_numpy(),
        "x_frame": x[source],
        "y_frame": y[source],
        "dx": x[source] - xm[star],
        "dy": y[source] - ym[star],
        "x_error": found["ra_error"].to_numpy() / plane.scale,
        "y_error": found["dec_error"].to_numpy() / plane.scale,
        "ra": found["ra"].to_numpy(),
        "dec": found["dec"].to_numpy(),
        "mag": found["mag"].to_numpy(),
        "used": True,
        "reserved": reserved(xm[star], ym[star], reserve),
    }
    rows = pd.DataFrame(columns, index=range(star.size))
    return MATCHES.conform(rows.sort_values("star_id", kind="stable"))
