"""Options written as text, as on the command line and in a form: ``0.5``, ``1,3``, ``1:30``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from portrait_anim.errors import OptionError
from portrait_anim.options.checks import shown
from portrait_anim.options.film import parse_duration
from portrait_anim.options.which import ALL, BOX_PARTS


def number(text: str) -> float:
    """Read a number."""
    try:
        return float(text)
    except ValueError as e:
        raise OptionError(f"{shown(text)} is not a number") from e


def whole(text: str) -> int:
    """Read a whole number."""
    try:
        return int(text)
    except ValueError as e:
        raise OptionError(f"{shown(text)} is not a whole number") from e


def faces(text: str) -> int | str | tuple[int, ...]:
    """Read which faces: 2, 1,3 or all."""
    if text == ALL:
        return text
    numbers = tuple(whole(part) for part in text.split(","))
    return numbers if len(numbers) > 1 else numbers[0]


def box(text: str) -> tuple[float, ...]:
    """Read a box: x,y,width,height."""
    parts = text.split(",")
    if len(parts) != len(BOX_PARTS):
        raise OptionError(f"{shown(text)} is no box: give {','.join(BOX_PARTS)} in px, as 120,80,200,240")
    return tuple(number(part) for part in parts)


def frame_rate(text: str) -> float:
    """Read a frame rate: 25, 29.97 or 30000/1001.

    >>> frame_rate("25"), round(frame_rate("30000/1001"), 3)
    (25, 29.97)
    """
    above, slash, below = text.partition("/")
    rate = number(above)
    if not slash:
        return int(rate) if rate.is_integer() else rate
    if not (divisor := number(below)):
        raise OptionError(f"{shown(text)} divides by zero")
    return rate / divisor


READERS: dict[str, Callable[[str], Any]] = {
    "face": faces,
    "face_box": box,
    "max_size": whole,
    "head_motion": number,
    "blinks": number,
    "seed": whole,
    "fps": frame_rate,
    "max_duration": parse_duration,
    "actor_face": whole,
    "actor_neutral": parse_duration,
}
"""The options that are no text, and what reads them."""


def read_option(name: str, text: str) -> Any:
    """Return an option's value from its text; its range is checked by the options' own class.

    Raises:
        OptionError: it cannot be read; the message begins with the option's name.
    """
    if (reader := READERS.get(name)) is None:
        return text
    try:
        return reader(text)
    except OptionError as e:
        raise OptionError(f"{name}: {e}") from e
