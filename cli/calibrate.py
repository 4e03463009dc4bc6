"""``piazzi calibrate``: library ePSFs from dithered exposures, and what can be told of them before."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from catalogs.errors import PiazziError
from cli import common
from compute.recipe import CalibrateSection, absolute
from compute.settings import CalibrateSettings, GeometrySettings

if TYPE_CHECKING:
    from compute.stages.advice import Advice
    from compute.stages.proposal import Proposal

_NIRISS = 0.0656  # [arcsec/pix]


@click.command("calibrate")
@click.argument("catalog", required=False)
@click.option("--check", is_flag=True, help="only tell what dithers and stars will give; nothing is built")
@click.option("--plan", type=int, metavar="N", help="only propose a pattern of N dithers, 2 to 25; needs no CATALOG")
@click.option(
    "--scale", "scales", type=float, multiple=True, metavar="S",
    help=f"pixels the pattern shall be good for [arcsec]; repeatable [those of CATALOG, or {_NIRISS}]",
)  # fmt: skip
@click.option("--reach", type=float, help="farthest of the pattern along each axis [arcsec] [4 of the largest pixels]")
@click.option("--epsf", default="build", metavar="WHAT", help="build, none, or a library: STDPSF file or cube [build]")
@click.option(
    "--distortion", type=click.Choice(["solve", "self", "none"]),
    help="solve against the reference, self: exposures against each other [solve with a reference, else none]",
)  # fmt: skip
@click.option("--method", type=click.Choice(["smooth", "published"]), help="of the distortion [smooth]")
@click.option("--update", type=click.IntRange(1, 5), help="only add a polynomial of this order to the older distortion")
@common.reference_options(required=False)
@common.settings_options(CalibrateSettings)
@common.threads_option
@common.running_options
def command(
    catalog, check, plan, scales, reach, epsf, distortion, method, update, threads, cluster, workers, fresh, strict,
    as_json, **options: Any,
):  # fmt: skip
    """Build the library ePSFs of CATALOG, and solve its distortions: one for each detector, filter and epoch.

    Exposures need only be entered (`piazzi ingest`) and dithered. Bright, lonely stars are cut out of each; then the
    ePSF is solved for together with one position and flux per star, in a few passes, with neither an ePSF nor a
    distortion known before. `piazzi measure` uses what is built wherever no --epsf is given.

    With a --reference, or --distortion self, the exposures are measured with these ePSFs, their distortion is solved
    from the well measured stars, and their positions are corrected. Settings of that are [geometry] of a recipe.

    --check tells from headers, and from stars where they have been measured, what accuracy to expect; --plan proposes
    dithers for exposures yet to be taken.
    """
    if check and plan is not None:
        raise click.UsageError("--check and --plan are two questions, expected one")
    if plan is None and (scales or reach is not None):
        raise click.UsageError("--scale and --reach belong to --plan")
    if plan is not None:
        _tell_plan(_proposal(catalog, plan, scales, reach), as_json)
        return
    if catalog is None:
        raise click.UsageError("Missing argument 'CATALOG'.")
    reference = common.reference_from(options)
    settings = common.settings_from(CalibrateSettings, options)
    if check:
        from catalogs.catalog import open_catalog
        from compute.graph.advice import check as checked

        _tell_check(catalog, checked(open_catalog(catalog), settings), as_json)
        return
    if distortion == "solve" and reference is None:
        raise PiazziError("--distortion solve: found no --reference, expected a catalog, or --distortion self")
    if reference is not None and distortion in ("self", "none"):
        raise click.UsageError(f"--reference is of no use with --distortion {distortion}")
    if (method or update) and (distortion == "none" or (distortion is None and reference is None)):
        raise click.UsageError(
            "--method and --update belong to a distortion: expected --reference or --distortion self"
        )
    if epsf != "build" and distortion != "self" and reference is None:
        raise click.UsageError("nothing to do: expected --epsf build, --reference or --distortion self")
    if epsf not in ("build", "none"):
        epsf = absolute(epsf, Path.cwd())
    section = CalibrateSection(**settings.model_dump(), epsf=epsf, distortion=distortion or "")
    given = {"method": method, "update": update, "epoch_gap": settings.epoch_gap}
    geometry = GeometrySettings(**{name: value for name, value in given.items() if value is not None})

    from compute.graph.client import CALIBRATING, DISTORTING, FRAMING, MEASURING
    from compute.graph.run import calibrated, measured_with

    kernels = MEASURING, FRAMING, CALIBRATING, *((DISTORTING,) if distortion != "none" else ())
    with common.changing(catalog, cluster, workers, kernels) as (place, client, progress):
        measuring = measured_with(place, section)
        reports = calibrated(
            place, client, section, geometry, measuring, reference, threads=threads, fresh=fresh, progress=progress
        )
    common.finish(catalog, reports, as_json, strict)


def _proposal(catalog: str | None, n: int, scales: tuple[float, ...], reach: float | None) -> "Proposal":
    """A pattern for the scales that were asked for, else those of a catalog's detectors, else NIRISS."""
    from compute.stages.proposal import propose

    if catalog is not None and not scales:
        from catalogs.catalog import open_catalog
        from catalogs.readers.scales import nominal_scale

        detectors = open_catalog(catalog).exposures["detector"].dropna().unique()
        scales = tuple(nominal_scale(detector) / 1e3 for detector in detectors)
    return propose(n, scales or (_NIRISS,), reach)


