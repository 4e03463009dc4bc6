"""``piazzi export``: tables, ePSFs and distortions in the formats other programs read."""

from pathlib import Path

import click

from catalogs.errors import PiazziError

FORMATS = ("fits", "ecsv", "votable", "hats", "xymq", "stdpsf", "stdgdc", "stdgdc2", "siaf")
_OF_FIELDS = ("fits", "ecsv", "votable", "hats")


@click.command("export")
@click.argument("catalog")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--format", "kind", type=click.Choice(FORMATS), required=True, help="what to write")
@click.option(
    "--table",
    type=click.Choice(("measurements", "master", "motions")),
    help="what fits, ecsv, votable and hats hold [measurements; of hats, motions]",
)
@click.option("--field", "fields", multiple=True, help="only this field's master or motions; may be repeated")
@click.option("--exposure", "names", multiple=True, help="only this exposure; may be repeated")
@click.option("--filter", "filters", multiple=True, help="only this filter; may be repeated")
def command(catalog, out, kind, table, fields, names, filters):
    """Write tables (fits, ecsv, votable, hats, xymq), ePSFs (stdpsf) or distortions (stdgdc, stdgdc2, siaf) to OUT.

    Measurements are a file for each exposure and detector, master frames and motions one for each field, in the folder
    OUT; or a single file where OUT's name ends in the format's suffix (.vot of a VOTable). A HATS catalog is a folder.
    An .xymq list holds 1-based x and y, magnitude and quality of fit. ePSFs and distortions are a file for each
    detector and filter, the newest cubes that cover the exposures; distortions in format 1 (stdgdc) or 2 (stdgdc2) of
    that library, or their polynomials alone, from detector to ideal coordinates and back (siaf).
    """
    from catalogs.catalog import open_catalog

    table = table or ("motions" if kind == "hats" else "measurements")
    place = open_catalog(catalog)
    _check(out, place)
    if table == "measurements":
        if kind == "hats" or fields:
            raise PiazziError("--table: found measurements, expected master or motions with --format hats or --field")
        written = _of_exposures(place, catalog, out, kind, names, filters)
    else:
        from catalogs.exchange.export_tables import export_field_tables, export_hats

        if kind not in _OF_FIELDS or names:
            raise PiazziError(f"--table {table}: expected --format {', '.join(_OF_FIELDS)}, and no --exposure")
        if kind == "hats":
            written = export_hats(place, table, out, fields, filters)
        else:
            written = export_field_tables(place, table, kind, out, fields, filters)
    for path in written:
        print(path)


def _check(out: Path, place) -> None:
    """PiazziError where OUT is no name, or would put alien files among the catalog's own."""
    if out == Path("."):
        raise PiazziError("OUT: found the current folder, expected the name of a file or folder")
    if place.store.is_local and out.resolve().is_relative_to(Path(place.store.root).resolve()):
        raise PiazziError(f"{out}: found a place inside the catalog, expected one outside")


def _of_exposures(place, catalog: str, out: Path, kind: str, names, filters) -> list[Path]:
    """What belongs to exposures: their measurements, ePSFs, distortions."""
    from catalogs.exchange.export import export_distortions, export_epsfs, export_measurements, export_siaf

    exposures = place.exposures
    chosen = exposures[(exposures["status"] == "ok") & exposures["n_stars"].notna()]
    for column, wanted in (("exposure", names), ("filter", filters)):
        if unknown := set(wanted) - set(chosen[column]):
            raise PiazziError(f"--{column}: found {', '.join(sorted(unknown))}, expected a measured one of {catalog}")
        chosen = chosen[chosen[column].isin(wanted)] if wanted else chosen
    if chosen.empty:
        raise PiazziError(f"{catalog}: found no measured exposure, expected at least one to export")
    if kind == "stdpsf":
        return export_epsfs(place, chosen, out)
    if kind in ("stdgdc", "stdgdc2"):
        return export_distortions(place, chosen, 2 if kind == "stdgdc2" else 1, out)
    if kind == "siaf":
        return export_siaf(place, chosen, out)
    return export_measurements(place, chosen, kind, out)
