"""The signed manifest (C2PA): written into a finished film (beside a WebM), and read from any file."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from portrait_anim.errors import OutputError
from portrait_anim.provenance.definition import ALGORITHM, FILM_TYPE, GENERATION, SOURCES, definition_of, ingredient
from portrait_anim.provenance.identity import Identity
from portrait_anim.provenance.metadata import SOURCE_TYPES, SYNTHETIC_TYPES
from portrait_anim.system.files import hidden_name, printable

WEBM_TYPE = "video/webm"
_MAX_APART = 64 << 20  # bytes of a manifest beside a WebM; larger ones are not read
# Settings of c2pa. Nothing is ever fetched: by default it would contact any host that a photo's XMP names as its
# provenance, and the certificate's issuer to ask whether it was revoked (OCSP). Here no host is allowed.
_SETTINGS = {
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
    "core": {"allowed_network_hosts": [], "allow_redirects": False},
    "builder": {
        "thumbnail": {"enabled": False},  # a picture of the photo would say who it is
        "auto_timestamp_assertion": {"enabled": False},
    },
}
_REMOTE = re.compile(r"^Remote: must fetch remote manifests from url (.+)$")  # c2pa's words for what it did not do


@dataclass(frozen=True)
class ManifestReading:
    """The content of a file's manifest.

    Attributes:
        present: there is one.
        valid: signature and structure are sound and the file is unchanged since.
        changed: the file's content is not what was signed.
        trusted: the signer is on the trust list in use; this program sets none.
        ours: made by this program.
        signer: the certificate's organisation and name; "" when unknown.
        serial: its serial number; "" when unknown.
        signed_at: time by a time-stamp authority, None without one.
        generator: name and version of the program that made it.
        source_type: last part of IPTC's digital source type, None when not named.
        content_id: from the soft binding to our mark, None without one.
        problems: codes of the checks that failed.
        error: the manifest is there but cannot be read at all.
        sources: SHA-256 by what else went into the film: ``"actor"``, ``"morph"``, ``"motion"``; of our own films only.
        elsewhere: an address that the file gives for its manifest; it is never contacted. None without one, or when
            the file holds a manifest.
    """

    present: bool = False
    valid: bool = False
    changed: bool = False
    trusted: bool = False
    ours: bool = False
    signer: str = ""
    serial: str = ""
    signed_at: str | None = None
    generator: str = ""
    source_type: str | None = None
    content_id: int | None = None
    problems: tuple[str, ...] = ()
    error: str | None = None
    elsewhere: str | None = None
    sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def performed(self) -> bool:
        """Whether one person's performance moves another's face."""
        return "actor" in self.sources


def sign(
    path: str | os.PathLike[str],
    *,
    photo_hash: str,
    audio_hash: str | None,
    seed: int,
    emotion: str | None,
    models: Mapping[str, str],
    content_id: int,
    signer: Identity,
    more: Mapping[str, Sequence[str]] | None = None,
    photo: str | os.PathLike[str] | None = None,
    output: str | os.PathLike[str] | None = None,
    name: str | os.PathLike[str] | None = None,
) -> None:
    """Write the manifest into a film or picture; beside a WebM, which has no place for it (:func:`beside`).

    Args:
        path: mp4, mov, png or WebM.
        photo_hash: SHA-256 of the photo, hexadecimal.
        audio_hash: SHA-256 of the sound; None for a silent film.
        seed: of blinks, gaze and head motion.
        emotion: as the user gave it, None for neutral.
        models: name -> SHA-256 of every weight file used.
        content_id: that the invisible mark carries.
        signer: who signs.
        more: SHA-256 of what else went in, by :data:`SOURCES`.
        photo: the photo's file when it carries a manifest of its own, which is then kept. Its name is not.
        output: where to write; None for in place.
        name: what the film is called in messages; None for where it is written.

    Raises:
        OutputError: c2pa refused (the reason is in the message), or the disk did.
    """
    import c2pa  # type: ignore[import-untyped]

    source, target = Path(path), Path(output if output is not None else path)
    temporary = hidden_name(target)
    try:
        kind = mime_type(source) or FILM_TYPE
        definition = definition_of(
            photo_hash, audio_hash, seed, emotion, models, content_id, more or {}, photo_kept=photo is not None,
            kind=kind,
        )  # fmt: skip
        info = c2pa.C2paSignerInfo(signer.algorithm, signer.chain, signer.key, None)
        with contextlib.ExitStack() as stack:
            context = stack.enter_context(c2pa.Context.from_dict(_SETTINGS))
            builder = stack.enter_context(c2pa.Builder(definition, context=context))
            if photo is not None:
                file = stack.enter_context(Path(photo).open("rb"))
                builder.add_ingredient(ingredient("photo", photo_hash), mime_type(photo) or "image/jpeg", file)
            by = stack.enter_context(c2pa.Signer.from_info(info))
            original = stack.enter_context(source.open("rb"))
            written = stack.enter_context(temporary.open("w+b"))
            if kind == WEBM_TYPE:
                builder.set_no_embed()
            manifest = builder.sign(by, kind, original, written)
        if kind == WEBM_TYPE:
            beside(target).write_bytes(manifest)
        else:
            temporary.replace(target)
    except c2pa.C2paError as e:
        advice = "free some space there" if isinstance(e, c2pa.C2paError.Io) else "check the certificate"
        raise OutputError(f"cannot sign {printable(name or target)} ({' '.join(str(e).split())}): {advice}") from e
    except OSError as e:
        raise OutputError(f"cannot sign {printable(name or target)} ({e.strerror}): free some space there") from e
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def beside(path: str | os.PathLike[str]) -> Path:
    """Return where the manifest of a film lies whose file has no place for it: NAME.c2pa."""
    return Path(path).with_suffix(".c2pa")


def read_manifest(path: str | os.PathLike[str]) -> ManifestReading:
    """Read and check the manifest in an image or video, or beside a WebM. Never raises for what is in the file.

    Nothing is fetched.

    Raises:
        OSError: the file cannot be read.
    """
    import c2pa

    kind = mime_type(path)
    if kind is None:
        return ManifestReading()
    try:
        with contextlib.ExitStack() as stack:
            context = stack.enter_context(c2pa.Context.from_dict(_SETTINGS))
            file = stack.enter_context(Path(path).open("rb"))
            kept = beside(path) if kind == WEBM_TYPE else None
            small = kept is not None and kept.is_file() and kept.stat().st_size <= _MAX_APART
            apart = kept.read_bytes() if kept is not None and small else None
            reader = stack.enter_context(c2pa.Reader(kind, file, apart, context=context))
            store = _object(json.loads(reader.json()))
            state = reader.get_validation_state() or ""
    except c2pa.C2paError as e:
        message = " ".join(str(e).split())
        if "ManifestNotFound" in message or "no JUMBF data found" in message:
            return ManifestReading()
        if "NotSupported" in message or "UnsupportedType" in message:
            return ManifestReading()
        if remote := _REMOTE.match(message):
            return ManifestReading(elsewhere=remote[1])
        return ManifestReading(present=True, error=message)
    return _summary(store, state)


def _summary(store: dict[str, Any], state: str) -> ManifestReading:
    """Return what a manifest store says. Strangers may have written anything into it: what does not fit is dropped."""
    active = store.get("active_manifest")
    manifest = _object(_object(store.get("manifests")).get(active if isinstance(active, str) else ""))
    results = _object(_object(store.get("validation_results")).get("activeManifest"))
    problems = tuple(_text(item.get("code")) or "?" for item in _objects(results.get("failure")))
    hard = tuple(code for code in problems if code != "signingCredential.untrusted")
    signature = _object(manifest.get("signature_info"))
    generator = next(iter(_objects(manifest.get("claim_generator_info"))), {})
    name, version = _text(generator.get("name")), _text(generator.get("version"))
    assertions = {
        _text(item.get("label")).split("__")[0]: _object(item.get("data"))
        for item in _objects(manifest.get("assertions"))
    }
    actions = next((data for label, data in assertions.items() if label.startswith("c2pa.actions")), {})
    types = [kind for a in _objects(actions.get("actions")) if (kind := _text(a.get("digitalSourceType")))]
    signer = ", ".join(filter(None, (_text(signature.get("issuer")), _text(signature.get("common_name")))))
    return ManifestReading(
        present=True,
        valid=state in ("Valid", "Trusted") and not hard,
        changed=any("hash.mismatch" in code.lower() for code in problems),
        trusted=state == "Trusted",
        ours=name == "portrait_anim",
        signer=signer,
        serial=_text(signature.get("cert_serial_number")),
        signed_at=_text(signature.get("time")) or None,
        generator=f"{name} {version}".strip(),
        source_type=types[0].rsplit("/", 1)[-1] if types else None,
        content_id=_bound_id(assertions.get("c2pa.soft-binding", {})),
        problems=problems,
        sources=_sources(assertions.get(GENERATION, {})),
    )


def _sources(generation: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return what a film of ours names beside photo and sound; what cannot be read is left out."""
    found: dict[str, tuple[str, ...]] = {}
    for item in _objects(generation.get("sources")):
        if (role := _text(item.get("role"))) in SOURCES:
            found[role] = (*found.get(role, ()), _text(item.get("sha256")))
    return found


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _bound_id(binding: dict[str, Any]) -> int | None:
    if binding.get("alg") != ALGORITHM:
        return None
    try:
        return int(binding["blocks"][0]["value"], 16) & 0xFFFFFFFF
    except (KeyError, IndexError, TypeError, ValueError):
        return None


def is_synthetic_type(name: str | None) -> bool:
    """Return whether a digital source type (full or last part) means made or changed by a model."""
    return name is not None and name.removeprefix(SOURCE_TYPES) in SYNTHETIC_TYPES


_SIGNATURES = (  # (offset, bytes, MIME type)
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"GIF8", "image/gif"),
    (0, b"II*\x00", "image/tiff"),
    (0, b"MM\x00*", "image/tiff"),
    (8, b"WEBP", "image/webp"),
    (8, b"AVI ", "video/x-msvideo"),
    (4, b"ftypavi", "image/avif"),
    (4, b"ftyphei", "image/heic"),
    (4, b"ftypmif1", "image/heif"),
    (4, b"ftypqt", "video/quicktime"),
    (0, b"\x1aE\xdf\xa3", WEBM_TYPE),  # EBML, Matroska too
    (4, b"ftyp", FILM_TYPE),
)


def mime_type(path: str | os.PathLike[str]) -> str | None:
    """Return a file's type by its first bytes, None for a type that c2pa does not know. Raises OSError."""
    with Path(path).open("rb") as file:
        start = file.read(16)
    return next((kind for offset, magic, kind in _SIGNATURES if start[offset : offset + len(magic)] == magic), None)
