"""The real command in a subprocess, from photo and sound to a film, and what it says on the way."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import command, cut, environment, run_cli

from portrait_anim import __version__
from portrait_anim.cli.main import animate_main
from portrait_anim.video.reader import probe

pytestmark = pytest.mark.package

LAST_LINE = re.compile(r"wrote (?P<path>.+): (?P<s>[\d.]+) s, (?P<n>\d+) frames at (?P<fps>[\d.]+) fps, (\d+)x(\d+)")


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory, small_astronaut: Path, second_of_speech: Path) -> Path:
    """A folder in which a film was made with just two names; said.txt and notes.txt hold what was printed."""
    folder = tmp_path_factory.mktemp("film")
    done = run_cli([small_astronaut, second_of_speech], folder)
    assert done.returncode == 0, done.stderr
    (folder / "said.txt").write_text(done.stdout)
    (folder / "notes.txt").write_text(done.stderr)
    return folder


def test_film_has_the_sounds_length(film: Path) -> None:
    clip = probe(film / "small_second.mp4")
    assert clip.size == (256, 256)
    assert clip.fps == 25
    assert clip.n_frames == 25
    assert clip.has_audio


def test_last_line_says_what_was_written(film: Path) -> None:
    lines = (film / "said.txt").read_text().splitlines()
    assert lines == ["wrote small_second.mp4: 1.00 s, 25 frames at 25 fps, 256x256"]
    assert LAST_LINE.fullmatch(lines[-1])


def test_progress_in_lines_when_not_on_a_terminal(film: Path) -> None:
    *lines, note = (film / "notes.txt").read_text().splitlines()
    assert note.startswith("note: the invisible mark of this film is weak, its picture is small (256x256 px)")
    assert 5 <= len(lines) <= 11
    assert all(re.fullmatch(r"\d+/25 frames, [\d.e+]+ frames/s, \d+ s left", line) for line in lines)
    assert lines[-1].startswith("25/25 frames")


def test_only_the_film_is_left(film: Path) -> None:
    assert {path.name for path in film.iterdir()} == {"small_second.mp4", "said.txt", "notes.txt"}


def test_not_replaced_without_force(film: Path, small_astronaut: Path, second_of_speech: Path) -> None:
    before = (film / "small_second.mp4").read_bytes()
    start = time.perf_counter()
    done = run_cli([small_astronaut, second_of_speech], film)
    assert done.returncode == 2
    assert "exists already" in done.stderr
    assert time.perf_counter() - start < 30  # it did not make the film first; the machine may be busy
    assert (film / "small_second.mp4").read_bytes() == before


def test_marked_as_synthetic(film: Path) -> None:
    done = run_cli(["verify", "small_second.mp4", "--json"], film, name="portrait-anim")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)


def test_quiet_with_unusual_names_and_options(tmp_path: Path, small_astronaut: Path, second_of_speech: Path) -> None:
    folder = tmp_path / "Ordner mit Ümläuten 写真"
    folder.mkdir()
    photo, sound = folder / "-Ø portrait (1) %d.png", folder / "chanson d'été: #2 ♫.wav"
    shutil.copy(small_astronaut, photo)
    shutil.copy(second_of_speech, sound)
    options = ["--quiet", "--fps", "12.5", "--max-size", "128", "--seed", "3", "--head-motion", "0", "--blinks", "2"]
    out = "film 100% ☂.mp4"
    done = run_cli([f"./{photo.name}", sound.name, "-o", out, *options, "--weights", "open"], folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    clip = probe(folder / out)
    assert clip.size == (128, 128)
    assert clip.fps == 12.5
    assert clip.n_frames in (12, 13)
    assert {path.name for path in folder.iterdir()} == {photo.name, sound.name, out}


def started(arguments: list[str], folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*command(), *arguments], cwd=folder, env=environment(), text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
@pytest.mark.parametrize(("what", "rendering"), [(signal.SIGINT, True), (signal.SIGTERM, True), (signal.SIGINT, False)])
def test_ended_in_the_middle_leaves_no_file(
    what: signal.Signals, rendering: bool, tmp_path: Path, small_astronaut: Path, speech: Path
) -> None:
    sound = cut(speech, tmp_path / "long.wav", 24.0)
    process = started([str(small_astronaut), str(sound), "-o", "film.mp4", "--verbose"], tmp_path)
    assert process.stderr is not None
    if rendering:
        for line in process.stderr:
            if re.match(r"\d+/600 frames", line):
                break
        assert any(path.name.startswith(".portrait_anim-") for path in tmp_path.iterdir())
    else:
        time.sleep(1.0)
    process.send_signal(what)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert out == ""
    assert err.splitlines()[-1] == "error: interrupted, nothing was written"
    assert [path.name for path in tmp_path.iterdir()] == ["long.wav"]
    for _ in range(100):  # what watched it ends a moment after it
        if not alive(process.pid):
            break
        time.sleep(0.05)
    assert not alive(process.pid)  # no child of its session lives on


def alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (100, rb"100% \|.+\| 25/25, +[\d.]+ frames/s, 00:00 left"),
        (0, rb"\r\n25/25 frames, [\d.]+ frames/s, 0 s left"),  # it does not know its width
    ],
)
def test_progress_on_a_terminal(
    columns: int, expected: bytes, tmp_path: Path, small_astronaut: Path, second_of_speech: Path
) -> None:
    import pty
    import termios

    ours, theirs = pty.openpty()
    if columns:
        termios.tcsetwinsize(theirs, (24, columns))
    process = subprocess.Popen(
        [*command(), str(small_astronaut), str(second_of_speech), "-o", "film.mp4"], cwd=tmp_path,
        env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # Linux says so when the other end is closed
        while select.select([ours], [], [], 120)[0] and (data := os.read(ours, 4096)):
            shown += data
    os.close(ours)
    assert process.stdout is not None
    assert LAST_LINE.fullmatch(process.stdout.read().decode().strip())
    assert process.wait() == 0
    assert re.search(expected, shown)


def test_several_faces_are_noted(
    tmp_path: Path, small_astronaut: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Up to the sound, which is missing, everything about the photo has been said."""
    from PIL import Image

    one = Image.open(small_astronaut).convert("RGB").crop((60, 0, 180, 140))
    group = Image.new("RGB", (480, 280), "grey")
    for x, size in ((0, (120, 140)), (130, (240, 280)), (370, (108, 126))):
        group.paste(one.resize(size), (x, 0))
    group.save(tmp_path / "group.png")
    (tmp_path / "text.wav").write_text("no sound " * 20)
    monkeypatch.chdir(tmp_path)
    assert animate_main(["group.png", "text.wav"]) == 2
    note = capsys.readouterr().err.splitlines()[0]
    assert note.startswith("note: photo group.png has 3 faces, the largest moves, number 2 from the left: --face N")
    assert animate_main(["group.png", "text.wav", "--face", "4"]) == 2
    line = capsys.readouterr().err
    assert "no face number 4: it has 3 faces, counted from the left" in line
    assert animate_main(["group.png", "text.wav", "text.wav", "--face", "1,2,3"]) == 2
    assert "2 sounds for 3 faces: give one for all or one for each" in capsys.readouterr().err
    assert animate_main(["group.png", "text.wav", "--face", "1,1"]) == 2
    assert "name each face once" in capsys.readouterr().err


