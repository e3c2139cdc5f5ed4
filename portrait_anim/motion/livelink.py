"""Motion as a csv file in the layout of Apple's phones (the Live Link Face app) and of the tools that read it.

One row a frame: a timecode, a count, 52 face shapes and nine angles in radians, see :mod:`arkit`. Columns are found by
name, in any case and order. A timecode ``HH:MM:SS:FF.mmm`` counts FF on a base of its own (60 in the app) whatever the
rate of the rows is; so the rate is read off how many rows a second has.
"""

from __future__ import annotations

import array
import csv
import logging
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import numpy.typing as npt

from portrait_anim.errors import MotionError
from portrait_anim.motion.arkit import EYES, FACE, HEAD, VALUES
from portrait_anim.system.files import printable

logger = logging.getLogger(__name__)

Float = npt.NDArray[np.float64]

COUNT = "BlendShapeCount"
NEEDED = tuple(name for name in FACE if name != "TongueOut")  # tools leave it out, and MediaPipe has none
APP_BASE = 60  # steps of a second that the app's FF counts
BASES = (24, 25, 30, 48, 50, 60, 100, 120, 240)
RATES = (12, 15, 24000 / 1001, 24, 25, 30000 / 1001, 30, 48, 50, 60000 / 1001, 60, 90, 100, 120, 240)  # rows/s
NEAR_RATE = 4e-4  # relative distance at which a measured rate counts as one of them
UNKNOWN_RATE = 30.0  # rows/s where the timecode says nothing
RATE_RANGE = (1.0, 300.0)  # rows/s that are believed
LARGEST_SHAPE = 1.5  # above 1 (a little is normal in edited curves); beyond, the file counts in another unit
LARGEST_ANGLE_RAD = 3.2  # beyond, angles are degrees
SEEN = 0.1  # value from which on a shape that is not shown is told of
MAX_NAMED = 4  # columns that a message names
_TIMECODE = re.compile(r"\s*(\d+):(\d+):(\d+)[:;.](\d+(?:[.,]\d+)?)\s*")


class Take(NamedTuple):
    """A csv, read.

    Attributes:
        values: (T,) each, by the names of :data:`arkit.VALUES`; columns that are not there are left out.
        fps: rows/s.
    """

    values: dict[str, Float]
    fps: float


def write_csv(file: IO[str], values: Mapping[str, npt.NDArray[np.floating]], fps: float) -> None:
    """Write ARKit's values (T,) by name as the app does, from 00:00:00:00.000 on."""
    rows = csv.writer(file, lineterminator="\n")
    rows.writerow(["Timecode", COUNT, *VALUES])
    columns = np.stack([np.asarray(values[name], np.float64) for name in VALUES], axis=1)
    for i, row in enumerate(columns):
        rows.writerow([timecode(i / fps), len(VALUES), *(f"{value + 0.0:.10f}" for value in row)])  # no -0


def timecode(seconds: float) -> str:
    """Return a time as the app writes it.

    >>> timecode(1.5), timecode(3661.04)
    ('00:00:01:30.000', '01:01:01:02.400')
    """
    whole, milli = divmod(round(seconds * APP_BASE * 1000), APP_BASE * 1000)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}:{milli / 1000:06.3f}"


