"""What a client sends, checked: options by the command line's names, and files that are uploads and nothing else."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from portrait_anim.errors import LimitError, OptionError
from portrait_anim.options import FilmOptions, PhotoOptions
from portrait_anim.options.morph import parse_morph
from portrait_anim.options.text import READERS, read_option
from portrait_anim.service.jobs import Upload
from portrait_anim.system import ffmpeg
from portrait_anim.system.containers import duration_s, open_picture

FILES = ("photo", "audio", "actor", "motion", "morph_photo")
"""Fields that hold files; all but photo and actor may come several times."""
_SINGLE = ("photo", "actor")
SERVERS = (
    "device", "sign_cert", "sign_key", "audit_log", "save_motion",
    "idle", "background", "captions", "caption_style", "karaoke", "caption_font",
)  # fmt: skip
"""Options that are the server's own: what runs on it and what is written there. And, from idle on, what the service
does not offer: films of another kind, and what needs further files."""
CHOICES = (
    "face", "face_box", "max_size", "weights", "landmarker", "morph", "morph_style", "emotion", "head_motion",
    "blinks", "seed", "fps", "max_duration", "actor_face", "actor_neutral", "lips", "gaze", "label",
    "aspect", "fill", "loop",
)  # fmt: skip
"""The options that a client may send, by the keywords of :func:`portrait_anim.animate`. None of them opens a path: a
new option is refused until it is named here (tests/service/test_requests.py asks of each in which list it is)."""
TEXTS = ("say", "voice")
"""A text instead of a sound, and the voices that speak it; voice may come several times."""
LETTERS_A_SECOND = 25  # of speech: more than anybody says
MAX_FILES, MAX_FIELDS = 64, 64  # in a request
_DATA_URL = re.compile(r"data:(?P<type>[\w.+-]+/[\w.+-]+)?(?:;[\w=.+-]+)*;base64,", re.ASCII)
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,5}")
_GUESSED = re.compile(r"Input #0, (mp3|aac|mpegts|mpeg|flv)\b")  # formats whose length may be a guess: the job measures


@dataclass(frozen=True)
class Limits:
    """What a client may ask for.

    Attributes:
        upload_bytes: of one request.
        pixels: of one picture, as it is sent.
        side_px: of a film's longer side; larger photos are reduced to it.
        duration_s: of a sound or an actor's video.
    """

    upload_bytes: int = 200_000_000
    pixels: int = 50_000_000
    side_px: int = 1920
    duration_s: float = 600.0


@dataclass
class Sent:
    """A file as it was sent.

    Attributes:
        name: the client's, in messages and for the kind of file; never a path here.
        content: open for reading.
    """

    name: str
    content: BinaryIO = field(repr=False)

    def suffix(self) -> str:
        """Return the end of the name, or "" if it is no plain one."""
        found = Path(self.name).suffix
        return found.lower() if _SUFFIX.fullmatch(found) else ""


def read_multipart(items: Sequence[tuple[str, str | Sent]]) -> tuple[dict[str, Any], dict[str, list[Sent]]]:
    """Return the options and the files of a form.

    Raises:
        OptionError: a file where text belongs or the other way round, or an option that comes twice.
    """
    choices: dict[str, Any] = {}
    files: dict[str, list[Sent]] = {}
    for given, value in items:
        name = given.replace("-", "_")
        if isinstance(value, Sent):
            if name not in FILES:
                raise OptionError(f"{given} is no file: the files are {', '.join(FILES)}")
            files.setdefault(name, []).append(value)
        elif name in FILES:
            raise OptionError(f"{given} is text: send a file; paths and addresses are not opened")
        elif name == "voice":
            choices.setdefault(name, []).append(value)
        elif name in choices:
            raise OptionError(f"{given} is given twice: give it once")
        else:
            choices[name] = value
    return choices, files


def read_json(given: Any) -> tuple[dict[str, Any], dict[str, list[Sent]]]:
    """Return the options and the files of a JSON object: files as base64 or data URLs.

    Raises:
        OptionError: it is no object, or a file is something else.
    """
    if not isinstance(given, dict):
        raise OptionError('the JSON is no object: send {"photo": "data:image/jpeg;base64,...", "audio": "..."}')
    choices: dict[str, Any] = {}
    files: dict[str, list[Sent]] = {}
    for key, value in given.items():
        name = key.replace("-", "_")
        if name == "morph_photo":
            if not isinstance(value, dict):
                raise OptionError('morph_photo is no object: give {"second.jpg": "data:image/jpeg;base64,..."}')
            files[name] = [_decoded(key, data, called) for called, data in value.items()]
        elif name in FILES:
            many = value if isinstance(value, list) else [value]
            files[name] = [_decoded(key, data) for data in many]
        elif name in choices:
            raise OptionError(f"{key} is given twice: give it once")
        else:
            choices[name] = value
    return choices, {name: sent for name, sent in files.items() if sent}


def _decoded(name: str, data: Any, called: str = "") -> Sent:
    found = _DATA_URL.match(data) if isinstance(data, str) else None
    try:
        content = base64.b64decode(data[found.end() if found else 0 :], validate=True)
    except (TypeError, ValueError, binascii.Error) as e:
        raise OptionError(f"{name} is neither base64 nor a data URL: paths and addresses are not opened") from e
    if not called and name == "motion":
        called = "motion.npz" if content.startswith(b"PK") else "motion.csv"
    return Sent(called, io.BytesIO(content))


def checked(
    choices: Mapping[str, Any], files: Mapping[str, Sequence[Sent]], limits: Limits
) -> tuple[dict[str, Any], list[Upload]]:
    """Return the keywords of a job and its uploads.

    Raises:
        OptionError: an unknown option, a value outside its range, a file missing: with the command line's words.
        LimitError: a picture, film or sound is larger than allowed.
    """
    texts = {name: value for name, value in choices.items() if name in TEXTS}
    choices = {name: value for name, value in choices.items() if name not in TEXTS}
    for name, value in choices.items():
        if name in SERVERS:
            raise OptionError(f"{name} is the server's own option: leave it out")
        if name not in CHOICES:
            raise OptionError(f"unknown option {name!r}: choose from {', '.join((*CHOICES, *TEXTS))}")
        if name not in READERS and not isinstance(value, str | None):
            raise OptionError(f"{name} is no text: write it as on the command line")
    read = {
        name: read_option(name, value) if isinstance(value, str) else value
        for name, value in choices.items()
        if value is not None
    }
    for name in _SINGLE:
        if len(files.get(name, ())) > 1:
            raise OptionError(f"{name} is given twice: give it once")
    if not files.get("photo"):
        raise OptionError("no photo was sent: send it as the file photo")
    read |= _checked_texts(texts, files, limits)
    if not any(files.get(name) for name in ("audio", "actor", "motion")) and "say" not in read:
        raise OptionError(
            "nothing moves the photo: send a sound as the file audio, or a video as actor, or motion, or say"
        )
    placed = {name: _placed(name, files[name]) for name in FILES if files.get(name)}
    _set_morph(read, [sent.name for sent in files.get("morph_photo", ())], placed.get("morph_photo", []))
    _check_options({name: value for name, value in read.items() if name not in TEXTS}, placed)
    _set_limits(read, limits)
    uploads = [
        Upload("morph" if name == "morph_photo" else name, called, sent.content)
        for name, names in placed.items()
        for called, sent in zip(names, files[name], strict=True)
    ]
    for upload in uploads:
        _check_size(upload, limits)
    return read, uploads


def _checked_texts(given: Mapping[str, Any], files: Mapping[str, Any], limits: Limits) -> dict[str, Any]:
    """Return the text and its voices; whether they can speak it is the job's to tell."""
    if not given:
        return {}
    text, voices = given.get("say"), given.get("voice") or []
    voices = [voices] if isinstance(voices, str) else voices
    if text is None:
        raise OptionError("voice is of a text: send it as say")
    if not isinstance(text, str) or not isinstance(voices, list) or not all(isinstance(one, str) for one in voices):
        raise OptionError("say is a text, and voice a name or several: write them as on the command line")
    if files.get("audio"):
        raise OptionError("a sound and say are given: give one of them")
    if len(text) > LETTERS_A_SECOND * limits.duration_s:
        raise LimitError(f"the text has {len(text)} letters, too many for the {limits.duration_s:g} s allowed here")
    return {"say": text, "voice": voices}


