"""The page in the browser: served for real, used through its own interface."""

import multiprocessing
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from conftest import EXAMPLES, command, environment
from gradio_client import Client, handle_file

from portrait_anim.app import page as app
from portrait_anim.provenance.verify import verify

pytestmark = pytest.mark.media


def test_the_page_makes_a_marked_film_and_says_what_is_wrong(
    second_of_speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "gradio"))
    page = app.build()
    _, address, _ = page.launch(server_name="127.0.0.1", quiet=True, prevent_thread_lock=True)
    try:
        client = Client(address, verbose=False, download_files=str(tmp_path / "got"))
        options = ["happy", 1.0, 1.0, 1.0, 0, "default"]
        film, said = client.predict(
            handle_file(EXAMPLES / "astronaut.jpg"), handle_file(second_of_speech), *options, api_name="/animate"
        )
        assert said.startswith("1.00 s, 25 frames")
        assert verify(film).marked
        with pytest.raises(Exception, match="Give a photo and a sound"):
            client.predict(None, handle_file(second_of_speech), *options, api_name="/animate")
    finally:
        page.close()
        page.films.close()


def test_nets_stay_loaded_and_films_go(
    small_astronaut: Path, second_of_speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, ours = tmp_path / "gradio", tmp_path / "ours"
    ours.mkdir()
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(cache))
    monkeypatch.setattr(tempfile, "tempdir", str(ours))
    page = app.build()
    _, address, _ = page.launch(server_name="127.0.0.1", quiet=True, prevent_thread_lock=True)
    try:
        client = Client(address, verbose=False, download_files=str(tmp_path / "got"))
        workers = multiprocessing.active_children()
        assert len(workers) == 1
        for seed in range(3):
            options = ["neutral", 1.0, 1.0, 1.0, seed, "default"]
            film, _ = client.predict(
                handle_file(small_astronaut), handle_file(second_of_speech), *options, api_name="/animate"
            )
            assert verify(film).marked
            assert len(list(ours.rglob("*.mp4"))) <= 2
        assert multiprocessing.active_children() == workers  # the same process, with its nets
        assert len(list(cache.rglob("*.mp4"))) == 3
    finally:
        page.close()
        page.films.close()
    assert not [path for path in cache.rglob("*") if path.is_file()]  # photos and sounds neither


def test_nothing_is_left_when_the_page_ends(small_astronaut: Path, second_of_speech: Path, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own, cache = tmp_path / "tmp", tmp_path / "gradio"
    own.mkdir()
    process = subprocess.Popen(
        [*command("portrait-anim"), "app", "--port", str(port)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**environment(), "TMPDIR": str(own), "GRADIO_TEMP_DIR": str(cache)}, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("http://127.0.0.1")
        client = Client(f"http://127.0.0.1:{port}", verbose=False, download_files=str(tmp_path / "got"))
        client.predict(
            handle_file(small_astronaut), handle_file(second_of_speech), "neutral", 1.0, 1.0, 1.0, 0, "default",
            api_name="/animate",
        )  # fmt: skip
        assert list(own.rglob("*.mp4"))
        process.send_signal(signal.SIGINT)
        process.wait(60)
    finally:
        process.kill()
        process.communicate()
    assert not list(own.rglob("*.mp4"))
    assert not [path for path in cache.rglob("*") if path.is_file()]


def test_without_gradio_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(app.DependencyError, match=r"portrait-anim\[app\]"):
        app.build()
