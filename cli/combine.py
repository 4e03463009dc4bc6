"""``piazzi combine``: motions of fields from those of single exposures."""

import json
import math
from typing import Any

import click

from cli import common
from compute.settings import CombineSettings


@click.command("combine")
@click.argument("table")
@common.settings_options(CombineSettings)
@common.json_option
def command(table, as_json, **options: Any):
    """Average the proper motions of exposures in TABLE, by field and over fields, and tell whether they agree.

    TABLE is CSV, ECSV or Parquet with a row for each exposure: field, instrument, mu_w, mu_n, sigma_w, sigma_n
    [mas/yr], west and north, in any order and case. Means are weighted by their errors; chi2 compares the exposures of
    an instrument in a field, the instruments in a field, and the fields (Sohn et al. 2012). Velocities, at a distance,
    are heliocentric.
    """
    settings = common.settings_from(CombineSettings, options)

    from catalogs.exposure_motions import read_exposure_motions
    from compute.stages.combine import combine

    combined = combine(read_exposure_motions(table), settings)
    if as_json:
        print(json.dumps(combined.as_dict(), indent=2))
        return
    _show(combined)


def _show(combined) -> None:
    """Means of fields and of all, then what agrees with what."""
    import pandas as pd

    from catalogs.exposure_motions import ALL
    from compute.stages.combine import COMPARED

    means = pd.concat([combined.fields, combined.overall.assign(field=ALL)], ignore_index=True)
    least = means[["sigma_w", "sigma_n"]].min(axis=None)
    rate = f"{{:.{max(4, 1 - math.floor(math.log10(least)))}f}}".format
    form = {name: rate if name.startswith(("mu", "sigma")) else "{:.1f}".format for name in means.columns[2:]}
    form |= {name: "{:.1f}".format for name in means.columns if "_v_" in name}
    print("error-weighted proper motions towards west and north [mas/yr]")
    if (distance := combined.settings.distance) is not None:
        error = f" +- {combined.settings.distance_error:g}" if combined.settings.distance_error else ""
        print(f"v [km/s] at {distance:g}{error} kpc, heliocentric: not corrected for the motion of the Sun")
    print(means.to_string(index=False, formatters=form))
    print("\ndo they agree?")
    rows = [(what, one.chi2, one.dof, one.p) for what, one in zip(COMPARED, combined.agreement, strict=True)]
    checks = pd.DataFrame(rows, columns=["compared", "chi2", "dof", "p"])
    print(checks.to_string(index=False, formatters={"chi2": "{:.1f}".format, "p": "{:.3f}".format}, na_rep="-"))
