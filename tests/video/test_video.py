# ruff: noqa: PT012, SIM117, S607
"""Films out and in: real encodes, looked at through the reader and through ffmpeg's own header."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import textwrap
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import scipy.io.wavfile
from conftest import ROOT

from portrait_anim.audio.load import load_audio
from portrait_anim.errors import AudioError, OptionError, OutputError, VideoError
from portrait_anim.system import ffmpeg
from portrait_anim.video.reader import Clip, probe, read_frames
from portrait_anim.video.writer import Writer, check_fps, check_output

pytestmark = pytest.mark.media

RATE = 16_000


def run(*arguments: str | Path) -> None:
    subprocess.run([ffmpeg.ffmpeg_exe(), "-nostdin", "-loglevel", "error", "-y", *map(str, arguments)], check=True)


def picture(width: int = 96, height: int = 64) -> np.ndarray:
    """A smooth picture: gradients in all three channels, with saturated colours."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    return np.round(255 * np.stack([x, y, 1 - x * y], axis=2)).astype(np.uint8)


def beep(seconds: float, rate: int = RATE, start_s: float = 0.3) -> np.ndarray:
    t = np.arange(round(seconds * rate)) / rate
    return np.where(t >= start_s, 0.5 * np.sin(2 * np.pi * 440 * t), 0).astype(np.float32)


def write(path: Path, n_frames: int = 10, size: tuple[int, int] = (96, 64), fps: float = 25, **options: object) -> None:
    with Writer(path, size, fps, **options) as writer:  # type: ignore[arg-type]
        for _ in range(n_frames):
            writer.write(picture(*size))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# the writer: what is in the file


def test_film_has_the_asked_for_streams(tmp_path: Path) -> None:
    write(tmp_path / "film.mp4", n_frames=25, audio=(beep(1.0), RATE), metadata={"comment": "made: by us = 1"})
    assert names(tmp_path) == ["film.mp4"]
    assert probe(tmp_path / "film.mp4") == Clip((96, 64), 25.0, 25, 1.0, has_audio=True)
    text = ffmpeg.header(tmp_path / "film.mp4")
    assert "h264" in text
    assert "yuv420p(tv, bt709" in text
    assert "aac (LC)" in text
    data = (tmp_path / "film.mp4").read_bytes()
    assert b"made: by us = 1" in data
    assert data.index(b"moov") < data.index(b"mdat")  # faststart: plays while it loads


def test_colours_come_back(tmp_path: Path) -> None:
    reference = picture(192, 128)
    write(tmp_path / "film.mp4", n_frames=5, size=(192, 128))
    frames = np.stack(list(read_frames(tmp_path / "film.mp4"))).astype(np.float64)  # (T, H, W, 3)
    error = frames - reference
    assert np.abs(error.mean(axis=(0, 1, 2))).max() < 1.0  # no shift of any channel
    assert np.abs(error).mean() < 1.5
    grey = np.full((64, 64, 3), 128, np.uint8)
    with Writer(tmp_path / "grey.mp4", (64, 64), 25) as writer:
        writer.write(grey)
    assert np.abs(next(read_frames(tmp_path / "grey.mp4")).astype(int) - 128).max() <= 1


