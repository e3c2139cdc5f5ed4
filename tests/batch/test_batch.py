"""The command ``batch`` with real workers: films, account, going on, deaths and interruptions."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import cut, environment

from portrait_anim.batch.crew import LocalCrew
from portrait_anim.batch.film import Outcome, Task
from portrait_anim.batch.jobs import Job, read_jobs
from portrait_anim.batch.run import run
from portrait_anim.cli.batch import row_parser
from portrait_anim.errors import OutputError
from portrait_anim.provenance.manifest import read_manifest
from portrait_anim.video.reader import probe

pytestmark = pytest.mark.package

LIST = "id,photo,audio,seed\n"


def batch(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "portrait_anim", "batch", *arguments], cwd=folder, env=environment(),
        capture_output=True, text=True, timeout=200, stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip


def lines(out: Path) -> dict[str, dict[str, str]]:
    with (out / "results.csv").open(newline="") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, small_astronaut: Path, second_of_speech: Path) -> Path:
    """A folder with a list of four rows, the second of them bad, and what came of it."""
    folder = tmp_path_factory.mktemp("batch")
    shutil.copy(small_astronaut, folder / "p.png")
    shutil.copy(second_of_speech, folder / "s.wav")
    (folder / "text.wav").write_text("no sound at all, just words\n" * 9)
    rows = "a,p.png,s.wav,\nbad,p.png,text.wav,\nb,p.png,s.wav,5\nworse,p.png,s.wav,-1\n"
    (folder / "jobs.csv").write_text(LIST + rows)
    done = batch(folder, "jobs.csv", "--out", "films/new", "--workers", "1")
    (folder / "said.txt").write_text(f"{done.returncode}\n{done.stdout}{done.stderr}")
    return folder


def test_films_and_account(made: Path) -> None:
    said = (made / "said.txt").read_text()
    out = made / "films" / "new"
    assert said.startswith("1\n4 films: 2 made, 0 there already, 2 failed\n"), said
    assert "failed: bad: " in said
    assert "4/4 films, 2 failed" in said
    assert "Traceback" not in said
    assert {path.name for path in out.iterdir()} == {"a.mp4", "b.mp4", "results.csv"}
    found = lines(out)
    assert {name: row["status"] for name, row in found.items()} == {
        "a": "done", "bad": "failed", "b": "done", "worse": "failed"
    }  # fmt: skip
    assert "text.wav" in found["bad"]["error"]
    assert "seed -1 is out of range" in found["worse"]["error"]
    for name in "ab":
        film = out / f"{name}.mp4"
        assert found[name]["sha256"] == hashlib.sha256(film.read_bytes()).hexdigest()
        manifest = read_manifest(film)
        assert manifest.valid
        assert manifest.content_id == int(found[name]["content_id"], 16)
        assert probe(film).n_frames == 25
    assert float(found["b"]["seconds"]) < float(found["a"]["seconds"])  # the nets were loaded with the first


def test_goes_on_where_it_ended(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "again")
    folder, out = tmp_path / "again", tmp_path / "again" / "films" / "new"
    before = {name: (out / f"{name}.mp4").stat().st_mtime_ns for name in "ab"}
    (folder / "jobs.csv").write_text(LIST + "a,p.png,s.wav,\nb,p.png,s.wav,6\nc,p.png,s.wav,\n")
    (out / "c.mp4").write_bytes(b"somebody else's")
    done = batch(folder, "jobs.csv", "--out", "films/new")
    assert done.returncode == 1, done.stderr
    assert "3 films: 0 made, 1 there already, 2 failed" in done.stdout
    assert "b.mp4 is there already, of other inputs or options: allow --overwrite" in done.stderr
    assert "c.mp4 is there already, not of this list" in done.stderr
    assert {name: (out / f"{name}.mp4").stat().st_mtime_ns for name in "ab"} == before
    assert (out / "c.mp4").read_bytes() == b"somebody else's"

    (out / "a.mp4").write_bytes(b"damaged")
    (folder / "jobs.csv").write_text(LIST + "a,p.png,s.wav,\nb,p.png,s.wav,5\nc,p.png,s.wav,\n")
    done = batch(folder, "jobs.csv", "--out", "films/new")
    assert "3 films: 0 made, 1 there already, 2 failed" in done.stdout, done.stderr  # a's sum is not the one it had
    done = batch(folder, "jobs.csv", "--out", "films/new", "--workers", "1", "--overwrite", "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert {row["status"] for name, row in lines(out).items() if name in "abc"} == {"done"}
    assert all(probe(out / f"{name}.mp4").n_frames == 25 for name in "abc")


def test_bad_list_is_one_line_and_makes_nothing(made: Path, tmp_path: Path) -> None:
    (tmp_path / "jobs.csv").write_text("id,photo\n../a,p.png\n")
    done = batch(tmp_path, "jobs.csv", "--out", "films")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("error: line 2 of jobs file jobs.csv: id '../a' cannot be a film's name")
    assert not (tmp_path / "films").exists()
    for arguments in (["--workers", "0"], ["--retry", "-1"], ["--out", "http://host/films"]):
        shutil.copy(made / "jobs.csv", tmp_path / "good.csv")
        done = batch(tmp_path, "good.csv", "--out", "films", *arguments)
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr


def test_films_do_not_go_among_their_pairs(made: Path, tmp_path: Path) -> None:
    for name in ("p.png", "s.wav"):
        shutil.copy(made / name, tmp_path / f"anna{Path(name).suffix}")
    done = batch(tmp_path, ".", "--out", str(tmp_path))
    assert done.returncode == 2
    assert "give another --out" in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"anna.png", "anna.wav"}


def started(folder: Path, out: Path) -> subprocess.Popen[str]:
    """Start a batch of long films with two workers and wait until both draw."""
    process = subprocess.Popen(
        [sys.executable, "-m", "portrait_anim", "batch", "jobs.csv", "--out", str(out), "--workers", "2"],
        cwd=folder, env=environment(), text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    wait_for(lambda: (out / "a.mp4").exists() and len(list(out.glob(".portrait_anim-*.mp4"))) >= 1)
    return process


def wait_for(happened: Callable[[], bool], limit_s: float = 150) -> None:
    end = time.monotonic() + limit_s
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


@pytest.fixture
def long_list(tmp_path: Path, small_astronaut: Path, second_of_speech: Path, speech: Path) -> Path:
    """A list whose first film is short and whose others take a while."""
    shutil.copy(small_astronaut, tmp_path / "p.png")
    shutil.copy(second_of_speech, tmp_path / "s.wav")
    cut(speech, tmp_path / "long.wav", 40.0)
    (tmp_path / "jobs.csv").write_text(LIST + "a,p.png,s.wav,\n" + "".join(f"l{i},p.png,long.wav,\n" for i in range(3)))
    return tmp_path


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
def test_interrupted(long_list: Path) -> None:
    out = long_list / "films"
    process = started(long_list, out)
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C in a terminal does
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert "interrupted: finished films stay" in said
    assert "Traceback" not in said
    assert {path.name for path in out.iterdir()} == {"a.mp4", "results.csv"}
    assert {name: row["status"] for name, row in lines(out).items()} == {
        "a": "done", "l0": "open", "l1": "open", "l2": "open"
    }  # fmt: skip
    assert read_manifest(out / "a.mp4").valid


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_killed_worker_is_replaced(small_astronaut: Path, second_of_speech: Path, speech: Path, tmp_path: Path) -> None:
    sound = cut(speech, tmp_path / "long.wav", 10.0)
    text = f"{LIST}a,{small_astronaut},{second_of_speech},\nb,{small_astronaut},{sound},\n"
    (tmp_path / "jobs.csv").write_text(text)
    out, killed, seen = tmp_path / "films", [], []

    class Murder(LocalCrew):
        def wait(self) -> list[tuple[Task, Outcome | str]]:
            if self._workers[0].task is not None and self._workers[0].task.job.id == "b" and not killed:
                wait_for(lambda: bool(list(out.glob(".portrait_anim-*.mp4"))))
                killed.append(self._workers[0].process.pid)
                self._workers[0].process.kill()
            return super().wait()

    summary = run(
        read_jobs(tmp_path / "jobs.csv", row_parser()), str(out), lambda films: Murder(1, str(out)),
        lambda summary, result: seen.append(result), retry=1, overwrite=False,
    )  # fmt: skip
    assert len(killed) == 1
    assert (summary.made, summary.failed) == (2, 0)
    assert {path.name for path in out.iterdir()} == {"a.mp4", "b.mp4", "results.csv"}
    assert probe(out / "b.mp4").n_frames == 250
    assert [result.id for result in seen if result is not None] == ["a", "b"]


class Paper:
    """A crew that makes nothing and says what it is told to."""

    def __init__(self, answers: dict[str, list[Outcome | str]]) -> None:
        self.answers, self.tasks, self.given, self.closed = answers, [], [], False

    def idle(self) -> int:
        return 2 - len(self.tasks)

    def give(self, task: Task) -> None:
        self.tasks.append(task)
        self.given.append((task.job.id, task.overwrite))

    def wait(self) -> list[tuple[Task, Outcome | str]]:
        task = self.tasks.pop(0)
        answer = self.answers[task.job.id].pop(0)
        if isinstance(answer, Outcome) and answer.error is None:
            Path(task.film).write_bytes(b"film")
        return [(task, answer)]

    def close(self) -> None:
        self.closed = True


def test_what_is_tried_again(tmp_path: Path) -> None:
    passing, final, good = Outcome(1, "disk", passing=True), Outcome(1, "no face"), Outcome(1, sha256="x")
    crew = Paper({"a": [passing, "died", good], "b": [final], "c": ["died"] * 3, "d": [good]})
    jobs = [Job(name, "p.jpg") for name in "abcd"]
    told: list[str] = []
    summary = run(
        jobs, str(tmp_path / "out"), lambda films: crew,
        lambda summary, result: told.append(result.id) if result else None, retry=2, overwrite=False,
    )  # fmt: skip
    assert (summary.made, summary.failed, summary.left) == (2, 2, 0)
    assert sorted(told) == ["a", "b", "c", "d"]
    assert [name for name, _ in crew.given].count("a") == 3
    assert [name for name, _ in crew.given].count("b") == 1
    assert [name for name, _ in crew.given].count("c") == 3
    assert crew.closed
    assert ("a", False) in crew.given
    assert ("a", True) in crew.given  # a try that failed may have left a film
    assert lines(tmp_path / "out")["c"]["error"].startswith("died: ")


def test_film_that_came_before_its_line_is_made_again(tmp_path: Path) -> None:
    out = tmp_path / "out"

    class Crash(Paper):
        def wait(self) -> list[tuple[Task, Outcome | str]]:
            Path(self.tasks[0].film).write_bytes(b"whole")
            raise KeyboardInterrupt

    jobs = [Job("a", "p.jpg")]
    with contextlib.suppress(KeyboardInterrupt):
        run(jobs, str(out), lambda films: Crash({}), lambda *_: None, retry=0, overwrite=False)
    assert lines(out)["a"]["status"] == "open"
    crew = Paper({"a": [Outcome(1, sha256="x")]})
    assert run(jobs, str(out), lambda films: crew, lambda *_: None, retry=0, overwrite=False).made == 1
    assert crew.given == [("a", True)]


def test_two_batches_in_one_folder(tmp_path: Path) -> None:
    out = str(tmp_path / "out")

    def inner(films: int) -> Paper:
        with pytest.raises(OutputError, match="another batch is at work"):
            run([Job("a", "p.jpg")], out, inner, lambda *_: None, retry=0, overwrite=False)
        return Paper({"a": [Outcome(1)]})

    assert run([Job("a", "p.jpg")], out, inner, lambda *_: None, retry=0, overwrite=False).made == 1
