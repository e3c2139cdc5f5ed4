"""Films in parts: the same frames as in one go, deaths, interruptions, and what is done after what."""

from __future__ import annotations

import csv
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from conftest import cut, environment

from portrait_anim.batch.crew import LocalCrew
from portrait_anim.batch.film import Outcome, Task
from portrait_anim.batch.jobs import Job, read_jobs
from portrait_anim.batch.parts import CutFilm, Plan
from portrait_anim.batch.run import run
from portrait_anim.cli.batch import row_parser
from portrait_anim.errors import PortraitAnimError
from portrait_anim.motion.space import Motion
from portrait_anim.pipeline import animate
from portrait_anim.provenance.manifest import read_manifest
from portrait_anim.provenance.verify import verify
from portrait_anim.system.files import hidden_name
from portrait_anim.video.joiner import PART_THREADS, Joiner, Part
from portrait_anim.video.reader import probe, read_frames
from portrait_anim.video.writer import Writer

pytestmark = pytest.mark.package

SRT = "1\n00:00:00,400 --> 00:00:01,900\nwords in the picture\n"
FPS = 29.97


def digest(frame: npt.NDArray[np.uint8]) -> str:
    return hashlib.sha256(frame.tobytes()).hexdigest()


def nobody(done: int, total: int) -> None:
    """Watch nothing."""


@pytest.fixture
def sound(tmp_path: Path, speech: Path) -> Path:
    return cut(speech, tmp_path / "sound.wav", 3.1)


@pytest.mark.parametrize("face", ["voice", "morph"])
def test_same_frames_as_in_one_go(
    tmp_path: Path, small_astronaut: Path, sound: Path, monkeypatch: pytest.MonkeyPatch, face: str
) -> None:
    """What goes into the encoder is the same; the film is what the encoder makes of the same frames cut there."""
    handed: list[npt.NDArray[np.uint8]] = []
    write = Writer.write

    def noted(self: Writer, frame: npt.NDArray[np.uint8]) -> None:
        handed.append(frame.copy())
        write(self, frame)

    (tmp_path / "c.srt").write_text(SRT)
    choices = {
        "fps": FPS, "label": "eu", "captions": str(tmp_path / "c.srt"), "caption_style": "burned", "max_size": 128,
        "emotion": "happy@0-1.5,sad@1.5-", "save_motion": str(tmp_path / "m.npz"),
    }  # fmt: skip
    if face == "morph":
        choices["morph"] = [(str(small_astronaut), 0.9, 0.8)]
    with monkeypatch.context() as patch:
        patch.setattr(Writer, "write", noted)
        whole = animate(str(small_astronaut), str(sound), tmp_path / "whole.mp4", **choices)
        in_one_go, handed = handed, []
        saved = np.load(tmp_path / "m.npz")["mouth"]
        (tmp_path / "m.npz").unlink()
        plan = CutFilm(str(small_astronaut), [str(sound)], choices, nobody).plan(
            tmp_path / "film.mp4", 1.1, overwrite=False
        )
        assert plan is not None
        assert len(plan.borders) == 3
        parts = [tmp_path / f"part-{number}.mp4" for number in range(3)]
        for number in (2, 0, 1):  # in any order, each knowing its own frames' motion only
            one = CutFilm(str(small_astronaut), ["elsewhere.wav"], choices, nobody)
            one.part(plan.part(number), number, parts[number])
    order = [i for number in (2, 0, 1) for i in range(*plan.borders[number])]
    assert len(order) == len(in_one_go) == whole.n_frames
    assert [digest(frame) for frame in handed] == [digest(in_one_go[i]) for i in order]
    assert len({digest(frame) for frame in handed}) > 0.9 * len(handed)

    film = CutFilm(str(small_astronaut), [str(sound)], choices, nobody)
    film.join(plan, parts, tmp_path / "film.mp4", overwrite=False)
    again = [Part(tmp_path / f"again-{number}.mp4", end - first) for number, (first, end) in enumerate(plan.borders)]
    for part, (first, end) in zip(again, plan.borders, strict=True):
        with Writer(part.path, whole.size, FPS, threads=PART_THREADS) as writer:
            for frame in in_one_go[first:end]:
                writer.write(frame)
    with Joiner(tmp_path / "again.mp4", whole.size, FPS, parts=again):
        pass
    pairs = zip(read_frames(tmp_path / "film.mp4"), read_frames(tmp_path / "again.mp4"), strict=True)
    assert sum(bool((a == b).all()) for a, b in pairs) == whole.n_frames
    np.testing.assert_array_equal(np.load(tmp_path / "m.npz")["mouth"], saved)
    clip = probe(tmp_path / "film.mp4")
    assert (clip.n_frames, clip.has_audio) == (whole.n_frames, True)
    assert read_manifest(tmp_path / "film.mp4").content_id == read_manifest(whole.path).content_id


