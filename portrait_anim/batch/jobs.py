"""Reads which films are to be made: a CSV or JSON Lines file with a row a film, or a folder of pairs.

Columns are ``id``, ``photo``, ``audio`` and the options by the command line's names. What is wrong with the list as a
whole is an error; what is wrong with one row is kept in its job and told when its turn comes.
"""

from __future__ import annotations

import csv
import io
import json
import logging
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from portrait_anim.batch.places import is_url, place_of
from portrait_anim.errors import JobsError, PortraitAnimError
from portrait_anim.options import INPUT_OPTIONS, OPTION_NAMES, OUTPUT_OPTIONS, SWITCHES
from portrait_anim.options.checks import shown
from portrait_anim.options.morph import parse_morph
from portrait_anim.system.files import printable, readable_file

logger = logging.getLogger(__name__)

Parse: TypeAlias = "Callable[[list[str]], tuple[str, list[str], dict[str, Any]]]"
Row: TypeAlias = "dict[str, Any]"

OWN_COLUMNS = ("id", "photo", "audio")
BETWEEN = "|"  # sounds, or motion files, of one CSV cell
NAME_BYTES = 240  # of an id: with .mp4 behind it, a file's name on nearly every file system
PHOTOS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".heic"})
SOUNDS = frozenset(
    {".wav", ".mp3", ".flac", ".ogg", ".opus", ".m4a", ".aac", ".aif", ".aiff", ".mp4", ".mov", ".mkv", ".webm"}
)
_BAD_IN_NAMES = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]')
_YES, _NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off", "")


@dataclass(frozen=True)
class Job:
    """One film to make.

    Attributes:
        id: its name: the film is OUT/id.mp4.
        photo, audio: whole paths, or URLs.
        options: of :func:`portrait_anim.animate`, by its names; files as whole paths or URLs, ``morph`` as
            ``(photo, second, length, face)`` tuples.
        error: why the row cannot be used; None: it can.
    """

    id: str
    photo: str = ""
    audio: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None


def read_jobs(given: str | os.PathLike[str], parse: Parse) -> list[Job]:
    """Return the jobs of a .csv or .jsonl file, or of a folder.

    In a folder a photo and a sound of one name are a pair: anna.jpg and anna.wav make anna.mp4.

    Args:
        given: the file or folder. Relative paths in the file begin at its own folder.
        parse: reads a command line's words (options, ``--``, photo, sounds) as the command ``animate`` does, and
            returns photo, sounds and options.

    Raises:
        JobsError: it cannot be read, is empty, has unknown columns, or an id is missing, given twice, or no file name.
    """
    path, name = Path(given), printable(given)
    if path.is_dir():
        rows, base = _pairs(path), path
    else:
        file = readable_file(path, JobsError, "jobs file")
        kinds = {".csv": _csv_rows, ".jsonl": _json_rows}
        if (reader := kinds.get(file.suffix.lower())) is None:
            raise JobsError(f"jobs {name} is neither .csv, .jsonl nor a folder: give one of them")
        try:
            text = file.read_text("utf-8-sig")
            rows, base = list(reader(text, name)) if text.strip() else [], file.parent
        except UnicodeDecodeError as e:
            raise JobsError(f"jobs file {name} is not UTF-8 text: save it as UTF-8") from e
        except OSError as e:
            raise JobsError(f"jobs file {name} cannot be read ({e.strerror}): check the disk") from e
    if not rows:
        raise JobsError(f"jobs {name} is empty: give a row a film")
    _check_ids([(where, row.get("id")) for where, row in rows], name)
    return [_job(row, base, parse) for _, row in rows]


