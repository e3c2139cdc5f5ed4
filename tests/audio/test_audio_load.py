"""Sound in: real files of every kind, made by the bundled ffmpeg, judged by where and what the tone in them is."""

from __future__ import annotations

import logging
import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import scipy.io.wavfile

from portrait_anim.audio.load import load_audio
from portrait_anim.errors import AudioError
from portrait_anim.system.ffmpeg import ffmpeg_exe

pytestmark = pytest.mark.media

RATE = 16_000
TONE_HZ, ONSET_S, END_S, DURATION_S = 440.0, 0.5, 1.4, 2.0  # silence, tone, silence


def tone(rate: int, amplitude: float = 0.5) -> np.ndarray:
    t = np.arange(round(DURATION_S * rate)) / rate
    return np.where((t >= ONSET_S) & (t < END_S), amplitude * np.sin(2 * np.pi * TONE_HZ * (t - ONSET_S)), 0)


def ffmpeg(*arguments: str | Path) -> None:
    subprocess.run([ffmpeg_exe(), "-nostdin", "-loglevel", "error", "-y", *map(str, arguments)], check=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sounds")
    scipy.io.wavfile.write(folder / "reference.wav", 44_100, (tone(44_100) * 32767).astype(np.int16))
    return folder


def check_tone(
    waveform: np.ndarray, amplitude: float | None = 0.5, within_s: float = 0.005, start_s: float = 0.0
) -> None:
    """The tone starts, ends, sounds and is as loud as it was made, and the length is right."""
    assert waveform.dtype == np.float32
    assert waveform.ndim == 1
    assert np.abs(waveform).max() <= 1
    assert len(waveform) / RATE == pytest.approx(DURATION_S + start_s, abs=within_s)
    loud = np.flatnonzero(np.abs(waveform) > 0.2 * np.abs(waveform).max()) / RATE
    assert loud[0] == pytest.approx(ONSET_S + start_s, abs=within_s)
    assert loud[-1] == pytest.approx(END_S + start_s, abs=within_s)
    middle = waveform[round((0.7 + start_s) * RATE) : round((1.2 + start_s) * RATE)]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert np.fft.rfftfreq(len(middle), 1 / RATE)[spectrum.argmax()] == pytest.approx(TONE_HZ, abs=2)
    if amplitude is not None:
        assert np.sqrt(2 * np.mean(middle**2)) == pytest.approx(amplitude, rel=0.06)  # LAME takes off 5 %


CODECS = {
    "mp3": ["-c:a", "libmp3lame"],
    "flac": ["-c:a", "flac"],
    "ogg": ["-c:a", "libvorbis"],
    "opus": ["-c:a", "libopus"],
    "m4a": ["-c:a", "aac"],
    "webm": ["-c:a", "libopus"],
    "aiff": ["-c:a", "pcm_s16be"],
}


@pytest.mark.parametrize("suffix", CODECS)
def test_compressed_formats_keep_time_pitch_and_level(folder: Path, suffix: str) -> None:
    ffmpeg("-i", folder / "reference.wav", *CODECS[suffix], folder / f"tone.{suffix}")
    check_tone(load_audio(folder / f"tone.{suffix}"))


def test_raw_aac_keeps_its_encoder_delay(folder: Path) -> None:
    # ADTS has no place to note the delay: 1024 samples at 44.1 kHz = 23 ms are there for every player
    ffmpeg("-i", folder / "reference.wav", "-c:a", "aac", folder / "tone.aac")
    check_tone(load_audio(folder / "tone.aac"), within_s=0.05)


@pytest.mark.parametrize("codec", ["pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le"])
def test_wav_of_every_depth(folder: Path, codec: str) -> None:
    ffmpeg("-i", folder / "reference.wav", "-c:a", codec, folder / f"{codec}.wav")
    check_tone(load_audio(folder / f"{codec}.wav"), within_s=0.002)


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 48_000, 96_000, 192_000])
def test_wav_of_every_rate(folder: Path, rate: int) -> None:
    scipy.io.wavfile.write(folder / f"{rate}.wav", rate, (tone(rate) * 32767).astype(np.int16))
    check_tone(load_audio(folder / f"{rate}.wav"), within_s=0.002)


