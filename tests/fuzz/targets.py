"""What is fuzzed: a reader of strangers' bytes or texts, and the small corpus that mutations begin with.

A target reads one input. It may return or raise a ``PortraitAnimError`` of one printable line; all else is a finding.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

from portrait_anim.audio.load import load_audio
from portrait_anim.batch.jobs import read_jobs
from portrait_anim.captions.read import read_captions
from portrait_anim.cli.batch import row_parser
from portrait_anim.errors import PortraitAnimError
from portrait_anim.face.photo import load_photo
from portrait_anim.motion.arkit import VALUES
from portrait_anim.motion.files import read_motion
from portrait_anim.motion.livelink import write_csv
from portrait_anim.motion.model import shared_model
from portrait_anim.motion.space import Motion
from portrait_anim.options import parse_duration, parse_emotion
from portrait_anim.options.morph import parse_morph
from portrait_anim.options.text import READERS, read_option
from portrait_anim.provenance.manifest import ManifestReading, _summary, read_manifest
from portrait_anim.provenance.metadata import names_portrait_anim, source_type
from portrait_anim.provenance.record import Provenance
from portrait_anim.provenance.verify import Verification, verify
from portrait_anim.provenance.watermark import read_mark
from portrait_anim.system.weights import read_registry
from portrait_anim.video.writer import Writer

CORPUS = Path(__file__).parent / "corpus"  # small inputs, found ones among them: TARGET.NUMBER.SUFFIX
TONE = (np.sin(np.arange(4000) * 0.05) * 0.3).astype(np.float32)
_RNG = np.random.default_rng(0)


@dataclass(frozen=True)
class Target:
    """One reader.

    Attributes:
        read: reads the file at a path.
        seeds: makes the inputs that mutations begin with, by file name.
        words: pieces that mutations put in, beside bytes.
    """

    read: Callable[[Path], object]
    seeds: Callable[[], dict[str, bytes]]
    words: tuple[bytes, ...] = ()


def check(target: Target, path: Path) -> PortraitAnimError | None:
    """Read one input.

    Returns:
        The error that was raised on purpose, if any.

    Raises:
        AssertionError: its message is not one printable line.
        Exception: a finding.
    """
    try:
        target.read(path)
    except PortraitAnimError as e:
        line = str(e)
        assert line, "an empty message"
        assert line.isprintable(), f"not one printable line: {line!r}"
        assert len(line) < 2000, f"a message of {len(line)} letters"
        return e
    return None


def _pictures() -> dict[str, bytes]:
    pixels = _RNG.integers(0, 255, (40, 36, 3), np.uint8)
    image = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "words"
    found = {}
    for kind in ("JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP", "PPM", "JPEG2000", "AVIF"):
        held = io.BytesIO()
        try:
            image.save(held, kind, **({"exif": exif} if kind in ("JPEG", "PNG", "WEBP", "TIFF") else {}))
        except (KeyError, OSError):  # not built into this Pillow
            continue
        found[f"picture.{kind.lower()}"] = held.getvalue()
    for mode in ("P", "LA", "CMYK", "I;16", "F", "1", "LAB"):
        held = io.BytesIO()
        grey = Image.fromarray(pixels[..., 0].astype(np.uint16) * 200) if mode == "I;16" else image.convert("RGB")
        kept = grey if mode == "I;16" else Image.new("LAB", image.size, (9, 9, 9)) if mode == "LAB" else None
        (kept or image.convert(mode)).save(held, "TIFF")
        found[f"{mode.replace(';', '')}.tiff"] = held.getvalue()
    return found


def _sounds() -> dict[str, bytes]:
    found = {}
    kinds = {"PCM_16": ("WAV", "FLAC", "AIFF", "AU", "CAF"), "FLOAT": ("WAV",), "VORBIS": ("OGG",),
             "MPEG_LAYER_III": ("MP3",)}  # fmt: skip
    for kind, subtype in ((kind, subtype) for subtype, kinds_of in kinds.items() for kind in kinds_of):
        held = io.BytesIO()
        try:
            soundfile.write(held, TONE, 16_000, subtype, format=kind)
        except (soundfile.LibsndfileError, ValueError):  # not built into this libsndfile
            continue
        found[f"{subtype}.{kind.lower()}"] = held.getvalue()
    return found


def _emotions(path: Path) -> None:
    text = path.read_bytes().decode("utf-8", "replace")
    parse_emotion(text)


def _options(path: Path) -> None:
    name, _, text = path.read_bytes().decode("utf-8", "replace").partition("=")
    read_option(name, text) if name in READERS else parse_duration(text)


def _morph(path: Path) -> None:
    parse_morph(path if path.suffix == ".lrc" else path.read_bytes().decode("utf-8", "replace"))


def _motion(path: Path) -> None:
    read_motion(path, shared_model().space)


def _motions() -> dict[str, bytes]:
    take, packed = io.StringIO(), io.BytesIO()
    write_csv(take, {name: np.zeros(3) for name in VALUES}, 25)
    space, rest = shared_model().space, Motion.rest(2)
    parts = {"format": "portrait_anim motion", "version": 1, "fps": 25.0, "basis": space.digest, "turned_eyes": False}
    small = io.BytesIO()
    np.savez(packed, **parts, **rest.tracks())
    np.savez_compressed(small, **parts, **rest.tracks())
    text = take.getvalue().encode()
    return {"a.csv": text, "b.csv": text.replace(b",", b";"), "a.npz": packed.getvalue(), "b.npz": small.getvalue()}


def _registry_seed() -> dict[str, bytes]:
    line = {"file": "a.safetensors", "sha256": "0" * 64, "bytes": 3, "licence": "any", "training_data": ["a"],
            "source": "here", "command": "make", "figures": {"loss": 0.5}}  # fmt: skip
    return {"registry.json": json.dumps({"a": line, "b": {**line, "file": "b.tflite"}}).encode()}


def _jobs(path: Path) -> None:
    read_jobs(path, row_parser())


def _manifest(path: Path) -> None:
    """Everything that reads the file's bytes; the pixels are another target."""
    found = read_manifest(path)
    _tell(found)
    source_type(path)
    names_portrait_anim(path)