@pytest.mark.parametrize("size", [(97, 64), (96, 65), (97, 65), (33, 101), (1, 1)])
def test_odd_sizes_are_padded_by_repeating_not_rescaled(tmp_path: Path, size: tuple[int, int]) -> None:
    width, height = size
    frame = np.zeros((height, width, 3), np.uint8)
    frame[:, width // 2 :] = 200  # one sharp edge, which a rescale would blur
    with Writer(tmp_path / "film.mp4", size, 25) as writer:
        writer.write(frame)
    back = next(read_frames(tmp_path / "film.mp4")).astype(int)
    assert back.shape == (height + height % 2, width + width % 2, 3)
    assert np.abs(back[:height, :width] - frame).mean() < 3
    assert np.abs(back[-1] - back[height - 1]).mean() < 3
    assert np.abs(back[:, -1] - back[:, width - 1]).mean() < 3


def test_frames_keep_their_order_and_number(tmp_path: Path) -> None:
    with Writer(tmp_path / "film.mp4", (64, 48), 30) as writer:
        for i in range(120):
            writer.write(np.full((48, 64, 3), 2 * i, np.uint8))
        assert writer.n_frames == 120
    levels = [round(float(frame.mean())) for frame in read_frames(tmp_path / "film.mp4")]
    np.testing.assert_allclose(levels, 2 * np.arange(120), atol=2)


def test_views_and_reused_buffers_are_taken_as_they_are(tmp_path: Path) -> None:
    wide = picture(200, 64)
    buffer = np.ascontiguousarray(wide[:, 10:106])
    with Writer(tmp_path / "film.mp4", (96, 64), 25) as writer:
        writer.write(wide[:, 10:106])  # not contiguous
        writer.write(buffer)
        buffer[:] = 0  # the writer is done with it
        writer.write(wide[:, 10:106][:, ::-1])  # negative stride
    first, second, third = (frame.astype(int) for frame in read_frames(tmp_path / "film.mp4"))
    for frame, reference in ((first, wide[:, 10:106]), (second, wide[:, 10:106]), (third, wide[:, 105:9:-1])):
        assert np.abs(frame - reference).mean() < 3


@pytest.mark.parametrize(
    ("fps", "meant"),
    [
        (25, Fraction(25)),
        (29.97, Fraction(30000, 1001)),
        (30000 / 1001, Fraction(30000, 1001)),
        (12.5, Fraction(25, 2)),
    ],
)
def test_frame_rates(tmp_path: Path, fps: float, meant: Fraction) -> None:
    assert check_fps(fps) == meant
    write(tmp_path / "film.mp4", n_frames=30, fps=fps)
    clip = probe(tmp_path / "film.mp4")
    assert clip.n_frames == 30
    assert clip.fps == pytest.approx(float(meant), rel=1e-3)


# the writer: the sound


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("seconds", [0.33, 1.87])
def test_sound_keeps_length_place_and_pitch(tmp_path: Path, rate: int, seconds: float) -> None:
    n_frames = round(seconds * 25)
    write(tmp_path / "film.mp4", n_frames=n_frames, audio=(beep(seconds, rate, start_s=0.1), rate))
    sound = load_audio(tmp_path / "film.mp4")
    assert len(sound) / RATE == pytest.approx(seconds, abs=1 / 25)
    onset_s = np.flatnonzero(np.abs(sound) > 0.1)[0] / RATE
    assert onset_s == pytest.approx(0.1, abs=0.004)
    assert np.abs(sound).max() == pytest.approx(0.5, rel=0.15)
    assert probe(tmp_path / "film.mp4").n_frames == n_frames


@pytest.mark.parametrize("suffix", ["wav", "mp3", "flac", "ogg", "opus", "m4a", "mp4"])
def test_sound_files_of_every_kind(tmp_path: Path, suffix: str) -> None:
    scipy.io.wavfile.write(tmp_path / "ref.wav", 44_100, np.stack([beep(1.4, 44_100)] * 2, axis=1))
    source = tmp_path / f"-dash é {suffix}.{suffix}"
    extra = ["-f", "lavfi", "-i", "testsrc=s=32x32:d=1.4"] if suffix == "mp4" else []
    run("-i", tmp_path / "ref.wav", *extra, "-metadata", "title=secret place", source.absolute())
    write(tmp_path / "film.mp4", n_frames=35, audio=source)
    heard, written = load_audio(source), load_audio(tmp_path / "film.mp4")
    assert len(written) / RATE == pytest.approx(1.4, abs=1 / 25)
    for sound in (heard, written):  # what the model hears is where the film plays it
        assert np.flatnonzero(np.abs(sound) > 0.1)[0] / RATE == pytest.approx(0.3, abs=0.005)
    assert "stereo" in ffmpeg.header(tmp_path / "film.mp4")
    assert b"secret place" not in (tmp_path / "film.mp4").read_bytes()  # the source's own tags stay behind
    assert "".join(names(tmp_path)).count(".mp4") == 1 + (suffix == "mp4")


def test_surround_becomes_stereo_and_8_khz_stays_playable(tmp_path: Path) -> None:
    scipy.io.wavfile.write(tmp_path / "six.wav", 96_000, np.stack([beep(1.0, 96_000)] * 6, axis=1))
    write(tmp_path / "six.mp4", n_frames=25, audio=tmp_path / "six.wav")
    assert "48000 Hz, stereo" in ffmpeg.header(tmp_path / "six.mp4")
    write(tmp_path / "eight.mp4", n_frames=25, audio=(beep(1.0, 8_000), 8_000))
    assert "16000 Hz, mono" in ffmpeg.header(tmp_path / "eight.mp4")


@pytest.mark.parametrize("duration_s", [0.5, 1.0, 1.6])
def test_duration_cuts_or_fills_the_sound(tmp_path: Path, duration_s: float) -> None:
    write(tmp_path / "film.mp4", n_frames=round(duration_s * 25), audio=(beep(1.0), RATE), duration_s=duration_s)
    sound = load_audio(tmp_path / "film.mp4")
    assert len(sound) / RATE == pytest.approx(duration_s, abs=0.01)
    assert np.abs(sound[round(1.1 * RATE) :]).max(initial=0) < 0.01


def test_long_sound_and_chatty_ffmpeg_do_not_block(tmp_path: Path) -> None:
    # a damaged mp3 of half a minute: hundreds of complaints on stderr beside the frames on stdin
    run("-f", "lavfi", "-i", "sine=d=30", "-c:a", "libmp3lame", tmp_path / "whole.mp3")
    data = np.frombuffer((tmp_path / "whole.mp3").read_bytes(), np.uint8).copy()
    data[5_000::100] ^= 0xFF
    (tmp_path / "hurt.mp3").write_bytes(data.tobytes())
    write(tmp_path / "film.mp4", n_frames=300, audio=tmp_path / "hurt.mp3")
    assert probe(tmp_path / "film.mp4").n_frames == 300


# the writer: nothing half-written


def test_overwrite_must_be_asked_for_before_anything_starts(tmp_path: Path) -> None:
    target = tmp_path / "film.mp4"
    target.write_bytes(b"precious")
    with pytest.raises(OutputError, match=r"exists already.*--force.*overwrite=True"):
        Writer(target, (64, 64), 25)
    assert target.read_bytes() == b"precious"
    write(target, overwrite=True)
    assert probe(target).n_frames == 10
    assert names(tmp_path) == ["film.mp4"]


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    target = tmp_path / "film.mp4"
    with pytest.raises(OutputError, match="exists already"), Writer(target, (96, 64), 25) as writer:
        writer.write(picture())
        target.write_bytes(b"faster")
    assert target.read_bytes() == b"faster"
    assert names(tmp_path) == ["film.mp4"]


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "folder.mp4").mkdir()
    cases = {
        tmp_path / "film.avi": "must end in .mp4",
        tmp_path / "film": "must end in .mp4",
        tmp_path / "none" / "film.mp4": "does not exist",
        tmp_path / "folder.mp4": "a folder has that name",
        tmp_path / ("x" * 400 + ".mp4"): "choose another name",
        tmp_path / "a\0b.mp4": "choose another name",
    }
    for path, words in cases.items():
        with pytest.raises(OutputError, match=words) as caught:
            check_output(path)
        assert "\n" not in str(caught.value)
    if os.geteuid() != 0:  # root may write anywhere
        (tmp_path / "locked").mkdir(mode=0o500)
        with pytest.raises(OutputError, match="no permission"):
            check_output(tmp_path / "locked" / "film.mp4")
    assert names(tmp_path) == ["folder.mp4"] or names(tmp_path) == ["folder.mp4", "locked"]


