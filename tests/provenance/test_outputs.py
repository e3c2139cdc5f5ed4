"""What a film leaves behind, and what its maker says of it: names, full disks, audit log, weights, labels."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import c2pa
import numpy as np
import pytest
from conftest import environment

from portrait_anim import Animator, verify
from portrait_anim.cli.main import main
from portrait_anim.errors import OptionError, OutputError
from portrait_anim.face import face_alignment as sixty_eight
from portrait_anim.provenance import label
from portrait_anim.provenance.manifest import GENERATION
from portrait_anim.provenance.record import Provenance
from portrait_anim.system.weights import registry
from portrait_anim.video.target import NAME_BYTES, default_output

pytestmark = pytest.mark.media

TONE = ((np.sin(np.arange(9600) * 0.05) * 0.3).astype(np.float32), 16_000)
DISK_BYTES = 400 << 10  # of the small disk


@pytest.fixture(scope="module")
def animator(small_astronaut: Path) -> Animator:
    return Animator(small_astronaut)


@pytest.fixture(scope="module")
def film(animator: Animator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return animator.animate(TONE, tmp_path_factory.mktemp("film") / "film.mp4").path


# names


def test_a_long_default_name_is_cut(animator: Animator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for photo, sound in (("p" * 200, "s" * 200), ("写真" * 40, "ö" * 120), ("p", "é" * 125), ("👩‍🚀" * 20, "s")):
        name = default_output(f"{photo}.jpg", [f"{sound}.wav"]).name
        assert len(os.fsencode(name)) <= NAME_BYTES
        assert name.endswith(".mp4")
        assert name[0] == photo[0]
        (tmp_path / name).touch()  # the file system agrees
    assert default_output("photo.jpg", ["song.wav"]).name == "photo_song.mp4"
    crowd = default_output("p.jpg", [f"{n}.wav" for n in range(200)]).name
    assert 200 < len(crowd) <= NAME_BYTES
    given = default_output(f"{'a' * 100}.jpg", [f"{'b' * 147}.wav"]).name
    assert given == f"{'a' * 100}_{'b' * 147}.mp4"[:NAME_BYTES]
    assert len(given) == 252  # nothing is cut that fits


def test_a_film_with_a_long_name_of_its_own(
    animator: Animator, small_astronaut: Path, second_of_speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    photo, sound = tmp_path / f"{'写' * 80}.png", tmp_path / f"{'ü' * 120}.wav"
    photo.write_bytes(small_astronaut.read_bytes())
    sound.write_bytes(second_of_speech.read_bytes())
    made = Animator(photo).animate(sound).path
    assert made.is_file()
    assert made.name.startswith("写写写")
    assert "üüü" in made.name
    with pytest.raises(OutputError, match=r"too long.*choose another name, a shorter one"):
        animator.animate(TONE, tmp_path / f"{'x' * 300}.mp4")


# full disks


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A real disk of 400 kB."""
    folder = tmp_path_factory.mktemp("disk")
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if mount is None or umount is None:
        pytest.skip("no mount here")
    command = [mount, "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a small disk")
    yield folder
    subprocess.run([umount, str(folder)], check=True)


def fill(disk: Path, free: int) -> None:
    for path in disk.iterdir():
        path.unlink()
    state = os.statvfs(disk)
    (disk / "fill").write_bytes(b"x" * (state.f_bavail * state.f_frsize - free))


@pytest.mark.parametrize("share", [0.0, 0.2, 0.6, 1.0, 1.3, 1.6, 1.9])
def test_a_full_disk_is_one_line_that_names_the_film(share: float, animator: Animator, film: Path, disk: Path) -> None:
    fill(disk, int(share * film.stat().st_size))
    with pytest.raises(OutputError, match=r"film\.mp4.*free some space") as told:
        animator.animate(TONE, disk / "film.mp4")
    assert "\n" not in str(told.value)
    assert "free some space" in str(told.value)
    assert [path.name for path in disk.iterdir()] == ["fill"]


def test_full_at_the_xmp_step(film: Path, small_astronaut: Path, disk: Path) -> None:
    """The encoder's file just fits: its last block is full, so that nothing more can be appended."""
    fill(disk, 0)
    (disk / "fill").unlink()
    data, block = film.read_bytes(), os.statvfs(disk).f_frsize
    (disk / "film.mp4").write_bytes(data + b"\0" * (-len(data) % block))
    state = os.statvfs(disk)
    (disk / "fill").write_bytes(b"x" * (state.f_bavail * state.f_frsize))
    with pytest.raises(OutputError, match=r"cannot mark .*named\.mp4 \(No space left on device\): free some space"):
        Provenance(small_astronaut, TONE, seed=0, output="named.mp4").finish(disk / "film.mp4")


# the audit log


