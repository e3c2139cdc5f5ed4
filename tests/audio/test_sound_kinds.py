"""Recordings as people have them: glued, in several tracks, cancelling, too loud, too quiet, too long, lists of others.

What the nets hear and what the film plays are compared sample by sample.
"""

from __future__ import annotations

import logging
import re
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import scipy.io.wavfile
import soundfile
from conftest import ROOT

from portrait_anim import Animator
from portrait_anim.audio.clock import Clock
from portrait_anim.audio.load import load_audio, load_sound
from portrait_anim.audio.mix import contents_of
from portrait_anim.audio.sound import Sound
from portrait_anim.audio.track import Track
from portrait_anim.errors import AudioError, OptionError, OutputError, PhotoError, PortraitAnimError, VideoError
from portrait_anim.motion.model import MotionModel
from portrait_anim.options import FilmOptions, parse_duration
from portrait_anim.system.ffmpeg import ffmpeg_exe
from portrait_anim.video.reader import read_frames
from portrait_anim.video.writer import Writer

pytestmark = pytest.mark.media

SPEECH = ROOT / "examples" / "speech.flac"
CASES = ROOT.parent / "shared" / "cases"
RATE = 16_000
needs_cases = pytest.mark.skipif(not CASES.is_dir(), reason="shared/cases is not here")


def ffmpeg(*arguments: object) -> None:
    subprocess.run([ffmpeg_exe(), "-nostdin", "-loglevel", "error", "-y", *map(str, arguments)], check=True)


def cut(target: Path, start_s: float, *arguments: object, seconds: float = 2.0) -> Path:
    """Two seconds of speech in any format."""
    ffmpeg("-ss", start_s, "-t", seconds, "-i", SPEECH, *arguments, target)
    return target


def spoken(start_s: float, seconds: float = 2.0) -> np.ndarray:
    return load_audio(SPEECH)[round(start_s * RATE) : round((start_s + seconds) * RATE)]


def film_of(sound: Sound, folder: Path) -> np.ndarray:
    """What a film of the sound plays, mono at 16 kHz."""
    target = folder / "film.mp4"
    with Writer(target, (64, 64), 25, sound.film, overwrite=True) as writer:
        for _ in range(round(len(sound.waveform) / RATE * 25)):
            writer.write(np.zeros((64, 64, 3), np.uint8))
    arguments = ["-i", str(target), "-ac", "1", "-ar", str(RATE), "-f", "f32le", "pipe:1"]
    made = subprocess.run([ffmpeg_exe(), "-loglevel", "error", *arguments], check=True, capture_output=True)
    return np.frombuffer(made.stdout, "<f4")


def lag(a: np.ndarray, b: np.ndarray, most: int) -> tuple[int, float]:
    """By how many samples b comes after a, and how alike they are then, 0..1."""
    size = 1 << (2 * max(len(a), len(b)) - 1).bit_length()
    products = np.fft.irfft(np.fft.rfft(b, size) * np.conj(np.fft.rfft(a, size)), size)
    near = np.concatenate([products[-most:], products[: most + 1]])
    alike = near.max() / np.sqrt((a**2).sum() * (b**2).sum() + 1e-12)
    return int(near.argmax()) - most, float(alike)