def test_the_sound_file_is_never_the_target(tmp_path: Path) -> None:
    write(tmp_path / "film.mp4", audio=(beep(0.4), RATE))
    with pytest.raises(OutputError, match="is the sound file itself"):
        Writer(tmp_path / "film.mp4", (64, 64), 25, tmp_path / "film.mp4", overwrite=True)


def test_unusable_sound_and_options(tmp_path: Path) -> None:
    target = tmp_path / "film.mp4"
    with pytest.raises(AudioError, match="not found"):
        Writer(target, (64, 64), 25, tmp_path / "none.wav")
    with pytest.raises(AudioError, match="NaN"):
        Writer(target, (64, 64), 25, (np.full(RATE, np.nan), RATE))
    for fps in (0, -1, float("nan"), float("inf"), 1000, "25", True):
        with pytest.raises(OptionError, match="fps"):
            Writer(target, (64, 64), fps)  # type: ignore[arg-type]
    for size in ((0, 64), (64, -2), (10_000, 64)):
        with pytest.raises(OptionError, match="cannot be encoded"):
            Writer(target, size, 25)
    with pytest.raises(OptionError, match="duration_s"):
        Writer(target, (64, 64), 25, duration_s=0)
    assert names(tmp_path) == []


def test_a_film_whose_sound_source_has_no_sound(tmp_path: Path) -> None:
    write(tmp_path / "mute.mp4")
    with pytest.raises(OutputError, match=r"mute.mp4 has no sound track"):
        write(tmp_path / "film.mp4", n_frames=200, audio=tmp_path / "mute.mp4")
    assert names(tmp_path) == ["mute.mp4"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit, GeneratorExit])