def test_other_inputs_at_the_end(tmp_path: Path, small_astronaut: Path, sound: Path) -> None:
    film = CutFilm(str(small_astronaut), [str(sound)], {}, nobody)
    plan = Plan((Motion.rest(77),), 1, 3.1, ((0, 40), (40, 77)))
    with pytest.raises(PortraitAnimError, match="was changed while the film was made"):
        film.join(plan, [tmp_path / "a.mp4", tmp_path / "b.mp4"], tmp_path / "film.mp4", overwrite=False)


def lines(out: Path) -> dict[str, dict[str, str]]:
    with (out / "results.csv").open(newline="") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


def wait_for(happened: Callable[[], bool], limit_s: float = 150) -> None:
    end = time.monotonic() + limit_s
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def command(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "portrait_anim", "batch", "jobs.csv", "--out", "films", *arguments], cwd=folder,
        env=environment(), text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip


def test_list_with_a_long_and_a_short_film(tmp_path: Path, small_astronaut: Path, speech: Path) -> None:
    cut(speech, tmp_path / "long.wav", 6.0)
    cut(speech, tmp_path / "short.wav", 1.0)
    (tmp_path / "no.wav").write_text("no sound\n")
    rows = "".join(f"{name},{small_astronaut},{name}.wav\n" for name in ("long", "no", "short"))
    (tmp_path / "jobs.csv").write_text("id,photo,audio\n" + rows)
    (tmp_path / "films").mkdir()
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        """A process that is no more."""
    left = hidden_name(tmp_path / "films" / "x.mp4").name.replace(f"-{os.getpid()}-", f"-{gone.pid}-")
    (tmp_path / "films" / left).write_bytes(b"a part, of a list that was killed")
    process = command(tmp_path, "--workers", "2", "--parts-of", "0.04")
    out, said = process.communicate(timeout=200)
    assert process.returncode == 1, said
    assert "3 films: 2 made, 0 there already, 1 failed" in out
    assert {path.name for path in (tmp_path / "films").iterdir()} == {"long.mp4", "short.mp4", "results.csv"}
    assert probe(tmp_path / "films" / "long.mp4").n_frames == 150
    found = verify(tmp_path / "films" / "long.mp4")
    assert found.manifest.valid
    assert (
        found.manifest.content_id == found.mark.content_id == int(lines(tmp_path / "films")["long"]["content_id"], 16)
    )
    process = command(tmp_path, "--workers", "1", "--parts-of", "0.04")
    out, said = process.communicate(timeout=200)
    assert "3 films: 0 made, 2 there already, 1 failed" in out, said
    for value in ("0", "-1", "nan", "a", "1000"):
        process = command(tmp_path, "--parts-of", value)
        _, said = process.communicate(timeout=60)
        assert (process.returncode, len(said.splitlines())) == (2, 1), said


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
def test_interrupted(tmp_path: Path, small_astronaut: Path, speech: Path) -> None:
    cut(speech, tmp_path / "long.wav", 40.0)
    (tmp_path / "jobs.csv").write_text(f"id,photo,audio\na,{small_astronaut},long.wav\n")
    process, out = command(tmp_path, "--workers", "2", "--parts-of", "0.05"), tmp_path / "films"
    wait_for(lambda: bool(list(out.glob(f".portrait_anim-{process.pid}-*-00000.mp4"))))
    wait_for(lambda: len(list(out.glob(".portrait_anim-*.mp4"))) > 2)  # and others are being drawn
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert {path.name for path in out.iterdir()} == {"results.csv"}
    assert lines(out)["a"]["status"] == "open"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_part_of_a_killed_worker_is_made_again(tmp_path: Path, small_astronaut: Path, speech: Path) -> None:
    sound = cut(speech, tmp_path / "long.wav", 12.0)
    (tmp_path / "jobs.csv").write_text(f"id,photo,audio\na,{small_astronaut},{sound}\n")
    out, killed, given = tmp_path / "films", [], []

    class Murder(LocalCrew):
        def give(self, task: Task) -> None:
            given.append(task.name)
            super().give(task)

        def wait(self) -> list[tuple[Task, Outcome | str]]:
            task, process = self._workers[0].task, self._workers[0].process
            if task is not None and task.name == "a, part 2" and not killed:
                wait_for(lambda: bool(list(out.glob(f".portrait_anim-{process.pid}-*.mp4"))))
                killed.append(process.pid)
                process.kill()
            return super().wait()

    summary = run(
        read_jobs(tmp_path / "jobs.csv", row_parser()), str(out), lambda films: Murder(1, str(out)),
        lambda summary, result: None, retry=1, overwrite=False, longest_s=4.0,
    )  # fmt: skip
    assert len(killed) == 1
    assert (summary.made, summary.failed) == (1, 0)
    assert given == ["a", "a, part 1", "a, part 2", "a, part 3", "a, part 2", "a, joining"]
    assert {path.name for path in out.iterdir()} == {"a.mp4", "results.csv"}
    assert probe(out / "a.mp4").n_frames == 300


