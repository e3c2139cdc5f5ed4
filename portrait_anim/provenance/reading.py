"""Reading the mark from frames.

The frames are averaged: the mark is the same in all of them, while the film changes. The average, also mirrored, is
correlated with the sync chips at every chip size and every shift. The best places are given to the decoder.

False alarms: at most ``MAX_WORDS`` = 8 words are decoded for a file. By chance, a word passes the checks of maker and
CRC (24 bits, scrambled with a key) with probability 2^-24, whatever the picture: 8 * 2^-24 = 4.8e-7 a file.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from portrait_anim.provenance import correlate, ecc, pattern
from portrait_anim.system.opencv import cv2

Frame = npt.NDArray[np.uint8]
Array = npt.NDArray[np.float32]

MAX_WORDS = 8
TRACE_SIGMA = 8.0  # standard deviations; a sync peak this high without a readable word is called a trace
_FIRST_WORDS = 2  # words decoded at the chip sizes of unscaled, uncropped films
_MAX_SHORT_PX = 1024  # larger frames are reduced
_SEARCH, _FINE = 2, 4  # pixels per chip when looking and when reading
_STEP = 0.009  # relative step between chip sizes; half of it shifts the last of 128 chips by .29 chip
_LEAST_PX = (1.2, 1.5)  # px of a chip at sizes that are likely, at all others; finer ones do not outlive an encoder
_FEWEST, _MOST = 40, 400  # chips along the short side of what is left of the picture
_MIN_SIDE_PX = 48
_LEAST_CHANCE = 1e-12  # least probability that is reported; further out the normal distribution does not hold


@dataclass(frozen=True)
class MarkReading:
    """The result of reading a mark.

    Attributes:
        found: a whole word was read, with the right maker and checksum.
        confidence: 0..1, one minus the probability that chance gives such a word.
        maker: 8 bits, None when not found.
        content_id: 32 bits, None when not found.
        bits: the 40 bits of maker and content id as "0" and "1"; "" when not found.
        corrected: how many of the 336 coded signs were wrong and put right.
        false_alarm_probability: that an unmarked file gives a word of this strength at all.
        sync_sigma: height of the best sync peak, in standard deviations; unmarked pictures stay under about 6.
        word_sigma: the same for the word read.
        trace: not found, but the sync peak is too high for chance: a mark that is damaged beyond reading.
        mirrored: the picture was mirrored.
        chips_across: chips along the short side: 128 in an uncropped film of 512 px.
        n_frames: frames that were averaged.
    """

    found: bool
    confidence: float
    maker: int | None
    content_id: int | None
    bits: str
    corrected: int
    false_alarm_probability: float
    sync_sigma: float
    word_sigma: float
    trace: bool
    mirrored: bool
    chips_across: float
    n_frames: int

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-ready values; the content id as eight hexadecimal digits."""
        values = dict(vars(self))
        values["content_id"] = None if self.content_id is None else f"{self.content_id:08x}"
        return values


@dataclass(frozen=True)
class _Place:
    sigma: float
    across: float  # chips along the short side
    aspect: float  # of the chips, width / height
    mirrored: bool
    shift: tuple[int, int]  # row, column, px of the tile


def read_mark(frames: Iterable[Frame]) -> MarkReading:
    """Read the mark from the frames of one film, or from a single picture.

    They are averaged; a dozen spread over the film are as good as all. Frames of another size than the first are left
    out.

    Shape:
        frames: each (H, W, 3) uint8 RGB.

    Raises:
        ValueError: no frames.
    """
    mean, n_frames = _mean_luma(frames)
    if min(mean.shape) < _MIN_SIDE_PX:
        return _nothing(0.0, n_frames)
    known = sorted(map(float, pattern.known_across()))
    every = np.exp(np.arange(math.log(_FEWEST), math.log(_MOST), _STEP)).tolist()
    tried = 0
    best = 0.0
    rounds = (known, _FIRST_WORDS), (every, MAX_WORDS - _FIRST_WORDS)
    for (sizes, words), least_px in zip(rounds, _LEAST_PX, strict=True):
        places = _search(mean, sizes, min(mean.shape) / least_px)
        best = max(best, places[0].sigma)
        for place in _apart(places)[:words]:
            tried += 1
            if (reading := _read_at(mean, place, n_frames, tried)) is not None:
                return reading
    return _nothing(best, n_frames)