def test_help_is_fast_and_has_examples(tmp_path: Path) -> None:
    seconds = []
    for name in ("animate", "portrait-anim"):
        best = 9.0
        for _ in range(3):
            start = time.perf_counter()
            done = run_cli(["--help"], tmp_path, name=name)
            best = min(best, time.perf_counter() - start)
        seconds.append(best)
        assert done.returncode == 0
        assert "examples:" in done.stdout
    assert max(seconds) < 1.0


def test_subcommands_that_are_there(tmp_path: Path) -> None:
    text = run_cli(["--help"], tmp_path, name="portrait-anim").stdout
    for name in ("animate", "prepare", "train", "evaluate", "verify", "info"):
        assert re.search(rf"^    {name} ", text, re.MULTILINE)
        assert run_cli([name, "--help"], tmp_path, name="portrait-anim").returncode == 0
    done = run_cli(["paint"], tmp_path, name="portrait-anim")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1


def test_version_and_info(tmp_path: Path) -> None:
    assert run_cli(["--version"], tmp_path, name="portrait-anim").stdout == f"portrait_anim {__version__}\n"
    facts = json.loads(run_cli(["info", "--json"], tmp_path, name="portrait-anim").stdout)
    assert facts["versions"]["portrait_anim"] == __version__
    assert facts["versions"]["torch"]
    assert facts["device"] in ("cpu", "cuda", "mps")
    licences = {entry["name"]: entry["licence"] for entry in facts["weights"] if entry["intact"]}
    assert {"motion_default", "motion_open", "hama_encoder", "whisper_tiny_encoder"} <= set(licences)
    text = run_cli(["info"], tmp_path, name="portrait-anim").stdout
    for name, licence in licences.items():
        assert re.search(rf"^  {name} .*{re.escape(licence)}", text, re.MULTILINE)