def check_in_step(heard: np.ndarray, film: np.ndarray) -> None:
    """The film plays what was heard, at the same time, along its whole length."""
    assert len(film) == pytest.approx(len(heard), abs=0.03 * RATE)
    n_checked = 0
    for start in range(0, min(len(heard), len(film)) - RATE // 2, RATE // 2):
        a, b = heard[start : start + RATE // 2], film[start : start + RATE // 2]
        if np.sqrt((a**2).mean()) > 0.01:
            shift, alike = lag(a, b, 2000)
            assert abs(shift) <= 16, f"{shift} samples off at {start / RATE} s"  # 1 ms
            assert alike > 0.9
            n_checked += 1
    assert n_checked >= 2


def place_of(part: np.ndarray, whole: np.ndarray) -> float:
    """Where (s) in a recording a second of speech is found."""
    size = 1 << (len(part) + len(whole)).bit_length()
    products = np.fft.irfft(np.fft.rfft(whole, size) * np.conj(np.fft.rfft(part, size)), size)[: len(whole)]
    return int(np.abs(products).argmax()) / RATE


# containers that hold their own data, and lists of others

FORMATS = {
    "wav": [], "w64": [], "rf64.wav": ["-rf64", "always"], "aiff": [], "caf": ["-c:a", "pcm_s16be"], "flac": [],
    "mp3": [], "mp3.wav": ["-c:a", "mp3"], "ogg": ["-c:a", "libvorbis"], "opus": [], "oga": ["-c:a", "flac"],
    "m4a": ["-c:a", "aac"], "alac.m4a": ["-c:a", "alac"], "mp4": ["-c:a", "aac"], "mov": ["-c:a", "pcm_s16le"],
    "mkv": ["-c:a", "flac"], "mka": ["-c:a", "libvorbis"], "webm": ["-c:a", "libopus"], "avi": ["-c:a", "mp3"],
    "ts": ["-c:a", "aac"], "m2ts": ["-c:a", "ac3"], "wma": ["-c:a", "wmav2"], "asf": ["-c:a", "wmav2"],
    "amr": ["-c:a", "libopencore_amrnb", "-ar", "8000"], "3gp": ["-c:a", "libopencore_amrnb", "-ar", "8000"],
    "ac3": [], "eac3": [], "dts": ["-c:a", "dca", "-strict", "-2"], "aac": [], "au": [], "wv": ["-c:a", "wavpack"],
    "tta": ["-c:a", "tta"], "flv": ["-c:a", "aac", "-ar", "44100"], "mpg": ["-c:a", "mp2"], "vob": ["-c:a", "ac3"],
    "mp2": [], "voc": [], "ulaw.wav": ["-c:a", "pcm_mulaw"], "adpcm.wav": ["-c:a", "adpcm_ima_wav"],
    "g722": ["-ar", "16000"], "nut": [], "sox": [],
}  # fmt: skip


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_people_have_is_read_without_a_note(
    tmp_path: Path, suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        heard = load_audio(cut(tmp_path / f"a.{suffix}", 0, "-ac", 1, *FORMATS[suffix]))
    assert len(heard) / RATE == pytest.approx(2.0, abs=0.13)
    shift, alike = lag(spoken(0), heard, 1600)
    assert alike > 0.8
    assert abs(shift) < 0.08 * RATE
    assert caplog.text == ""


LISTS = {
    "hls.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nsecret.ts\n#EXT-X-ENDLIST\n",
    "hls.wav": "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nsecret.ts\n#EXT-X-ENDLIST\n",
    "hls.mp4": "\ufeff#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nsecret.ts\n#EXT-X-ENDLIST\n",
    "list.ffconcat": "ffconcat version 1.0\nfile secret.ts\n",
    "list.wav": "ffconcat version 1.0\nfile 'secret.ts'\n",
    "list.txt": "file 'secret.ts'\n",
    "call.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5000 RTP/AVP 0\n",
    "dash.mpd": '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
    'mediaPresentationDuration="PT2S"><Period><AdaptationSet mimeType="audio/mp4"><Representation id="1" '
    'bandwidth="64000"><BaseURL>secret.ts</BaseURL></Representation></AdaptationSet></Period></MPD>\n',
    "old.pls": "[playlist]\nFile1=secret.ts\nNumberOfEntries=1\n",
    "links.wax": '<asx version="3.0"><entry><ref href="secret.ts"/></entry></asx>\n',
    "titles.sub": "# VobSub index file, v7 (do not modify this line!)\n",
}


@pytest.fixture(scope="module")
def lists(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lists")
    picture = ["-f", "lavfi", "-i", "testsrc=s=64x64:r=25:d=2"]
    ffmpeg("-t", 2, "-i", SPEECH, *picture, "-c:a", "aac", "-c:v", "libx264", folder / "secret.ts")
    assert len(load_audio(folder / "secret.ts")) > RATE
    for name, text in LISTS.items():
        (folder / name).write_text(text, "utf-8")
    return folder


@pytest.mark.parametrize("name", LISTS)
def test_lists_of_other_files_are_refused_everywhere(lists: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(AudioError, match="names other files") as caught:
        load_audio(lists / name)
    assert "\n" not in str(caught.value)
    with pytest.raises(VideoError, match="names other files"):
        read_frames(lists / name)
    with pytest.raises(PortraitAnimError):
        film_of(Sound(name, np.zeros(8 * RATE, np.float32), Track(lists / name), (np.zeros(1), RATE)), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_list_that_is_not_known_is_not_opened_either(lists: Path) -> None:
    """The names of formats decide, not only what the first bytes look like."""
    hidden = lists / "hidden.wav"
    hidden.write_text("\n#comment\n" + LISTS["hls.m3u8"])
    with pytest.raises(AudioError):
        load_audio(hidden)


# recordings glued together

GLUED = {
    "mono, then stereo": ("mp3", ["-ac", 1, "-ar", 24000], ["-ac", 2, "-ar", 24000]),
    "another rate": ("mp3", ["-ac", 1, "-ar", 44100], ["-ac", 1, "-ar", 22050]),
    "aac of another rate": ("aac", ["-ac", 1, "-ar", 44100], ["-ac", 2, "-ar", 48000]),
    "clock back to zero, opus": ("webm", ["-c:a", "libopus"], ["-c:a", "libopus"]),
    "clock back to zero, vorbis": ("mkv", ["-c:a", "libvorbis"], ["-c:a", "libvorbis"]),
    "clock back to zero, flac": ("flac", ["-ar", 44100], ["-ar", 44100]),
    "transport stream": ("ts", ["-c:a", "aac", "-ac", 1, "-ar", 44100], ["-c:a", "aac", "-ac", 2, "-ar", 48000]),
    "ac3": ("ac3", ["-ac", 1], ["-ac", 2]),
}


@pytest.mark.parametrize("kind", GLUED)
def test_recordings_glued_together_are_heard_and_played_whole(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    suffix, first, second = GLUED[kind]
    parts = [cut(tmp_path / f"a.{suffix}", 0, *first), cut(tmp_path / f"b.{suffix}", 2, *second)]
    glued = tmp_path / f"glued.{suffix}"
    glued.write_bytes(b"".join(part.read_bytes() for part in parts))
    with caplog.at_level(logging.INFO):
        sound = load_sound(glued)
    assert len(sound.waveform) / RATE == pytest.approx(4.0, abs=0.2)
    assert place_of(spoken(0.3, 1), sound.waveform) == pytest.approx(0.3, abs=0.06)
    assert place_of(spoken(2.5, 1), sound.waveform) == pytest.approx(2.5, abs=0.2)
    (note,) = caplog.messages
    assert re.search(r"glued together at 2\.\d s", note)
    caplog.clear()
    check_in_step(sound.waveform, film_of(sound, tmp_path))
    assert caplog.messages == []


@pytest.mark.parametrize("looked_twice", [False, True])
@pytest.mark.parametrize("suffix", ["ogg", "opus", "mp3"])
def test_what_players_read_through_is_read_through(
    tmp_path: Path, suffix: str, looked_twice: bool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mixed_lines(clock: Clock, line: str) -> str | None:
        """Take a line as if another thread of ffmpeg had written into it, which happens now and then."""
        taken = take(clock, line)
        clock.doubtful = True
        return taken

    take = Clock.take
    if looked_twice:
        monkeypatch.setattr(Clock, "take", mixed_lines)
    parts = [cut(tmp_path / f"{start}.{suffix}", start, "-ac", 1) for start in (0, 2)]
    (tmp_path / f"glued.{suffix}").write_bytes(b"".join(part.read_bytes() for part in parts))
    sound = load_sound(tmp_path / f"glued.{suffix}")
    assert len(sound.waveform) / RATE == pytest.approx(4.0, abs=0.15)
    assert "damaged" not in caplog.text
    check_in_step(sound.waveform, film_of(sound, tmp_path))


@pytest.mark.parametrize("suffix", ["wav", "aiff", "m4a", "flv"])
def test_where_the_rest_cannot_be_read_it_is_told(
    tmp_path: Path, suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    parts = [cut(tmp_path / f"{start}.{suffix}", start, "-ac", 1, "-ar", 44100) for start in (0, 2)]
    (tmp_path / f"glued.{suffix}").write_bytes(b"".join(part.read_bytes() for part in parts))
    assert len(load_audio(parts[0])) / RATE == pytest.approx(2.0, abs=0.1)
    assert caplog.messages == []
    load_audio(tmp_path / f"glued.{suffix}")
    (note,) = caplog.messages
    assert "only the first 2.0 s are read" in note


@pytest.mark.parametrize("suffix", ["mp3", "aac", "ac3", "flac"])
def test_damage_is_not_taken_for_glue(tmp_path: Path, suffix: str, caplog: pytest.LogCaptureFixture) -> None:
    whole = cut(tmp_path / f"whole.{suffix}", 0, "-ac", 1, seconds=4).read_bytes()
    length_s = len(load_audio(tmp_path / f"whole.{suffix}")) / RATE
    for seed in range(12):
        rng = np.random.default_rng(seed)
        data = bytearray(whole)
        for at in rng.integers(2000, len(data) - 2000, 3):
            data[at : at + 100] = rng.bytes(100)
        hurt = tmp_path / f"hurt{seed}.{suffix}"
        hurt.write_bytes(data)
        caplog.clear()
        heard = load_audio(hurt)
        assert len(heard) / RATE == pytest.approx(length_s, abs=1.0), seed
        assert "glued" not in caplog.text


@pytest.mark.parametrize(
    ("gap_s", "total_s", "words"), [(5, 9, "no sound for 5.0 s at 2."), (1200, 4, "ahead by 20:00")]
)
@pytest.mark.parametrize("suffix", ["webm", "mkv"])
def test_gaps_in_the_clock(
    tmp_path: Path, suffix: str, gap_s: int, total_s: float, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    later = f"asetpts=PTS+if(gte(T\\,2)\\,{gap_s}/TB\\,0)"
    ffmpeg("-t", 4, "-i", SPEECH, "-af", later, "-c:a", "libopus", tmp_path / f"gap.{suffix}")
    with caplog.at_level(logging.INFO):
        sound = load_sound(tmp_path / f"gap.{suffix}")
    assert len(sound.waveform) / RATE == pytest.approx(total_s, abs=0.1)
    (note,) = caplog.messages
    assert words in note
    check_in_step(sound.waveform, film_of(sound, tmp_path))


@pytest.mark.parametrize("start_s", [1.0, 20.0, 40.0])
def test_a_track_that_begins_late_keeps_its_place(
    tmp_path: Path, start_s: float, caplog: pytest.LogCaptureFixture
) -> None:
    picture = ["-f", "lavfi", "-i", f"color=s=16x16:r=5:d={start_s + 2}"]
    late = ["-itsoffset", start_s, "-i", cut(tmp_path / "a.wav", 0, "-ac", 1)]
    ffmpeg(*picture, *late, "-c:v", "libx264", "-c:a", "aac", tmp_path / "late.mp4")
    with caplog.at_level(logging.INFO):
        sound = load_sound(tmp_path / "late.mp4")
    assert len(sound.waveform) / RATE == pytest.approx(start_s + 2, abs=0.05)
    assert not sound.waveform[: round((start_s - 0.1) * RATE)].any()
    assert lag(spoken(0), sound.waveform[round(start_s * RATE) :], 800)[1] > 0.9
    assert len(caplog.messages) == (start_s > 30)
    check_in_step(sound.waveform, film_of(sound, tmp_path))


# tracks


def two_tracks(target: Path, first: str, second: str, *options: str) -> Path:
    graph = f"[0:a]asplit[a][b];[a]{first}[x];[b]{second}[y]"
    ffmpeg("-t", 2, "-i", SPEECH, "-filter_complex", graph, "-map", "[x]", "-map", "[y]", *options, target)
    return target


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov", "ts"])
@pytest.mark.parametrize("default", [0, 1, None])
def test_of_several_tracks_the_default_or_the_first_with_sound(
    tmp_path: Path, suffix: str, default: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    """Track 1 is silent; it is never taken, even where it is the default."""
    marks = [f"-disposition:a:{k}" for k in (0, 1)]
    flags = [marks[0], "default" if default == 0 else "0", marks[1], "default" if default == 1 else "0"]
    file = two_tracks(tmp_path / f"two.{suffix}", "volume=0", "anull", "-c:a", "aac", *flags)
    with caplog.at_level(logging.INFO):
        sound = load_sound(file)
    assert lag(spoken(0), sound.waveform, 3200)[1] > 0.9
    (note,) = caplog.messages
    assert "has 2 sound tracks: number 2 is used" in note
    check_in_step(sound.waveform, film_of(sound, tmp_path))


def test_a_default_track_goes_before_the_first(tmp_path: Path) -> None:
    flags = ["-disposition:a:0", "0", "-disposition:a:1", "default"]
    file = two_tracks(tmp_path / "two.mkv", "areverse", "anull", "-c:a", "flac", *flags)
    sound = load_sound(file)
    assert lag(spoken(0), sound.waveform, 800)[1] > 0.99
    check_in_step(sound.waveform, film_of(sound, tmp_path))


def test_a_track_without_a_decoder_is_passed_over(tmp_path: Path) -> None:
    file = two_tracks(tmp_path / "two.mkv", "anull", "anull", "-c:a:0", "flac", "-c:a:1", "libopus")
    data = file.read_bytes()
    file.write_bytes(data.replace(b"A_FLAC", b"A_WHAT", 1))  # as phones write codecs of tomorrow
    sound = load_sound(file)
    assert lag(spoken(0), sound.waveform, 800)[1] > 0.9
    check_in_step(sound.waveform, film_of(sound, tmp_path))


# channels


def stereo(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.stack([left, right], 1).astype(np.float32)


def write(path: Path, samples: np.ndarray, rate: int = 48_000, subtype: str = "PCM_16") -> Path:
    soundfile.write(path, samples, rate, subtype=subtype)
    return path


@pytest.fixture(scope="module")
def voice() -> np.ndarray:
    """Two seconds at 48 kHz."""
    import soxr

    return np.asarray(soxr.resample(spoken(0), RATE, 48_000), np.float32)


def test_channels_that_cancel_are_not_averaged(tmp_path: Path, voice: np.ndarray) -> None:
    noise = 0.001 * np.random.default_rng(0).standard_normal(len(voice))
    for right in (-voice, -0.8 * voice, -voice + noise):
        both = stereo(voice, right)
        for given in (write(tmp_path / "anti.wav", both), (both, 48_000), (both.T, 48_000)):
            heard = load_audio(given)
            shift, alike = lag(spoken(0), heard, 100)
            assert (shift, alike > 0.99) == (0, True)
    quad = np.stack([voice, -voice, voice, -voice], 1)
    assert lag(spoken(0), load_audio((quad, 48_000)), 100)[1] > 0.99
    sound = load_sound((quad, 48_000))
    assert lag(sound.waveform, film_of(sound, tmp_path), 2000)[1] > 0.95


def test_a_channel_inverted_midway_is_heard_throughout(tmp_path: Path, voice: np.ndarray) -> None:
    right = voice.copy()
    right[len(right) // 2 :] *= -1
    heard = load_audio(write(tmp_path / "half.wav", stereo(voice, right)))
    for part in (slice(0, RATE // 2), slice(RATE + RATE // 2, 2 * RATE)):
        assert np.sqrt((heard[part] ** 2).mean()) == pytest.approx(np.sqrt((spoken(0)[part] ** 2).mean()), rel=0.02)


def test_ordinary_stereo_is_ffmpegs_own_downmix_bit_by_bit(tmp_path: Path, voice: np.ndarray) -> None:
    noise = 0.05 * np.random.default_rng(0).standard_normal((2, len(voice)))
    wide = stereo(voice + noise[0], 0.3 * np.roll(voice, 300) + noise[1])
    one_side, opposite = stereo(voice, 0 * voice), stereo(voice + noise[0], -0.3 * voice + noise[1])
    for both in (wide, one_side, opposite):
        path = write(tmp_path / "stereo.wav", both)
        arguments = ["-af", "aresample=rematrix_maxval=1.0:async=1:first_pts=0", "-ac", "1", "-ar", str(RATE)]
        made = subprocess.run(
            [ffmpeg_exe(), "-loglevel", "error", "-i", path, *arguments, "-f", "f32le", "pipe:1"],
            check=True, capture_output=True,
        )  # fmt: skip
        np.testing.assert_array_equal(load_audio(path), np.frombuffer(made.stdout, "<f4"))


@pytest.mark.parametrize("n_channels", [9, 18, 32])
def test_many_channels(tmp_path: Path, voice: np.ndarray, n_channels: int, caplog: pytest.LogCaptureFixture) -> None:
    samples = np.zeros((len(voice), n_channels), np.float32)
    samples[:, 3] = samples[:, 7] = voice
    for given in (write(tmp_path / "many.wav", samples), (samples, 48_000), (samples.T, 48_000)):
        caplog.clear()
        with caplog.at_level(logging.INFO):
            sound = load_sound(given)
        assert lag(spoken(0), sound.waveform, 100)[1] > 0.99
        assert np.abs(sound.waveform).max() == pytest.approx(np.abs(voice).max(), rel=0.1)
        (note,) = caplog.messages
        assert f"has {n_channels} channels: the mean of the 2 that are not silent" in note
        check_in_step(sound.waveform, film_of(sound, tmp_path))


@pytest.mark.parametrize("n_channels", [6, 12])
def test_a_voice_in_the_place_of_the_bass_is_heard(tmp_path: Path, voice: np.ndarray, n_channels: int) -> None:
    """Recorders number their inputs; ffmpeg takes six for 5.1 and leaves the fourth out of every downmix."""
    samples = np.zeros((len(voice), n_channels), np.float32)
    samples[:, 3] = voice
    sound = load_sound(write(tmp_path / "six.wav", samples))
    assert lag(spoken(0), sound.waveform, 100)[1] > 0.99
    check_in_step(sound.waveform, film_of(sound, tmp_path))


# levels


@pytest.mark.parametrize("scale", [3.0, 32767.0])
@pytest.mark.parametrize("n_channels", [1, 2])
def test_floats_beyond_full_scale_are_whole_in_the_film(
    tmp_path: Path, voice: np.ndarray, scale: float, n_channels: int
) -> None:
    samples = np.stack([voice, 0.5 * voice][:n_channels], 1) / np.abs(voice).max()
    sound = load_sound(write(tmp_path / "loud.wav", scale * samples, subtype="FLOAT"))
    film = film_of(sound, tmp_path)
    check_in_step(sound.waveform, film)
    assert 0.5 < np.abs(film).max() <= 1.05
    assert (np.abs(film) > 0.98 * np.abs(film).max()).mean() < 0.01  # not cut off


@pytest.mark.parametrize("stray", [300.0, -1e6])
@pytest.mark.parametrize(("rate", "n_channels"), [(16_000, 1), (44_100, 2)])
def test_a_stray_sample_is_taken_out(
    tmp_path: Path, stray: float, rate: int, n_channels: int, caplog: pytest.LogCaptureFixture
) -> None:
    import soxr

    clean = np.repeat(np.asarray(soxr.resample(spoken(0), RATE, rate))[:, None], n_channels, 1)
    samples = clean.copy()
    samples[rate // 2, 0] = stray
    sound = load_sound(write(tmp_path / "stray.wav", samples, rate, "FLOAT"))
    assert lag(spoken(0), sound.waveform, 100)[1] > 0.93
    assert np.sqrt((sound.waveform[RATE:] ** 2).mean()) == pytest.approx(
        np.sqrt((spoken(0)[RATE:] ** 2).mean()), rel=0.05
    )
    (note,) = caplog.messages
    assert re.search(r"stray samples.* 0\.5 s", note)
    check_in_step(sound.waveform, film_of(sound, tmp_path))
    heard = load_audio((samples, rate))
    assert lag(spoken(0), heard, 100)[1] > 0.93


def test_loud_moments_are_no_strays() -> None:
    rng = np.random.default_rng(0)
    quiet = 0.001 * rng.standard_normal(100 * RATE).astype(np.float32)
    quiet[RATE : RATE + RATE // 2] += 3 * spoken(0, 0.5) / np.abs(spoken(0, 0.5)).max()
    assert contents_of([quiet[:, None]], RATE).n_strays == 0
    assert contents_of([32767 * spoken(0)[:, None]], RATE).n_strays == 0


def test_measuring_in_blocks_is_measuring_at_once() -> None:
    samples = np.random.default_rng(0).standard_normal((3 * RATE + 77, 2)).astype(np.float32)
    whole, parts = contents_of([samples], RATE), contents_of(np.array_split(samples, 7), RATE)
    np.testing.assert_allclose(parts.energies, whole.energies, rtol=1e-9)
    np.testing.assert_allclose(parts.mean_energy, whole.mean_energy, rtol=1e-9)
    assert (parts.peak, parts.peak_at_s) == (whole.peak, whole.peak_at_s)
    assert len(whole.energies) == 7


@pytest.fixture(scope="module")
def model() -> MotionModel:
    return MotionModel.from_weights()


def opening(model: MotionModel, waveform: np.ndarray) -> np.ndarray:
    return model.space.aperture(model.analyse(waveform.astype(np.float32)).mouth)


@pytest.mark.parametrize("loss_db", [40, 50, 60])
def test_quiet_speech_opens_the_mouth(model: MotionModel, loss_db: float) -> None:
    usual = np.percentile(opening(model, spoken(0, 4)), 95)
    assert np.percentile(opening(model, spoken(0, 4) * 10 ** (-loss_db / 20)), 95) > 0.8 * usual


def test_quiet_noise_does_not(model: MotionModel) -> None:
    rng = np.random.default_rng(0)
    white = rng.standard_normal(4 * RATE)
    pink = np.fft.irfft(np.fft.rfft(white) / np.sqrt(np.arange(2 * RATE + 1) + 1))
    seconds = np.arange(4 * RATE) / RATE
    hum = sum(np.sin(2 * np.pi * 50 * k * seconds) / k for k in range(1, 6))
    swelling = white * (1 + np.sin(2 * np.pi * 3 * seconds))
    for noise in (white, pink, hum, swelling):
        for level_dbfs in (-55, -65, -80):
            moved = opening(model, noise / noise.std() * 10 ** (level_dbfs / 20))
            assert np.abs(moved).max() < 0.02
    assert np.abs(opening(model, rng.integers(-1, 2, 4 * RATE) / 32768)).max() < 0.01  # dither


@pytest.mark.parametrize(("suffix", "codec"), [("aac", "aac"), ("ima.wav", "adpcm_ima_wav"), ("ms.wav", "adpcm_ms")])
def test_a_cut_last_packet_is_no_damage(
    tmp_path: Path, suffix: str, codec: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = cut(tmp_path / f"a.{suffix}", 0, "-ac", 1, "-c:a", codec)
    path.write_bytes(path.read_bytes()[:-37])
    sound = load_sound(path)
    film_of(sound, tmp_path)
    assert caplog.messages == []


@needs_cases
def test_a_partial_last_packet_is_no_damage(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sound = load_sound(CASES / "gsm.wav")
    film_of(sound, tmp_path)
    assert caplog.messages == []


# the longest duration


@pytest.fixture(scope="module")
def hour(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("long") / "hour.flac"
    ffmpeg("-f", "lavfi", "-i", "anullsrc=r=16000:cl=mono", "-t", 3600, path)
    return path


def test_long_sounds_are_refused_before_they_are_decoded(hour: Path) -> None:
    begin = time.monotonic()
    with pytest.raises(AudioError, match=r"hour.flac lasts 1:00:00, longer than the allowed 30:00: .*--max-duration"):
        load_audio(hour, 1800)
    assert time.monotonic() - begin < 10


@pytest.mark.parametrize("suffix", ["webm", "ogg", "aac", "mp3", "wav", "mkv", "m4a"])
def test_every_format_has_the_limit(tmp_path: Path, suffix: str) -> None:
    path = cut(tmp_path / f"a.{suffix}", 0)
    assert len(load_audio(path, 2.2)) > RATE
    with pytest.raises(AudioError, match="longer than the allowed"):
        load_audio(path, 0.5)


def test_the_limit_holds_where_the_header_says_nothing(tmp_path: Path) -> None:
    made = subprocess.run(
        [ffmpeg_exe(), "-f", "lavfi", "-i", "anullsrc=r=16000:cl=mono", "-t", "300", "-f", "flac", "-"],
        check=True, capture_output=True,
    )  # fmt: skip
    (tmp_path / "stream.flac").write_bytes(made.stdout)
    with pytest.raises(AudioError, match=r"stream.flac is longer than the allowed 1:00:"):
        load_audio(tmp_path / "stream.flac", 60)
    assert len(load_audio(tmp_path / "stream.flac", 300)) == 300 * RATE


def test_a_header_that_says_too_much_refuses_nothing(tmp_path: Path) -> None:
    later = "asetpts=PTS+if(gte(T\\,1)\\,20000/TB\\,0)"
    ffmpeg("-t", 2, "-i", SPEECH, "-af", later, "-c:a", "libopus", tmp_path / "gap.webm")
    assert len(load_audio(tmp_path / "gap.webm")) / RATE == pytest.approx(2, abs=0.1)


def test_arrays_have_the_limit() -> None:
    with pytest.raises(AudioError, match=r"the waveform lasts 2.0 s, longer than the allowed 1.0 s"):
        load_audio((np.zeros(2 * RATE), RATE), 1)


def test_the_command_has_the_limit(hour: Path, face: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from portrait_anim.cli.main import animate_main

    arguments = [str(face), str(hour), "-o", str(tmp_path / "film.mp4"), "--max-duration", "0:30:00"]
    assert animate_main(arguments) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines == [
        f"error: {hour} lasts 1:00:00, longer than the allowed 30:00: cut it, or allow more with "
        "--max-duration (max_duration=seconds; an hour needs 0.3 GB for temporary files)"
    ]
    with pytest.raises(SystemExit):
        animate_main([*arguments[:-1], "1h"])
    assert "HH:MM:SS" in capsys.readouterr().err


def test_durations_are_read() -> None:
    assert [parse_duration(text) for text in ("90", "1.5", "1:30", "2:00:00")] == [90, 1.5, 90, 7200]
    for text in ("", "1:2:3:4", "-5", "1h", "1.5:00", "nan", "inf", ":"):
        with pytest.raises(OptionError, match="HH:MM:SS"):
            parse_duration(text)
    for seconds in (-1, float("nan"), float("inf"), True, "60"):
        with pytest.raises(OptionError, match="max_duration"):
            FilmOptions(max_duration=seconds)  # type: ignore[arg-type]


# what was heard is what is in the film


@pytest.fixture(scope="module")
def face(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from PIL import Image

    path = tmp_path_factory.mktemp("face") / "face.png"
    with Image.open(ROOT / "examples" / "astronaut.jpg") as picture:
        picture.resize((256, 256)).save(path)
    return path


@pytest.mark.parametrize(("what", "error"), [("sound", AudioError), ("photo", PhotoError)])
@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_that_changes_meanwhile_ends_without_a_film(
    tmp_path: Path, face: Path, what: str, error: type[PortraitAnimError], replaced: bool
) -> None:
    files = {"sound": cut(tmp_path / "a.wav", 0, seconds=1), "photo": tmp_path / "face.png"}
    files["photo"].write_bytes(face.read_bytes())

    def change(done: int, total: int) -> None:
        if done == 3:
            data = files[what].read_bytes()
            if replaced:
                files[what].unlink()
            files[what].write_bytes(data[:-500] + bytes(500))

    target = tmp_path / "film.mp4"
    with pytest.raises(error, match=f"{what} .* changed while the film was made") as caught:
        Animator(files["photo"]).animate(files["sound"], target, progress=change)
    assert "\n" not in str(caught.value)
    assert not target.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.wav", "face.png"]


def test_an_encoder_that_a_changed_sound_stops_is_no_fault_of_the_film(
    tmp_path: Path, face: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = cut(tmp_path / "a.wav", 0, seconds=1)

    def stopped(writer: Writer, frame: object) -> None:
        sound.write_bytes(bytes(500))
        raise OutputError("the encoder stopped")

    monkeypatch.setattr(Writer, "write", stopped)
    with pytest.raises(AudioError, match="changed while the film was made"):
        Animator(face).animate(sound, tmp_path / "film.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


def test_a_photo_that_changed_before_the_film_is_told(tmp_path: Path, face: Path) -> None:
    photo = tmp_path / "face.png"
    photo.write_bytes(face.read_bytes())
    animator = Animator(photo)
    photo.write_bytes(face.read_bytes()[:-500] + bytes(500))
    with pytest.raises(PhotoError, match="changed"):
        animator.animate(cut(tmp_path / "a.wav", 0, seconds=1), tmp_path / "film.mp4")


def test_files_that_are_only_touched_or_deleted_at_the_end_are_the_same(tmp_path: Path, face: Path) -> None:
    sound = cut(tmp_path / "a.wav", 0, seconds=1)

    def touch(done: int, total: int) -> None:
        if done == 2:
            sound.touch()
        elif done == 20:
            sound.unlink()

    assert Animator(face).animate(sound, tmp_path / "film.mp4", progress=touch).path.exists()


def test_an_unheard_voice_is_told(tmp_path: Path, face: Path, caplog: pytest.LogCaptureFixture) -> None:
    animator = Animator(face)
    noise = (0.01 * np.random.default_rng(0).standard_normal(RATE)).astype(np.float32)
    scipy.io.wavfile.write(tmp_path / "noise.wav", RATE, noise)
    scipy.io.wavfile.write(tmp_path / "quiet.wav", RATE, spoken(0, 1) / 100)
    scipy.io.wavfile.write(tmp_path / "silence.wav", RATE, np.zeros(RATE, np.int16))
    words = {
        "noise.wav": r"no voice was heard in \S*noise.wav \(its loudest parts reach -40 dBFS\): give",
        "quiet.wav": r"quiet.wav is very quiet \(its loudest parts reach -\d\d dBFS\)",
        "silence.wav": r"silence.wav is silent",
    }
    for name, pattern in words.items():
        caplog.clear()
        with caplog.at_level(logging.INFO):
            animator.motions(tmp_path / name)
        (note,) = caplog.messages
        assert re.search(pattern, note), note
    caplog.clear()
    with caplog.at_level(logging.INFO):
        animator.motions((spoken(0, 2), RATE))
    assert caplog.messages == []