def _placed(name: str, sent: Sequence[Sent]) -> list[str]:
    """Return what files are called in the job's folder."""
    if name in _SINGLE:
        return [f"{name}{sent[0].suffix()}"]
    return [f"{name}-{i}{file.suffix()}" for i, file in enumerate(sent, 1)]


def _set_morph(read: dict[str, Any], sent: list[str], placed: list[str]) -> None:
    """Replace names in ``morph`` by those in the job's folder."""
    if (morph := read.get("morph")) is None:
        if sent:
            raise OptionError("morph_photo was sent without morph: give times, as in second.jpg@12.5")
        return
    if not isinstance(morph, str) or morph.strip().lower().endswith(".lrc"):
        raise OptionError("morph is no text of names and times: give second.jpg@12.5, and the photo as morph_photo")
    known = dict(zip(sent, placed, strict=True))
    if len(known) < len(sent):
        raise OptionError("two files of morph_photo have the same name: rename one")
    entries = []
    for change in parse_morph(morph):
        if change.photo not in known:
            raise OptionError(f"morph: no file {change.photo!r} was sent: send it as morph_photo")
        number = "" if change.face is None else f"#{change.face}"
        entries.append([f"{known[change.photo]}{number}", change.start_s, change.length_s])
    read["morph"] = entries


