"""Loads any picture as upright 8-bit sRGB pixels."""

from __future__ import annotations

import io
import logging
import os
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, UnidentifiedImageError

from portrait_anim.errors import DependencyError, OptionError, PhotoError
from portrait_anim.face.colour import colour_space, file_header, through_profile, to_srgb
from portrait_anim.face.repair import ended
from portrait_anim.system.containers import open_picture
from portrait_anim.system.files import printable, readable_file
from portrait_anim.system.fingerprint import fingerprint

logger = logging.getLogger(__name__)

MIN_SIDE_PX = 32
MAX_PIXELS = 50_000_000  # more are refused, or reduced when max_size is given
BOMB_PIXELS = 178_956_970  # refused in any case; where Pillow's own default turns from a warning to an error
END_MISSING = "the end of the file is missing; all rows are there and were used"
READABLE = "jpg, png, webp, bmp, tiff, gif, heic"
MONOCHROME_SPREAD = 8  # grey levels between the largest and smallest channel that still count as grey
MONOCHROME_SHARE = 0.99  # of the picture
_SAMPLE_PX = 256  # longer side of the reduced picture that is tested for colour
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # EXIF orientation -> what makes it upright


@dataclass(frozen=True)
class Photo:
    """A loaded picture, as the rest of the program uses it.

    Attributes:
        pixels: (H, W, 3) uint8 sRGB, upright, alpha composited over white, in the picture's own size unless
            ``max_size`` reduced it.
        monochrome: all channels are nearly equal. A tint such as sepia is a colour: such a picture is not
            monochrome.
        source: the path as given, None for pictures from memory.
        notes: what was done to it, for the user to read.
        scale: its px over those of the picture as it was given, upright; 1 unless ``max_size`` reduced it.
        origin: what it was made from: a file, as it was when it was read, or the picture as it was given.
    """

    pixels: npt.NDArray[np.uint8]
    monochrome: bool
    source: str | None
    notes: tuple[str, ...]
    origin: Any = field(repr=False, compare=False)
    scale: float = 1.0

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in px."""
        height, width = self.pixels.shape[:2]
        return width, height


def load_photo(
    photo: str | os.PathLike[str] | Image.Image | npt.NDArray[np.uint8], max_size: int | None = None
) -> Photo:
    """Load a photo.

    EXIF orientation is applied, colours are converted to sRGB from the space that the file declares (see
    :mod:`portrait_anim.face.colour`; kept as they are when its profile is broken, with a note), a file that lacks only
    its end marker is used (with a note), alpha and palette transparency are composited over white, grey and CMYK
    become RGB, and only the first picture of an animation is taken. 16 bits are divided by 257. Pictures of 32 bits or
    floats are divided by the smallest of 1 (floats only), 255, 65535 and their own maximum that is not below that
    maximum.

    Args:
        photo: a file, a PIL image (not changed), or an array (H, W), (H, W, 3) or (H, W, 4) uint8, RGB(A).
        max_size: limit of the longer side in px; larger pictures are reduced (Lanczos), smaller ones kept.

    Raises:
        PhotoError: no such file, a folder, empty, not a picture, truncated, a side under 32 px, over 50 megapixels
            without ``max_size``, over 178 megapixels in any case, an array of another type or shape.
        DependencyError: a HEIC file, and pillow-heif is not installed.
        OptionError: ``max_size`` is not a whole number of at least 32.
    """
    if max_size is not None and (
        isinstance(max_size, bool) or not isinstance(max_size, (int, np.integer)) or max_size < MIN_SIDE_PX
    ):
        raise OptionError(f"max_size {max_size!r} is not a whole number of at least {MIN_SIDE_PX} px")
    limit = None if max_size is None else int(max_size)
    notes: list[str] = []
    if isinstance(photo, (str, os.PathLike)):
        source, name = os.fspath(photo), printable(photo)
        path = readable_file(photo, PhotoError, "photo")
        origin: Any = fingerprint(path, PhotoError, "photo")
        with _any_failure(f"photo {name} is damaged or cut off", "save or copy it again"):
            pixels, scale = _from_file(path, name, limit, notes)
    elif isinstance(photo, Image.Image):
        source, name, origin = None, "the picture", photo
        with _any_failure("the picture cannot be read", "load it again"):
            pixels, scale = _pixels(photo, name, limit, notes)
    elif isinstance(photo, np.ndarray):
        source, name, origin = None, "the array", photo
        pixels, scale = _pixels(_from_array(photo), name, limit, notes)
    else:
        raise PhotoError(f"a {type(photo).__name__} is no photo: give a path, a PIL image or a uint8 array")
    for note in notes:
        logger.info("%s: %s", name, note)
    return Photo(pixels, is_monochrome(pixels), source, tuple(notes), origin, scale)


def is_monochrome(pixels: npt.NDArray[np.uint8]) -> bool:
    """Return whether the picture has no colour: 99 % of it with channels at most 8 levels apart.

    It is looked at in a reduced size, where the chroma noise of JPEG and scanners has averaged out.

    Shape:
        pixels: (H, W, 3) uint8 RGB.
    """
    image = Image.fromarray(pixels)
    image.thumbnail((_SAMPLE_PX, _SAMPLE_PX), Image.Resampling.BOX)
    small = np.asarray(image).astype(np.int16)
    spread = small.max(axis=2) - small.min(axis=2)  # (H, W)
    return bool(np.mean(spread <= MONOCHROME_SPREAD) >= MONOCHROME_SHARE)


@contextmanager
def _any_failure(what: str, advice: str) -> Generator[None, None, None]:
    """Turn any exception of a decoder into a PhotoError (on damaged files Pillow may raise nearly anything)."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged tags and values
            yield
    except (PhotoError, DependencyError, MemoryError):
        raise
    except Exception as e:
        reason = " ".join(str(e).split()) or type(e).__name__
        raise PhotoError(f"{what} ({reason}): {advice}") from e


