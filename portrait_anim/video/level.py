"""Decides which films play everywhere, by the levels of H.264 (ITU-T H.264, table A-1).

A level limits a film's frame size and rate. The encoder writes the lowest level that fits into the film. Decoders in
phones, televisions and browsers support levels up to 5.2.
"""

from __future__ import annotations

from fractions import Fraction
from math import sqrt

BLOCK_PX = 16  # side of a macroblock
MAX_FRAME_BLOCKS = 36_864  # MaxFS of level 5.2: macroblocks a frame
MAX_RATE_BLOCKS = 2_073_600  # MaxMBPS of level 5.2: macroblocks a second
MAX_SIDE_BLOCKS = int(sqrt(8 * MAX_FRAME_BLOCKS))  # of one side, by A.3.1


def plays_everywhere(size: tuple[int, int], fps: Fraction) -> bool:
    """Return whether a film of ``size`` (width, height) px at ``fps`` frames/s keeps to level 5.2."""
    columns, rows = (-(-side // BLOCK_PX) for side in size)
    blocks = columns * rows
    fits = max(columns, rows) <= MAX_SIDE_BLOCKS and blocks <= MAX_FRAME_BLOCKS
    return fits and blocks * fps <= MAX_RATE_BLOCKS


def largest_side(size: tuple[int, int], fps: Fraction) -> int | None:
    """Return the longer side in px to which a film has to be reduced to play everywhere; None when it already does.

    Args:
        size: (width, height) px.
        fps: frames/s.

    Returns:
        A multiple of 16, as large as the level allows at this shape.
    """
    if plays_everywhere(size, fps):
        return None
    longest = max(size)
    side = (longest - 1) // BLOCK_PX * BLOCK_PX
    while side > BLOCK_PX:
        width, height = (max(1, round(length * side / longest)) for length in size)
        if plays_everywhere((width, height), fps):
            break
        side -= BLOCK_PX
    return side


def level_note(size: tuple[int, int], fps: Fraction) -> str:
    """Return the note for the user about a film of ``size`` px at ``fps`` frames/s; empty when it plays everywhere."""
    side = largest_side(size, fps)
    if side is None:
        return ""
    return (
        f"a film of {size[0]}x{size[1]} px at {float(fps):g} frames/s is beyond H.264 level 5.2, where most players "
        f"end: give --max-size {side} (max_size={side}) if it has to play everywhere"
    )
