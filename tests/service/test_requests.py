"""What the service takes and refuses, and the jobs in their folder; no film is made."""

import dataclasses
import io
import json
import os
import time
from pathlib import Path

import pytest
from PIL import Image

from portrait_anim.errors import BusyError, LimitError, OptionError, OutputError
from portrait_anim.options import FilmOptions, PhotoOptions
from portrait_anim.service.films import FilmQueue
from portrait_anim.service.jobs import Job, Upload
from portrait_anim.service.requests import CHOICES, FILES, SERVERS, Limits, Sent, checked, read_json, read_multipart
from portrait_anim.service.schema import option_schemas
from portrait_anim.service.worker import Task

pytestmark = pytest.mark.unit


def picture(width: int = 8, height: int = 8) -> io.BytesIO:
    held = io.BytesIO()
    Image.new("L", (width, height)).save(held, "PNG")
    held.seek(0)
    return held


def sent(**more: list[Sent]) -> dict[str, list[Sent]]:
    return {"photo": [Sent("a b.PNG", picture())], "audio": [Sent("s.wav", io.BytesIO(b"x"))], **more}


def test_every_option_is_sorted() -> None:
    """A new option of a film must be put into one of the three lists, so that none opens a path by accident."""
    of_films = {part.name for kind in (PhotoOptions, FilmOptions) for part in dataclasses.fields(kind) if part.init}
    assert of_films == (set(CHOICES) | set(FILES) | set(SERVERS)) & of_films
    assert not set(CHOICES) & {*FILES, *SERVERS}
    assert set(CHOICES) == set(option_schemas())
    assert all(schema["description"] for schema in option_schemas().values())


def test_options_are_read_as_on_the_command_line() -> None:
    choices, files = read_multipart([("head-motion", "0.5"), ("face", "2,1"), ("fps", "30000/1001"), *_items(sent())])
    keywords, uploads = checked(choices, files, Limits())
    assert keywords == {
        "head_motion": 0.5, "face": (2, 1), "fps": pytest.approx(29.97, abs=1e-3), "max_size": 1920,
        "max_duration": 600,
    }  # fmt: skip
    assert [(upload.keyword, upload.name) for upload in uploads] == [("photo", "photo.png"), ("audio", "audio-1.wav")]
    placed, _ = checked({"face_box": "1,2,30,40"}, sent(), Limits())
    assert placed["face_box"] == (1, 2, 30, 40)
    same, _ = checked({"head_motion": 0.5, "face": [2, 1], "max_duration": "0:30"}, sent(), Limits())
    assert (same["head_motion"], same["face"], same["max_duration"]) == (0.5, [2, 1], 30)


def _items(files: dict[str, list[Sent]]) -> list[tuple[str, str | Sent]]:
    return [(name, one) for name, many in files.items() for one in many]


@pytest.mark.parametrize(
    ("choices", "line"),
    [
        ({"colour": "red"}, "unknown option 'colour'"),
        ({"head_motion": "much"}, "head_motion: 'much' is not a number"),
        ({"head_motion": 3}, "head_motion 3 is out of range: give a number from 0 to 2"),
        ({"head_motion": True}, "head_motion True is out of range"),
        ({"face_box": "1,2,3"}, "face_box: '1,2,3' is no box"),
        ({"face_box": [1, 2, 3, 4]}, "face_box width 3 is out of range"),
        ({"face_box": [1, 2, 30, 40], "face": 1}, "face and face_box both say"),
        ({"seed": 1.5}, "seed 1.5 is out of range"),
        ({"emotion": "hungry"}, "unknown emotion 'hungry'"),
        ({"label": 5}, "label is no text"),
        ({"lips": "actor"}, "of an actor's video"),
        ({"audit_log": "log.txt"}, "audit_log is the server's own option"),
        ({"save_motion": "x.npz"}, "save_motion is the server's own option"),
        ({"morph": "/etc/passwd@1"}, "no file '/etc/passwd' was sent"),
        ({"morph": "list.lrc"}, "morph is no text of names and times"),
        ({"morph": [["a", 1]]}, "morph is no text"),
    ],
)
def test_bad_options_are_told_in_the_commands_words(choices: dict, line: str) -> None:
    with pytest.raises(OptionError) as told:
        checked(choices, sent(), Limits())
    assert line in str(told.value)
    assert "\n" not in str(told.value)


def test_files_are_uploads_and_nothing_else() -> None:
    for text in ("/etc/passwd", "http://example.org/a.jpg", "data:image/png;base64,@"):
        with pytest.raises(OptionError, match="photo is neither base64 nor a data URL"):
            read_json({"photo": text})
    with pytest.raises(OptionError, match="photo is text: send a file"):
        read_multipart([("photo", "/etc/passwd")])
    with pytest.raises(OptionError, match="seed is no file"):
        read_multipart([("seed", Sent("a", io.BytesIO()))])
    with pytest.raises(OptionError, match="no object"):
        read_json(["photo"])
    with pytest.raises(OptionError, match="no photo was sent"):
        checked({}, {"audio": [Sent("", io.BytesIO(b"x"))]}, Limits())
    with pytest.raises(OptionError, match="nothing moves the photo"):
        checked({}, {"photo": [Sent("", picture())]}, Limits())