def _from_file(path: Path, name: str, max_size: int | None, notes: list[str]) -> tuple[npt.NDArray[np.uint8], float]:
    """Decode a file; one that lacks nothing but its end is used, with a note."""
    header = file_header(path)
    try:
        with _open(path, header, name) as image:
            return _pixels(image, name, max_size, notes, header)
    except (PhotoError, DependencyError, MemoryError):
        raise
    except Exception:
        whole = ended(path.read_bytes())
        if whole is None:
            raise
    notes[:] = [END_MISSING]
    with _open(io.BytesIO(whole), header, name) as image:
        return _pixels(image, name, max_size, notes, header)


def _open(path: Path | io.BytesIO, start: bytes, name: str) -> Image.Image:
    """Open a picture file that begins with ``start``; its pixels are not decoded yet (HEIC: they are)."""
    if start[4:8] == b"ftyp" and start[8:12] in _HEIC_BRANDS:
        return _open_heic(path, name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limits here are our own
        try:
            return open_picture(path)
        except UnidentifiedImageError as e:
            raise PhotoError(f"photo {name} is not a picture this program can read: use one of {READABLE}") from e
        except Image.DecompressionBombError as e:
            raise PhotoError(f"photo {name} has more than {BOMB_PIXELS / 1e6:.0f} megapixels: reduce it first") from e


def _open_heic(path: Path | io.BytesIO, name: str) -> Image.Image:
    try:
        import pillow_heif
    except ImportError as e:
        raise DependencyError(f"photo {name} is a HEIC picture: pip install pillow-heif, or save it as jpg") from e
    heic = pillow_heif.open_heif(path)
    _check_pixels(heic.size, name, BOMB_PIXELS)
    image: Image.Image = heic.to_pillow()
    return image


def _from_array(array: npt.NDArray[np.uint8]) -> Image.Image:
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.ndim not in (2, 3) or channels not in (1, 3, 4) or 0 in array.shape:
        raise PhotoError(f"the array has shape {array.shape}: give (H, W), (H, W, 3) or (H, W, 4)")
    if array.dtype != np.uint8:
        raise PhotoError(f"the array's type is {array.dtype}: give uint8, 0 to 255")
    return Image.fromarray(np.ascontiguousarray(array[..., 0] if array.ndim == 3 and channels == 1 else array))


def _check_pixels(size: tuple[int, int], name: str, limit: int) -> None:
    width, height = size
    megapixels = width * height / 1e6
    if width * height > BOMB_PIXELS:
        raise PhotoError(f"{name} has {width}x{height} = {megapixels:.0f} megapixels: reduce it first")
    if width * height > limit:
        raise PhotoError(
            f"{name} has {width}x{height} = {megapixels:.0f} megapixels, more than {limit / 1e6:.0f}: "
            "give --max-size 2048 (max_size=2048) to reduce it"
        )


def _pixels(
    image: Image.Image, name: str, max_size: int | None, notes: list[str], header: bytes | None = None
) -> tuple[npt.NDArray[np.uint8], float]:
    """Return upright RGB pixels and how far they are reduced, 0..1.

    With its file's ``header``, ``image`` is ours to change (JPEG's reduced decoding).
    """
    ours = header is not None
    size = image.size
    scale = 1.0 if max_size is None else min(1.0, max_size / max(size))
    _check_pixels(size, name, BOMB_PIXELS)
    _check_pixels((round(size[0] * scale), round(size[1] * scale)), name, MAX_PIXELS)
    if round(min(size) * scale) < MIN_SIDE_PX:
        raise PhotoError(f"{name} is too small at {size[0]}x{size[1]} px: each side needs {MIN_SIDE_PX} px or more")
    if ours and image.format != "MPO" and (n_frames := getattr(image, "n_frames", 1)) > 1:
        notes.append(f"the first of {n_frames} pictures in the file")
        image.seek(0)
    if ours and scale < 0.5:
        image.draft(None, (round(2 * size[0] * scale), round(2 * size[1] * scale)))  # decodes JPEG at 1/2, 1/4, 1/8
    noted = _orientation(image)
    image.load()
    orientation = _orientation(image)  # Pillow turns a TIFF upright while loading, and then says 1
    rgb = _to_rgb(image, name, header or b"", notes)
    if scale < 1:
        target = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
        rgb = rgb.resize(target, Image.Resampling.LANCZOS, reducing_gap=3.0)
    if orientation != 1:
        rgb = rgb.transpose(_UPRIGHT[orientation])
    if noted != 1:
        notes.append(f"turned upright (EXIF orientation {noted})")
    if scale < 1:
        before = size if orientation < 5 else size[::-1]
        notes.append(f"reduced from {before[0]}x{before[1]} to {rgb.width}x{rgb.height}")
    return np.array(rgb, np.uint8), scale


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1 (upright) when there is none or it cannot be read."""
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception as e:  # broken EXIF raises nearly anything and must not cost the picture
        logger.debug("unreadable EXIF data: %s", e)
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _to_rgb(image: Image.Image, name: str, header: bytes, notes: list[str]) -> Image.Image:
    """Return an 8-bit sRGB picture without alpha."""
    space = colour_space(image, header)
    if image.mode == "F" or image.mode.startswith("I"):
        return to_srgb(Image.fromarray(_to_8_bit(np.asarray(image), name)), space, notes)
    if image.mode == "La":  # premultiplied; Pillow knows the way to LA only
        image = image.convert("LA")
    if image.mode in ("P", "PA", "LA", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
    elif image.mode == "1":
        image = image.convert("L")
    alpha = image.getchannel("A") if image.mode == "RGBA" else None
    if alpha is not None:
        image = image.convert("RGB")
    lab = image.mode == "LAB"
    rgb = through_profile(image, ImageCms.createProfile("LAB")) if lab else to_srgb(image, space, notes)
    if alpha is not None and alpha.getextrema() != (255, 255):
        notes.append("transparent areas shown on white")
        rgb = Image.composite(rgb, Image.new("RGB", rgb.size, "white"), alpha)
    return rgb


def _to_8_bit(values: npt.NDArray[np.generic], name: str) -> npt.NDArray[np.uint8]:
    """Scale grey values (H, W) of 16 or 32 bits or floats to 0..255, as ``load_photo`` says."""
    wide = np.issubdtype(values.dtype, np.floating) or values.dtype.itemsize > 2
    grey = np.asarray(values, np.float64)
    if not np.isfinite(grey).all():
        raise PhotoError(f"{name} holds NaN or infinite values: export it as 8 or 16 bit")
    peak = float(grey.max())
    full = 65535.0
    if wide:
        scales = (1.0, 255.0, 65535.0) if np.issubdtype(values.dtype, np.floating) else (255.0, 65535.0)
        full = next((s for s in scales if peak <= s), peak)
    return np.clip(np.rint(grey * (255.0 / full)), 0, 255).astype(np.uint8)