@pytest.mark.parametrize("n_frames", [0, 1, 60])
def test_an_error_in_the_block_leaves_nothing(tmp_path: Path, error: type[BaseException], n_frames: int) -> None:
    target = tmp_path / "film.mp4"
    target.write_bytes(b"old")
    writer = Writer(target, (96, 64), 25, (beep(1.0), RATE), overwrite=True)
    with pytest.raises(error), writer:
        assert writer._child is not None
        pid = writer._child.pid
        (raw_sound,) = writer._raw_audio
        for _ in range(n_frames):
            writer.write(picture())
        raise error
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["film.mp4"]
    assert not raw_sound.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_no_frames_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no frames"), Writer(tmp_path / "film.mp4", (64, 64), 25):
        pass
    assert names(tmp_path) == []


def test_wrong_frames_are_told_apart(tmp_path: Path) -> None:
    for frame in (np.zeros((64, 95, 3), np.uint8), np.zeros((64, 96), np.uint8), np.zeros((64, 96, 3), np.float32)):
        with pytest.raises(ValueError, match="expected"), Writer(tmp_path / "film.mp4", (96, 64), 25) as writer:
            writer.write(frame)
    with pytest.raises(ValueError, match="not open"):
        Writer(tmp_path / "film.mp4", (96, 64), 25).write(picture())
    assert names(tmp_path) == []


def test_encoder_death_is_an_output_error(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "film.mp4", (96, 64), 25)
    with pytest.raises(OutputError, match="the encoder stopped") as caught, writer:
        writer.write(picture())
        assert writer._child is not None
        os.kill(writer._child.pid, signal.SIGKILL)
        for _ in range(2000):
            writer.write(picture())
    assert isinstance(caught.value.__cause__, OSError)
    assert "signal 9" in str(caught.value)
    assert names(tmp_path) == []


def test_encoder_death_at_the_very_end(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "film.mp4", (96, 64), 25)
    with pytest.raises(OutputError, match="signal 9"), writer:
        writer.write(picture())
        assert writer._child is not None
        os.kill(writer._child.pid, signal.SIGKILL)
    assert names(tmp_path) == []