def test_16_khz_float_wav_passes_unchanged(folder: Path) -> None:
    samples = np.random.default_rng(0).uniform(-0.9, 0.9, RATE).astype(np.float32)
    scipy.io.wavfile.write(folder / "exact.wav", RATE, samples)
    np.testing.assert_array_equal(load_audio(folder / "exact.wav"), samples)


def test_stereo_and_surround_are_mixed_without_clipping(folder: Path) -> None:
    loud = (tone(48_000, 0.99) * 32767).astype(np.int16)
    scipy.io.wavfile.write(folder / "stereo.wav", 48_000, np.stack([loud, loud], 1))
    check_tone(load_audio(folder / "stereo.wav"), amplitude=0.99)
    scipy.io.wavfile.write(folder / "six.wav", 48_000, np.stack([loud] * 6, 1))
    ffmpeg("-channel_layout", "5.1", "-i", folder / "six.wav", "-c:a", "flac", folder / "surround.flac")
    check_tone(load_audio(folder / "surround.flac"), amplitude=0.99)


@pytest.mark.parametrize(("suffix", "codec"), [("mp4", "aac"), ("mkv", "libvorbis"), ("mov", "pcm_s16le")])
def test_sound_track_of_a_video(folder: Path, suffix: str, codec: str) -> None:
    picture = ["-f", "lavfi", "-i", "testsrc=s=64x64:r=25:d=2"]
    video = folder / f"film.{suffix}"
    ffmpeg(*picture, "-i", folder / "reference.wav", "-c:v", "libx264", "-c:a", codec, video)
    check_tone(load_audio(video))


def test_a_track_that_starts_late_keeps_its_place(folder: Path) -> None:
    picture = ["-f", "lavfi", "-i", "testsrc=s=64x64:r=25:d=3", "-itsoffset", "0.4", "-i", folder / "reference.wav"]
    ffmpeg(*picture, "-c:v", "libx264", "-c:a", "aac", folder / "late.mp4")
    waveform = load_audio(folder / "late.mp4")
    check_tone(waveform, start_s=0.4, within_s=0.03)
    assert not waveform[: round(0.38 * RATE)].any()


@pytest.mark.parametrize("name", ["-dash first.wav", "Grüße 日本 🎤.wav", "a:b%03d'quote\".wav", "line\nbreak.wav"])
def test_odd_file_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    scipy.io.wavfile.write(tmp_path / name, RATE, (tone(RATE) * 32767).astype(np.int16))
    check_tone(load_audio(name))


def test_loud_float_file_is_divided_by_its_peak(folder: Path) -> None:
    scipy.io.wavfile.write(folder / "loud.wav", RATE, tone(RATE, 4.0).astype(np.float32))
    check_tone(load_audio(folder / "loud.wav"), amplitude=1.0)


def test_silence_is_a_sound(folder: Path) -> None:
    scipy.io.wavfile.write(folder / "silence.wav", 22_050, np.zeros(22_050, np.int16))
    waveform = load_audio(folder / "silence.wav")
    assert len(waveform) == RATE
    assert not waveform.any()


@pytest.mark.parametrize("suffix", ["mp3", "flac", "m4a"])
def test_damage_in_the_middle_is_bridged_with_a_warning(
    folder: Path, caplog: pytest.LogCaptureFixture, suffix: str
) -> None:
    ffmpeg("-i", folder / "reference.wav", *CODECS[suffix], folder / f"whole.{suffix}")
    data = bytearray((folder / f"whole.{suffix}").read_bytes())
    middle = len(data) // 2
    data[middle : middle + 600] = np.random.default_rng(1).bytes(600)
    (folder / f"hurt.{suffix}").write_bytes(data)
    with caplog.at_level(logging.WARNING):
        waveform = load_audio(folder / f"hurt.{suffix}")
    assert f"hurt.{suffix} is damaged in places" in caplog.text
    assert len(waveform) / RATE == pytest.approx(DURATION_S, abs=0.2)
    onset_s = np.flatnonzero(np.abs(waveform) > 0.1)[0] / RATE
    assert onset_s == pytest.approx(ONSET_S, abs=0.005)


