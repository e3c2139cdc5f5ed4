"""The service as a process of its own, used over HTTP by real clients, killed, and with a full disk."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from conftest import cut, environment

from portrait_anim import animate
from portrait_anim.errors import NoFaceError
from portrait_anim.provenance.verify import verify

pytestmark = pytest.mark.media

KEY = "a-key-for-the-tests"
WAIT_S = 120  # for what takes a second on an idle machine
LONG_S = 12  # of a sound whose film takes a while
VERY_LONG_S, STOPPED_S = 90, 7  # of a sound whose film takes over 10 s from its first frame on; in which it is stopped
QUEUE = 8
RUNNING = ("queued", "working")


@dataclass
class Server:
    """``portrait-anim serve`` on a free port."""

    folder: Path
    more: tuple[str, ...] = ()
    process: subprocess.Popen[str] = field(init=False)
    client: httpx.Client = field(init=False)

    def __enter__(self) -> Server:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "portrait_anim", "serve", "--port", "0", "--folder", str(self.folder), *self.more],
            env={**environment(), "PORTRAIT_ANIM_KEY": KEY}, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        address = self.process.stdout.readline().split("/docs")[0]
        self.client = httpx.Client(base_url=address, headers={"Authorization": f"Bearer {KEY}"}, timeout=WAIT_S)
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        with contextlib.suppress(psutil.Error):
            for child in psutil.Process(self.process.pid).children(recursive=True):
                child.kill()
        self.process.kill()
        self.process.communicate()

    @property
    def address(self) -> tuple[str, int]:
        return self.client.base_url.host, self.client.base_url.port or 80

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def post(self, photo: Path, sound: Path, **options: Any) -> httpx.Response:
        with photo.open("rb") as picture, sound.open("rb") as audio:
            return self.client.post("/v1/films", files={"photo": picture, "audio": audio}, data=options)

    def make(self, photo: Path, sound: Path, **options: Any) -> str:
        answer = self.post(photo, sound, **options)
        assert answer.status_code == 202, answer.text
        assert answer.headers["Location"] == f"/v1/films/{answer.json()['id']}"
        return str(answer.json()["id"])

    def status(self, job: str) -> dict[str, Any]:
        return dict(self.client.get(f"/v1/films/{job}").json())

    def events(self, job: str) -> list[tuple[str, dict[str, Any]]]:
        with self.client.stream("GET", f"/v1/films/{job}/events") as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            lines = [line for line in stream.iter_lines() if line and not line.startswith(":")]
        names, data = lines[::2], lines[1::2]
        return [
            (name.removeprefix("event: "), json.loads(told.removeprefix("data: ")))
            for name, told in zip(names, data, strict=True)
        ]

    def until(self, job: str, *, state: str | None = None, step: str | None = None) -> dict[str, Any]:
        end_s = time.monotonic() + WAIT_S
        while time.monotonic() < end_s:
            now = self.status(job)
            if now["state"] == state or (step is not None and now["step"] == step):
                return now
            assert now["state"] in RUNNING, now
            time.sleep(0.02)
        raise AssertionError(f"{job} did not come to {state or step}: {self.status(job)}")

    def kept(self, job: str) -> set[str]:
        return {path.name for path in (self.folder / job).iterdir()}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    limits = ("--max-queue", str(QUEUE), "--max-upload", "8", "--max-pixels", "0.3", "--max-size", "512")
    with Server(tmp_path_factory.mktemp("jobs"), (*limits, "--max-duration", "2:00")) as started:
        yield started


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory, speech: Path) -> Path:
    return cut(speech, tmp_path_factory.mktemp("sound") / "short.wav", 0.4)


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory, speech: Path) -> Path:
    return cut(speech, tmp_path_factory.mktemp("sound") / "long.wav", LONG_S)


@pytest.fixture(scope="module")
def very_long(tmp_path_factory: pytest.TempPathFactory, speech: Path) -> Path:
    return cut(speech, tmp_path_factory.mktemp("sound") / "very_long.wav", VERY_LONG_S)


def test_eight_clients_at_once(server: Server, small_astronaut: Path, short: Path, tmp_path: Path) -> None:
    def one(seed: int) -> tuple[list[tuple[str, dict[str, Any]]], Path]:
        job = server.make(small_astronaut, short, seed=seed, **{"head-motion": "0.5"})
        told = server.events(job)
        film = tmp_path / f"{seed}.mp4"
        answer = server.client.get(f"/v1/films/{job}/film")
        assert answer.headers["content-type"] == "video/mp4"
        film.write_bytes(answer.content)
        return told, film

    with ThreadPoolExecutor(8) as clients:
        made = list(clients.map(one, range(8)))
    for told, film in made:
        states = [name for name, _ in told]
        assert states == sorted(states, key=("queued", "working", "done").index)
        assert states[-1] == "done"
        shares = [status["share"] for _, status in told]
        assert shares == sorted(shares)
        assert shares[-1] == 1
        assert told[-1][1]["film"]["bytes"] == film.stat().st_size
        assert told[-1][1]["film"]["n_frames"] == 10
    waited = [[status["place"] for name, status in told if name == "queued"] for told, _ in made]
    assert max(places[0] for places in waited if places) >= 4  # they did wait for each other
    assert all(places == sorted(places, reverse=True) for places in waited)
    reports = [verify(film) for _, film in (made[0], made[7])]
    assert all(report.marked for report in reports)
    assert len({film.read_bytes() for _, film in made}) == 8
    assert len({child.pid for child in server.children() if "spawn_main" in " ".join(child.cmdline())}) == 1


def test_a_film_is_the_commands_and_goes_when_it_is_fetched(
    server: Server, small_astronaut: Path, short: Path, tmp_path: Path
) -> None:
    def data(path: Path, kind: str) -> str:
        return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"

    sent = {"photo": data(small_astronaut, "image/png"), "audio": [data(short, "audio/wav")], "emotion": "happy:0.5",
            "fps": "30000/1001", "seed": 3}  # fmt: skip
    answer = server.client.post("/v1/films", json=sent)
    job = answer.json()["id"]
    assert "film" in server.client.get(f"/v1/films/{job}/film").json()["error"]  # not yet
    server.until(job, state="done")
    assert server.kept(job) == {"job.json", "film.mp4"}  # the uploads are gone
    got = tmp_path / "got.mp4"
    got.write_bytes(server.client.get(f"/v1/films/{job}/film").content)
    ours = animate(
        small_astronaut, short, tmp_path / "ours.mp4", emotion="happy:0.5", fps=30000 / 1001, seed=3, max_size=512
    ).path
    assert frames(got) == frames(ours)
    assert server.kept(job) == {"job.json"}
    assert server.status(job)["fetched"]
    again = server.client.get(f"/v1/films/{job}/film")
    assert (again.status_code, again.json()) == (410, {"error": "the film was fetched before, and deleted then"})


def frames(film: Path) -> bytes:
    """The digest of a film's decoded frames and sound."""
    from portrait_anim.system.ffmpeg import ffmpeg_exe

    done = subprocess.run([ffmpeg_exe(), "-v", "error", "-i", film, "-f", "streamhash", "-"],
                          capture_output=True, check=True)  # fmt: skip
    return done.stdout