def test_full_disk_is_an_output_error(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk can only be mounted by root")
    try:
        noise = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
        with pytest.raises(OutputError, match=r"No space left on device.*free some space") as caught:
            with Writer(disk / "film.mp4", (128, 128), 25) as writer:
                for i in range(400):
                    writer.write(np.roll(noise, i, axis=1))
        assert "\n" not in str(caught.value)
        assert names(disk) == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_file_size_limit_is_an_output_error(tmp_path: Path) -> None:
    code = """
        import resource, sys
        import numpy as np
        from portrait_anim.errors import OutputError
        from portrait_anim.video.writer import Writer
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
        noise = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
        try:
            with Writer(sys.argv[1], (128, 128), 25) as writer:
                for i in range(400):
                    writer.write(np.roll(noise, i, axis=1))
        except OutputError as e:
            print("refused:", e)
    """
    result = script(code, tmp_path / "film.mp4")
    assert result.stdout.startswith("refused: cannot write"), result.stderr
    assert names(tmp_path) == []


def script(code: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_in_the_terminal_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    code = """
        import signal, sys
        import numpy as np
        from portrait_anim.video.writer import Writer
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        with Writer(sys.argv[1], (640, 480), 25) as writer:
            while True:
                writer.write(np.zeros((480, 640, 3), np.uint8))
                if writer.n_frames == 20:
                    print("writing", flush=True)
    """
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "film.mp4")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"writing\n"
    assert len(names(tmp_path)) == 1  # hidden, under its temporary name
    assert names(tmp_path)[0].startswith(".")
    os.killpg(child.pid, number)  # as a terminal does: to everybody in the group
    _, errors = child.communicate(timeout=20)
    assert names(tmp_path) == []
    assert child.returncode != 0
    assert b"OutputError" not in errors  # ffmpeg did not die of the signal before we did


def test_the_encoder_does_not_see_ctrl_c(tmp_path: Path) -> None:
    code = """
        import signal, sys
        import numpy as np
        from portrait_anim.video.writer import Writer
        stopped = []
        signal.signal(signal.SIGINT, lambda *_: stopped.append(1))
        with Writer(sys.argv[1], (64, 64), 25) as writer:
            writer.write(np.zeros((64, 64, 3), np.uint8))
            print("writing", flush=True)
            while not stopped:
                signal.pause()
            signal.sigtimedwait([], 0.3)
            for _ in range(9):  # a program that chooses to end its film properly
                writer.write(np.zeros((64, 64, 3), np.uint8))
    """
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "film.mp4")],
        stdout=subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"writing\n"
    time.sleep(0.3)  # into signal.pause()
    os.killpg(child.pid, signal.SIGINT)
    assert child.wait(timeout=20) == 0
    child.stdout.close()
    assert probe(tmp_path / "film.mp4").n_frames == 10


def test_hook_runs_on_the_finished_file_before_it_has_its_name(tmp_path: Path) -> None:
    target, seen = tmp_path / "film.mp4", []

    def sign(path: Path) -> None:
        seen.append((path.parent == tmp_path, path.name.startswith("."), target.exists(), probe(path).n_frames))
        with path.open("ab") as file:
            file.write(b"\0\0\0\x10freesigned!!")

    write(target, before_rename=sign)
    assert seen == [(True, True, False, 10)]
    assert target.read_bytes().endswith(b"signed!!")

    def fail(path: Path) -> None:
        raise RuntimeError("no key")

    with pytest.raises(RuntimeError, match="no key"):
        write(tmp_path / "other.mp4", before_rename=fail)
    assert names(tmp_path) == ["film.mp4"]


def test_odd_names_and_relative_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("-y.mp4", "Grüße 日本 🎤.mp4", "a%03d'b\".mp4", "x" * 251 + ".mp4", "http:film.MP4"):
        write(Path(name), audio=(beep(0.4), RATE))
        assert probe(name).n_frames == 10
    assert len(names(tmp_path)) == 5


