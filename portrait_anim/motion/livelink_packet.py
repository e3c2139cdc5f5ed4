"""One frame of ARKit's values as the datagram that the Live Link Face app sends and Unreal, Blender and others read.

Version 6 of the format, all numbers big-endian: version (uint8); the device's id and the subject's name, each with its
length before it (int32); frame number (int32), part of a frame (float32), frames/s as numerator and denominator
(int32 each); then, where a face is seen, a count (uint8) and so many float32. There are 61, in an order of its own:
JawLeft comes before JawRight, MouthLeft before MouthRight, the other way round than in the app's csv. As read in
Unreal's plug-in and in https://github.com/JimWest/PyLiveLinkFace, which takes the length's last byte for a "$".
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from portrait_anim.errors import MotionError
from portrait_anim.motion.arkit import EYES, FACE, HEAD
from portrait_anim.motion.livelink import LARGEST_ANGLE_RAD, LARGEST_SHAPE

_SWAPPED = {"JawLeft": "JawRight", "JawRight": "JawLeft", "MouthLeft": "MouthRight", "MouthRight": "MouthLeft"}
ORDER = (*(_SWAPPED.get(name, name) for name in FACE), *HEAD, *EYES)
"""The 61 names in a packet's order."""
VERSION = 6
LARGEST = 1024  # bytes of a packet
DEVICE_CHARACTERS = 36  # of a UUID, which readers count on
MAX_NAME = 255  # bytes
_TIME = struct.Struct("!ifii")
_DATA = struct.Struct(f"!B{len(ORDER)}f")


class Packet(NamedTuple):
    """A packet, read.

    Attributes:
        subject: what the sender calls the face.
        number: of the frame, at ``fps``.
        fps: frames/s.
        values: by the names of :data:`ORDER`; None: the sender sees no face.
    """

    subject: str
    number: int
    fps: float
    values: dict[str, float] | None


def encode(values: Mapping[str, float], *, device: str, subject: str, number: int, fps: int) -> bytes:
    """Return a packet.

    Args:
        values: by the names of :data:`ORDER`.
        device: 36 characters, a UUID.
        subject: what the face is called.
        number: of the frame, from midnight on.
        fps: frames/s.
    """
    names = b"".join(_text(name) for name in (device, subject))
    data = _DATA.pack(len(ORDER), *(values[name] for name in ORDER))
    return struct.pack("!B", VERSION) + names + _TIME.pack(number, 0.0, fps, 1) + data


def _text(name: str) -> bytes:
    data = name.encode()[:MAX_NAME]
    return struct.pack("!i", len(data)) + data


def decode(data: bytes) -> Packet:
    """Read a packet.

    Raises:
        MotionError: it is none, or holds numbers that are no face's.
    """
    try:
        if data[0] != VERSION:
            raise MotionError(f"a packet has version {data[0]}, not {VERSION}")
        _, at = _read_text(data, 1)
        subject, at = _read_text(data, at)
        number, _, numerator, denominator = _TIME.unpack_from(data, at)
        at += _TIME.size
        fps = numerator / denominator
        if at == len(data):
            return Packet(subject, number, fps, None)
        count, *numbers = _DATA.unpack_from(data, at)
    except (IndexError, struct.error, UnicodeDecodeError, ZeroDivisionError) as e:
        raise MotionError(f"a packet of {len(data)} bytes is none of Live Link Face's: {e}") from e
    if count != len(ORDER) or len(data) != at + _DATA.size:
        raise MotionError(f"a packet has {count} values in {len(data)} bytes, not {len(ORDER)}")
    found = np.array(numbers)
    largest = np.where(np.arange(len(ORDER)) < len(FACE), LARGEST_SHAPE, LARGEST_ANGLE_RAD)
    if not (np.abs(found) <= largest).all():  # False for NaN, too
        raise MotionError("a packet has values outside a face's range")
    return Packet(subject, number, fps, dict(zip(ORDER, numbers, strict=True)))


def _read_text(data: bytes, at: int) -> tuple[str, int]:
    (length,) = struct.unpack_from("!i", data, at)
    end = at + 4 + length
    if not 0 <= length <= MAX_NAME or end > len(data):
        raise MotionError(f"a packet of {len(data)} bytes has a name of {length}")
    return data[at + 4 : end].decode(), end