def _store(path: Path) -> None:
    """The words of a manifest, which anyone may have signed."""
    try:
        store = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return
    if isinstance(store, dict):
        _tell(_summary(store, "Valid"))


def _tell(manifest: ManifestReading) -> None:
    mark = read_mark([np.zeros((40, 40, 3), np.uint8)])
    told = Verification("film.mp4", "video", manifest, mark, None, False, False)
    assert told.summary().replace("\n", "").isprintable()
    json.dumps(told.to_dict())


def films(folder: Path) -> dict[str, bytes]:
    """Return a signed film and picture of ours, as small as they come."""
    frames = _RNG.integers(60, 200, (64, 64, 3), np.uint8)
    film, picture = folder / "film.mp4", folder / "picture.png"
    record = Provenance(frames, (TONE, 16_000), seed=0, models={"none": "0" * 64}, output=film)
    marker = record.marker(frames, 25)
    with Writer(film, (64, 64), 25, (TONE, 16_000), metadata=record.metadata, before_rename=record.finish) as writer:
        for number in range(3):
            writer.write(marker.mark(frames, number))
    Image.fromarray(marker.mark(frames)).save(picture)
    record.finish(picture)
    return {"film.mp4": film.read_bytes(), "picture.png": picture.read_bytes()}


def _films() -> dict[str, bytes]:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return films(Path(folder))


def _stores() -> dict[str, bytes]:
    generation = {"sources": [{"role": "actor", "sha256": "0" * 64}]}
    manifest = {
        "claim_generator_info": [{"name": "portrait_anim", "version": "1"}],
        "signature_info": {"issuer": "x", "common_name": "y", "cert_serial_number": "1", "time": None},
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": [{"digitalSourceType": "http://a/b"}]}},
            {"label": "c2pa.soft-binding", "data": {"alg": "a", "blocks": [{"value": "00ff00ff"}]}},
            {"label": "org.portrait-anim.generation", "data": generation},
        ],
    }
    store = {"active_manifest": "a", "manifests": {"a": manifest},
             "validation_results": {"activeManifest": {"failure": [{"code": "claim.x"}]}}}  # fmt: skip
    return {"store.json": json.dumps(store).encode()}