def test_a_cut_off_wav_gives_what_is_there(folder: Path) -> None:
    data = (folder / "reference.wav").read_bytes()
    (folder / "cut.wav").write_bytes(data[: 44 + 44_100 * 2])
    assert len(load_audio(folder / "cut.wav")) / RATE == pytest.approx(1.0, abs=0.002)


# arrays


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100, 48_000, 96_000])
def test_array_of_every_rate(rate: int) -> None:
    check_tone(load_audio((tone(rate), rate)), within_s=0.002)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32"])
def test_integer_arrays_have_their_own_full_scale(dtype: str) -> None:
    limits = np.iinfo(dtype)
    half = (int(limits.max) - int(limits.min)) // 2
    samples = np.round(tone(RATE) * half + (0 if limits.min else half + 1)).astype(dtype)
    check_tone(load_audio((samples, RATE)))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_float_arrays(dtype: str) -> None:
    check_tone(load_audio((tone(RATE).astype(dtype), RATE)))
    if dtype != "float16":
        check_tone(load_audio((tone(RATE, 32767.0).astype(dtype), RATE)), amplitude=1.0)


def test_channels_either_way_are_averaged() -> None:
    voice, nothing = tone(RATE), np.zeros(round(DURATION_S * RATE))
    check_tone(load_audio((np.stack([voice, nothing]), RATE)), amplitude=0.25)
    check_tone(load_audio((np.stack([voice, nothing], axis=1), RATE)), amplitude=0.25)


def test_the_callers_array_is_left_alone() -> None:
    samples = tone(RATE, 2.0).astype(np.float32)
    before = samples.copy()
    load_audio((samples, RATE))
    np.testing.assert_array_equal(samples, before)


def test_files_and_arrays_agree(folder: Path) -> None:
    rate, samples = scipy.io.wavfile.read(folder / "reference.wav")
    difference = load_audio(folder / "reference.wav") - load_audio((samples, rate))
    assert np.sqrt(np.mean(difference**2)) < 0.002


# what cannot be used


