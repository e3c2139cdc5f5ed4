"""Sampling rates, frame rates and the size of the mesh, from which everything else is derived."""

from __future__ import annotations


def exact_div(x: int, y: int) -> int:
    """Return ``x / y`` where it must come out even; an uneven split is a programming error."""
    if x % y:
        raise ValueError(f"{x} is not a multiple of {y}")
    return x // y


SAMPLE_RATE = 16_000  # Hz, input of every audio net here
WINDOW_LENGTH = 400  # samples, 25 ms
HOP_LENGTH = 160  # samples, 10 ms
N_MELS = 80
FPS = 25  # frames/s of face motion; frame i shows the middle of the time [i/25, (i+1)/25) s

MEL_RATE = exact_div(SAMPLE_RATE, HOP_LENGTH)  # 100 mel frames/s
MEL_PER_FRAME = exact_div(MEL_RATE, FPS)  # 4 mel frames to a video frame
SAMPLES_PER_FRAME = exact_div(SAMPLE_RATE, FPS)  # 640 samples to a video frame
FEATURE_RATE = 50  # Hz, of both pretrained speech encoders
FEATURES_PER_FRAME = exact_div(FEATURE_RATE, FPS)  # 2 feature frames to a video frame

N_LANDMARKS = 478  # points of the face mesh, iris included