_JSON = (b"null", b"[]", b"{}", b"-1", b"1e999", b"true", b'"\\u001b[2J"', b'"\\ud800"', b'""', b"[[[[", b'{"a":')
_TIMES = (b"@", b"-", b":", b",", b"0", b".5", b"9" * 400, b"#2", b"[99:99.99]", b"1e9", b"inf", b"nan", b"\x00", b"\n")
_SIZES = (b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\0", b"\0\0\0\1")
_CSV = b"id,photo,audio,emotion,face,seed\na,a.jpg,a.wav,happy,1,3\nb,b.jpg,a.wav;b.wav,,all,\n"
_LINES = b"""{"id":"a","photo":"a.jpg","audio":["a.wav"],"blinks":0.5,"loop":true}
{"id":2,"photo":"b.jpg","motion":"m.npz"}
"""
_OPTIONS = {"a": b"face=1,3", "b": b"fps=30000/1001", "c": b"x=1:30:00.5", "d": b"face_box=1,2,30,40", "e": b"seed=7"}
_CAPTIONS = {
    "a.srt": b"1\n00:00:01,000 --> 00:00:02,500\nGood <i>day</i>\n\n2\n00:00:03,000 --> 00:00:04,000\nAh\n",
    "b.vtt": b"WEBVTT\n\n00:01.000 --> 00:02.500\nGood <00:01.500>day\n",
    "c.lrc": b"[offset:+100]\n[00:01.00][00:05.00]Good <00:01.50>day\n[00:02.00]\n",
    "d.json": b'{"words":[{"word":"Good","start":1.0,"end":1.5},{"word":"day","start":1.5,"end":2.0}]}',
    "e.json": b'{"segments":[{"start":1,"end":2,"words":[{"word":" a","start":1,"end":2}]}]}',
}
_MORPHS = {"a.txt": b"b.jpg@1.5,c d.jpg#2@4:0.5", "b.lrc": b"[ti:x]\n[00:01.50]b.jpg\n[00:04.00]c.jpg\n"}
_EMOTIONS = {"a.txt": b"happy@0-4,sad:0.6@4-", "b.txt": b"auto:1.2"}

TARGETS = {
    "photo": Target(lambda path: load_photo(path, 64), _pictures, (b"\xff\xd8", b"IHDR", b"II*\0", *_SIZES)),
    "sound": Target(lambda path: load_audio(path, max_duration=60), _sounds, (b"data", b"RIFF", b"fmt ", *_SIZES)),
    "emotion": Target(_emotions, lambda: _EMOTIONS, (b"happy", *_TIMES)),
    "option": Target(_options, lambda: _OPTIONS, (b"/0", "\u0663".encode(), b"_", b"1e400", *_TIMES)),
    "morph": Target(_morph, lambda: _MORPHS, _TIMES),
    "motion": Target(_motion, _motions, (b"nan", b"1e999", b",,", b"00:00:00:00.000", b"PK\x05\x06", b"\x93NUMPY")),
    "registry": Target(read_registry, _registry_seed, _JSON),
    "jobs": Target(
        _jobs, lambda: {"a.csv": _CSV, "b.jsonl": _LINES}, (*_JSON, b'"', b"../", b"s3://", b"\0", b"--help")
    ),
    "captions": Target(read_captions, lambda: _CAPTIONS, (*_JSON, *_TIMES, b"-->", b"<00:01.5>", b"&#x1f600;")),
    "manifest": Target(_manifest, _films, (b"jumb", b"uuid", b"c2pa", b"DigitalSourceType", *_SIZES)),
    "store": Target(_store, _stores, _JSON),
    "verify": Target(lambda path: verify(path).summary(), _films, (b"moov", b"mdat", b"stsz", *_SIZES)),
}


def seeds(name: str) -> dict[str, bytes]:
    """Return a target's seeds and what the corpus keeps for it, by file name."""
    kept = {path.name: path.read_bytes() for path in sorted(CORPUS.glob(f"{name}.*"))}
    return {**TARGETS[name].seeds(), **kept}
