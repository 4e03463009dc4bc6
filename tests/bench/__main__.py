"""``make bench``: our kernels and their peers on the same work in the same process, as ratios.

Each comparison runs both sides alternately; the ratio is the median of the pairs, ``ratio_low`` their lower quartile.
Agreement is checked in the same run. Everything runs on one thread unless the row says otherwise.
"""

import json
import os
import sys

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(name, "1")

from tests.bench import detection, drawing, fit, tables  # noqa: E402  (threads are settled before NumPy is imported)

HEADER = ("name", "ours", "peer", "ratio", "ratio_low", "threads", "work")


def main() -> int:
    """Run every comparison, print the table, write ``bench.json``; 1 where two sides disagree."""
    rows = [row for module in (fit, detection, drawing, tables) for row in module.compare()]
    print("  ".join(HEADER))
    for row in rows:
        print("  ".join(f"{row[key]:.4g}" if isinstance(row[key], float) else str(row[key]) for key in HEADER))
    with open("bench.json", "w") as file:
        json.dump([{key: row[key] for key in HEADER} for row in rows], file, indent=2)
    wrong = [row["name"] for row in rows if not row["agrees"]]
    if wrong:
        print(f"results disagree: {', '.join(wrong)}", file=sys.stderr)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
