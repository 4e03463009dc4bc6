"""How figures look, and how they become files."""

import io
from collections.abc import Callable, Iterable
from functools import wraps
from threading import RLock
from typing import Any, ParamSpec, TypeVar

import matplotlib
from matplotlib.figure import Figure

GREY, RED, BLUE, PALE = "0.35", "#c0392b", "#1f618d", "0.78"
WIDTH = 11.0  # inch: figures fill the page
_PALETTE = ("#2c6fa6", "#d1495b", "#3a9d6a", "#e0a030", "#7d4fa0", "#6b7a86")
_LOOK: Any = {
    "font.size": 10.5, "axes.titlesize": 10.5, "axes.titlelocation": "left",
    "axes.spines.top": False, "axes.spines.right": False,
    "legend.frameon": False, "legend.markerscale": 3.0, "image.origin": "lower", "image.interpolation": "nearest",
}  # fmt: skip
_TURN = RLock()  # the look is one for a whole process, and workers may have several threads
_P = ParamSpec("_P")
_R = TypeVar("_R")


def styled(draw: Callable[_P, _R]) -> Callable[_P, _R]:
    """Decorate every function that draws; figures are made without pyplot, so that none stays in memory."""

    @wraps(draw)
    def turned(*args: _P.args, **options: _P.kwargs) -> _R:
        with _TURN, matplotlib.rc_context(_LOOK):
            return draw(*args, **options)

    return turned


def palette(names: Iterable[str]) -> dict[str, str]:
    """A colour for every name, in their order."""
    return {name: _PALETTE[k % len(_PALETTE)] for k, name in enumerate(names)}


def new_figure(height: float, rows: int = 1, columns: int = 1, **options: Any) -> tuple[Figure, Any]:
    """A figure of page width and its axes, a flat array; `height` [inch]."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **options).ravel()


@styled
def png(figure: Figure) -> bytes:
    """A figure as a PNG file; the same figure gives the same bytes."""
    sink = io.BytesIO()
    figure.savefig(sink, format="png", dpi=150, bbox_inches="tight", pad_inches=0.08)
    return sink.getvalue()
