"""Completes picture files that lack only their end: the end marker, or chunks that follow the pixels.

No pixel is guessed: a file whose last rows are missing is not repaired.
"""

from __future__ import annotations

import io
import struct
import warnings

from PIL import Image

_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_TAILS = (b"", b"\x55" * 4096, b"\xa7\x1e\xc3" * 1400)  # fillings, which differ from each other
_VP8X_EXTRAS = 0x2C  # flags of a WebP's colour profile, EXIF and XMP


def ended(data: bytes) -> bytes | None:
    """Return a file that ended too early, completed; None when pixels are missing too, or it is of another kind.

    Args:
        data: of the whole file.
    """
    if data.startswith(_JPEG_START):
        return _ended_jpeg(data)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _ended_webp(data)
    return None


def _ended_jpeg(data: bytes) -> bytes | None:
    """Append the end marker when no pixel is missing.

    To check that, the file is decoded with different fillings before the marker. If pixels were missing, the decoder
    would take them from the filling, and the pictures would differ.
    """
    data = data.rstrip(b"\xff")
    first: bytes | None = None
    for tail in _TAILS:
        with (
            warnings.catch_warnings(action="ignore"),
            Image.open(io.BytesIO(data + tail + _JPEG_END), formats=["JPEG"]) as image,
        ):
            pixels = image.tobytes()
        if first is not None and pixels != first:
            return None
        first = pixels
    return data + _JPEG_END


def _ended_webp(data: bytes) -> bytes | None:
    """Keep the chunks that are whole when the picture is among them; a cut profile, EXIF or XMP is left out."""
    kept, at, pictures, seen = b"", 12, 0, set()
    while at + 8 <= len(data):
        kind, length = struct.unpack("<4sI", data[at : at + 8])
        chunk = data[at : at + 8 + length]
        if len(chunk) < 8 + length:
            break
        kept += chunk + bytes(length % 2)
        pictures += kind in (b"VP8 ", b"VP8L", b"ANMF")
        seen.add(kind)
        at += 8 + length + length % 2
    if not pictures:
        return None
    if kept.startswith(b"VP8X"):
        present = 0x20 * (b"ICCP" in seen) | 0x08 * (b"EXIF" in seen) | 0x04 * (b"XMP " in seen)
        flags = (kept[8] & ~_VP8X_EXTRAS) | (kept[8] & present)
        kept = kept[:8] + bytes([flags]) + kept[9:]
    return b"RIFF" + struct.pack("<I", 4 + len(kept)) + b"WEBP" + kept
