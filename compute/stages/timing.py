"""Stage `timing`: when a pixel of a shutterless array was exposed, and how well that is known."""

import math
from dataclasses import dataclass

from catalogs.errors import UnusableError
from catalogs.readers.jwst_geometry import SIZE
from catalogs.readers.jwst_times import ReadTimes
from compute.kernels.timing import Readout, delay, frame_time
from compute.settings import TimingSettings

DAY = 86400.0  # s
TRANSFERS, TRANSFER = 3, 0.064  # messages between spacecraft clock and packet time-stamp, and the time of one [s]
DRIFT_LIMIT = 1.0  # s, to which the spacecraft clock is kept


@dataclass(frozen=True)
class PixelTime:
    """Mid-time of one pixel.

    Attributes
    ----------
    delay_s
        Read time after the first pixel of a frame [s].
    mjd_mid_utc
        Middle of the pixel's exposure [d, MJD UTC].
    uncertainty_s
        Square root of the summed squares of those terms of `budget` that are rms values [s].
    frame_time_s, time_source, integration
        Time of one read [s]; what the mid-time comes from, and which integration.
    budget
        `message_transfers_s`, `reference_pixel_s` (rms); `clock_offset_s` (applied) and `clock_drift_limit_s` (the
        bound where none was applied), None where they do not apply.
    notes
        What was assumed, a sentence each.
    """

    delay_s: float
    mjd_mid_utc: float
    uncertainty_s: float
    frame_time_s: float
    time_source: str
    integration: int | None
    budget: dict[str, float | None]
    notes: tuple[str, ...]


def pixel_time(times: ReadTimes, x: float, y: float, settings: TimingSettings) -> PixelTime:
    """Mid-time of the pixel at full-detector position (`x`, `y`), 0-based (Kelley 2022).

    The delay counts from the time of the file, which INT_TIMES gives for the first pixel. To which pixel EXPMID belongs
    is not documented; it is taken as the first, at the cost of an uncertainty of a frame time over sqrt(12), the spread
    of a reference that may be any pixel.

    Raises
    ------
    UnusableError
        For positions off the array.
    """
    column, row = x - times.x_start, y - times.y_start
    if not (-0.5 <= column < times.n_x - 0.5 and -0.5 <= row < times.n_y - 0.5):
        spans = ", ".join(
            f"{start - 0.5} <= {name} < {start + n - 0.5}"
            for name, start, n in (("x", times.x_start, times.n_x), ("y", times.y_start, times.n_y))
        )
        raise UnusableError(f"{times.place} position", f"({x}, {y})", f"0-based detector pixels of its array, {spans}")
    readout = _readout(times)
    late = float(delay(*((x, y) if times.full else (column, row)), readout, settings.alternating))
    calculated = frame_time(readout.n_fast, readout.n_slow, readout.amplifiers, times.instrument == "NIRCAM")
    frame = times.frame_time or calculated
    first_pixel = times.source == "INT_TIMES"
    offset = settings.clock_offset
    budget = {
        "message_transfers_s": math.sqrt(TRANSFERS) * TRANSFER,
        "reference_pixel_s": 0.0 if first_pixel else frame / math.sqrt(12.0),
        "clock_offset_s": offset,
        "clock_drift_limit_s": DRIFT_LIMIT if offset is None else None,
    }
    notes = []
    if not first_pixel:
        notes.append(
            f"{times.source} taken as the time of the first pixel, which is not documented:"
            f" up to {frame:.3f} s too late if it is that of a later one"
        )
    if offset is None:
        notes.append(f"no clock offset given: spacecraft clock and UTC agree to {DRIFT_LIMIT:g} s by requirement")
    return PixelTime(
        delay_s=late,
        mjd_mid_utc=times.middle + (late - (offset or 0.0)) / DAY,
        uncertainty_s=math.hypot(budget["message_transfers_s"] or 0.0, budget["reference_pixel_s"] or 0.0),
        frame_time_s=frame,
        time_source=times.source,
        integration=times.integration,
        budget=budget,
        notes=tuple(notes),
    )


def _readout(times: ReadTimes) -> Readout:
    n_x, n_y = (SIZE, SIZE) if times.full else (times.n_x, times.n_y)
    return Readout(n_x, n_y, times.fast, times.slow, times.amplifiers)