def test_a_text_is_spoken(server: Server, small_astronaut: Path) -> None:
    def make(text: str) -> dict[str, Any]:
        answer = server.client.post("/v1/films", files={"photo": ("p.png", small_astronaut.read_bytes())},
                                    data={"say": text, "voice": "heart"})  # fmt: skip
        return server.events(answer.json()["id"])[-1][1]

    assert make("Hi.")["film"]["n_frames"] in range(8, 30)
    assert "voice heart speaks English" in make("Привет")["error"]


def test_what_cannot_be_made_fails_with_the_commands_line(
    server: Server, small_astronaut: Path, short: Path, tmp_path: Path
) -> None:
    from PIL import Image

    wall, broken = tmp_path / "photo.png", tmp_path / "audio.wav"
    Image.new("RGB", (128, 128), "grey").save(wall)
    broken.write_bytes(b"RIFF no sound at all")
    jobs = [server.make(wall, short), server.make(small_astronaut, broken)]
    lines = []
    for job in jobs:
        told = server.events(job)[-1]
        assert told[0] == "failed"
        lines.append(told[1]["error"])
        assert server.client.get(f"/v1/films/{job}/film").json() == {"error": told[1]["error"]}
        assert server.kept(job) == {"job.json"}
    with pytest.raises(NoFaceError) as ours:
        animate(wall, short, tmp_path / "out.mp4")
    assert lines[0] == str(ours.value).replace(f"{wall.parent}{os.sep}", "")
    assert lines[1].startswith("audio-1.wav")
    assert not any(str(server.folder) in line for line in lines)