def _tell_check(catalog: str, found: "list[Advice]", as_json: bool) -> None:
    if as_json:
        print(json.dumps({"catalog": catalog, "check": [one.as_dict() for one in found]}, indent=2))
        return
    heads = ["", "exposures", "overlap", "x 1", "x 2", "worst", "gap", "y 1", "y 2", "worst", "gap", "images", "grid",
             "for each", "core %", "bias mpix"]  # fmt: skip
    rows = []
    for one in found:
        told = one.dithering
        axes = [value for k in (0, 1) for value in (*told.damping[k], told.worst[k].max(), told.gap[k])]
        stars = [one.images, one.grid and f"{one.grid}x{one.grid}", one.per_fiducial, one.core, one.bias]
        known = ("?" if value is None else value for value in stars)
        rows.append([_name(one), one.exposures, told.overlap, *(f"{value:.2f}" for value in axes), *known])
    _table("share of a pixel-phase bias that dithers leave, harmonics 1, 2; gaps of phases [pix]; stars", heads, rows)
    for one in found:
        print(f"{_name(one)}: {one.verdict}")


def _name(one: "Advice") -> str:
    return " ".join((*one.camera[1:], one.epoch))


def _tell_plan(found: "Proposal", as_json: bool) -> None:
    if as_json:
        print(json.dumps(found.as_dict(), indent=2))
        return
    offsets, phases = found.patterns[0].offsets, [found.phases(scale) for scale in found.scales]
    heads = ["", 'x "', 'y "', *(f"{axis} / {scale:g}" for scale in found.scales for axis in "xy")]
    rows = [
        [k + 1, *(f"{value:.4f}" for value in place), *(f"{value:.2f}" for one in phases for value in one[k])]
        for k, place in enumerate(offsets)
    ]
    _table(f"{len(offsets)} pointings along the detector's axes [arcsec], and their phases [pix]", heads, rows)
    heads = ["", "scale", "x 1", "x 2", "x 3", "gap", "y 1", "y 2", "y 3", "gap", "hole"]
    rows = []
    for one in found.patterns:
        for scale, left, gap, hole in zip(found.scales, one.damping, one.gap, one.hole, strict=True):
            axes = [value for k in (0, 1) for value in (*left[k], gap[k])]
            rows.append([one.name, f"{scale:g}", *(f"{value:.2f}" for value in (*axes, hole))])
    title = "share of a pixel-phase bias that is left, harmonics 1 to 3; gaps of phases, radius of a hole in both [pix]"
    _table(title, heads, rows)
    print(", ".join(f"{one.name} {one.rms:.3f}" for one in found.patterns) + ": rms of all harmonics, axes and scales")


def _table(title: str, heads: list[str], rows: list[list]) -> None:
    """A table on a terminal, plain aligned lines elsewhere."""
    cells = [[str(value) for value in row] for row in rows]
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table

        table = Table(title=title, title_justify="left")
        for k, head in enumerate(heads):
            table.add_column(head, justify="right" if k else "left")
        for row in cells:
            table.add_row(*row)
        Console().print(table)
        return
    print(title)
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    for row in [heads, *cells]:
        first, *rest = (f"{value:{'>' if k else '<'}{widths[k]}}" for k, value in enumerate(row))
        print("  ".join([first, *rest]).rstrip())
