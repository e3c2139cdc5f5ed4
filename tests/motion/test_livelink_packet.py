"""Packets of Live Link Face, against the layout that its public readers go by."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from portrait_anim.errors import MotionError
from portrait_anim.motion.arkit import VALUES
from portrait_anim.motion.livelink_packet import ORDER, decode, encode

pytestmark = pytest.mark.unit

DEVICE = "12345678-1234-1234-1234-123456789ABC"


@pytest.fixture
def values() -> dict[str, float]:
    rng = np.random.default_rng(0)
    return {name: float(np.float32(rng.uniform(0, 0.9))) for name in VALUES}


def test_a_packet_lies_where_pylivelinkface_reads_it(values: dict[str, float]) -> None:
    data = encode(values, device=DEVICE, subject="face", number=1234, fps=25)
    assert struct.unpack("<i", data[:4]) == (6,)  # its version; really one byte, and the first three of a length
    assert data[4:41].decode() == "$" + DEVICE  # its "uuid needs to start with a $": 36, the length
    assert struct.unpack("!i", data[41:45]) == (4,)
    assert data[45:49] == b"face"
    number, part, fps, denominator, count = struct.unpack("!if2ib", data[49:66])
    assert (number, part, fps, denominator, count) == (1234, 0.0, 25, 1, 61)
    numbers = struct.unpack("!61f", data[66:])
    named = {"EyeBlinkLeft": 0, "JawLeft": 15, "JawRight": 16, "MouthLeft": 21, "MouthRight": 22, "TongueOut": 51,
             "HeadYaw": 52, "RightEyeRoll": 60}  # fmt: skip
    assert {name: numbers[at] for name, at in named.items()} == {name: values[name] for name in named}
    assert sorted(ORDER) == sorted(VALUES)


def test_a_packet_comes_back(values: dict[str, float]) -> None:
    packet = decode(encode(values, device=DEVICE, subject="Jürgen", number=7, fps=60))
    assert packet == ("Jürgen", 7, 60.0, values)


def test_a_packet_without_a_face(values: dict[str, float]) -> None:
    data = encode(values, device=DEVICE, subject="x", number=7, fps=60)
    assert decode(data[: len(data) - 1 - 61 * 4]).values is None


def test_other_datagrams_are_refused(values: dict[str, float]) -> None:
    good = encode(values, device=DEVICE, subject="x", number=7, fps=60)
    bad = [b"", b"\x06", b"hello", good[:-1], good + b"x", b"\x07" + good[1:], good[:1] + b"\xff" * 8 + good[9:]]
    for wrong in (np.nan, np.inf, 2.0, -40.0):
        bad.append(encode({**values, "JawOpen": wrong}, device=DEVICE, subject="x", number=7, fps=60))
    bad.append(good[:1] + struct.pack("!i", 36) + b"\xff" * 36 + good[41:42] + good[42:])
    for data in bad[:-1]:
        with pytest.raises(MotionError):
            decode(data)
    rng = np.random.default_rng(1)
    for _ in range(2000):
        noise = bytearray(good)
        for at in rng.integers(0, len(noise), 3):
            noise[at] = rng.integers(256)
        try:
            decode(bytes(noise))
        except MotionError:
            continue
