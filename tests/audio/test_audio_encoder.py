"""The trained head: shapes, mean removal, independence of the window, and that it can learn."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest
import torch

from portrait_anim.audio.encoder import AudioEncoder, AudioEncoderConfig, clip_mean
from portrait_anim.audio.speech import SpeechConfig

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Nets this small lose more to waiting for the other cores than they gain."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


SMALL = AudioEncoderConfig(n_features=24, width=16, n_groups=4)


def make(config: AudioEncoderConfig = SMALL) -> AudioEncoder:
    torch.manual_seed(0)
    return AudioEncoder(config).eval()


@pytest.mark.parametrize(("n_features", "width", "n_frames"), [(24, 16, 2), (7, 32, 50), (816, 128, 150)])
def test_two_feature_frames_become_one_latent(n_features: int, width: int, n_frames: int) -> None:
    encoder = make(AudioEncoderConfig(n_features=n_features, width=width, n_groups=4))
    assert encoder(torch.randn(3, n_features, n_frames)).shape == (3, width, n_frames // 2)


def test_default_fits_both_encoders() -> None:
    assert AudioEncoderConfig().n_features == SpeechConfig().n_channels == 3 * 144 + 384
    assert SpeechConfig(encoders=("hama",)).n_channels == 3 * 144


def test_a_constant_offset_of_the_features_is_removed() -> None:
    values = torch.randn(2, 24, 100)
    offset = torch.randn(2, 24, 1)
    with torch.no_grad():
        torch.testing.assert_close(make()(values + offset), make()(values), atol=1e-4, rtol=1e-4)
        kept = make(dataclasses.replace(SMALL, remove_mean=False))
        assert (kept(values + offset) - kept(values)).abs().max() > 0.1


def test_a_stretch_with_the_clips_mean_equals_that_stretch_of_the_clip() -> None:
    values = torch.randn(1, 24, 400) + torch.randn(1, 24, 1)
    encoder = make()
    with torch.no_grad():
        whole = encoder(values)
        part = encoder(values[..., 100:300], clip_mean(values))
    inner = slice(20, -20)  # beyond the convolutions' reach from the cut ends
    torch.testing.assert_close(part[..., inner], whole[..., 50:150][..., inner], atol=1e-5, rtol=1e-5)


def test_clip_norm_depends_on_the_window_and_frame_norm_does_not() -> None:
    values = torch.randn(1, 24, 400) * torch.linspace(0.1, 3, 400)
    no_mean = dataclasses.replace(SMALL, remove_mean=False)
    differences = {}
    for normalise in ("frame", "clip"):
        encoder = make(dataclasses.replace(no_mean, normalise=normalise))
        with torch.no_grad():
            whole, part = encoder(values), encoder(values[..., :200])
        differences[normalise] = float((whole[..., :80] - part[..., :80]).abs().max())
    assert differences["frame"] < 1e-5
    assert differences["clip"] > 1e-2


def test_latent_reach_is_under_a_second() -> None:
    encoder = make(dataclasses.replace(SMALL, remove_mean=False))
    values = torch.randn(1, 24, 200)
    moved = values.clone()
    moved[..., 100:102] += 5  # video frame 50
    with torch.no_grad():
        changed = (encoder(values) - encoder(moved)).abs().amax(dim=1)[0].nonzero().flatten()
    assert changed.min() >= 50 - 17
    assert changed.max() <= 50 + 17
    assert 50 in changed


def test_weighted_mean_counts_only_what_has_weight() -> None:
    values = torch.cat([torch.full((1, 3, 10), 2.0), torch.full((1, 3, 30), 8.0)], dim=-1)
    weight = torch.cat([torch.ones(1, 10), torch.zeros(1, 30)], dim=-1)
    torch.testing.assert_close(clip_mean(values, weight), torch.full((1, 3, 1), 2.0))
    torch.testing.assert_close(clip_mean(values), torch.full((1, 3, 1), 6.5))
    assert (clip_mean(values, torch.zeros(1, 40)) == 0).all()


def test_learns_a_delayed_envelope() -> None:
    torch.manual_seed(1)
    encoder = AudioEncoder(SMALL)
    readout = torch.nn.Conv1d(16, 1, 1)
    optimiser = torch.optim.AdamW([*encoder.parameters(), *readout.parameters()], 3e-3)
    losses = []
    for _ in range(60):
        values = torch.randn(4, 24, 64)
        target = values[:, :1, 0::2].roll(2, dims=-1)  # what channel 0 was two video frames ago
        loss = (readout(encoder(values)) - target)[..., 4:].square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_unknown_normalisation_is_refused() -> None:
    with pytest.raises(ValueError, match="'frame' or 'clip'"):
        AudioEncoderConfig(normalise="batch")
