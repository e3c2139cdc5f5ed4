"""The command's own checks: key, port, folder, limits, what is not installed."""

import socket
import sys
from pathlib import Path

import pytest

from portrait_anim.cli import serve
from portrait_anim.cli.main import main
from portrait_anim.errors import OptionError

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--key", "short"], "the key is too short"),
        (["--key", ""], "the key is too short"),
        (["--key", "a key with spaces in it"], "the key is too short or has other letters"),
        (["--max-queue", "0"], "max_queue 0 is out of range"),
        (["--workers", "many"], "'many' is not a whole number"),
        (["--device", "abacus"], "unknown device 'abacus'"),
        (["--port", "70000"], "port 70000 of 127.0.0.1 cannot be used"),
        (["--folder", "/dev/null/jobs"], "cannot keep jobs in /dev/null/jobs (Not a directory)"),
    ],
)
def test_bad_arguments_are_one_line(arguments: list[str], line: str, capfd: pytest.CaptureFixture[str]) -> None:
    try:
        code = main(["serve", *(["--port", "0"] if "--port" not in arguments else []), *arguments])
    except SystemExit as e:
        code = e.code
    told = capfd.readouterr().err
    assert code == 2
    assert told.startswith("error: ")
    assert line in told
    assert told.count("\n") == 1


def test_a_port_in_use_is_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["serve", "--port", str(taken.getsockname()[1]), "--folder", str(tmp_path)]) == 2
    assert "give another --port" in capfd.readouterr().err


def test_a_key_is_made_and_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(serve.KEY_VARIABLE, raising=False)
    (one, made), (other, _) = serve._key(None), serve._key(None)
    assert made
    assert one != other
    assert len(one) >= serve.MIN_KEY_LETTERS
    monkeypatch.setenv(serve.KEY_VARIABLE, "from-the-environment")
    assert serve._key(None) == ("from-the-environment", False)
    monkeypatch.setenv(serve.KEY_VARIABLE, "")  # a variable of a script that was empty
    with pytest.raises(OptionError):
        serve._key(None)


def test_without_fastapi_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("fastapi", "portrait_anim.service.web"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "fastapi", None)
    assert main(["serve"]) == 2
    assert 'pip install "portrait-anim[serve]"' in capfd.readouterr().err
