"""The invisible mark: put into frames by ``FrameMarker``, read from them by ``read_mark``.

It is a fixed pattern (``pattern``) added to the brightness (luma) of every frame, stronger in texture, weak on smooth
areas, absent on black. It is the same in all frames: where the picture is still the video encoder copies it at no cost,
one frame is enough to read it, and dropped or doubled frames do not matter. Where the tile begins may be chosen freely.
It is chosen so that the picture itself already agrees best with pattern and word.
"""

from __future__ import annotations

import math
import threading

import numpy as np
import numpy.typing as npt

from portrait_anim.provenance import correlate, ecc, pattern
from portrait_anim.provenance.reading import MarkReading, read_mark
from portrait_anim.system.opencv import cv2

Frame = npt.NDArray[np.uint8]
Array = npt.NDArray[np.float32]

MAX_RMS = 2.5  # grey levels over the frame: 40.2 dB; 2.2 was lost in 288 x 360 films at half size and CRF 28
FLAT = 0.6  # grey levels (standard deviation) on smooth areas; 1.0 could be seen on a clean sky at 4x zoom
FLAT_DARK = 0.8  # the same below level 40, where an encoder is coarsest; 1.0 could be seen
FLAT_DARK_COARSE = 1.0  # the same with coarse chips, which are softer: not seen at 4x zoom
TEXTURE_GAIN = 0.30  # grey levels more for each grey level of texture
TEXTURE_DARK = 0.60  # the same below level 20, where an encoder throws small steps away; down from level 70
MAX_LOCAL = 5.0  # grey levels
DARK_MAX, DARK_SLOPE = 0.8, 0.06  # less in the dark: at most 0.8 and 6 % of the level; edges in the dark glowed
COARSE_MAX, COARSE_SLOPE = 1.2, 0.08  # the same with coarse chips
BLACK = 6.0  # grey level below which a pixel gets less than its surroundings, down to nothing at 0
_PEAK = 2.5  # standard deviations of the pattern at which it is clipped
_WORK = 4  # pixels per chip when planning
SMALL_PX = 340  # short side up to which the outlook is asked for; of larger films none was lost
WEAK_SIGMA = 10.5  # outlook below which a film is called weak: 12 of 22 such small films were lost, 1 of 46 others
_OUTLOOK_JPEG = 40  # quality; what remains of the mark there goes with what remains at half size and CRF 28


