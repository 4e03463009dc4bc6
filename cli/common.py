"""What verbs share: options, progress and the summary at the end."""

import json
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import click
from pydantic import ValidationError

from catalogs.errors import PiazziError
from compute.recipe import absolute
from compute.settings import ReferenceSettings, Settings, faults

if TYPE_CHECKING:
    from distributed import Client

    from catalogs.catalog import Catalog
    from compute.graph.apply import Progress
    from compute.graph.pipeline import Report

_WAIT = "piazzi.wait"

_LOCAL = "local"


def _named(ctx: click.Context, _: click.Parameter, cluster: str) -> str:
    """A cluster that there may be: a mistyped one is told before anything is made or waited for."""
    if cluster != _LOCAL and not ctx.resilient_parsing:  # it needs no check, and verbs that need no Dask none either
        from compute.graph.clusters import check_cluster

        check_cluster(cluster)
    return cluster


cluster_option = click.option(
    "--cluster",
    default=_LOCAL,
    show_default=True,
    metavar="C",
    callback=_named,
    help="local, slurm, kubernetes, a scheduler address (tcp://..., tls://...) or a scheduler file",
)
workers_option = click.option(
    "--workers",
    type=click.IntRange(1),
    help="workers of a cluster that is started [local: one per core; slurm, kubernetes: as configured]",
)
fresh_option = click.option("--fresh", is_flag=True, help="compute everything anew, whatever is there")
replace_option = click.option("--replace", is_flag=True, help="accept new bytes under the name of an exposure there")
# Kept aside for `writing`, so that no verb has to hand it on.
wait_option = click.option(
    "--wait", is_flag=True, expose_value=False, help="wait while another process writes the catalog",
    callback=lambda ctx, _, value: ctx.meta.update({_WAIT: value}),
)  # fmt: skip
strict_option = click.option("--strict", is_flag=True, help="exit 3 when any exposure was rejected")
json_option = click.option("--json", "as_json", is_flag=True, help="summary as JSON on standard output")


def running_options(function: Callable) -> Callable:
    """The options of every verb that computes on a cluster."""
    for option in (json_option, strict_option, fresh_option, wait_option, workers_option, cluster_option):
        function = option(function)
    return function


def settings_options(model: type[Settings]) -> Callable[[Callable], Callable]:
    """An option for every plain field of a settings model, named and described as the field is."""

    def decorate(function: Callable) -> Callable:
        for name, field in reversed(model.model_fields.items()):
            kind: Any = field.annotation
            if get_origin(kind) is UnionType:  # a value or nothing
                kind = next(one for one in get_args(kind) if one is not NoneType)
            if get_origin(kind) in (tuple, dict) or (isinstance(kind, type) and issubclass(kind, Settings)):
                continue
            if get_origin(kind) is Literal:
                choices = get_args(kind)
                kind = click.Choice([str(choice) for choice in choices])
            shown = ("no", "yes")[field.default] if kind is bool else field.default
            told = f"{field.description}" + ("" if field.default in (None, "") else f" [{shown}]")
            flags = (f"{_option(name)}/--no-{_option(name)[2:]}",) if kind is bool else (_option(name),)
            function = click.option(*flags, name, type=kind, default=None, help=told)(function)
        return function

    return decorate


def settings_from(model: type[Settings], options: dict[str, Any]) -> Any:
    """A settings model from the options that were given; PiazziError with a line per fault."""
    given = {name: value for name, value in options.items() if value is not None}
    for name, value in given.items():
        choices = get_args(model.model_fields[name].annotation)
        given[name] = next((c for c in choices if str(c) == str(value)), value)
    try:
        return model(**given)
    except ValidationError as error:
        names = re.compile(rf"\b({'|'.join(model.model_fields)})\b")
        lines = (line.removeprefix("settings: Value error, ") for line in faults(error))
        raise PiazziError("\n".join(names.sub(lambda name: _option(name[0]), line) for line in lines)) from None


def reference_options(required: bool) -> Callable[[Callable], Callable]:
    """The catalog that frames are tied to or matched with; what else can be said of it stands in a recipe."""

    def decorate(function: Callable) -> Callable:
        epoch = "Julian year of the reference's positions, where it has no ref_epoch"
        function = click.option("--reference-epoch", type=float, help=epoch)(function)
        what = "reference catalog: Parquet, HATS, FITS, ECSV or VOTable"
        return click.option("--reference", required=required, metavar="FILE", help=what)(function)

    return decorate


