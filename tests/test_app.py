"""The page in the browser: served for real, used through its own interface."""

import sys
from pathlib import Path

import pytest
from gradio_client import Client, handle_file

from portrait_anim import app
from portrait_anim.provenance.verify import verify

EXAMPLES = Path(__file__).parents[1] / "examples"


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


def test_without_gradio_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(app.DependencyError, match=r"portrait-anim\[app\]"):
        app.build()
