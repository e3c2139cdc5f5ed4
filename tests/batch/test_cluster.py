"""A list on a real Ray cluster of two nodes, and with everything in a store: docs/testing.md has the command.

Skipped where ray, moto or s3fs are not installed.
"""

from __future__ import annotations

import csv
import io
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, cut

from portrait_anim.batch.crew import LocalCrew
from portrait_anim.batch.film import Outcome, Task
from portrait_anim.batch.jobs import Job, read_jobs
from portrait_anim.batch.ray_crew import RayCrew
from portrait_anim.batch.run import run
from portrait_anim.cli.batch import row_parser
from portrait_anim.cli.main import main
from portrait_anim.errors import DependencyError
from portrait_anim.provenance.manifest import read_manifest
from portrait_anim.video.reader import probe

pytestmark = [pytest.mark.package, pytest.mark.cluster]

N_FILMS = 8
FILM_S = 12.0


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A head with two cores; nodes can be added."""
    pytest.importorskip("ray", reason="ray is not installed")
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    yield made
    import ray

    ray.shutdown()
    made.shutdown()


def list_of(folder: Path, photo: Path, sound: Path) -> list[Job]:
    rows = "".join(f"f{i},{photo},{sound},{i}\n" for i in range(N_FILMS))
    (folder / "jobs.csv").write_text("id,photo,audio,seed\n" + rows)
    return read_jobs(folder / "jobs.csv", row_parser())


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_worker_is_killed_and_a_node_removed(
    cluster: Any, tmp_path: Path, small_astronaut: Path, speech: Path
) -> None:
    second = cluster.add_node(num_cpus=1)
    raylet = second.all_processes["raylet"][0].process.pid
    jobs = list_of(tmp_path, small_astronaut, cut(speech, tmp_path / "long.wav", FILM_S))
    out, deaths, done, seen = tmp_path / "films", [], [], []

    def parent(process: int | None) -> int:
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])

    class Watched(RayCrew):
        def wait(self) -> list[tuple[Task, Outcome | str]]:
            for worker in self._workers:
                if worker.task is None or not list(out.glob(f".portrait_anim-{worker.process}-*.mp4")):
                    continue  # only one whose film is half written
                if len(seen) == 0 and done and parent(worker.process) != raylet:
                    seen.append("killed")
                    os.kill(worker.process or 0, signal.SIGKILL)
                elif seen == ["killed"] and deaths and len(done) >= 2 and parent(worker.process) == raylet:
                    seen.append("removed")
                    cluster.remove_node(second)
                    break
            happened = super().wait()
            deaths.extend(answer for _, answer in happened if isinstance(answer, str))
            return happened

    summary = run(
        jobs, str(out), lambda films: Watched(cluster.address, 3, films, str(out)),
        lambda summary, result: done.append(result.id) if result is not None else None, retry=2, overwrite=False,
    )  # fmt: skip
    assert seen == ["killed", "removed"]
    assert len(deaths) >= 2, deaths
    assert (summary.made, summary.failed, summary.left) == (N_FILMS, 0, 0)
    assert sorted(done) == [f"f{i}" for i in range(N_FILMS)]  # none twice
    assert {path.name for path in out.iterdir()} == {*(f"f{i}.mp4" for i in range(N_FILMS)), "results.csv"}
    for i in range(N_FILMS):  # all whole
        assert probe(out / f"f{i}.mp4").n_frames == round(FILM_S * 25)
        assert read_manifest(out / f"f{i}.mp4").valid


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_one_film_on_two_machines(cluster: Any, tmp_path: Path, small_astronaut: Path, speech: Path) -> None:
    """Parts of one film on two nodes; a worker is killed while its part is half written."""
    cluster.add_node(num_cpus=1)
    jobs = list_of(tmp_path, small_astronaut, cut(speech, tmp_path / "long.wav", 24.0))[:1]
    out, deaths, killed, places = tmp_path / "films", [], [], set()

    class Watched(RayCrew):
        def wait(self) -> list[tuple[Task, Outcome | str]]:
            for worker in self._workers:
                if worker.task is not None and worker.task.share is not None:
                    places.add(worker.process)
                    if not killed and list(out.glob(f".portrait_anim-{worker.process}-*.mp4")):
                        killed.append(worker.process)
                        os.kill(worker.process or 0, signal.SIGKILL)
            happened = super().wait()
            deaths.extend(task.name for task, answer in happened if isinstance(answer, str))
            return happened

    summary = run(
        jobs, str(out), lambda films: Watched(cluster.address, 2, 2, str(out)), lambda *_: None, retry=2,
        overwrite=False, longest_s=4.0,
    )  # fmt: skip
    assert (len(killed), len(deaths)) == (1, 1)
    assert "part" in deaths[0]
    assert len(places) >= 2
    assert (summary.made, summary.failed) == (1, 0)
    assert {path.name for path in out.iterdir()} == {"f0.mp4", "results.csv"}
    assert probe(out / "f0.mp4").n_frames == 600
    assert read_manifest(out / "f0.mp4").valid


def test_interrupted_leaves_no_half_film(cluster: Any, tmp_path: Path, small_astronaut: Path, speech: Path) -> None:
    jobs = list_of(tmp_path, small_astronaut, cut(speech, tmp_path / "long.wav", 60.0))
    out = tmp_path / "films"

    class Interrupted(RayCrew):
        def wait(self) -> list[tuple[Task, Outcome | str]]:
            if list(out.glob(".portrait_anim-*.mp4")):
                raise KeyboardInterrupt
            return super().wait()

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run(
            jobs, str(out), lambda films: Interrupted(cluster.address, 1, films, str(out)), lambda *_: None,
            retry=2, overwrite=False,
        )  # fmt: skip
    assert time.monotonic() - start < 60
    assert {path.name for path in out.iterdir()} == {"results.csv"}
    assert "done" not in (out / "results.csv").read_text()


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An S3 server on this machine with a bucket called films, and how it is reached."""
    for name in ("moto", "s3fs", "flask"):
        pytest.importorskip(name, reason=f"{name} is not installed")
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    system = s3fs.S3FileSystem()
    system.mkdir("films")
    yield system
    server.stop()


