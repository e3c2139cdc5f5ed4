"""Converts pictures to sRGB from whatever colour space their file declares.

Places in which a file may declare it, the first one found counts: PNG's cICP chunk, an ICC profile, PNG's sRGB chunk,
PNG's gAMA and cHRM, the colour box of HEIC and AVIF, EXIF. A space that is declared without an ICC profile is turned
into one, so that all are converted in the same way. A space counts as sRGB when test colours come out as in sRGB,
whatever its name.
"""

from __future__ import annotations

import io
import logging
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from portrait_anim.face.icc import BT709, Curve, Points, hlg_light, matrix_profile, pq_light, srgb_light

logger = logging.getLogger(__name__)

UNUSABLE = "its colour profile is unusable and was left out"
RAMP_LEVELS, COLOUR_LEVELS = 3, 5  # grey levels by which greys and colours may differ from sRGB and still be it
PLAUSIBLE_GAMMA = (0.15, 5.0)  # exponents outside are ignored as errors of PNG or EXIF
SRGB_GAMMA = (2.09, 2.32)  # PNG's writers round sRGB's curve to 1/2.2; within 5 % of it, with sRGB's colours, is sRGB
ADOBE = ((0.3127, 0.3290), (0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
ADOBE_GAMMA = 563 / 256
PRIMARIES = {
    1: BT709,
    9: ((0.3127, 0.3290), (0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    11: ((0.314, 0.351), (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    12: ((0.3127, 0.3290), (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}  # code of ITU-T H.273 -> white, red, green, blue
PRIMARY_NAMES = {9: "BT.2020", 11: "DCI-P3", 12: "Display P3"}
_EXIF_IFD, _INTEROP_IFD = 0x8769, 0xA005
_COLOUR_SPACE, _GAMMA, _WHITE_POINT, _PRIMARIES = 0xA001, 0xA500, 0x013E, 0x013F
_EXIF_SRGB, _EXIF_ADOBE, _EXIF_UNCALIBRATED = 1, 2, 0xFFFF
_COLOUR_MODES = ("RGB", "RGBA", "RGBX", "RGBa", "YCbCr", "L", "LA", "La", "P", "PA", "1")
_HEADER_BYTES = 1 << 18  # bytes at the start of a file in which its colour space is looked for


@dataclass(frozen=True)
class ColourSpace:
    """The colour space that a file declares.

    Attributes:
        profile: the ICC profile; None: there should be one and it cannot be read.
        title: for the user; empty: the profile's own description.
    """

    profile: bytes | None
    title: str = ""


def colour_space(image: Image.Image, header: bytes = b"") -> ColourSpace | None:
    """Return the colour space that ``image`` declares; None when it declares none (it then counts as sRGB).

    Args:
        image: as opened; only what it knows of itself is looked at.
        header: the start of its file, for what Pillow does not read.
    """
    if (codes := _png_codes(header)) is not None:
        return _of_codes(*codes, "PNG's cICP")
    if "icc_profile" in image.info and image.info["icc_profile"] != b"":
        return ColourSpace(image.info["icc_profile"])
    if image.mode not in _COLOUR_MODES and not image.mode.startswith("I"):
        return None
    if "srgb" in image.info:
        return None
    if "gamma" in image.info or "chromaticity" in image.info:  # PNG's
        return _of_png(image.info.get("gamma"), image.info.get("chromaticity"))
    if (codes := _box_codes(header)) is not None:
        return _of_codes(*codes, "its colour box")
    try:
        return _of_exif(image.getexif())
    except Exception as e:  # broken EXIF raises nearly anything and must not cost the picture
        logger.debug("unreadable EXIF data: %s", e)
        return None


def file_header(path: Path) -> bytes:
    """Return the start of a file, in which its colour space is declared."""
    with path.open("rb") as file:
        return file.read(_HEADER_BYTES)


def to_srgb(image: Image.Image, space: ColourSpace | None, notes: list[str]) -> Image.Image:
    """Return an RGB picture in sRGB; one that is sRGB already keeps its numbers.

    A broken profile, or one that does not fit the picture's channels, is left out, with a note.

    Args:
        image: without alpha, 8 bits a channel.
        space: the colour space it declares.
        notes: for the user; appended to.
    """
    if space is None:
        return image.convert("RGB")
    try:
        if space.profile is None:
            raise ValueError("it cannot be read")
        source = ImageCms.ImageCmsProfile(io.BytesIO(space.profile))
        channels = source.profile.xcolor_space.strip()
        if channels in ("RGB", "GRAY") and image.mode in ("RGB", "L", "YCbCr") and _is_srgb(source, channels):
            return image.convert("RGB")
        title = space.title or " ".join(ImageCms.getProfileDescription(source).split()) or "an unnamed profile"
        if space.title:  # made here, of RGB
            image = image.convert("RGB")
        rgb = through_profile(image, source)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as e:
        logger.debug("colour profile left out: %s", e)
        notes.append(UNUSABLE)
        return image.convert("RGB")
    notes.append(f"colours converted from {title} to sRGB")
    return rgb


def through_profile(image: Image.Image, source: Any) -> Image.Image:
    """Return ``image`` brought from the profile ``source`` to sRGB."""
    converted = ImageCms.profileToProfile(
        image,
        source,
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    if converted is None:  # only for inPlace
        raise ImageCms.PyCMSError("no picture came back")
    return converted


def _is_srgb(source: Any, channels: str) -> bool:
    """Return whether a profile turns test colours into what they are in sRGB, to within a few levels."""
    ramp = np.arange(256, dtype=np.uint8)[None]  # (1, 256)
    if channels == "GRAY":
        made = np.asarray(through_profile(Image.fromarray(ramp), source), np.int16)  # (1, 256, 3)
        return bool(np.abs(made - ramp[..., None]).max() <= RAMP_LEVELS)
    steps = np.linspace(32, 224, 7).astype(np.uint8)
    colours = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(1, -1, 3)
    for given, tolerance in ((np.repeat(ramp[..., None], 3, axis=2), RAMP_LEVELS), (colours, COLOUR_LEVELS)):
        made = np.asarray(through_profile(Image.fromarray(given), source), np.int16)
        if np.abs(made - given).max() > tolerance:
            return False
    return True


# ---------------------------------------------------------------- spaces declared without a profile


def _png_codes(header: bytes) -> tuple[int, int] | None:
    """Return primaries and curve (H.273) of a PNG's cICP chunk."""
    if not header.startswith(b"\x89PNG\r\n\x1a\n"):
        return None
    at = 8
    while at + 8 <= len(header):
        length, kind = struct.unpack(">I4s", header[at : at + 8])
        if kind == b"IDAT":
            break
        if kind == b"cICP" and length == 4 and at + 12 <= len(header):
            return header[at + 8], header[at + 9]
        at += 12 + length
    return None


def _box_codes(header: bytes) -> tuple[int, int] | None:
    """Return primaries and curve (H.273) of the first colour box of a HEIC or AVIF file."""
    at = header.find(b"colrnclx")
    if header[4:8] != b"ftyp" or at < 0 or at + 12 > len(header):
        return None
    primaries, curve = struct.unpack(">HH", header[at + 8 : at + 12])
    return primaries, curve


def _of_codes(primaries: int, curve: int, by: str) -> ColourSpace | None:
    """Return the space of two codes of H.273; unknown ones, and those of old television systems, count as sRGB's.

    The camera curves of BT.709, 601 and 2020 (1, 6, 14, 15) count as sRGB's too, as in other viewers: stills with these
    codes were made for a screen.
    """
    curves: dict[int, tuple[str, Curve]] = {
        4: ("gamma 2.2", lambda x: x**2.2),
        5: ("gamma 2.8", lambda x: x**2.8),
        8: ("linear light", lambda x: x),
        16: ("PQ, bright light cut", pq_light),
        18: ("HLG, bright light cut", hlg_light),
    }
    name, light = curves.get(curve, ("", srgb_light))
    title = ", ".join(filter(None, (PRIMARY_NAMES.get(primaries, f"primaries {primaries}"), name)))
    return ColourSpace(matrix_profile(PRIMARIES.get(primaries, BT709), light), f"{title} (told by {by})")


def _of_png(gamma: float | None, chromaticity: tuple[float, ...] | None) -> ColourSpace | None:
    """Return the space of PNG's gAMA (encoding exponent, such as 0.45455) and cHRM."""
    exponent = None
    if gamma is not None:
        exponent = 1 / gamma if gamma > 0 else 0.0
        if not PLAUSIBLE_GAMMA[0] <= exponent <= PLAUSIBLE_GAMMA[1]:
            return ColourSpace(None)
    points: Points = BT709
    if chromaticity is not None:
        points = tuple(zip(chromaticity[::2], chromaticity[1::2], strict=True))
    return _of_numbers(points, exponent, "PNG's gAMA and cHRM")


def _of_exif(exif: Image.Exif) -> ColourSpace | None:
    """Return the space that EXIF declares: DCF's option file (Adobe RGB), or primaries and gamma."""
    fields = exif.get_ifd(_EXIF_IFD)
    space = fields.get(_COLOUR_SPACE)
    if space == _EXIF_SRGB:
        return None
    index = exif.get_ifd(_INTEROP_IFD).get(1, "") if _INTEROP_IFD in fields else ""
    index = index.decode("latin-1") if isinstance(index, bytes) else str(index)
    if index.startswith("R03") or space == _EXIF_ADOBE:
        return ColourSpace(matrix_profile(ADOBE, lambda x: x**ADOBE_GAMMA), "Adobe RGB (told by EXIF)")
    if space != _EXIF_UNCALIBRATED or index.startswith("R98"):
        return None
    white, rest = (exif.get(tag, fields.get(tag)) for tag in (_WHITE_POINT, _PRIMARIES))
    gamma = float(fields[_GAMMA]) if _GAMMA in fields else None
    if gamma is not None and not PLAUSIBLE_GAMMA[0] <= gamma <= PLAUSIBLE_GAMMA[1]:
        gamma = None
    if rest is not None and len(rest) == 6:
        numbers = [*map(float, white or BT709[0]), *map(float, rest)]
        return _of_numbers(tuple(zip(numbers[::2], numbers[1::2], strict=True)), gamma, "EXIF")
    if gamma is not None and SRGB_GAMMA[0] <= gamma <= SRGB_GAMMA[1]:  # what DCF asks of Adobe RGB files
        return ColourSpace(matrix_profile(ADOBE, lambda x: x**ADOBE_GAMMA), "Adobe RGB (told by EXIF)")
    return None if gamma is None else _of_numbers(BT709, gamma, "EXIF")


def _of_numbers(points: Points, exponent: float | None, by: str) -> ColourSpace | None:
    """Return the space of white, red, green, blue (CIE x, y) and an exponent, None: sRGB's curve."""
    near = float(np.abs(np.array(points) - np.array(BT709)).max()) < 0.005
    if exponent is None or (near and SRGB_GAMMA[0] <= exponent <= SRGB_GAMMA[1]):
        light, name = srgb_light, "other primaries"
    else:
        power = exponent
        light, name = (lambda x: x**power), f"gamma {exponent:.2f}"
    try:
        return ColourSpace(matrix_profile(points, light), f"{name} (told by {by})")
    except (ValueError, np.linalg.LinAlgError):  # points on a line, a white of no light
        return ColourSpace(None)
