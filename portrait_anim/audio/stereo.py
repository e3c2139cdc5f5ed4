"""The middle of a stereo mix, where a record's voice stands, out of what stands left and right."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

Samples = npt.NDArray[np.float32]

WINDOW = 1024  # samples at 16 kHz: 64 ms; half of it lets more music through (docs/ablation.md)
HOP = WINDOW // 4
FLOOR = 0.2  # of what does not stand in the middle is left: a voice on one side stays audible
_HANN = np.hanning(WINDOW + 1)[:-1].astype(np.float32)  # its squares, HOP apart, sum to 1.5
_BLOCK = 1024 * HOP  # samples at a time: 16 s
_TINY = np.float32(1e-9)


def keep_centre(mid: Samples, side: Samples) -> Samples:
    """Return the mono sound of a stereo one, with what stands left or right turned down.

    Each bin of a short-time spectrum is scaled by ``max(FLOOR, 1 - |S| / |M|)``: 1 where left and right are the same,
    ``FLOOR`` where they have nothing in common or one of them is silent (Avendano and Jot, "Frequency domain
    techniques for stereo to multichannel upmix", AES 22nd conference, 2002; the mask is that of ffmpeg's
    ``dialoguenhance``). The whole is then as loud as ``mid``, so that a recording on one side only is ``mid``; where
    both sides are the same all along, ``mid`` itself is returned.

    Args:
        mid: (N,) at 16 kHz, half the sum of left and right.
        side: (N,) half their difference.

    Returns:
        (N,)
    """
    if not side.any():
        return mid
    out = np.empty(len(mid), np.float32)
    for start in range(0, len(mid), _BLOCK):
        end = min(start + _BLOCK, len(mid))
        first, last = max(0, start - WINDOW), min(end + WINDOW, len(mid))
        ends = (WINDOW - (start - first), (-(last - start)) % HOP + WINDOW)
        middle, sides = (np.pad(channel[first:last], ends) for channel in (mid, side))
        out[start:end] = _masked(middle, sides)[WINDOW : WINDOW + end - start]
    loudness, was = (float(np.linalg.norm(samples)) for samples in (out, mid))
    return out * np.float32(was / loudness) if loudness else mid


def _masked(mid: Samples, side: Samples) -> Samples:
    """Mask (N,), N a multiple of ``HOP``; what fewer than four windows cover fades out."""
    windows, sides = (sliding_window_view(channel, WINDOW)[::HOP] * _HANN for channel in (mid, side))  # (F, WINDOW)
    spectrum = np.fft.rfft(windows)
    gain = np.maximum(1 - np.abs(np.fft.rfft(sides)) / (np.abs(spectrum) + _TINY), FLOOR)
    parts = np.fft.irfft(spectrum * gain) * (_HANN / 1.5)
    out = np.zeros((len(mid) // HOP, HOP), np.float32)
    for at in range(0, WINDOW, HOP):
        out[at // HOP : at // HOP + len(parts)] += parts[:, at : at + HOP]
    return out.reshape(-1)
