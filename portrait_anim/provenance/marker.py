"""What is drawn into a film's frames before they leave: captions, label and the invisible mark."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from portrait_anim.provenance import label
from portrait_anim.provenance.watermark import FrameMarker

Frame = npt.NDArray[np.uint8]
COLOURS = 3  # channels of a frame that carry the mark; a fourth is its opacity


class Overlay(Protocol):
    """What is drawn over a film's frames, such as captions. Safe to call from several threads."""

    def draw(self, frame: Frame, index: int) -> Frame:
        """Return frame number ``index`` with it, or the frame itself; the given one is not changed."""
        ...


def _drawn(overlay: Overlay, frame: Frame, index: int) -> Frame:
    """Return a frame, (H, W, 3) or (H, W, 4), with an overlay; how opaque that is shows over black and over white."""
    if frame.shape[2] == COLOURS:
        return overlay.draw(frame, index)
    black = np.zeros_like(frame[..., :COLOURS])
    paint = overlay.draw(black, index)
    if paint is black:
        return frame
    through = (overlay.draw(black + np.uint8(255), index).astype(np.float32) - paint).mean(2, keepdims=True) / 255
    under = through * frame[..., COLOURS:] / np.float32(255)
    opacity = np.clip(1 - through + under, 0, 1)
    colours = (frame[..., :COLOURS] * under + paint) / np.maximum(opacity, 1e-3)
    colours = np.where(through < 1, colours, frame[..., :COLOURS])
    return np.asarray(np.rint(np.clip(np.dstack([colours, 255 * opacity]), 0, 255)), np.uint8)


class FilmMarker:
    """Draw captions and label, if there are any, and put the invisible mark. Safe to call from several threads.

    Attributes:
        size: (width, height) of the frames in px.
    """

    def __init__(self, marker: FrameMarker, visible: label.Label | None, captions: Overlay | None = None) -> None:
        self._marker = marker
        self._visible = visible
        self._captions = captions
        self.size = marker.size

    @property
    def weak(self) -> bool:
        """Whether the mark is, in a picture like this one."""
        return self._marker.weak

    def mark(self, frame: Frame, index: int = 0) -> Frame:
        """Return a marked copy of frame number ``index``.

        Shape:
            frame: (H, W, 3) uint8 RGB, or (H, W, 4) with opacity; returned likewise.
        """
        if self._captions is not None:
            frame = _drawn(self._captions, frame, index)
        if self._visible is not None:
            frame = self._visible.draw(frame, index)
        if frame.shape[2] == COLOURS:
            return self._marker.mark(frame)
        colours = self._marker.mark(np.ascontiguousarray(frame[..., :COLOURS]))
        return np.concatenate([colours, frame[..., COLOURS:]], axis=2)


def film_marker(
    pixels: Frame, fps: float, content_id: int, style: label.Style | None, captions: Overlay | None = None
) -> FilmMarker:
    """Return the marker of the frames of a film whose content id is known; see :meth:`.record.Provenance.marker`.

    Raises:
        OptionError: the label does not fit.
    """
    size = (pixels.shape[1], pixels.shape[0])
    visible = None if style is None else label.Label(style, size, fps)
    marker = FrameMarker(size, content_id)
    marker.plan(np.ascontiguousarray(pixels[..., :COLOURS]))
    return FilmMarker(marker, visible, captions)
