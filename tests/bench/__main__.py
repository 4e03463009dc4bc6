"""``make bench``: our kernels and their peers on the same work in the same process, as ratios.

Each comparison runs both sides alternately; the ratio is the median of the pairs, ``ratio_low`` their lower quartile.
Agreement is checked in the same run. Everything runs on one thread unless the row says otherwise.
"""

import argparse
import json
import os
import sys
from importlib import import_module
from pkgutil import iter_modules

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(name, "1")  # settled before NumPy is imported, here and in workers

APART = {"__main__", "pairs", "scale", "workers"}
MODULES = sorted({each.name for each in iter_modules([os.path.dirname(__file__)])} - APART)
HEADER = ("name", "ours", "peer", "ratio", "ratio_low", "threads", "work")


def main() -> int:
    """Run every comparison, print the table, write ``bench.json``; 1 where two sides disagree."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=MODULES, action="append", help="one module, may be given again")
    rows = []
    print("  ".join(HEADER))
    for module in parser.parse_args().only or MODULES:
        for row in import_module(f"tests.bench.{module}").compare():
            print(_line(row), flush=True)
            rows.append(row)
    measured = [row for row in rows if "skipped" not in row]
    with open("bench.json", "w") as file:
        json.dump([{key: row[key] for key in HEADER} for row in measured], file, indent=2)
    wrong = [row["name"] for row in measured if not row["agrees"]]
    if wrong:
        print(f"results disagree: {', '.join(wrong)}", file=sys.stderr)
    return bool(wrong)


def _line(row: dict) -> str:
    if "skipped" in row:
        return f"{row['name']}  skipped: {row['skipped']}"
    return "  ".join(f"{row[key]:.4g}" if isinstance(row[key], float) else str(row[key]) for key in HEADER)


if __name__ == "__main__":
    sys.exit(main())
