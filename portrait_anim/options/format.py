"""The film's shape: width to height, and what fills it where the photo does not."""

from __future__ import annotations

import re
from dataclasses import dataclass

from portrait_anim.errors import OptionError

COMMON = ("9:16", "4:5", "1:1", "16:9")
AUTO, CROP, BLUR = "auto", "crop", "blur"
MOST = 4.0  # times as long as wide
_RATIO = re.compile(r"([1-9]\d{0,3}):([1-9]\d{0,3})", re.ASCII)
_COLOUR = re.compile(r"#([0-9a-f]{3}|[0-9a-f]{6})", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class Format:
    """The shape of a film.

    Attributes:
        name: as the user gave it.
        ratio: width over height.
        fill: ``"auto"`` (crop where no head is cut, else blur), ``"crop"``, ``"blur"`` or an RGB colour, 0..255.
    """

    name: str
    ratio: float
    fill: str | tuple[int, int, int]


def parse_format(aspect: str | None, fill: str | None) -> Format | None:
    """Read the two options; None is the photo's own shape.

    >>> parse_format("9:16", "#00b140")
    Format(name='9:16', ratio=0.5625, fill=(0, 177, 64))

    Raises:
        OptionError: one cannot be read, or there is a fill and no aspect.
    """
    if aspect is None:
        if fill is not None:
            raise OptionError("fill says what a film of another shape shows: give --aspect too (aspect='9:16')")
        return None
    found = _RATIO.fullmatch(aspect) if isinstance(aspect, str) else None
    if found is None or not 1 / MOST <= (ratio := int(found[1]) / int(found[2])) <= MOST:
        raise OptionError(f"aspect {aspect!r} cannot be read: give one as {', '.join(COMMON)}")
    return Format(aspect, ratio, _fill(AUTO if fill is None else fill))


def _fill(fill: object) -> str | tuple[int, int, int]:
    if fill in (AUTO, CROP, BLUR):
        return str(fill)
    found = _COLOUR.fullmatch(fill) if isinstance(fill, str) else None
    if found is None:
        raise OptionError(f"fill {fill!r} cannot be read: give crop, blur, auto or a colour such as #202020")
    digits = found[1] if len(found[1]) == 6 else "".join(2 * digit for digit in found[1])
    red, green, blue = bytes.fromhex(digits)
    return red, green, blue