def account(store: Any, place: str) -> dict[str, dict[str, str]]:
    store.invalidate_cache()
    text = store.cat_file(place).decode()
    return {row["id"]: row for row in csv.DictReader(io.StringIO(text, newline=""))}


def test_everything_in_a_store_on_a_cluster(
    store: Any, cluster: Any, tmp_path: Path, small_astronaut: Path, second_of_speech: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    store.put_file(str(small_astronaut), "films/in/p.png")
    store.put_file(str(second_of_speech), "films/in/s.wav")
    rows = "a,s3://films/in/p.png,s3://films/in/s.wav\nb,s3://films/in/p.png,s3://films/in/none.wav\n"
    (tmp_path / "jobs.csv").write_text("id,photo,audio\n" + rows)
    words = ["batch", str(tmp_path / "jobs.csv"), "--out", "s3://films/out", "--workers", "1", "--retry", "0"]
    assert main([*words, "--ray", cluster.address]) == 1
    found = account(store, "films/out/results.csv")
    assert (found["a"]["status"], found["b"]["status"]) == ("done", "failed")
    assert "s3://films/in/none.wav not found" in found["b"]["error"]
    assert {path.rsplit("/", 1)[-1] for path in store.ls("films/out", detail=False)} == {"a.mp4", "results.csv"}
    store.get_file("films/out/a.mp4", str(tmp_path / "a.mp4"))
    assert probe(tmp_path / "a.mp4").n_frames == 25
    assert read_manifest(tmp_path / "a.mp4").content_id == int(found["a"]["content_id"], 16)

    capsys.readouterr()
    (tmp_path / "jobs.csv").write_text("id,photo,audio\n" + rows.splitlines()[0] + "\n")
    assert main(words) == 0  # again, by a process of this machine: nothing to do
    assert "1 films: 0 made, 1 there already" in capsys.readouterr().out
    shutil.copy(second_of_speech, tmp_path / "other.wav")
    store.put_file(str(cut(second_of_speech, tmp_path / "other.wav", 0.6)), "films/in/s.wav")
    assert main(words) == 1  # the sound is another one now
    assert "of other inputs or options" in capsys.readouterr().err
    assert main([*words, "--overwrite"]) == 0
    store.invalidate_cache()
    store.get_file("films/out/a.mp4", str(tmp_path / "again.mp4"))
    assert probe(tmp_path / "again.mp4").n_frames == 15


def test_film_in_parts_in_a_store(store: Any, tmp_path: Path, small_astronaut: Path, speech: Path) -> None:
    store.put_file(str(small_astronaut), "films/in/p.png")
    store.put_file(str(cut(speech, tmp_path / "s.wav", 3.0)), "films/in/s.wav")
    (tmp_path / "jobs.csv").write_text("id,photo,audio\na,s3://films/in/p.png,s3://films/in/s.wav\n")
    jobs = read_jobs(tmp_path / "jobs.csv", row_parser())
    seen: set[str] = set()

    class Watched(LocalCrew):
        def wait(self) -> list[tuple[Task, Outcome | str]]:
            happened = super().wait()
            store.invalidate_cache()
            seen.update(store.ls("films/out"))
            return happened

    out = "s3://films/out"
    summary = run(
        jobs, out, lambda films: Watched(2, out), lambda *_: None, retry=0, overwrite=False, longest_s=1.0
    )  # fmt: skip
    assert (summary.made, summary.failed) == (1, 0)
    assert len(seen) == 5  # the film, results.csv, and for a while three parts
    store.invalidate_cache()
    assert sorted(store.ls("films/out")) == ["films/out/a.mp4", "films/out/results.csv"]
    store.get_file("films/out/a.mp4", str(tmp_path / "a.mp4"))
    assert probe(tmp_path / "a.mp4").n_frames == 75
    assert read_manifest(tmp_path / "a.mp4").valid


def test_store_that_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("s3fs", reason="s3fs is not installed")
    for name, value in {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "k", "AWS_MAX_ATTEMPTS": "1",
                        "AWS_SECRET_ACCESS_KEY": "s", "AWS_DEFAULT_REGION": "us-east-1"}.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    (tmp_path / "jobs.csv").write_text("id,photo,audio\na,p.png,s.wav\n")
    start = time.monotonic()
    assert main(["batch", str(tmp_path / "jobs.csv"), "--out", "s3://films/out"]) == 2
    assert time.monotonic() - start < 60


def test_no_cluster_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="ray is not installed")
    with pytest.raises(DependencyError, match=r"no Ray cluster at 127\.0\.0\.1:9"):
        RayCrew("127.0.0.1:9", 1, 1, str(tmp_path))
