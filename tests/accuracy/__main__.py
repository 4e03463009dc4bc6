"""``make accuracy``: how well stars are measured and move, against truth and against the Cramer-Rao bound.

Frames are drawn by the simulator, written, read and measured as any frame is, with an ePSF library that samples the
true one; motions are those of measurements without pixels. A table on screen, and ``accuracy.json``. docs/accuracy.md
tells what the rows mean.
"""

import argparse
import json
import os
import time

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(name, "1")

from tests.accuracy.cases import CASES, Result  # noqa: E402  (threads are settled before NumPy is imported)

BINS = {
    "low": "{:.0f}", "high": "{:.0f}", "n": "{}", "x": "{:.3f}", "y": "{:.3f}", "flux": "{:.3f}", "pull_x": "{:.3f}",
    "pull_y": "{:.3f}", "pull_flux": "{:.3f}", "bias": "{:+.2f}", "beyond": "{:.4f}",
}  # fmt: skip


def main() -> None:
    """Run the cases that are asked for, print both tables, write ``accuracy.json``."""
    parser = argparse.ArgumentParser(prog="python -m tests.accuracy", description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=4, help="frames of every scene (default %(default)s)")
    parser.add_argument("--only", choices=CASES, action="append", help="one case, may be given again")
    options = parser.parse_args()
    seeds, results = range(1, options.seeds + 1), []
    for case in options.only or CASES:
        start = time.perf_counter()
        results.append(CASES[case](seeds))
        print(f"{case}: {options.seeds} seeds, {time.perf_counter() - start:.0f} s", flush=True)
    show(results)
    figures = [figure for result in results for figure in result.figures]
    rows = [row for result in results for row in result.bins]
    with open("accuracy.json", "w") as file:
        told = [figure.told() for figure in figures]
        json.dump({"seeds": options.seeds, "figures": told, "bins": rows}, file, indent=2)


def show(results: list[Result]) -> None:
    """The bins of S/N, and the figures with their goals, as Markdown tables."""
    print("\n| scene | S/N | stars | x | y | flux | pull x | pull y | pull flux | flux bias [mmag] | beyond 6 |")
    print("|---" * 11 + "|")
    for row in (row for result in results for row in result.bins):
        low, high, *cells = (form.format(row[key]) for key, form in BINS.items())
        print(f"| {row['scene']} | {low} to {high} | {' | '.join(cells)} |")
    print("\n| scene | figure | value | +- | stars | goal | |")
    print("|---" * 7 + "|")
    for f in (figure for result in results for figure in result.figures):
        verdict = {True: "met", False: "**missed**", None: ""}[f.met]
        print(f"| {f.scene} | {f.name} | {f.value:.4g} | {f.error:.2g} | {f.n} | {f.goal} | {verdict} |")


if __name__ == "__main__":
    main()