def test_bad_requests_are_refused_at_once(
    server: Server, astronaut: Path, small_astronaut: Path, short: Path, speech: Path, tmp_path: Path
) -> None:
    post, n_jobs = server.client.post, len(list(server.folder.iterdir()))
    photo, audio = ("p.png", small_astronaut.read_bytes()), ("a.wav", short.read_bytes())
    both = {"photo": photo, "audio": audio}
    large = tmp_path / "large.png"
    from PIL import Image

    Image.new("L", (1000, 400)).save(large)
    minutes = cut(speech, tmp_path / "minutes.wav", 121)
    refused = [
        (422, "no photo was sent", post("/v1/films", files={"audio": audio})),
        (422, "nothing moves the photo", post("/v1/films", files={"photo": photo})),
        (422, "unknown option 'colour'", post("/v1/films", files=both, data={"colour": "red"})),
        (422, "seed: 'x' is not a whole number", post("/v1/films", files=both, data={"seed": "x"})),
        (422, "blinks 9.0 is out of range", post("/v1/films", files=both, data={"blinks": "9"})),
        (422, "sign_key is the server's own", post("/v1/films", files=both, data={"sign-key": "/etc/passwd"})),
        (422, "photo is text: send a file", post("/v1/films", files={"audio": audio}, data={"photo": "/etc/passwd"})),
        (422, "paths and addresses are not opened", post("/v1/films", json={"photo": "http://localhost/a.jpg"})),
        (422, "the JSON cannot be read", post("/v1/films", content="{", headers={"content-type": "application/json"})),
        (415, "neither multipart", post("/v1/films", content="photo", headers={"content-type": "text/plain"})),
        (400, "", post("/v1/films", content="photo", headers={"content-type": "multipart/form-data"})),
        (413, "at most 0.3 megapixels", server.post(large, short)),
        (413, "audio-1.wav lasts 121 s: at most 120 s", server.post(small_astronaut, minutes)),
        (413, "9.1 MB, and 8 MB are allowed", post("/v1/films", files={**both, "actor": ("v.mp4", bytes(9_000_000))})),
        (411, "send Content-Length", post("/v1/films", content=iter([b"{}"]))),
        (413, "max_size 513 is larger", post("/v1/films", files=both, data={"max-size": "513"})),
        (404, "", server.client.get("/v1/films/..%2f..%2fetc")),
        (404, "no such job", server.client.delete("/v1/films/0")),
    ]  # fmt: skip
    for status, line, answer in refused:
        assert answer.status_code == status, (line, answer.text)
        assert set(answer.json()) == {"error"}
        assert line in answer.json()["error"]
        assert "\n" not in answer.json()["error"]
    assert len(list(server.folder.iterdir())) == n_jobs
    assert server.client.get("/docs").status_code == 200
    schema = server.client.get("/openapi.json").json()
    body = schema["paths"]["/v1/films"]["post"]["requestBody"]["content"]
    assert set(body) == {"multipart/form-data", "application/json"}
    assert body["application/json"]["schema"]["properties"]["head_motion"]["default"] == 1.0


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {KEY}"}])
def test_without_the_key_nothing_is_told(server: Server, header: dict[str, str]) -> None:
    with httpx.Client(base_url=server.client.base_url, headers=header) as stranger:
        for method, path in (("POST", ""), ("GET", "/0"), ("GET", "/0/events"), ("GET", "/0/film"), ("DELETE", "/0")):
            answer = stranger.request(method, f"/v1/films{path}")
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            assert "key is missing or wrong" in answer.json()["error"]