@pytest.mark.parametrize("name", ["../../x.sh", "a/b.jpg/..", "photo", "p.jpeg\0", "p." + "j" * 99, "..", ".png"])
def test_names_of_clients_become_no_paths(name: str) -> None:
    _, uploads = checked({}, sent(photo=[Sent(name, picture())]), Limits())
    assert Path(uploads[0].name).name == uploads[0].name
    assert uploads[0].name.startswith("photo")


def test_morph_photos_are_found_by_their_names() -> None:
    second = [Sent("second, or so.jpg", picture()), Sent("3.png", picture())]
    keywords, uploads = checked({"morph": "second, or so.jpg#2@0.5,3.png@2:1"}, sent(morph_photo=second), Limits())
    assert keywords["morph"] == [["morph_photo-1.jpg#2", 0.5, 0.8], ["morph_photo-2.png", 2, 1]]
    assert [upload.keyword for upload in uploads] == ["photo", "audio", "morph", "morph"]
    task = Task("id", Path("/jobs/id"), keywords, {"photo": "photo.png"}, Path("film.mp4"))
    assert task.keywords()["morph"][0] == ("/jobs/id/morph_photo-1.jpg#2", 0.5, 0.8)


def test_texts_take_the_place_of_sounds() -> None:
    only_photo = {"photo": [Sent("a.png", picture())]}
    choices, files = read_multipart(
        [("say", "a: hi\nb: ho"), ("voice", "a=heart"), ("voice", "b=de"), *_items(only_photo)]
    )
    keywords, _ = checked(choices, files, Limits())
    assert (keywords["say"], keywords["voice"]) == ("a: hi\nb: ho", ["a=heart", "b=de"])
    for given, error, line in (
        ({"voice": "heart"}, OptionError, "voice is of a text"),
        ({"say": 5}, OptionError, "say is a text"),
        ({"say": "hi", "voice": [1]}, OptionError, "voice a name"),
        ({"say": "a" * 999}, LimitError, "999 letters, too many for the 10 s"),
    ):
        with pytest.raises(error, match=line):
            checked(given, only_photo, Limits(duration_s=10))
    with pytest.raises(OptionError, match="a sound and say are given"):
        checked({"say": "hi"}, sent(), Limits())


def test_limits_are_told() -> None:
    limits = Limits(pixels=10_000, side_px=512, duration_s=5)
    with pytest.raises(LimitError, match=r"photo.png is 200x100 px: at most 0.01 megapixels"):
        checked({}, sent(photo=[Sent("p.png", picture(200, 100))]), limits)
    with pytest.raises(LimitError, match="max_size 513 is larger than the 512 px"):
        checked({"max_size": "513"}, sent(), limits)
    with pytest.raises(LimitError, match="max_duration 6 s is longer than the 5 s"):
        checked({"max_duration": "0:06"}, sent(), limits)


def test_jobs_outlive_the_queue_and_are_begun_again_once(tmp_path: Path) -> None:
    with FilmQueue(tmp_path, workers=0) as films:
        with pytest.raises(OutputError, match="belong to a running program"):
            FilmQueue(tmp_path, workers=0)
        first, second = (films.add({"seed": i, "face": (1, 2)}, [photo()]) for i in range(2))
        assert films.place(second) == 1
    for starts in (1, 2):  # as a killed program leaves it
        kept = json.loads((tmp_path / first.id / "job.json").read_text())
        kept.update(state="working", starts=starts)
        (tmp_path / first.id / "job.json").write_text(json.dumps(kept))
        (tmp_path / ".new-abc").mkdir()
        with FilmQueue(tmp_path, workers=0) as films:
            again = films.get(first.id)
            assert again is not None
            assert again.state == ("queued" if starts == 1 else "failed")
            assert films.place(again) == (0 if starts == 1 else None)
            assert again.choices == {"seed": 0, "face": [1, 2]}
            assert not (tmp_path / ".new-abc").exists()
    assert again.error is not None
    assert "ended 2 times" in again.error
    assert not (tmp_path / first.id / "photo.png").exists()
    assert (tmp_path / second.id / "photo.png").exists()


def test_damaged_jobs_are_left_alone(tmp_path: Path) -> None:
    for name, text in (("a", "{"), ("b", "[]"), ("c", '{"choices": {}, "id": "../x"}'), ("d", '{"id": "d"}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "job.json").write_text(text)
    with FilmQueue(tmp_path, workers=0) as films:
        assert not films._jobs
    assert len(list(tmp_path.glob("*/job.json"))) == 4


def photo() -> Upload:
    return Upload("photo", "photo.png", picture())


def test_a_full_queue_and_a_full_disk_keep_nothing(tmp_path: Path) -> None:
    class Full(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError(28, os.strerror(28))

    with FilmQueue(tmp_path, workers=0, max_queued=1) as films:
        with pytest.raises(OutputError, match="No space left on device"):
            films.add({}, [Upload("photo", "photo.png", Full())])
        films.add({}, [photo()])
        with pytest.raises(BusyError, match="1 films are waiting"):
            films.add({}, [photo()])
        assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 1


def test_cancelled_and_old_jobs_lose_their_files(tmp_path: Path) -> None:
    with FilmQueue(tmp_path, workers=0, keep_s=0.2) as films:
        job: Job = films.add({}, [photo()])
        films.cancel(job)
        assert job.state == "cancelled"
        assert [path.name for path in (tmp_path / job.id).iterdir()] == ["job.json"]
        until = time.monotonic() + 10
        while films.get(job.id) is not None and time.monotonic() < until:
            time.sleep(0.05)
        assert films.get(job.id) is None
        assert not (tmp_path / job.id).exists()
