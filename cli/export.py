"""``piazzi export``: measurements, ePSFs and distortions in the formats other programs read."""

from pathlib import Path

import click

from catalogs.errors import PiazziError

FORMATS = ("fits", "ecsv", "xymq", "stdpsf", "stdgdc", "stdgdc2", "siaf")


@click.command("export")
@click.argument("catalog")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--format", "kind", type=click.Choice(FORMATS), required=True, help="what to write")
@click.option("--exposure", "names", multiple=True, help="only this exposure; may be repeated")
@click.option("--filter", "filters", multiple=True, help="only this filter; may be repeated")
def command(catalog, out, kind, names, filters):
    """Write CATALOG's measurements (fits, ecsv, xymq), ePSFs (stdpsf) or distortions (stdgdc, stdgdc2, siaf) to OUT.

    OUT becomes a folder with a file for each exposure and detector, or a single file where its name ends in the
    format's suffix and one exposure is chosen. An .xymq list holds 1-based x and y, magnitude and quality of fit.
    Distortions are a file for each detector and filter, in format 1 (stdgdc) or 2 (stdgdc2) of that library. Their
    polynomials alone are CSV tables (siaf) of coefficients from detector to ideal coordinates and back.
    """
    from catalogs.catalog import open_catalog
    from catalogs.exchange.export import export_distortions, export_epsfs, export_measurements, export_siaf

    place = open_catalog(catalog)
    exposures = place.exposures
    chosen = exposures[(exposures["status"] == "ok") & exposures["n_stars"].notna()]
    for column, wanted in (("exposure", names), ("filter", filters)):
        if unknown := set(wanted) - set(chosen[column]):
            raise PiazziError(f"--{column}: found {', '.join(sorted(unknown))}, expected a measured one of {catalog}")
        chosen = chosen[chosen[column].isin(wanted)] if wanted else chosen
    if chosen.empty:
        raise PiazziError(f"{catalog}: found no measured exposure, expected at least one to export")
    if kind == "stdpsf":
        written = export_epsfs(place, chosen, out)
    elif kind in ("stdgdc", "stdgdc2"):
        written = export_distortions(place, chosen, 2 if kind == "stdgdc2" else 1, out)
    elif kind == "siaf":
        written = export_siaf(place, chosen, out)
    else:
        written = export_measurements(place, chosen, kind, out)
    for path in written:
        print(path)