def test_a_client_that_is_killed_in_its_upload_leaves_nothing(
    server: Server, small_astronaut: Path, short: Path
) -> None:
    before = set(server.folder.iterdir())
    head = (
        f"POST /v1/films HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Length: 5000000\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n"
        'Content-Disposition: form-data; name="photo"; filename="p.png"\r\n\r\n'
    )
    for _ in range(3):
        with socket.create_connection(server.address) as client:
            client.sendall(head.encode() + bytes(2_000_000))
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # as the kernel: a reset
    open_files = {file.path for file in psutil.Process(server.process.pid).open_files()}
    assert server.until(server.make(small_astronaut, short), state="done")
    assert len(set(server.folder.iterdir()) - before) == 1
    assert not any("p.png" in path for path in open_files)


def test_a_client_that_is_killed_while_it_fetches_may_fetch_again(
    server: Server, small_astronaut: Path, short: Path
) -> None:
    job = server.make(small_astronaut, short)
    server.until(job, state="done")
    film = server.folder / job / "film.mp4"
    film.write_bytes(bytes(40_000_000))  # more than the kernel holds for a client that does not read
    with socket.create_connection(server.address) as client:
        client.sendall(f"GET /v1/films/{job}/film HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\r\n".encode())
        assert client.recv(1000).startswith(b"HTTP/1.1 200")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    time.sleep(0.5)
    assert not server.status(job)["fetched"]
    assert len(server.client.get(f"/v1/films/{job}/film").content) == 40_000_000
    assert not film.exists()


def test_a_killed_worker_fails_its_job_only(server: Server, small_astronaut: Path, long: Path, short: Path) -> None:
    job = server.make(small_astronaut, long)
    server.until(job, step="drawing")
    next(child for child in server.children() if "spawn_main" in " ".join(child.cmdline())).kill()
    event, told = server.events(job)[-1]
    assert event == "failed"
    assert told["error"] == "the process that made the film has ended (exit code -9), perhaps for memory"
    assert server.until(server.make(small_astronaut, short), state="done")
    assert server.kept(job) == {"job.json"}


@pytest.mark.parametrize("step", ["listening", "drawing"])
def test_cancelling_stops_the_work(
    server: Server, small_astronaut: Path, very_long: Path, short: Path, step: str
) -> None:
    job, waiting = server.make(small_astronaut, very_long), server.make(small_astronaut, very_long)
    server.until(job, step=step)
    for each in (waiting, job):
        assert server.client.delete(f"/v1/films/{each}").json()["state"] == "cancelled"
    asked_s = time.monotonic()
    while server.kept(job) != {"job.json"}:  # its worker clears the folder when it has stopped
        assert time.monotonic() < asked_s + STOPPED_S
        time.sleep(0.05)
    time.sleep(0.3)
    assert not [child for child in server.children() if "ffmpeg" in child.name()]
    assert server.events(job)[-1][0] == "cancelled"
    assert server.until(server.make(small_astronaut, short), state="done")  # and the next one is made
    assert server.kept(waiting) == {"job.json"}
    assert server.client.delete(f"/v1/films/{job}").status_code == 200  # forgets it
    assert server.client.get(f"/v1/films/{job}").status_code == 404
    assert not (server.folder / job).exists()


