"""Which faces of a photo move: by their number from the left, or by the place of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from portrait_anim.errors import OptionError
from portrait_anim.options.checks import check_range, check_whole, shown

ALL = "all"
BOX_PARTS = ("x", "y", "width", "height")
Which: TypeAlias = int | str | Sequence[int] | None
Box: TypeAlias = Sequence[float] | None  # the parts above, px
MIN_BOX_PX = 16  # of either side; a smaller face shows no lips
MAX_BOX_PX = 100_000  # of any of the numbers


def check_faces(which: object) -> int | str | tuple[int, ...] | None:
    """Return which faces, with Python's own numbers.

    Raises:
        OptionError: neither None, a number from 1, several different ones (a sequence or an array), nor ``"all"``.
    """
    if which is None or isinstance(which, str):
        if which in (None, ALL):
            return which
        raise OptionError(f"face {shown(which)} cannot be read: give a number from 1, several as 1,2, or {ALL}")
    many = isinstance(which, Sequence) or getattr(which, "ndim", 0) > 0  # an array
    numbers = tuple(check_whole("face", number, 1) for number in (which if many else [which]))  # type: ignore[attr-defined]
    if not numbers or len(set(numbers)) < len(numbers):
        raise OptionError(f"face {shown(which)} is out of range: name each face once")
    return numbers if many else numbers[0]


def check_box(given: object) -> tuple[float, ...] | None:
    """Return a face's box, with Python's own numbers.

    Raises:
        OptionError: not four numbers, or the box is too small.
    """
    if given is None:
        return None
    many = (isinstance(given, Sequence) and not isinstance(given, str)) or getattr(given, "ndim", 0) == 1
    if not many or len(given) != len(BOX_PARTS):  # type: ignore[arg-type]
        raise OptionError(f"face_box {shown(given)} cannot be read: give x,y,width,height in px, as 120,80,200,240")
    lows = (-MAX_BOX_PX, -MAX_BOX_PX, MIN_BOX_PX, MIN_BOX_PX)
    return tuple(
        float(check_range(f"face_box {part}", value, low, MAX_BOX_PX))
        for part, value, low in zip(BOX_PARTS, given, lows, strict=True)  # type: ignore[call-overload]
    )
