"""What is seen behind the people of a photo: ``keep``, ``none``, ``blur``, a colour, a picture or a video."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from portrait_anim.errors import OptionError

BackgroundLike: TypeAlias = "str | os.PathLike[str] | Any"  # Any: a PIL image or an (H, W, 3) uint8 array

KEEP, NONE, BLUR, COLOUR, FILE = "keep", "none", "blur", "colour", "file"
HELP = "give keep, none, blur, a colour such as #00b140, or the path of a picture or video"
_COLOUR = re.compile(r"#(?:[0-9a-f]{3}|[0-9a-f]{6})", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class Background:
    """What is seen behind the people.

    Attributes:
        kind: ``"keep"`` (the photo's own), ``"none"`` (frames are transparent there), ``"blur"`` (the photo's own,
            blurred), ``"colour"`` or ``"file"``.
        colour: R, G, B of ``"colour"``, 0..255.
        source: of ``"file"``: the path of a picture or video, a PIL image or an array.
    """

    kind: str = KEEP
    colour: tuple[int, int, int] = (0, 0, 0)
    source: Any = None

    @property
    def kept(self) -> bool:
        """Whether the photo's own background is seen as it is."""
        return self.kind == KEEP

    @property
    def transparent(self) -> bool:
        """Whether frames have an opacity, (H, W, 4)."""
        return self.kind == NONE


def parse_background(given: BackgroundLike) -> Background:
    """Read what shall be behind the people.

    >>> parse_background("#00b140").colour, parse_background("wall.jpg").source
    ((0, 177, 64), 'wall.jpg')

    Raises:
        OptionError: an empty text, or a colour that cannot be read.
    """
    if not isinstance(given, str):
        if given is None:
            raise OptionError(f"background None is nothing to see: {HELP}")
        return Background(FILE, source=given)
    if given in (KEEP, NONE, BLUR):
        return Background(given)
    if given.startswith("#"):
        if not _COLOUR.fullmatch(given):
            raise OptionError(f"background {given!r} is no colour: give #rrggbb, such as #00b140")
        digits = given[1:] if len(given) == 7 else "".join(2 * digit for digit in given[1:])
        red, green, blue = bytes.fromhex(digits)
        return Background(COLOUR, (red, green, blue))
    if not given.strip():
        raise OptionError(f"background is empty: {HELP}")
    return Background(FILE, source=given)


def check_background(given: BackgroundLike, changes: Sequence[Any], style: str) -> Background:
    """Read what shall be behind the people of a film whose face ``changes`` in a ``style``.

    Raises:
        OptionError: as of :func:`parse_background`; or each photo brings its own background.
    """
    behind = parse_background(given)
    if changes and style != "face" and not behind.kept:
        raise OptionError("a morph of style photo changes the background itself: use style face, or background keep")
    return behind