def test_a_full_queue_says_so(server: Server, small_astronaut: Path, long: Path, short: Path) -> None:
    first = server.make(small_astronaut, long)
    server.until(first, state="working")
    waiting = [server.make(small_astronaut, short) for _ in range(QUEUE)]
    answer = server.post(small_astronaut, short)
    assert answer.status_code == 429
    assert answer.json()["error"] == f"{QUEUE} films are waiting, as many as may: come back later"
    assert int(answer.headers["Retry-After"]) > 0
    server.client.delete(f"/v1/films/{waiting.pop()}")
    waiting.append(server.make(small_astronaut, short))  # room for one
    for job in (*waiting, first):
        server.client.delete(f"/v1/films/{job}")
    assert server.until(server.make(small_astronaut, short), state="done")


def test_killed_and_started_again(small_astronaut: Path, long: Path, short: Path, tmp_path: Path) -> None:
    with Server(tmp_path) as killed:
        working, queued = killed.make(small_astronaut, long), killed.make(small_astronaut, short, seed=5)
        killed.until(working, step="drawing")
        children = killed.children()
        os.kill(killed.process.pid, signal.SIGKILL)
        _, alive = psutil.wait_procs(children, timeout=20)
        assert not alive  # nobody works on for a server that has gone
    with Server(tmp_path) as again:
        again.until(working, step="listening")
        assert json.loads((tmp_path / working / "job.json").read_text())["starts"] == 2
        assert not list((tmp_path / working).glob(".portrait_anim-*"))
        assert again.status(queued)["state"] == "queued"
        again.client.delete(f"/v1/films/{working}")
        done = again.until(queued, state="done")
        assert done["film"]["n_frames"] == 10
        children = again.children()
        last = again.make(small_astronaut, long)
        again.until(last, state="working")
        again.process.send_signal(signal.SIGINT)
        assert again.process.wait(20) == 0
        _, alive = psutil.wait_procs(children, timeout=5)
        assert not alive
    kept = json.loads((tmp_path / last / "job.json").read_text())
    assert (kept["state"], kept["starts"]) == ("queued", 0)  # an ordinary end counts for no start


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount, umount = shutil.which("mount"), shutil.which("umount")
    tmpfs = ["-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if mount is None or umount is None or subprocess.run([mount, *tmpfs], capture_output=True, check=False).returncode:
        pytest.skip("no small disk can be mounted here")
    yield disk
    subprocess.run([umount, "--lazy", disk], check=True)


def test_a_full_disk_is_told_and_survived(
    small_disk: Path, astronaut: Path, small_astronaut: Path, second_of_speech: Path, tmp_path: Path
) -> None:
    filler = small_disk / "filler"
    with Server(small_disk / "jobs") as server:
        fill(filler, small_disk, left=60_000)
        answer = server.post(small_astronaut, second_of_speech)
        assert answer.status_code == 507
        line = "cannot keep what was sent (No space left on device): free some space on the server"
        assert answer.json() == {"error": line}
        assert [path.name for path in server.folder.iterdir()] == [".lock"]
        size = small_astronaut.stat().st_size + second_of_speech.stat().st_size
        fill(filler, small_disk, left=size + 40_000)  # enough for what is sent, not for the film
        job = server.make(small_astronaut, second_of_speech)
        event, told = server.events(job)[-1]
        assert event == "failed"
        assert "No space left on device" in told["error"]
        assert "free some space" in told["error"]
        assert server.kept(job) <= {"job.json"}
        filler.unlink()
        assert server.until(server.make(small_astronaut, second_of_speech), state="done")


def fill(filler: Path, disk: Path, *, left: int) -> None:
    filler.unlink(missing_ok=True)
    filler.write_bytes(bytes(shutil.disk_usage(disk).free - left))
