"""``piazzi``: finds the verb, imports only its file, turns errors into one line and an exit code."""

import signal
import sys
from importlib import import_module
from keyword import iskeyword
from typing import NoReturn

import click

# Verb -> what it does. Kept here so that help needs no imports.
VERBS = {
    "run": "Run every stage a recipe names; resume where it stopped.",
    "simulate": "Draw skies with known truth as the files telescopes deliver.",
    "measure": "Enter frames into a catalog and measure their stars.",
    "ingest": "Enter frames into a catalog without measuring them.",
    "calibrate": "Build library ePSFs, solve distortions.",
    "frame": "Average measurements in master frames of a field.",
    "match": "Pair stars of master frames with a reference catalog.",
    "motion": "Fit proper motions to positions at several epochs.",
    "kinematics": "Measure how populations of a field's stars move and scatter.",
    "report": "Write pages and pictures that tell how good a catalog is.",
    "status": "Show what a catalog holds and what was rejected.",
    "timing": "Tell when a pixel of a NIRCam or NIRISS frame was exposed.",
    "combine": "Average motions of exposures and tell whether they agree.",
    "export": "Write tables, ePSFs and distortions in other formats.",
    "import": "Bring ePSFs and distortions made elsewhere into a catalog.",
    "demo": "Simulate a small field, measure it, compare with truth.",
}


class Verbs(click.Group):
    """A group whose commands live in ``cli/<verb>.py`` and are imported when they are called."""

    def list_commands(self, ctx):
        """Verbs in the order of a project's life."""
        return list(VERBS)

    def get_command(self, ctx, name):
        """The command of one verb, or None."""
        module = f"{name}_" if iskeyword(name) else name
        return import_module(f"cli.{module}").command if name in VERBS else None

    def format_commands(self, ctx, formatter):
        """Help by the table above; nothing is imported."""
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="piazzi")
def piazzi():
    """Space-telescope star fields to proper motions, at catalog scale.

    \b
    piazzi measure lmc data/*_cal.fits     frames in, Parquet catalog out
    piazzi status lmc                      what it holds
    """


def _leave(*_: object) -> NoReturn:
    """End as an exception does, so that the catalog is given back and workers are sent away; once is enough."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise SystemExit(128 + signal.SIGTERM)


def main() -> None:
    """Entry point: 0 done, 1 failed, 2 bad usage or unusable input, 3 rejected exposures and --strict, 143 SIGTERM."""
    from catalogs.errors import FailedError, PiazziError, disk_full

    before = signal.signal(signal.SIGTERM, _leave)  # workers start as modules of their own and do not come by here
    try:
        piazzi(prog_name="piazzi")
    except PiazziError as error:
        for line in str(error).splitlines():
            print(f"piazzi: {line}", file=sys.stderr)
        sys.exit(1 if isinstance(error, FailedError) else 2)
    except OSError as error:  # a lost scheduler, a full or read-only disk, a file that vanished
        print(f"piazzi: {disk_full(error) or error}", file=sys.stderr)
        sys.exit(1)
    finally:
        signal.signal(signal.SIGTERM, before)


if __name__ == "__main__":
    main()