class Paper:
    """A crew of one that says what it is told to, and writes a byte where a film or part would be."""

    def __init__(self, answers: dict[str, list[Outcome | str]]) -> None:
        self.answers, self.tasks, self.given = answers, [], []

    def idle(self) -> int:
        return 2 - len(self.tasks)

    def give(self, task: Task) -> None:
        self.tasks.append(task)
        self.given.append((task.name, task.overwrite))

    def wait(self) -> list[tuple[Task, Outcome | str]]:
        task = self.tasks.pop(0)
        answer = self.answers.get(task.name, [Outcome(1)]).pop(0)
        if isinstance(answer, Outcome) and answer.error is None and answer.plan is None:
            Path(task.made).write_bytes(b"x")
        return [(task, answer)]

    def close(self) -> None:
        """Do nothing."""


PLAN = Outcome(1, plan=Plan((Motion.rest(100),), 1, 4.0, ((0, 40), (40, 80), (80, 100))))


def on_paper(tmp_path: Path, answers: dict[str, list[Outcome | str]], **more: int) -> tuple[Paper, dict[str, str]]:
    crew, out = Paper(answers), tmp_path / "out"
    jobs = [Job("a", "p.jpg"), Job("b", "p.jpg")]
    run(jobs, str(out), lambda films: crew, lambda *_: None, overwrite=False, longest_s=1.6, **{"retry": 1, **more})
    assert {path.name for path in out.iterdir()} - {"a.mp4", "b.mp4"} == {"results.csv"}
    return crew, lines(out)


def test_part_that_fails_ends_its_film_only(tmp_path: Path) -> None:
    crew, found = on_paper(tmp_path, {"a": [PLAN], "a, part 2": [Outcome(1, "no room")], "b": [Outcome(1)]})
    assert (found["a"]["status"], found["a"]["error"]) == ("failed", "a, part 2: no room")
    assert found["b"]["status"] == "done"
    assert "a, joining" not in dict(crew.given)
    assert not (tmp_path / "out" / "a.mp4").exists()


def test_death_costs_its_part_only_and_never_allows_to_overwrite(tmp_path: Path) -> None:
    answers = {"a": [PLAN], "a, part 3": ["died", Outcome(2)], "a, joining": ["died", Outcome(3)], "b": [Outcome(1)]}
    crew, found = on_paper(tmp_path, answers)
    assert found["a"]["status"] == "done"
    assert float(found["a"]["seconds"]) == 1 + 1 + 1 + 2 + 3
    assert [name for name, _ in crew.given].count("a, part 1") == 1
    assert crew.given.count(("a, joining", False)) == 1  # though its last part was tried twice
    assert crew.given.count(("a, joining", True)) == 1


def test_part_knows_its_own_motion_only() -> None:
    motion = replace(Motion.rest(100), mouth=np.arange(1600, dtype=np.float32).reshape(100, 16))
    plan = Plan((motion,), 1, 4.0, ((0, 40), (40, 80), (80, 100)))
    assert len(plan.part(2).motions[0]) == 20
    assert plan.part(1).motions[0].mouth[0, 0] == 640
