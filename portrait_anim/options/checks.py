"""Checks of numbers (of any type) and choices; an error says in one line what is wrong."""

from __future__ import annotations

import math
import numbers
from collections.abc import Collection
from decimal import Decimal

from portrait_anim.errors import OptionError


def plain_number(value: object) -> int | float | None:
    """Return a number of any type as Python's int or float; None for what is no number, truth values among them.

    >>> plain_number(Decimal("0.5")), plain_number(2), plain_number(True)
    (0.5, 2, None)
    """
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):  # numpy's scalars and arrays without axes
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, (numbers.Real, Decimal)):
        return None
    try:
        return int(value) if isinstance(value, numbers.Integral) else float(value)
    except (ValueError, OverflowError):  # a signalling NaN; beyond what a float holds
        return math.nan


def check_range(name: str, value: object, low: float, high: float) -> int | float:
    """Return ``value`` as Python's own number; raise OptionError unless it is one from ``low`` to ``high``."""
    number = plain_number(value)
    if number is None or not low <= number <= high:
        raise OptionError(f"{name} {shown(value)} is out of range: give a number from {low:g} to {high:g}")
    return number


def check_whole(name: str, value: object, low: int, high: int | None = None) -> int:
    """Return ``value`` as an int; raise OptionError unless it is a whole number from ``low`` to ``high``."""
    number = plain_number(value)
    if not isinstance(number, int) or number < low or (high is not None and number > high):
        most = "" if high is None else f" and at most {high}"
        raise OptionError(f"{name} {shown(value)} is out of range: give a whole number of at least {low}{most}")
    return number


def shown(value: object) -> str:
    """Return a value for a message, as one line of at most 60 characters."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def check_choice(name: str, value: object, choices: Collection[str]) -> None:
    """Raise OptionError unless ``value`` is one of ``choices``."""
    if value not in choices:
        raise OptionError(f"unknown {name} {value!r}: choose one of {', '.join(choices)}")