def reference_from(options: dict[str, Any]) -> ReferenceSettings | None:
    """Take the options of :func:`reference_options` out of `options`; None where no catalog was given."""
    file, epoch = options.pop("reference"), options.pop("reference_epoch")
    if file is None:
        return None
    return settings_from(ReferenceSettings, {"file": absolute(file, Path.cwd()), "epoch": epoch})


def _option(name: str) -> str:
    """A field of a settings model as an option."""
    return f"--{name.replace('_', '-')}"


threads_option = click.option(
    "--threads", type=click.IntRange(1), default=1, show_default=True, help="threads inside each task"
)


@contextmanager
def writing(catalog: str) -> Iterator["Catalog"]:
    """The catalog with this process as its one writer, made if absent; with --wait once no other writes it."""
    from compute.graph.run import writing

    with writing(catalog, **waiting()) as place:
        yield place


def waiting() -> dict[str, Any]:
    """Whether --wait was given, and what tells of it."""
    return {"wait": click.get_current_context().meta.get(_WAIT, False), "tell": _line()}


@contextmanager
def changing(
    catalog: str, cluster: str, workers: int | None, kernels: tuple[str, ...]
) -> Iterator[tuple["Catalog", "Client", "Progress"]]:
    """What a stage works with on a catalog that is there: the catalog, a cluster with warm kernels, and progress."""
    from catalogs.catalog import open_catalog
    from compute.graph.client import connect

    open_catalog(catalog)  # there must be something to work on
    with progress_bar() as progress, writing(catalog) as place, connect(cluster, workers, kernels=kernels) as client:
        yield place, client, progress


def _line(every: float = 30.0) -> Callable[[str], None]:
    """Prints what is waited for on standard error: at once, when it changes, and now and then."""
    said: tuple[str, float] = "", 0.0

    def tell(text: str) -> None:
        nonlocal said
        if text != said[0] or time.monotonic() - said[1] >= every:
            said = text, time.monotonic()
            print(text, file=sys.stderr, flush=True)

    return tell


@contextmanager
def progress_bar() -> Iterator["Progress"]:
    """Progress on standard error: a bar on a terminal, a line every few seconds elsewhere."""
    if not sys.stderr.isatty():
        yield _plain_progress()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description:8}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, TextColumn("{task.fields[note]}"), console=Console(stderr=True)) as bars:
        known: dict[str, Any] = {}

        def show(stage: str, done: int, total: int, note: str) -> None:
            if stage not in known:
                known[stage] = bars.add_task(stage, total=total, note="")
            bars.update(known[stage], completed=done, total=total, note=note)

        yield show


def _plain_progress(every: float = 5.0) -> "Progress":
    said = [0.0]

    def show(stage: str, done: int, total: int, note: str) -> None:
        now = time.monotonic()
        if done == total or now - said[0] >= every:
            said[0] = now
            print(f"{stage} {done}/{total} {note}", file=sys.stderr, flush=True)

    return show


def finish(catalog: str, reports: Sequence["Report"], as_json: bool, strict: bool) -> None:
    """Print what was done; exit 2 where nothing could be used, 3 under `strict` when anything was rejected."""
    rejected = [item for report in reports for item in report.rejected]
    if as_json:
        print(json.dumps({"catalog": catalog, "stages": [report.as_dict() for report in reports]}, indent=2))
    else:
        for report in reports:
            left = f", {report.skipped} already there" if report.skipped else ""
            print(f"{report.stage}: {report.done} {report.unit}{left}, {len(report.rejected)} rejected")
        print(f"catalog: {catalog}")
    for report in reports:
        for item in report.notes:
            print(f"note {item['exposure']}: {item['note']}", file=sys.stderr)
    for item in rejected:
        print(f"rejected {item['exposure']}: {item['reason']}", file=sys.stderr)
    if reports and reports[-1].rejected and not (reports[-1].done or reports[-1].skipped):
        sys.exit(2)
    if rejected and strict:
        sys.exit(3)