def read_csv(path: Path) -> Take:
    """Read a csv file that is known to be there; what had to be guessed is told in the log.

    Raises:
        MotionError: no csv of that kind, columns are missing, no rows, or a cell is no number.
    """
    name = printable(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            delimiter = max(",;\t", key=first.count)
            rows = csv.reader(file, delimiter=delimiter)
            places = _places(next(csv.reader([first], delimiter=delimiter), []), name)
            codes, cells = _cells(rows, places, name, decimal="," if delimiter == ";" else ".")
    except (UnicodeDecodeError, csv.Error) as e:
        raise MotionError(f"motion {name} is no csv: give what Live Link Face records, or an .npz of ours") from e
    except OSError as e:
        raise MotionError(f"motion {name} cannot be read ({e.strerror}): check the disk") from e
    if not codes:
        raise MotionError(f"motion {name} has no rows: record or export it again")
    names = [column for column in places if column in VALUES]
    table = np.frombuffer(cells, np.float32).reshape(len(codes), len(names)).astype(np.float64)
    fps, table = _timed(codes, table, name)
    values = dict(zip(names, table.T, strict=True))
    _check_units(values, name)
    return Take(values, fps)


def _places(header: Sequence[str], name: str) -> dict[str, int]:
    """Return where each of our columns and the timecode is.

    Raises:
        MotionError: none of the shapes, some of them, or one of them twice.
    """
    known = {column.lower(): column for column in (*VALUES, "Timecode")}
    out: dict[str, int] = {}
    for place, given in enumerate(header):
        plain = re.sub(r"_(l|r)$", lambda end: {"l": "left", "r": "right"}[end[1]], given.strip().lower())
        column = known.get(plain)
        if column in out:
            raise MotionError(f"motion {name} has two columns {column}: remove one")
        if column is not None:
            out[column] = place
    missing = [column for column in NEEDED if column not in out]
    if len(missing) == len(NEEDED):
        raise MotionError(
            f"motion {name} has none of ARKit's columns: give a csv as Live Link Face records it (Timecode,"
            "BlendShapeCount,EyeBlinkLeft,...), or an .npz of ours"
        )
    if missing:
        more = f" and {len(missing) - MAX_NAMED} more" if len(missing) > MAX_NAMED else ""
        raise MotionError(
            f"motion {name} lacks the columns {', '.join(missing[:MAX_NAMED])}{more}: add them (0 where nothing moves)"
        )
    return out


def _cells(
    rows: Iterator[list[str]], places: Mapping[str, int], name: str, *, decimal: str
) -> tuple[list[str], array.array[float]]:
    """Return the timecodes and all values, row after row, in the columns' order of ``places``.

    Raises:
        MotionError: a cell is no number, or a row is too short; a last row that was cut is left out.
    """
    columns = [(column, place) for column, place in places.items() if column in VALUES]
    at = places.get("Timecode")
    last = max(places.values())
    codes: list[str] = []
    cells = array.array("f")
    short = 0
    for number, row in enumerate(rows, 2):  # as editors count lines
        if not row or not any(row):
            continue
        if short:
            raise MotionError(f"motion {name}, line {short}: the row is too short: repair it or remove it")
        if len(row) <= last:
            short = number
            continue
        for column, place in columns:
            cells.append(_number(row[place], column, number, name, decimal))
        codes.append("" if at is None else row[at])
    if short:
        logger.info("motion %s: its last row is cut and left out", name)
    return codes, cells


def _number(text: str, column: str, line: int, name: str, decimal: str) -> float:
    try:
        value = float(text.replace(",", ".") if decimal == "," else text)
    except ValueError:
        if not text.strip() and column in (*HEAD, *EYES):  # the app leaves them empty where it does not track them
            return 0.0
        raise MotionError(
            f"motion {name}, line {line}: {column} is {text[:20]!r}, no number: repair the cell"
        ) from None
    if not math.isfinite(value):
        raise MotionError(f"motion {name}, line {line}: {column} is {text.strip()}: give finite numbers")
    return value


def _check_units(values: dict[str, Float], name: str) -> None:
    """Bring angles in degrees to radians and tell what is not shown.

    Raises:
        MotionError: shapes that are not 0..1.
    """
    for column in FACE:
        if column in values and np.abs(values[column]).max() > LARGEST_SHAPE:
            reached = float(values[column][np.abs(values[column]).argmax()])
            raise MotionError(f"motion {name}: {column} reaches {reached:g}, shapes go from 0 to 1: divide them")
    if any(np.abs(values[column]).max() > LARGEST_ANGLE_RAD for column in (*HEAD, *EYES) if column in values):
        logger.info("motion %s: its angles are taken as degrees, they are too large for radians", name)
        for column in {*HEAD, *EYES} & set(values):
            values[column] = np.radians(values[column])
    if not any(values[column].any() for column in HEAD if column in values):
        logger.info("motion %s has no head angles: the head stays as in the photo", name)
    if "TongueOut" in values and values["TongueOut"].max() > SEEN:
        logger.info("motion %s moves the tongue: that is not shown", name)


def _timed(codes: Sequence[str], table: Float, name: str) -> tuple[float, Float]:
    """Return the rate (rows/s) and the rows (T, C) evenly in time: where some are missing they are interpolated.

    Raises:
        MotionError: an impossible rate.
    """
    found = [_TIMECODE.fullmatch(code) for code in codes]
    if len(codes) < 2 or not all(found):
        logger.info("motion %s says nothing of its rate: %g rows a second are assumed", name, UNKNOWN_RATE)
        return UNKNOWN_RATE, table
    parts = np.array([[float(part.replace(",", ".")) for part in one.groups()] for one in found if one])
    whole = parts[:, 0] * 3600 + parts[:, 1] * 60 + parts[:, 2]
    whole += 86400 * np.cumsum(np.diff(whole, prepend=whole[0]) < -43200)  # past midnight
    steps = parts[:, 3]
    at = whole + steps / _base(whole, steps)
    apart = np.diff(at)
    if (apart <= 0).any():
        rate = _rows_a_second(whole) or UNKNOWN_RATE
        logger.info("motion %s: its timecodes do not rise: %g rows a second are assumed", name, rate)
        return _believed(rate, name), table
    usual = 1 / float(np.median(apart))
    mean = len(apart) / float(at[-1] - at[0])
    if abs(mean / usual - 1) < 0.01:
        return _believed(mean, name), table
    rate = _believed(usual, name)
    n_rows = round(float(at[-1] - at[0]) * rate) + 1
    logger.info("motion %s: %d of %d rows are missing: they are interpolated", name, n_rows - len(at), n_rows)
    wanted = at[0] + np.arange(n_rows) / rate
    return rate, np.stack([np.interp(wanted, at, column) for column in table.T], axis=1)


def _rows_a_second(whole: Float) -> float:
    """Return rows/s counted between the first and the last change of the whole second; 0 with less than two changes."""
    changes = np.flatnonzero(np.diff(whole)) + 1
    if len(changes) < 2:
        return 0.0
    return float((changes[-1] - changes[0]) / (whole[changes[-1]] - whole[changes[0]]))


def _base(whole: Float, steps: Float) -> int:
    """Return how many steps of FF a second has."""
    within = np.diff(steps)[np.diff(whole) == 0]
    rate = _rows_a_second(whole)
    wanted = float(np.median(within)) * rate if rate and len(within) else APP_BASE
    most = math.floor(float(steps.max()))
    return min((base for base in BASES if base > most), key=lambda base: abs(base - wanted), default=most + 1)


def _believed(rate: float, name: str) -> float:
    near = min(RATES, key=lambda one: abs(rate / one - 1))
    rate = float(near) if abs(rate / near - 1) < NEAR_RATE else rate
    if not RATE_RANGE[0] <= rate <= RATE_RANGE[1]:
        raise MotionError(f"motion {name} has {rate:.3g} rows a second by its timecodes: check the column Timecode")
    return rate