def bad_files(folder: Path) -> dict[str, Path]:
    folder.mkdir(exist_ok=True)
    noise = np.random.default_rng(0).bytes(200_000)
    for suffix in ("wav", "mp3", "ogg", "aac", "flac", "m4a"):
        (folder / f"noise.{suffix}").write_bytes(noise)
        (folder / f"text.{suffix}").write_text("this is no sound\n" * 50)
    (folder / "notes.txt").write_text("this is no sound\n" * 50)
    (folder / "empty.wav").touch()
    (folder / "folder.wav").mkdir()
    os.mkfifo(folder / "pipe.wav")
    scipy.io.wavfile.write(folder / "short.wav", RATE, np.ones(RATE // 5 - 1, np.int16))
    scipy.io.wavfile.write(folder / "header_only.wav", RATE, np.zeros(0, np.int16))
    nan = tone(RATE).astype(np.float32)
    nan[1000] = np.nan
    scipy.io.wavfile.write(folder / "nan.wav", RATE, nan)
    scipy.io.wavfile.write(folder / "nan_44100.wav", 44_100, nan)
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=64x64:r=25:d=1", "-c:v", "libx264", folder / "mute.mp4")
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=64x64:r=25:d=1", "-frames:v", "1", folder / "picture.png")
    ffmpeg("-f", "lavfi", "-i", "sine=d=2", "-c:a", "aac", folder / "whole.m4a")
    (folder / "cut.m4a").write_bytes((folder / "whole.m4a").read_bytes()[:8000])
    (folder / "list.m3u8").write_text("#EXTM3U\n#EXTINF:5,\nhttp://127.0.0.1:9/a.ts\n")
    return {path.name: path for path in folder.iterdir()}


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return bad_files(tmp_path_factory.mktemp("bad"))


BAD = {
    "missing.wav": "not found",
    "empty.wav": "empty file",
    "folder.wav": "is a folder",
    "pipe.wav": "not a regular file",
    "short.wav": "lasts 0.1999 s: at least 0.2 s",
    "header_only.wav": "lasts 0.0000 s",
    "nan.wav": "NaN or infinite",
    "nan_44100.wav": "NaN or infinite",
    "mute.mp4": "no sound track",
    "picture.png": "no sound track",
    "cut.m4a": "moov atom not found",
    "notes.txt": "not a sound",
    "list.m3u8": "is an m3u8 playlist",
    **{f"text.{suffix}": "not a sound" for suffix in ("wav", "mp3", "ogg", "aac", "m4a")},
    "text.flac": "not a sound|damaged",
    **{f"noise.{suffix}": "not a sound|damaged" for suffix in ("wav", "mp3", "ogg", "aac", "flac", "m4a")},
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused_in_one_line(bad: dict[str, Path], name: str) -> None:
    path = bad.get(name, Path("/nonexistent") / name)
    with pytest.raises(AudioError) as caught:
        load_audio(path)
    message = str(caught.value)
    assert "\n" not in message
    assert name in message
    assert re.search(BAD[name], message), message
    assert "Invalid argument" not in message


def test_names_that_no_file_can_have() -> None:
    for name in ("", "a\0b.wav", "x" * 5000 + ".wav"):
        with pytest.raises(AudioError) as caught:
            load_audio(name)
        assert "\n" not in str(caught.value)


WAVE = np.zeros(RATE, np.float32)
BAD_ARRAYS = {
    "rate zero": ((WAVE, 0), "outside 1000-768000"),
    "rate negative": ((WAVE, -16_000), "outside"),
    "rate huge": ((WAVE, 10_000_000), "outside"),
    "rate NaN": ((WAVE, float("nan")), "whole number"),
    "rate fraction": ((WAVE, 16_000.5), "whole number"),
    "rate text": ((WAVE, "16000"), "whole number"),
    "rate bool": ((WAVE, True), "whole number"),
    "swapped": ((RATE, WAVE), "in this order"),
    "NaN": ((np.full(RATE, np.nan, np.float32), RATE), "NaN"),
    "infinite": ((np.full(RATE, np.inf), RATE), "infinite"),
    "float64 beyond float32": ((np.full(RATE, 1e300), RATE), "infinite"),
    "empty": ((np.zeros(0), RATE), "lasts 0.0000 s"),
    "short": ((np.zeros(3199), RATE), "at least 0.2 s"),
    "three axes": ((np.zeros((1, 1, RATE)), RATE), "shape"),
    "scalar": ((np.float32(0.0), RATE), "shape"),
    "no channels": ((np.zeros((100, 200)), RATE), "neither axis"),
    "int64": ((np.zeros(RATE, np.int64), RATE), "full scale"),
    "bool": ((np.zeros(RATE, bool), RATE), "full scale"),
    "complex": ((np.zeros(RATE, complex), RATE), "full scale"),
    "text": ((np.array(["a"] * RATE), RATE), "full scale"),
    "no rate": (WAVE, "is no sound"),
    "none": (None, "is no sound"),
}


@pytest.mark.parametrize("case", BAD_ARRAYS)
def test_bad_arrays_are_refused_in_one_line(case: str) -> None:
    audio, words = BAD_ARRAYS[case]
    with pytest.raises(AudioError, match=words) as caught:
        load_audio(audio)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