def test_one_thread_and_many_give_films(tmp_path: Path) -> None:
    for threads in (1, 4):
        write(tmp_path / f"{threads}.mp4", threads=threads)
        assert probe(tmp_path / f"{threads}.mp4").n_frames == 10


# the reader


def test_rotation_is_applied(tmp_path: Path) -> None:
    write(tmp_path / "flat.mp4")
    run("-display_rotation", "90", "-i", tmp_path / "flat.mp4", "-c", "copy", tmp_path / "turned.mp4")
    assert probe(tmp_path / "turned.mp4").size == (64, 96)
    turned = next(read_frames(tmp_path / "turned.mp4")).astype(int)
    assert np.abs(turned - np.rot90(picture()).astype(int)).mean() < 3


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [
        ("mkv", "libx264"),
        ("webm", "libvpx-vp9"),
        ("mov", "mpeg4"),
        ("avi", "mpeg4"),
        ("gif", "gif"),
        ("mp4", "libx265"),
    ],
)
def test_containers_and_codecs(tmp_path: Path, suffix: str, codec: str) -> None:
    source = ["-f", "lavfi", "-i", "testsrc=s=128x96:r=20:d=1.5"]
    quiet = ["-x265-params", "log-level=none"] if codec == "libx265" else []
    run(*source, "-c:v", codec, *quiet, tmp_path / f"film.{suffix}")
    clip = probe(tmp_path / f"film.{suffix}")
    assert clip == Clip((128, 96), 20.0, 30, 1.5, has_audio=False)
    frames = list(read_frames(tmp_path / f"film.{suffix}"))
    assert len(frames) == 30
    assert all(frame.shape == (96, 128, 3) and frame.dtype == np.uint8 and frame.flags.writeable for frame in frames)


def test_asked_for_frame_rate_keeps_the_time(tmp_path: Path) -> None:
    with Writer(tmp_path / "film.mp4", (64, 48), 50) as writer:
        for i in range(100):
            writer.write(np.full((48, 64, 3), 2 * i, np.uint8))
    for fps in (25, 12.5, 100):
        levels = np.array([frame.mean() for frame in read_frames(tmp_path / "film.mp4", fps=fps)])
        assert len(levels) == pytest.approx(2 * fps, abs=1)
        times_s = np.arange(len(levels)) / fps
        np.testing.assert_allclose(levels, 2 * 50 * times_s, atol=5)  # 2 levels a source frame


def test_varying_frame_rate_is_read_frame_by_frame(tmp_path: Path) -> None:
    source = ["-f", "lavfi", "-i", "testsrc=s=64x64:r=30:d=2", "-vf", "select='not(mod(n,3))+lt(n,15)'"]
    run(*source, "-fps_mode", "vfr", "-c:v", "libx264", tmp_path / "vary.mp4")
    n_frames = 15 + 15
    assert len(list(read_frames(tmp_path / "vary.mp4"))) == n_frames
    assert probe(tmp_path / "vary.mp4").n_frames == n_frames
    assert len(list(read_frames(tmp_path / "vary.mp4", fps=30))) == pytest.approx(60, abs=3)


def test_reading_streams_and_closing_ends_the_child(tmp_path: Path) -> None:
    run(
        "-f",
        "lavfi",
        "-i",
        "testsrc=s=640x480:r=25:d=20",
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        tmp_path / "a.mp4",
    )

    def children() -> set[str]:
        return set(Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split())

    if not Path("/proc/self/task").exists():
        pytest.skip("counts children through /proc")
    before = children()
    start = time.perf_counter()
    frames = read_frames(tmp_path / "a.mp4")
    assert next(frames).shape == (480, 640, 3)
    assert children() - before
    frames.close()
    assert not children() - before
    assert time.perf_counter() - start < 5


def test_cover_art_is_no_video_but_does_not_hide_one(tmp_path: Path) -> None:
    run("-f", "lavfi", "-i", "testsrc=s=64x64", "-frames:v", "1", tmp_path / "cover.png")
    run("-f", "lavfi", "-i", "sine=d=1", "-i", tmp_path / "cover.png", "-map", "0", "-map", "1", tmp_path / "song.mp3")
    with pytest.raises(VideoError, match="no picture track"):
        probe(tmp_path / "song.mp3")
    assert len(load_audio(tmp_path / "song.mp3")) == pytest.approx(RATE, abs=50)