def _check_options(read: Mapping[str, Any], placed: Mapping[str, list[str]]) -> None:
    """Let the options' own classes check the values."""
    of_photo = {part.name for part in dataclasses.fields(PhotoOptions)}
    photo = {name: value for name, value in read.items() if name in of_photo}
    if "morph" in photo:
        photo["morph"] = [tuple(entry) for entry in photo["morph"]]
    PhotoOptions(**photo)
    film = {name: value for name, value in read.items() if name not in of_photo}
    FilmOptions(**film, actor=next(iter(placed.get("actor", ())), None), motion=placed.get("motion"))


def _set_limits(read: dict[str, Any], limits: Limits) -> None:
    if read.setdefault("max_size", limits.side_px) > limits.side_px:
        raise LimitError(f"max_size {read['max_size']} is larger than the {limits.side_px} px allowed here")
    if read.setdefault("max_duration", limits.duration_s) > limits.duration_s:
        raise LimitError(
            f"max_duration {read['max_duration']:g} s is longer than the {limits.duration_s:g} s allowed here"
        )


def _check_size(upload: Upload, limits: Limits) -> None:
    """Refuse a picture that is larger than allowed. What cannot be read is the job's to tell."""
    if upload.keyword not in ("photo", "morph"):
        return
    from PIL import Image

    try:
        with open_picture(upload.content) as image:
            width, height = image.size
    except Image.DecompressionBombError as e:
        raise LimitError(
            f"{upload.name} has more pixels than the {limits.pixels / 1e6:g} megapixels allowed here"
        ) from e
    except Exception:  # on damaged files Pillow may raise nearly anything
        width = height = 0
    upload.content.seek(0)
    if width * height > limits.pixels:
        raise LimitError(
            f"{upload.name} is {width}x{height} px: at most {limits.pixels / 1e6:g} megapixels are allowed here"
        )


def check_length(upload: Upload, path: Path, limits: Limits) -> None:
    """Refuse a sound or video whose header says that it is longer than allowed; the job measures the others.

    Raises:
        LimitError: it is.
    """
    if upload.keyword not in ("audio", "actor"):
        return
    told = ffmpeg.header(path)
    lasts_s = None if _GUESSED.match(told) else duration_s(told)
    if lasts_s is not None and lasts_s > limits.duration_s:
        raise LimitError(
            f"{upload.name} lasts {lasts_s:.0f} s: at most {limits.duration_s:g} s are allowed here, cut it"
        )
