"""Writes ICC profiles for colour spaces that files declare by a few numbers."""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float64]
Points = tuple[tuple[float, float], ...]
"""CIE x, y of white, red, green, blue."""
Curve = Callable[[Float], Float]
"""Encoded 0..1 -> light 0..1."""

CURVE_POINTS = 1024  # of a curve in a profile made here
HDR_WHITE_NITS = 203.0  # of BT.2408: what paper white is in PQ; brighter light is cut there
HLG_WHITE = 0.75  # HLG's level of the same white
BT709 = ((0.3127, 0.3290), (0.64, 0.33), (0.30, 0.60), (0.15, 0.06))  # white, red, green, blue: CIE x, y
D50 = np.array([0.9642, 1.0, 0.8249])  # XYZ that profiles refer to
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def srgb_light(x: Float) -> Float:
    """IEC 61966-2-1."""
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def pq_light(x: Float) -> Float:
    """SMPTE ST 2084, white at 203 cd/m2."""
    m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
    power = x ** (1 / m2)
    nits = 10000 * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)
    return np.minimum(nits / HDR_WHITE_NITS, 1.0)


def hlg_light(x: Float) -> Float:
    """BT.2100 HLG with a system gamma of 1.2 on each channel, white at level .75."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073

    def light(level: Float) -> Float:
        scene = np.where(level <= 0.5, level**2 / 3, (np.exp((level - c) / a) + b) / 12)
        return np.asarray(scene**1.2)

    return np.minimum(light(x) / light(np.array(HLG_WHITE)), 1.0)


def matrix_profile(points: Points, light: Curve) -> bytes:
    """Write an ICC profile (version 2, matrix and curves).

    Args:
        points: CIE x, y of white, red, green, blue.
        light: the curve of all three channels.
    """
    xyz = np.array([[x / y, 1.0, (1 - x - y) / y] if y else [np.nan] * 3 for x, y in points])  # (4, 3)
    white, colours = xyz[0], xyz[1:].T  # (3,), (3, 3) with a column a colour
    if not np.isfinite(xyz).all():
        raise ValueError("these primaries are no colours")
    colours = colours * np.linalg.solve(colours, white)
    adapt = np.linalg.inv(BRADFORD) @ np.diag((BRADFORD @ D50) / (BRADFORD @ white)) @ BRADFORD
    columns = (adapt @ colours).T  # a row a colour, seen under D50
    if not (np.isfinite(columns).all() and np.abs(columns).max() < 2):
        raise ValueError("these primaries are no colours")
    levels = np.rint(65535 * np.clip(light(np.linspace(0, 1, CURVE_POINTS)), 0, 1)).astype(">u2")
    curve = b"curv" + bytes(4) + struct.pack(">I", CURVE_POINTS) + levels.tobytes()
    name = b"told by the file\0"
    description = b"desc" + bytes(4) + struct.pack(">I", len(name)) + name + bytes(78 + 1)
    tags = [(b"desc", description), (b"cprt", b"text" + bytes(4) + b"none\0"), (b"wtpt", _xyz_tag(D50))]
    tags += [(key, _xyz_tag(row)) for key, row in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True)]
    tags += [(key, curve) for key in (b"rTRC", b"gTRC", b"bTRC")]
    body, table, start = b"", struct.pack(">I", len(tags)), 128 + 4 + 12 * len(tags)
    for key, content in tags:
        table += key + struct.pack(">II", start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    head = struct.pack(">I4sI", start + len(body), b"none", 0x02400000) + b"mntrRGB XYZ " + bytes(12) + b"acsp"
    head += bytes(28) + _xyz_tag(D50)[8:]
    return head.ljust(128, b"\0") + table + body


def _xyz_tag(xyz: Float) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(65536 * float(value)) for value in xyz))
