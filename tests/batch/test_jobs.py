"""What a list of films says, and what is wrong with it: read without making a film."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from portrait_anim.batch.film import inputs_of
from portrait_anim.batch.jobs import Job, read_jobs
from portrait_anim.batch.places import inside, is_url, place_of
from portrait_anim.batch.results import DONE, OPEN, Result, Results
from portrait_anim.cli import animate
from portrait_anim.cli.batch import row_parser
from portrait_anim.errors import JobsError, OutputError
from portrait_anim.options import INPUT_OPTIONS, OPTION_NAMES, OUTPUT_OPTIONS, SWITCHES

pytestmark = pytest.mark.unit


def jobs_of(folder: Path, text: str, name: str = "jobs.csv") -> list[Job]:
    (folder / name).write_text(text, "utf-8")
    return read_jobs(folder / name, row_parser())


def test_option_names_are_those_of_the_command_line() -> None:
    parser = argparse.ArgumentParser()
    animate.add_arguments(parser)
    args = vars(parser.parse_args(["photo.jpg"]))
    assert set(args) - {"photo", "audio", "output", "force", "say", "voice"} == set(OPTION_NAMES)
    assert {name for name, value in args.items() if value is False} - {"force"} == set(SWITCHES)
    assert {"actor", "captions", "motion"} <= set(INPUT_OPTIONS)
    assert not set(INPUT_OPTIONS) & set(OUTPUT_OPTIONS)


def test_csv_row(tmp_path: Path) -> None:
    text = (
        "\ufeffid,photo,audio,--Head-Motion,emotion,karaoke,captions,face,motion\n"
        'anna,anna.jpg,"a, b.wav",0.5,"happy@0-4,sad@4-",yes,/songs/song.lrc,"1,2",x.npz|-y.csv\n'
        "\n"
        "bert,s3://b/bert.jpg,hers.wav | his.wav,,,no,,,\n"
        "-neu,c.jpg,-c.wav,,,,,,\n".replace("-neu", "neu")
    )
    anna, bert, neu = jobs_of(tmp_path, text)
    assert (anna.id, anna.photo, anna.audio) == ("anna", str(tmp_path / "anna.jpg"), (str(tmp_path / "a, b.wav"),))
    assert anna.options["head_motion"] == 0.5
    assert anna.options["emotion"] == "happy@0-4,sad@4-"
    assert anna.options["karaoke"] is True
    assert anna.options["captions"] == "/songs/song.lrc"
    assert anna.options["face"] == (1, 2)
    assert anna.options["motion"] == [str(tmp_path / "x.npz"), str(tmp_path / "-y.csv")]
    assert (bert.photo, bert.audio) == ("s3://b/bert.jpg", (str(tmp_path / "hers.wav"), str(tmp_path / "his.wav")))
    assert (bert.options["head_motion"], bert.options["karaoke"], bert.options["motion"]) == (1.0, False, None)
    assert neu.audio == (str(tmp_path / "-c.wav"),)
    assert {job.error for job in (anna, bert, neu)} == {None}


def test_csv_and_json_lines_say_the_same(tmp_path: Path) -> None:
    csv = jobs_of(tmp_path, "id,photo,audio,seed,loop,max_duration\na,p.jpg,h.wav|i.wav,7,true,1:30\n")
    row = {"id": "a", "photo": "p.jpg", "audio": ["h.wav", "i.wav"], "seed": 7, "loop": True, "max-duration": "1:30"}
    assert jobs_of(tmp_path, json.dumps(row) + "\n\n", "jobs.jsonl") == csv
    assert csv[0].options["max_duration"] == 90


def test_morph_photos_lie_beside_the_list(tmp_path: Path) -> None:
    (tmp_path / "faces.lrc").write_text("[00:01.50]second.jpg\n")
    text = 'id,photo,audio,morph\na,p.jpg,s.wav,"b.jpg@1,c.jpg#2@3:0.5"\nb,p.jpg,s.wav,faces.lrc\n'
    first, second = jobs_of(tmp_path, text)
    assert first.options["morph"] == [
        (str(tmp_path / "b.jpg"), 1.0, 0.8, None), (str(tmp_path / "c.jpg"), 3.0, 0.5, 2)
    ]  # fmt: skip
    assert second.options["morph"] == [(str(tmp_path / "second.jpg"), 1.5, 0.8, None)]


def test_one_bad_row_is_kept_for_its_turn(tmp_path: Path) -> None:
    text = "id,photo,audio,seed,loop\na,p.jpg,s.wav,x,\nb,p.jpg,s.wav,3,\nc,p.jpg,s.wav,,perhaps\nd,,s.wav,,\n"
    a, b, c, d = jobs_of(tmp_path, text)
    assert a.error is not None
    assert "'x' is not a whole number" in a.error
    assert b.error is None
    assert c.error == "loop 'perhaps' is neither yes nor no: give one of them"
    assert d.error is not None
    assert "names no photo" in d.error


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("jobs.csv", "", "has no 'id'"),
        ("jobs.csv", " \n", "is empty"),
        ("jobs.csv", "id,photo,audio\n", "is empty: give a row a film"),
        ("jobs.jsonl", "\n", "is empty"),
        ("jobs.csv", "id,photo,audio,smile\na,p,s,1\n", "unknown column 'smile'"),
        ("jobs.csv", "id,photo,audio,output\na,p,s,1\n", "unknown column 'output'"),
        ("jobs.csv", "id,photo,seed,Seed\na,p,1,1\n", "column 'seed' is there twice"),
        ("jobs.csv", "photo,audio\np,s\n", "has no 'id'"),
        ("jobs.csv", "id,photo,audio\na,p.jpg\n", "line 2 of jobs file"),
        ("jobs.csv", 'id,photo,audio\na,"p.jpg\n', "is no CSV"),
        ("jobs.csv", "id,photo\na,p\nb,p\na,q\n", "id 'a' is in"),
        ("jobs.csv", "id,photo\nFilm,p\nfilm,q\n", "twice (as 'Film')"),
        ("jobs.csv", "id,photo\n../x,p\n", "id '../x' cannot be a film's name"),
        ("jobs.csv", "id,photo\n/etc/x,p\n", "cannot be a film's name"),
        ("jobs.csv", "id,photo\n..,p\n", "cannot be a film's name"),
        ("jobs.csv", "id,photo\na\\b,p\n", "cannot be a film's name"),
        ("jobs.csv", "id,photo\n,p\n", "cannot be a film's name"),
        ("jobs.csv", f"id,photo\n{'ü' * 130},p\n", "cannot be a film's name"),
        ("jobs.jsonl", '{"id": ["a"], "photo": "p"}', "cannot be a film's name"),
        ("jobs.jsonl", '{"id": "a", "photo": "p"}\n{"id": "b"', "line 2"),
        ("jobs.jsonl", "[1]", "no JSON object"),
        ("jobs.jsonl", '{"id": "a", "photo": "p", "speed": 2}', "unknown column 'speed'"),
        ("jobs.jsonl", "[" * 100_000, "no JSON"),
        ("jobs.txt", "id,photo\na,p\n", "neither .csv, .jsonl nor a folder"),
    ],
)
def test_what_is_wrong_with_the_whole_list(name: str, text: str, said: str, tmp_path: Path) -> None:
    if text:
        with pytest.raises(JobsError) as caught:
            jobs_of(tmp_path, text, name)
        assert said in str(caught.value)
    else:
        (tmp_path / name).write_text("")
        with pytest.raises(JobsError, match="empty file"):
            read_jobs(tmp_path / name, row_parser())


def test_missing_and_undecodable_files(tmp_path: Path) -> None:
    with pytest.raises(JobsError, match="not found"):
        read_jobs(tmp_path / "no.csv", row_parser())
    (tmp_path / "latin.csv").write_bytes("id,photo\nä,p\n".encode("latin-1"))
    with pytest.raises(JobsError, match="not UTF-8"):
        read_jobs(tmp_path / "latin.csv", row_parser())


def test_folder_pairs_by_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("anna.JPG", "anna.wav", "b.b.png", "b.b.mp3", "alone.jpg", "notes.txt", ".hidden.jpg", ".hidden.wav"):
        (tmp_path / name).write_bytes(b"x")
    jobs = read_jobs(tmp_path, row_parser())
    assert [(job.id, Path(job.photo).name, Path(job.audio[0]).name) for job in jobs] == [
        ("anna", "anna.JPG", "anna.wav"),
        ("b.b", "b.b.png", "b.b.mp3"),
    ]
    assert "alone.jpg" in caplog.text
    (tmp_path / "anna.png").write_bytes(b"x")
    with pytest.raises(JobsError, match=r"anna\.JPG, anna\.png are all the photo of 'anna'"):
        read_jobs(tmp_path, row_parser())


def test_places(tmp_path: Path) -> None:
    assert place_of("a.jpg", tmp_path) == str(tmp_path / "a.jpg")
    assert place_of("file:///data/a%20b.jpg", tmp_path) == "/data/a b.jpg"
    assert place_of("s3://bucket/a.jpg", tmp_path) == "s3://bucket/a.jpg"
    assert inside("s3://bucket/films/", "a.mp4") == "s3://bucket/films/a.mp4"
    assert not is_url("C:/a.jpg")
    for url in ("http://host/a.jpg", "simplecache::s3://b/a", "github://a:b@/c", "memory://a"):
        if is_url(url):
            with pytest.raises(JobsError, match="is not opened"):
                place_of(url, tmp_path)


def test_sum_of_inputs_follows_files_and_options(tmp_path: Path) -> None:
    text = "id,photo,audio,seed,audit_log\na,p.jpg,s.wav,{seed},{log}\n"
    (tmp_path / "p.jpg").write_bytes(b"photo")
    missing = inputs_of(jobs_of(tmp_path, text.format(seed=1, log=""))[0])
    (tmp_path / "s.wav").write_bytes(b"sound")
    first = inputs_of(jobs_of(tmp_path, text.format(seed=1, log=""))[0])
    assert missing == ""
    assert len(first) == 64
    assert inputs_of(jobs_of(tmp_path, text.format(seed=1, log="log.txt"))[0]) == first
    assert inputs_of(jobs_of(tmp_path, text.format(seed=2, log=""))[0]) != first
    (tmp_path / "moved.wav").write_bytes(b"sound")
    assert inputs_of(jobs_of(tmp_path, text.format(seed=1, log="").replace("s.wav", "moved.wav"))[0]) == first
    (tmp_path / "s.wav").write_bytes(b"other")
    assert inputs_of(jobs_of(tmp_path, text.format(seed=1, log=""))[0]) != first


def test_results_outlive_a_line_cut_off(tmp_path: Path) -> None:
    results = Results(str(tmp_path))
    results.add([Result("a", OPEN), Result("b", OPEN)])
    results.add([Result("a", DONE, "1.00", "", "0" * 64, "12345678", "1" * 64)])
    results.close()
    file = tmp_path / "results.csv"
    assert len(file.read_text().splitlines()) == 4  # nothing was written anew
    with file.open("a") as end:
        end.write('b,done,"2.0')
    again = Results(str(tmp_path))
    assert again.lines["a"] == Result("a", DONE, "1.00", "", "0" * 64, "12345678", "1" * 64)
    assert again.lines["b"].status == OPEN
    again.save()
    assert [line.split(",")[:2] for line in file.read_text().splitlines()] == [
        ["id", "status"], ["a", "done"], ["b", "open"]
    ]  # fmt: skip
    assert {path.name for path in tmp_path.iterdir()} == {"results.csv"}
    file.write_text("name,points\na,3\n")
    with pytest.raises(OutputError, match="is not a batch's"):
        Results(str(tmp_path))