def test_the_log_tells_only_of_films_that_are_there(
    animator: Animator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, target = tmp_path / "log", tmp_path / "film.mp4"

    def somebody_is_faster(done: int, total: int) -> None:
        if done == total:
            target.mkdir()

    with pytest.raises(OutputError, match="a folder has that name"):
        animator.animate(TONE, target, audit_log=log, progress=somebody_is_faster)
    assert not log.exists()
    target.rmdir()
    animator.animate(TONE, target, audit_log=log)
    (line,) = log.read_text().splitlines()
    assert json.loads(line)["film"] == str(target)


def test_a_log_that_cannot_be_written(animator: Animator, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="its folder does not exist"):
        animator.animate(TONE, tmp_path / "a.mp4", audit_log=tmp_path / "gone" / "log")
    with pytest.raises(OutputError, match="audit log"):
        animator.animate(TONE, tmp_path / "a.mp4", audit_log=tmp_path)
    assert not (tmp_path / "a.mp4").exists()
    if Path("/dev/full").exists():
        with pytest.raises(OutputError, match=r"b\.mp4 is written, but it has no line in the audit log: .*No space"):
            animator.animate(TONE, tmp_path / "b.mp4", audit_log="/dev/full")
        assert verify(tmp_path / "b.mp4").manifest.valid


# weights

OPENED = """
import json, sys
from pathlib import Path
opened = set()
def hook(event, arguments):
    if event == "open" and isinstance(arguments[0], str) and "/checkpoints/" in arguments[0]:
        opened.add(Path(arguments[0]).name)
sys.addaudithook(hook)
from portrait_anim import Animator
import numpy as np
sound = ((np.sin(np.arange(9600) * 0.05) * 0.3).astype(np.float32), 16000)
options = json.loads(sys.argv[3])
Animator(sys.argv[1], weights=options["weights"], landmarker=options["landmarker"]).animate(
    None if options["actor"] else sound, sys.argv[2], emotion=options["emotion"], actor=options["actor"])
print(json.dumps(sorted(opened - {"registry.json"})))
"""


@pytest.mark.parametrize(
    ("weights", "emotion", "landmarker", "acted"),
    [
        ("default", None, "facemesh", False), ("default", "happy", "facemesh", False),
        ("open", "happy", "facemesh", False), ("default", None, "face-alignment", False),
        ("default", None, "facemesh", True), ("open", None, "facemesh", True),
    ],
)  # fmt: skip
def test_the_manifest_names_the_files_that_were_opened(
    weights: str, emotion: str | None, landmarker: str, acted: bool, small_astronaut: Path, film: Path, tmp_path: Path
) -> None:
    if landmarker != "facemesh" and not sixty_eight.weight_file().is_file():
        pytest.skip(f"face-alignment's weights are not at {sixty_eight.weight_file()}")
    target = tmp_path / "film.mp4"
    actor = str(film) if acted else None
    options = json.dumps({"weights": weights, "emotion": emotion, "landmarker": landmarker, "actor": actor})
    done = subprocess.run(
        [sys.executable, "-c", OPENED, str(small_astronaut), str(target), options], capture_output=True, text=True,
        env=environment(), check=True,
    )  # fmt: skip
    with c2pa.Reader(str(target)) as reader:
        store = json.loads(reader.json())
    assertions = store["manifests"][store["active_manifest"]]["assertions"]
    models = next(item["data"]["models"] for item in assertions if item["label"] == GENERATION)
    named = {model["name"]: model["sha256"] for model in models}
    known = registry()
    opened = set(json.loads(done.stdout))
    if landmarker != "facemesh":
        opened.add(sixty_eight.WEIGHTS)
        assert named.pop("2DFAN4-11f355bf06").startswith("11f355bf06")
        opened.discard(sixty_eight.WEIGHTS)
    assert {known[name].file for name in named} == opened
    assert all(known[name].sha256 == digest for name, digest in named.items())
    assert {"selfie_segmenter", "face_mesh"} <= set(named)
    assert ("face_blendshapes" in named) == acted


# labels


def test_a_label_that_does_not_fit_is_told_before_the_sound_is_heard(animator: Animator, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="too long for 256x256 px"):
        animator.animate(tmp_path / "not_there.wav", tmp_path / "film.mp4", label="long " * 12)
    assert label.Label(label.Style.parse("short"), animator.size, 25)


# common options


@pytest.mark.parametrize("arguments", [["--quiet", "verify"], ["verify", "--quiet"], ["-q", "verify"]])
def test_common_options_stand_before_and_after(
    arguments: list[str], film: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, str(film)]) == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "")
    assert main([*arguments, str(film.with_name("nothing.mp4"))]) == 2
    assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.parametrize("name", ["animate", "prepare", "train", "evaluate", "app", "verify", "info"])
def test_every_subcommand_takes_them(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--verbose", name, "--help"], ["-q", name, "--help"], [name, "-v", "--help"]):
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        assert stopped.value.code == 0
        assert "--quiet" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["-q", "info", "-v"])
    assert "not allowed with" in capsys.readouterr().err
