"""The two pretrained encoders as their authors trained them: what the shipped one learned from.

hama's recogniser (blocks, and posteriors of phonemes) and whisper's encoder. Training and evaluation use them, the
product does not.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from portrait_anim.audio.hama import HamaRecogniser
from portrait_anim.audio.speech import N_BLOCKS, SpeechConfig, encode_windows, join_windows
from portrait_anim.audio.whisper import WhisperEncoder
from portrait_anim.weights import load_tensors

WORD_BOUNDARY = 189  # hama's token between words; the phonemes come before it, the CTC blank is the next
# tokens of hama 1.7.0's table (hama/assets/g2p_vocab.json, "decoder")
CLASSES = {
    "bilabial": (10, 31, 35, 36, 37, 82),  # b m p pʰ p͈ ɓ: the lips close
    "labiodental": (17, 49, 124),  # f v ʋ: the lower lip touches the upper teeth
    "rounded": (24, 25, 33, 34, 48, 50, 51, 52, 53, 54, 56, 72, 76, 83, 84, 98, 122, 123, 127),  # o u y ɔ ʊ w and kin
}


@cache
def hama() -> HamaRecogniser:
    """Return hama's recogniser, frozen."""
    net = HamaRecogniser()
    net.load_state_dict(load_tensors("hama_encoder"))
    return net.requires_grad_(False).eval()


@cache
def whisper() -> WhisperEncoder:
    """Return whisper's encoder, frozen."""
    net = WhisperEncoder()
    net.load_state_dict(load_tensors("whisper_tiny_encoder"))
    return net.requires_grad_(False).eval()


@torch.no_grad()
def features(waveform: Tensor) -> npt.NDArray[np.float32]:
    """Return (816, T50) for a recording (N,) at 16 kHz: hama's first blocks, then whisper's output."""

    def encode(power: Tensor) -> Tensor:
        return torch.cat([*hama()(power)[:N_BLOCKS], whisper()(power, SpeechConfig.loudest)], 1)

    return np.asarray(join_windows(encode_windows(waveform[None], SpeechConfig(), encode))[0].numpy())


@torch.no_grad()
def posteriors(waveform: Tensor) -> dict[str, npt.NDArray[np.float32]]:
    """Return (T50,) each, 0..1: the posterior of each of :data:`CLASSES`, and of the likeliest phoneme as "phoneme".

    The last spikes near 1 in speech and is small in noise, where what is not blank is spread over many phonemes.

    Args:
        waveform: (N,) at 16 kHz, -1..1.
    """

    def encode(power: Tensor) -> Tensor:
        likely = hama().log_probs(hama()(power)[-1]).exp()  # (B, T50, tokens)
        rows = [likely[..., list(tokens)].sum(-1) for tokens in CLASSES.values()]
        return torch.stack([*rows, likely[..., :WORD_BOUNDARY].amax(-1)], 1)

    rows = join_windows(encode_windows(waveform[None], SpeechConfig(), encode))[0].numpy()
    return dict(zip([*CLASSES, "phoneme"], rows, strict=True))