def _csv_rows(text: str, name: str) -> Iterator[tuple[str, Row]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        columns = [_column(cell) for cell in next(reader, [])]
        _check_columns(columns, f"jobs file {name}")
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            where = f"line {reader.line_num} of jobs file {name}"
            if len(cells) != len(columns):
                raise JobsError(f"{where} has {len(cells)} cells and the first line {len(columns)}: give as many")
            row: Row = {column: cell.strip() for column, cell in zip(columns, cells, strict=True)}
            for column in ("audio", "motion"):
                row[column] = [part.strip() for part in row.get(column, "").split(BETWEEN) if part.strip()]
            yield where, row
    except csv.Error as e:
        raise JobsError(f"line {reader.line_num} of jobs file {name} is no CSV ({e}): check its quotes") from e


def _json_rows(text: str, name: str) -> Iterator[tuple[str, Row]]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        where = f"line {number} of jobs file {name}"
        try:
            found = json.loads(line)
        except (ValueError, RecursionError) as e:
            raise JobsError(f"{where} is no JSON: give one object a line") from e
        if not isinstance(found, dict):
            raise JobsError(f"{where} is no JSON object: give one a line, as in {{'id': 'a', 'photo': 'a.jpg'}}")
        row = {_column(key): value for key, value in found.items()}
        _check_columns(list(row), where)
        for column in ("audio", "motion"):
            value = row.get(column)
            row[column] = value if isinstance(value, list) else [] if value in (None, "") else [value]
        yield where, row


def _pairs(folder: Path) -> list[tuple[str, Row]]:
    found: dict[str, dict[str, list[Path]]] = {}
    for entry in sorted(folder.iterdir()):
        kind = "photo" if entry.suffix.lower() in PHOTOS else "audio" if entry.suffix.lower() in SOUNDS else None
        if kind is not None and not entry.name.startswith(".") and entry.is_file():
            found.setdefault(entry.stem, {"photo": [], "audio": []})[kind].append(entry)
    for stem, pair in found.items():
        for kind, files in pair.items():
            if len(files) > 1 and all(pair.values()):
                names = ", ".join(printable(file.name) for file in files)
                raise JobsError(f"folder {printable(folder)}: {names} are all the {kind} of {stem!r}: keep one")
    alone = (pair["photo"] or pair["audio"] for pair in found.values() if not all(pair.values()))
    single = [printable(file.name) for files in alone for file in files]
    if single:
        logger.warning("left out, no file of the same name goes with them: %s", ", ".join(single[:10]))
    where = f"folder {printable(folder)}"
    return [
        (where, {"id": stem, "photo": pair["photo"][0].name, "audio": [pair["audio"][0].name]})
        for stem, pair in found.items()
        if all(pair.values())
    ]


def _column(name: str) -> str:
    return name.strip().lower().removeprefix("--").replace("-", "_")


def _check_columns(columns: list[str], where: str) -> None:
    known = (*OWN_COLUMNS, *OPTION_NAMES)
    for column in columns:
        if column not in known:
            raise JobsError(f"{where}: unknown column {shown(column)}: choose from {', '.join(known)}")
        if columns.count(column) > 1:
            raise JobsError(f"{where}: column {shown(column)} is there twice: keep one")
    for column in ("id", "photo"):
        if column not in columns:
            raise JobsError(f"{where} has no {column!r}: give id and photo, and audio or what moves the face instead")


def _check_ids(ids: Iterable[tuple[str, Any]], name: str) -> None:
    seen: dict[str, str] = {}
    for where, given in ids:
        text = given if isinstance(given, str) else str(given) if isinstance(given, int) else ""
        bad = not text or _BAD_IN_NAMES.search(text) or text[0] in ". -" or text[-1] in ". "
        if bad or len(os.fsencode(text)) > NAME_BYTES:
            raise JobsError(f"{where}: id {shown(given)} cannot be a film's name: give a plain one, such as film-001")
        key = unicodedata.normalize("NFC", text).casefold()
        if key in seen:
            raise JobsError(
                f"{where}: id {shown(text)} is in {name} twice (as {shown(seen[key])}): give each film its own"
            )
        seen[key] = text


def _job(row: Row, base: Path, parse: Parse) -> Job:
    """Return a row's job; one with its error if a value cannot be read."""
    name = str(row["id"])
    try:
        if row["photo"] in (None, ""):
            raise JobsError("the row names no photo: give one")
        photo, audio, options = parse(_words(row))
        for option in OUTPUT_OPTIONS:
            if options.get(option) is not None and is_url(str(options[option])):
                raise JobsError(
                    f"{option} {options[option]!r} is a URL: give a path of the machine that makes the film"
                )
        given, options["morph"] = options.get("morph"), None
        options = with_files(options, lambda file: place_of(file, base), (*INPUT_OPTIONS, *OUTPUT_OPTIONS))
        options["morph"] = None if given is None else _morph(given, base)
        return Job(name, place_of(photo, base), tuple(place_of(sound, base) for sound in audio), options)
    except (PortraitAnimError, UnicodeEncodeError) as e:
        return Job(name, error=" ".join(str(e).split()))


def _words(row: Row) -> list[str]:
    """Return a row as a command line's words."""
    words = []
    for name, value in row.items():
        if name in OWN_COLUMNS or value in (None, ""):
            continue
        flag = f"--{name.replace('_', '-')}"
        if name in SWITCHES:
            if (said := str(value).lower()) not in (*_YES, *_NO):
                raise JobsError(f"{name} {shown(value)} is neither yes nor no: give one of them")
            words += [flag] * (said in _YES)
        else:
            words += [f"{flag}={_text(name, part)}" for part in (value if isinstance(value, list) else [value])]
    return [*words, "--", *(_text("photo", row["photo"]),), *(_text("audio", sound) for sound in row["audio"])]


def _text(name: str, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise JobsError(f"{name} {shown(value)} is neither text nor a number: give one")
    if "\0" in str(value):
        raise JobsError(f"{name} {shown(value)} holds a null byte: leave it out")
    return str(value)


def _morph(text: str, base: Path) -> list[tuple[str, float, float, int | None]]:
    """Return the changes of the face, with whole paths; an .lrc file's photos lie beside it."""
    if text.lower().endswith(".lrc") and not is_url(text):
        whole = Path(place_of(text, base))
        text = str(whole) if whole.is_file() else text
    return [
        (place_of(change.photo, base), change.start_s, change.length_s, change.face) for change in parse_morph(text)
    ]


def with_files(
    options: Mapping[str, Any], change: Callable[[str], str], names: Iterable[str] = INPUT_OPTIONS
) -> dict[str, Any]:
    """Return options with ``change`` applied to every file that they name, those of ``morph`` among them."""
    changed = dict(options)
    for name in names:
        value = changed.get(name)
        if value is not None:
            changed[name] = [change(file) for file in value] if isinstance(value, list) else change(value)
    if changed.get("morph") is not None:
        changed["morph"] = [(change(photo), *rest) for photo, *rest in changed["morph"]]
    return changed
