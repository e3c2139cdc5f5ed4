"""The page and its messages: who may call, what is refused, and that each refusal is one line."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("aiortc", reason="no aiortc: pip install portrait-anim[live]")
from starlette.testclient import TestClient

from portrait_anim.call.desk import Desk
from portrait_anim.call.web import page
from portrait_anim.call.wishes import MESSAGE_BYTES, PHOTO_BYTES, Wishes
from portrait_anim.errors import LimitError, OptionError, PhotoError
from portrait_anim.live.engine import LiveFace

pytestmark = pytest.mark.media

SOURCES = ("microphone", "camera")
OFFER = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\n"


def no_face(photo: Any, emotion: str | None, gaze: str) -> LiveFace:
    raise PhotoError("no face")


@pytest.fixture
def client() -> Iterator[TestClient]:
    with TestClient(page(Desk(no_face, 1), SOURCES, "127.0.0.1"), base_url="http://127.0.0.1:7861") as client:
        yield client


def given(client: TestClient) -> dict[str, Any]:
    found = re.search(r'id="given">(.*?)</script>', client.get("/").text)
    assert found
    return dict(json.loads(found[1]))


def picture(size: tuple[int, int] = (64, 64)) -> str:
    out = io.BytesIO()
    Image.fromarray(np.zeros((size[1], size[0], 3), np.uint8)).save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()


def test_the_page_is_whole_and_runs_nothing_from_elsewhere(client: TestClient) -> None:
    answer = client.get("/")
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    for name in re.findall(r'(?:src|href)="(/[^"]+)"', answer.text):
        assert client.get(name).status_code == 200
    assert "http" not in answer.text.replace("https", "http")  # no address of another server
    for words in ("only with their consent", "Synthetic face", ">Start<", ">Hang up<"):
        assert words in answer.text
    assert client.get("/static/index.html").status_code == 404
    assert client.get("/static/..%2Fweb.py").status_code == 404


def test_every_page_has_a_token_of_its_own_and_no_other_is_taken(client: TestClient) -> None:
    first, second = given(client)["token"], given(client)["token"]
    assert first != second
    assert client.post("/call/numbers", json={"token": first}).json() == {"over": True}
    for wrong in (None, 7, "", "a.b", first[:-1] + "x", first + "é"):
        answer = client.post("/call/numbers", json={"token": wrong})
        assert answer.status_code == 400
        assert "load it again" in answer.json()["error"]


def test_other_names_of_this_machine_are_not_answered(client: TestClient) -> None:
    assert client.get("/", headers={"Host": "localhost:7861"}).status_code == 200
    assert client.get("/", headers={"Host": "evil.example"}).status_code == 400


@pytest.mark.parametrize(
    ("message", "status", "said"),
    [
        ({}, 400, "no session description"),
        ({"offer": "hello", "source": "camera"}, 400, "no session description"),
        ({"offer": "v=0" + "a" * 300_000, "source": "camera"}, 413, "longer than"),
        ({"offer": OFFER, "source": "file"}, 400, "not there"),
        ({"offer": OFFER, "source": 3}, 400, "no text"),
        ({"offer": OFFER, "source": "camera", "emotion": "joyful"}, 400, "unknown emotion"),
        ({"offer": OFFER, "source": "camera", "gaze": "up"}, 400, "gaze"),
        ({"offer": OFFER, "source": "camera", "photo": "%%%"}, 400, "base64"),
        ({"offer": OFFER, "source": "camera", "photo": "AAAA"}, 400, "no picture"),
        ({"offer": OFFER, "source": "camera", "path": "/etc/passwd"}, 400, "unknown field"),
        ({"offer": OFFER, "source": "camera"}, 400, "no face"),
    ],
)
def test_what_is_wrong_is_one_line(client: TestClient, message: dict[str, Any], status: int, said: str) -> None:
    answer = client.post("/call/call", json={"token": given(client)["token"], **message})
    assert answer.status_code == status
    assert said in answer.json()["error"]
    assert "\n" not in answer.json()["error"]


def test_long_messages_and_large_photos_are_refused(client: TestClient) -> None:
    token = given(client)["token"]
    answer = client.post("/call/change", content=b" " * (MESSAGE_BYTES + 1))
    assert (answer.status_code, "MB" in answer.json()["error"]) == (413, True)
    assert client.post("/call/change", content=b"{").json()["error"] == "the message is no JSON"
    assert client.post("/call/change", content=b"[]").json()["error"] == "the message is no JSON object"
    assert client.post("/call/dance", json={"token": token}).status_code == 400
    assert client.post("/call/change", json={"token": token, "gaze": "photo"}).json()["error"].endswith("press Start")
    assert client.post("/call/hang-up", json={"token": token}).json() == {}
    with pytest.raises(LimitError, match="MB"):
        Wishes.of({"photo": base64.b64encode(b"a" * (PHOTO_BYTES + 1)).decode()})
    with pytest.raises(LimitError, match="megapixels"):
        Wishes.of({"photo": picture((10_000, 6_000))})
    with pytest.raises(OptionError, match="one emotion"):
        Wishes.of({"emotion": "happy@0-1,sad@1-2"})
    photo = Wishes.of({"photo": picture()}).photo
    assert photo is not None
    assert photo.size == (64, 64)