def test_damage_ends_the_film_early_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path / "film.mp4", n_frames=100, size=(320, 240))
    data = (tmp_path / "film.mp4").read_bytes()
    middle = (data.index(b"mdat") + len(data)) // 2
    (tmp_path / "cut.mp4").write_bytes(data[:middle])
    with caplog.at_level(logging.WARNING):
        n_frames = len(list(read_frames(tmp_path / "cut.mp4")))
    assert 0 < n_frames < 100
    assert "cut.mp4 is damaged in places" in caplog.text


def test_bad_videos_are_refused_in_one_line(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).bytes(50_000)
    (tmp_path / "noise.mp4").write_bytes(noise)
    (tmp_path / "text.mp4").write_text("no film\n" * 40)
    (tmp_path / "notes.txt").write_text("no film\n" * 40)
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "folder.mp4").mkdir()
    scipy.io.wavfile.write(tmp_path / "sound.wav", RATE, beep(1.0))
    write(tmp_path / "whole.mp4")
    (tmp_path / "cut.mp4").write_bytes((tmp_path / "whole.mp4").read_bytes()[:300])
    cases = {
        "missing.mp4": "not found",
        "empty.mp4": "empty file",
        "folder.mp4": "is a folder",
        "noise.mp4": "not a video",
        "text.mp4": "not a video",
        "notes.txt": "not a video",
        "cut.mp4": "not a video|cannot be decoded|no picture track",
        "sound.wav": "no picture track",
    }
    for name, words in cases.items():
        for use in (probe, lambda path: next(read_frames(path))):
            with pytest.raises(VideoError, match=words) as caught:
                use(tmp_path / name)
            assert "\n" not in str(caught.value)
            assert name in str(caught.value)
    with pytest.raises(OptionError, match="fps"):
        read_frames(tmp_path / "whole.mp4", fps=0)


# the child process


def test_stderr_never_fills_up(tmp_path: Path) -> None:
    # some megabytes of trace output against a pipe of 64 kB; nobody reads it before the end
    write(tmp_path / "film.mp4", n_frames=50)
    arguments = ["-nostdin", "-loglevel", "trace", *ffmpeg.file_input(tmp_path / "film.mp4")]
    child = ffmpeg.Child([*arguments, "-vf", "showinfo", "-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:1"])
    try:
        data = child.stdout.read()
        assert child.wait() == 0
    finally:
        child.kill()
    assert len(data) == 50 * 96 * 64 * 3
    assert 10 < len(child.log.splitlines()) <= 200  # only the end is kept


def test_input_paths_cannot_be_urls_or_playlists(tmp_path: Path) -> None:
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXTINF:5,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(VideoError, match=r"list\.m3u8"):
        next(read_frames(tmp_path / "list.m3u8"))
    with pytest.raises(VideoError, match="not found"):
        read_frames("http://127.0.0.1:9/film.mp4")


def test_memory_does_not_grow_with_the_film(tmp_path: Path) -> None:
    code = """
        import resource, sys
        import numpy as np
        from portrait_anim.video.reader import read_frames
        from portrait_anim.video.writer import Writer
        def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        frame = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
        peaks = []
        for n_frames in (20, 400):
            with Writer(sys.argv[1], (256, 256), 25, overwrite=True) as writer:
                for i in range(n_frames):
                    writer.write(np.full_like(frame, i % 256))
            assert sum(1 for _ in read_frames(sys.argv[1])) == n_frames
            peaks.append(peak())
        print(peaks[1] - peaks[0])
    """
    result = script(code, tmp_path / "film.mp4")
    assert int(result.stdout) < 20_000, result.stderr  # KiB; 400 frames are 77 MB