def _mean_luma(frames: Iterable[Frame]) -> tuple[Array, int]:
    total: Array | None = None
    count, shape = 0, None
    for frame in frames:
        if shape is None:
            shape = frame.shape
        elif frame.shape != shape:
            continue
        light = correlate.luma(frame)
        factor = _MAX_SHORT_PX / min(light.shape)
        if factor < 1:
            height, width = light.shape
            light = correlate.resized(light, (round(height * factor), round(width * factor)))
        total = light if total is None else np.asarray(cv2.add(total, light, dst=total))
        count += 1
    if total is None:
        raise ValueError("no frames to read a mark from")
    return np.asarray(total / count, np.float32), count


def _across(mean: Array, across: float, aspect: float = 1.0) -> tuple[float, float]:
    """Return the chips along width and height for ``across`` chips along the short side."""
    height, width = mean.shape
    scale = across / min(height, width)
    return width * scale / math.sqrt(aspect), height * scale * math.sqrt(aspect)


def _look(mean: Array, across: float, aspect: float, oversampling: int, mirrors: tuple[bool, ...]) -> list[_Place]:
    spectrum = correlate.spectrum_of_tile(mean, _across(mean, across, aspect), oversampling)
    places = []
    for mirror in mirrors:
        seen = correlate.mirrored(spectrum) if mirror else spectrum
        heights = correlate.surface(seen, pattern.sync_spectrum(oversampling))
        row, column = np.unravel_index(int(heights.argmax()), heights.shape)
        places.append(_Place(float(heights[row, column]), across, aspect, mirror, (int(row), int(column))))
    return places


def _search(mean: Array, sizes: list[float], limit: float) -> list[_Place]:
    """Return the best place for every chip size up to ``limit`` and mirror, the most promising first."""
    sizes = [size for size in sizes if size <= limit] or [limit]
    places = [place for size in sizes for place in _look(mean, size, 1.0, _SEARCH, (False, True))]
    return sorted(places, key=lambda place: -place.sigma)


def _apart(places: list[_Place]) -> list[_Place]:
    """Return the places without those next to a better one in chip size."""
    kept: list[_Place] = []
    for place in places:
        alike = (k for k in kept if k.mirrored == place.mirrored)
        if all(abs(math.log(k.across / place.across)) > 1.5 * _STEP for k in alike):
            kept.append(place)
        if len(kept) == MAX_WORDS:
            break
    return kept


def _read_at(mean: Array, place: _Place, n_frames: int, tried: int) -> MarkReading | None:
    mirrors = (place.mirrored,)
    around = [place.across * math.exp(d * _STEP) for d in (-0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75)]
    best = max((_look(mean, size, 1.0, _FINE, mirrors)[0] for size in around), key=lambda p: p.sigma)
    stretched = (_look(mean, best.across, aspect, _FINE, mirrors)[0] for aspect in (0.99, 0.995, 1.005, 1.01))
    best = max([best, *stretched], key=lambda p: p.sigma)
    spectrum = correlate.spectrum_of_tile(mean, _across(mean, best.across, best.aspect), _FINE)
    if best.mirrored:
        spectrum = correlate.mirrored(spectrum)
    soft = correlate.soft_signs(spectrum, best.shift, _FINE)
    word = ecc.decode(soft)
    if word is None:
        return None
    coded = ecc.encode(word)
    sigma = float(soft @ coded) / math.sqrt(ecc.CODED_BITS)
    # chance: a word passes the checks, and the likeliest of 2^56 reaches this height
    reaches = min(1.0, 2.0**ecc.WORD_BITS * 0.5 * math.erfc(sigma / math.sqrt(2)))
    chance = max(tried * 2.0**-ecc.CHECK_BITS * reaches, _LEAST_CHANCE)
    return MarkReading(
        found=True,
        confidence=1 - chance,
        maker=word.maker,
        content_id=word.content_id,
        bits=f"{word.maker:08b}{word.content_id:032b}",
        corrected=int(np.count_nonzero(np.sign(soft) != coded)),
        false_alarm_probability=chance,
        sync_sigma=best.sigma,
        word_sigma=sigma,
        trace=False,
        mirrored=best.mirrored,
        chips_across=best.across,
        n_frames=n_frames,
    )


def _nothing(sigma: float, n_frames: int) -> MarkReading:
    return MarkReading(
        found=False,
        confidence=0.0,
        maker=None,
        content_id=None,
        bits="",
        corrected=0,
        false_alarm_probability=MAX_WORDS * 2.0**-ecc.CHECK_BITS,
        sync_sigma=sigma,
        word_sigma=0.0,
        trace=sigma >= TRACE_SIGMA,
        mirrored=False,
        chips_across=0.0,
        n_frames=n_frames,
    )
