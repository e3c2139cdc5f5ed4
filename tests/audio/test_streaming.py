"""The streaming encoder: its look-ahead, its training, and that it hears voices through music."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from portrait_anim.audio.streaming import StreamingConfig, StreamingEncoder
from portrait_anim.training.speech.distil import Corpus, DistilConfig, distil

from portrait_anim.audio.encoder import AudioEncoder, AudioEncoderConfig
from portrait_anim.config import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME

pytestmark = pytest.mark.media

SMALL = StreamingConfig(width=16, dilations=(1, 2, 4), ahead=(3, 3, 1))


def first_change(a: torch.Tensor, b: torch.Tensor) -> int:
    changed = (a - b).abs().flatten(0, -2).amax(0) > 1e-6
    return int(changed.nonzero()[0])


@pytest.mark.parametrize("at_s", [2.0, 2.013, 2.5])
def test_latents_hear_at_most_200_ms_ahead(at_s: float) -> None:
    torch.manual_seed(0)
    encoder = StreamingEncoder(SMALL).eval()
    head = AudioEncoder(AudioEncoderConfig(n_features=16, width=16, n_groups=2, causal=True, remove_mean=False)).eval()
    sound = 0.1 * torch.randn(1, 4 * SAMPLE_RATE)
    other = sound.clone()
    other[:, round(at_s * SAMPLE_RATE) :] = 0.1 * torch.randn(1, other.shape[1] - round(at_s * SAMPLE_RATE))
    with torch.no_grad():
        frame = first_change(head(encoder(sound)[0]), head(encoder(other)[0]))
    middle_s = (frame + 0.5) / FPS
    assert at_s - 0.2 <= middle_s < at_s  # it hears ahead, and no further than that


def test_look_ahead_is_what_the_config_says() -> None:
    encoder = StreamingEncoder(SMALL).eval()
    sound = 0.1 * torch.randn(1, 4 * SAMPLE_RATE)
    frame = 100
    end = (frame + 1) * SAMPLES_PER_FRAME // 2
    ahead = round(SMALL.look_ahead_s * SAMPLE_RATE)
    for extra, same in ((ahead, True), (ahead - 320, False)):
        other = sound.clone()
        other[:, end + extra :] = 0
        with torch.no_grad():
            difference = (encoder(sound)[0] - encoder(other)[0])[..., frame].abs().max()
        assert (difference < 1e-6) == same


def test_stretches_ask_for_the_clean_voice(corpus: Path) -> None:
    config = DistilConfig(batch_size=64, stretch_s=1.5)
    batches = Corpus(corpus / "voices", [], config)
    waves, wanted, weight, voice = batches(0)
    assert waves.shape == (64, 24_000)
    assert wanted.shape == (64, len(batches.spread), 75)
    assert weight.shape == voice.shape == (64, 75)
    empty = weight.sum(1) == 0
    assert 0 < empty.sum() < 20  # sounds without a voice
    assert voice[empty].max() == 0
    assert voice[~empty].mean() > 0.5
    assert 0.3 < wanted[~empty].std() < 2
    again = batches(0)
    assert torch.equal(waves, again[0])
    assert not torch.equal(waves, batches(1)[0])


def test_distillation_learns_and_resumes(corpus: Path, tmp_path: Path) -> None:
    config = DistilConfig(steps=60, batch_size=8, stretch_s=1.0)
    batches = Corpus(corpus / "voices", [], config)
    figures: list[float] = []
    whole = distil(batches, tmp_path / "whole", config, SMALL, lambda step, n, f: figures.append(f["features"]))
    assert np.mean(figures[-10:]) < 0.9 * np.mean(figures[:10])

    def stop(step: int, n: int, f: dict[str, float]) -> None:
        if step == 25:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        distil(batches, tmp_path / "halves", config, SMALL, stop, save_every=20)
    resumed = distil(batches, tmp_path / "halves", config, SMALL, save_every=20)
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value)
