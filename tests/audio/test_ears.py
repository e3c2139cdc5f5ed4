"""The ears for live sound: what they hear in a window, how far ahead, and that their training learns and resumes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import EXAMPLES

from portrait_anim.audio.ears import Ears, EarsConfig, Hearing
from portrait_anim.audio.encoder import AudioEncoderConfig
from portrait_anim.audio.load import load_audio
from portrait_anim.audio.speech import SpeechConfig, SpeechFeatures
from portrait_anim.config import SAMPLE_RATE, SAMPLES_PER_FRAME
from portrait_anim.motion.model import MotionModel, MouthNet
from portrait_anim.motion.streaming import LiveMouth, LiveNets
from portrait_anim.training.data.clips import Example
from portrait_anim.training.speech.ears import JUDGED, NO_VOICE, EarsTrainConfig, Heard, Windows, train_ears

pytestmark = pytest.mark.media


@pytest.fixture(scope="module")
def hearing() -> Hearing:
    return Hearing.from_weights()


def test_a_window_is_heard_as_the_encoder_for_recordings_hears_it(hearing: Hearing) -> None:
    sound = torch.from_numpy(load_audio(EXAMPLES / "speech.flac")[: 2 * SAMPLE_RATE])[None]
    whole = SpeechFeatures.from_weights(config=SpeechConfig(("hama",)))
    with torch.no_grad():
        wanted = whole(sound).values
        gain = 10 ** (-20 / 20) / np.quantile(sound.view(-1, 400).std(-1, correction=0), 0.95)
        heard = hearing(sound * float(gain))
    assert heard.shape == wanted.shape == (1, 432, 100)
    assert float((heard - wanted).abs().mean()) < 0.02 * float(wanted.abs().mean())


def test_the_mouth_depends_on_no_more_than_its_window(hearing: Hearing) -> None:
    torch.manual_seed(0)
    config = EarsConfig(window=20, ahead=3)
    nets = LiveNets(hearing, Ears(config).eval(), MouthNet().eval())
    rng = np.random.default_rng(0)
    sound = (0.1 * rng.standard_normal(3 * SAMPLE_RATE)).astype(np.float32)
    frame = 40
    first, end = frame - (config.window - config.ahead - 1), frame + config.ahead + 1
    made = LiveMouth(nets).push(sound, last=True)[1]
    for place, same in ((end, True), (end - 1, False), (first - 1, True), (first, False)):
        other = sound.copy()
        other[place * SAMPLES_PER_FRAME : (place + 1) * SAMPLES_PER_FRAME] *= 0.7
        again = LiveMouth(nets)
        again._level = lambda piece: piece  # type: ignore[assignment]
        plain = LiveMouth(nets)
        plain._level = again._level
        a, b = plain.push(sound, last=True)[1], again.push(other, last=True)[1]
        assert bool((np.abs(a[frame] - b[frame]) < 1e-5).all()) == same
    assert len(made) == 75


def test_pieces_of_any_size_make_the_same_mouth() -> None:
    model = MotionModel.from_weights()
    speech = load_audio(EXAMPLES / "speech.flac")[: 2 * SAMPLE_RATE + 300]
    whole = model.live_mouth().push(speech, last=True)[0]
    for size, hop in ((333, 1), (5000, 4), (640, 2)):
        mouth = model.live_mouth(hop)
        parts = [mouth.push(speech[i : i + size])[0] for i in range(0, len(speech), size)]
        streamed = np.concatenate([*parts, mouth.push(speech[:0], last=True)[0]])
        np.testing.assert_allclose(streamed, whole, atol=1e-5)


SMALL = EarsTrainConfig(
    EarsConfig(AudioEncoderConfig(n_features=432, width=16, dilations=(1, 2), n_groups=2), window=30),
    steps=40, batch_size=4, learning_rate=5e-3,
)  # fmt: skip


def voices(n: int = 6) -> list[Heard]:
    """Sounds whose loudness is the mouth's first coefficient."""
    rng = np.random.default_rng(0)
    out = []
    for i in range(n):
        loud = np.repeat(rng.random(20), 5).astype(np.float32)  # (100,) frames
        sound = 0.2 * np.repeat(loud, SAMPLES_PER_FRAME) * rng.standard_normal(100 * SAMPLES_PER_FRAME)
        mouth = np.zeros((100, 16), np.float32)
        mouth[:, 0] = loud
        ones = np.ones(100, np.float32)
        features, mean = np.zeros((1, 200), np.float16), np.zeros((1, 1), np.float32)
        example = Example(f"clip {i}", f"person {i}", features, mean, mouth, ones, 0 * ones)
        out.append(Heard(sound.astype(np.float32), example, np.repeat(loud[:, None], 16, 1), 6 * ones))
    return out


def test_windows_are_what_live_sound_gives() -> None:
    rests = [np.full(100 * SAMPLES_PER_FRAME, 0.25, np.float32)]
    windows = Windows(voices(), rests, SMALL)
    sounds, judged, told = [], [], []
    for step in range(40):
        sound, mouth, valid, _, latents, odds = windows(step)
        assert sound.shape == (4, 30 * SAMPLES_PER_FRAME)
        assert mouth.shape == (4, 16, 30)
        assert latents.shape == (4, 16, 30)
        sounds.append(sound)
        judged.append(valid)
        told.append(odds)
    valid, odds = torch.cat(judged), torch.cat(told)
    assert valid[:, -3:].max() == 0  # what comes after the frame is heard, not judged
    assert valid[:, : 27 - JUDGED].max() == 0
    assert torch.unique(valid).tolist() == pytest.approx([0.0, 1 / 3, 1.0])
    assert 0.02 < float((odds[:, 0] == NO_VOICE).float().mean()) < 0.3
    starts = torch.cat(sounds)[:, : 5 * SAMPLES_PER_FRAME].abs().amax(1)
    assert 0 < int((starts == 0).sum()) < len(starts) / 2  # some begin in silence
    assert torch.equal(windows(7)[0], windows(7)[0])


def test_training_learns_and_resumes(hearing: Hearing, tmp_path: Path) -> None:
    net = MotionModel.from_weights()
    space = net.space
    given = voices()
    mouth = MouthNet().eval()
    mouth.generator.out = torch.nn.Conv1d(16, space.n_components, 1)
    wide = [Heard(h.sound, replace_mouth(h.example, space.n_components), h.latents, h.odds) for h in given]
    figures: list[float] = []

    def note(step: int, n: int, f: dict[str, float]) -> None:
        figures.append(f["latents"])

    whole = train_ears(mouth, space, hearing, wide, [], SMALL, tmp_path / "whole", note)
    assert np.mean(figures[-8:]) < 0.8 * np.mean(figures[:8])

    def stop(step: int, n: int, f: dict[str, float]) -> None:
        if step == 25:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_ears(mouth, space, hearing, wide, [], SMALL, tmp_path / "halves", stop, save_every=10)
    resumed = train_ears(mouth, space, hearing, wide, [], SMALL, tmp_path / "halves")
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value)


def replace_mouth(example: Example, n_components: int) -> Example:
    mouth = np.zeros((len(example.mouth), n_components), np.float32)
    mouth[:, 0] = 0.1 * example.mouth[:, 0]
    return Example(example.name, example.person, example.features, example.mean, mouth, example.valid, example.closed)