class FrameMarker:
    """Mark the frames of one film.

    The first frame (or ``plan``) decides where the tile begins and how strong the mark is where; after that a frame
    costs one saturated addition and one subtraction. Safe to call from several threads.

    Args:
        size: (width, height) of the frames in px.
        content_id: 32 bits, 0 to 2^32 - 1.

    Raises:
        ValueError: the content id does not fit.
    """

    def __init__(self, size: tuple[int, int], content_id: int) -> None:
        self.size = (int(size[0]), int(size[1]))
        self.content_id = content_id
        self._chips = pattern.chips(ecc.encode(ecc.Word(ecc.MAKER, content_id)))
        self._lock = threading.Lock()
        self._parts: tuple[Frame, Frame] | None = None
        self._small: Frame | None = None  # the planned picture, if it is small
        self._start, self._across = (0.0, 0.0), 0

    @property
    def weak(self) -> bool:
        """Whether another program's hard compression will probably remove the mark; small pictures only, once planned.

        The planned picture is marked, halved and compressed, and the word is looked for where it must be.
        """
        return self._small is not None and self._outlook(self._small) < WEAK_SIGMA

    def _outlook(self, frame: Frame) -> float:
        """Return how far the word stands out of a marked, halved and compressed picture, in standard deviations."""
        width, height = self.size
        half = correlate.resized(correlate.luma(self.mark(frame)), (max(8, height // 2), max(8, width // 2)))
        jpeg = cv2.imencode(
            ".jpg", np.clip(np.rint(half), 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, _OUTLOOK_JPEG]
        )[1]
        kept = np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_GRAYSCALE), np.float32)
        scale = self._across / min(self.size)
        spectrum = correlate.spectrum_of_tile(kept, (width * scale, height * scale), _WORK)
        column, row = (round(part * _WORK - 0.5) % (pattern.TILE * _WORK) for part in self._start)
        soft = correlate.soft_signs(spectrum, (row, column), _WORK)
        coded = ecc.encode(ecc.Word(ecc.MAKER, self.content_id))
        return float(soft @ coded) / math.sqrt(ecc.CODED_BITS)

    def plan(self, frame: Frame) -> None:
        """Fix the mark by this frame, e.g. the photo. Shape: (H, W, 3) uint8."""
        self._check(frame)
        with self._lock:
            self._parts = self._planned(frame)
            self._small = frame if min(self.size) <= SMALL_PX else None

    def mark(self, frame: Frame) -> Frame:
        """Return a marked copy of ``frame``.

        Shape:
            frame: (H, W, 3) uint8 RGB of the marker's size.
            returns: the same, a fresh array.

        Raises:
            ValueError: another shape or type.
        """
        self._check(frame)
        with self._lock:
            if self._parts is None:
                self._parts = self._planned(frame)
            plus, minus = self._parts
        marked = cv2.add(frame, plus)
        cv2.subtract(marked, minus, dst=marked)
        return np.asarray(marked, np.uint8)

    def _check(self, frame: Frame) -> None:
        width, height = self.size
        if frame.shape != (height, width, 3) or frame.dtype != np.uint8:
            raise ValueError(f"frame is {frame.shape} {frame.dtype}, expected {(height, width, 3)} uint8")

    def _planned(self, frame: Frame) -> tuple[Frame, Frame]:
        """Return what to add and what to take away, each (H, W, 3) uint8."""
        width, height = self.size
        light = correlate.luma(frame)
        coarse = pattern.needs_coarse(self.size, float(light.mean()))
        self._across = pattern.chips_across(self.size, coarse=coarse)
        chip_px = min(self.size) / self._across
        self._start = start = self._best_start(light, (width / chip_px, height / chip_px))
        # clip: the few highest peaks of the pattern are what the eye would find first
        wave = np.clip(pattern.picture(self._chips, self.size, chip_px, start), -_PEAK, _PEAK)
        levels = np.rint(wave * strength(light, chip_px, coarse=coarse)).astype(np.int16)
        both = np.clip(levels, 0, 255), np.clip(-levels, 0, 255)
        plus, minus = (np.repeat(part.astype(np.uint8)[..., None], 3, axis=2) for part in both)
        return plus, minus

    def _best_start(self, light: Array, across: tuple[float, float]) -> tuple[float, float]:
        """Return the tile's beginning (x, y) in chips at which the picture itself agrees best with pattern and word."""
        spectrum = correlate.spectrum_of_tile(light, across, _WORK)
        sync = pattern.layout().sync
        data = np.conj(np.fft.rfft2(pattern.shaped(self._chips - sync, _WORK)))
        for_sync = correlate.surface(spectrum, pattern.sync_spectrum(_WORK))
        for_data = correlate.surface(spectrum, data)
        both = for_sync + for_data - 0.15 * (for_sync - for_data) ** 2  # good for both, not for one alone
        row, column = np.unravel_index(int(both.argmax()), both.shape)
        return (float(column) + 0.5) / _WORK, (float(row) + 0.5) / _WORK


def strength(light: Array, chip_px: float, *, coarse: bool = False) -> Array:
    """Return how strong the mark may be: grey levels (standard deviation) for every pixel.

    More in texture, where it is hardly seen; nothing on black, where it would be seen at once, and little near white.
    All of it is scaled down where the PSNR would be below 40.2 dB.

    Args:
        light: the film's luma.
        chip_px: side of a chip, px.
        coarse: whether its chips are coarse (:func:`pattern.needs_coarse`), which may be stronger in the dark.

    Shape:
        light: (H, W) float32, 0-255.
        returns: (H, W) float32.
    """
    height, width = light.shape
    flat_dark, dark_max, dark_slope = (
        (FLAT_DARK_COARSE, COARSE_MAX, COARSE_SLOPE) if coarse else (FLAT_DARK, DARK_MAX, DARK_SLOPE)
    )
    factor = min(1.0, _WORK / chip_px)
    small = correlate.resized(light, (max(8, round(height * factor)), max(8, round(width * factor))))
    chip = chip_px * factor
    fine = small - cv2.GaussianBlur(small, (0, 0), 1.2 * chip)
    # a single edge is no texture, so the smaller of a narrow and a wide measure is taken
    narrow = np.sqrt(cv2.GaussianBlur(fine * fine, (0, 0), 1.0 * chip))
    wide = np.sqrt(cv2.GaussianBlur(np.minimum(fine * fine, 400), (0, 0), 2.0 * chip))
    level = cv2.GaussianBlur(small, (0, 0), 0.7 * chip)
    seen = np.clip((level - 1.5) / 10, 0, 1) * np.clip((262 - level) / 24, 0.2, 1)
    flat = FLAT + (flat_dark - FLAT) * np.clip((90 - level) / 50, 0, 1)
    gain = TEXTURE_GAIN + (TEXTURE_DARK - TEXTURE_GAIN) * np.clip((70 - level) / 50, 0, 1)
    most = np.minimum(dark_max + dark_slope * level, MAX_LOCAL)
    allowed = np.minimum(flat + gain * np.minimum(narrow, wide), most) * seen
    rms = float(np.sqrt(np.mean(allowed * allowed)))
    if rms > MAX_RMS:
        allowed *= MAX_RMS / rms
    spread = cv2.resize(allowed, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(spread * np.clip(light / BLACK, 0, 1), np.float32)  # edges of black stay black


__all__ = ["FrameMarker", "MarkReading", "read_mark", "strength"]
