"""All marks of one film in one object: label, invisible mark, metadata, manifest, audit log."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from portrait_anim.errors import OutputError
from portrait_anim.options import FilmOptions, MotionOptions
from portrait_anim.provenance import audit, label, metadata
from portrait_anim.provenance.identity import load_identity
from portrait_anim.provenance.manifest import beside, is_synthetic_type, read_manifest, sign
from portrait_anim.provenance.marker import FilmMarker, Overlay, film_marker
from portrait_anim.system.facts import Facts
from portrait_anim.system.files import printable
from portrait_anim.system.fingerprint import Fingerprint
from portrait_anim.video.formats import WEBM

logger = logging.getLogger(__name__)

Frame = npt.NDArray[np.uint8]
COLOURS = 3  # channels of a frame that carry the mark; a fourth is its opacity
_CHUNK = 1 << 20


class Provenance:
    """The marks of one film: content id, metadata, manifest.

    Create it before the long work: a certificate that cannot be used raises its error here, not at the end.

    Args:
        photo: the photo as the user gave it: a path, a file's fingerprint, a PIL image or an array.
        audio: the sound as the user gave it: a path, a file's fingerprint or (waveform, sample_rate); None for a silent
            film.
        seed: of blinks, gaze and head motion.
        emotion: as the user gave it, None for neutral.
        models: name -> SHA-256 of every weight file used.
        more: what else went in, by what it is: ``"actor"``, ``"morph"``, ``"motion"``; as photo and sound are given.
        sign_cert: PEM certificate chain of the user; None for this machine's own.
        sign_key: its PEM key; both or neither.
        visible_label: "auto", "eu", "cn" or a text to show; None for none.
        audit_log: file that gets a line for this film; None: the environment's ``PORTRAIT_ANIM_AUDIT_LOG``, if set.
        output: what the film will be called, for messages: while it grows it has another name.

    Attributes:
        content_id: 32 bits, in mark and manifest; the same inputs give the same one.
        notes: what the user should know about the photo's own marks.
        metadata: the mp4's plain fields, for ``Writer(metadata=...)``.

    Raises:
        OptionError: certificate, key or label cannot be used.
        OutputError: no place for this machine's key, or the audit log cannot be written.
    """

    def __init__(
        self,
        photo: Any,
        audio: Any,
        *,
        seed: int,
        emotion: str | None = None,
        models: Mapping[str, str] | None = None,
        more: Mapping[str, Sequence[Any]] | None = None,
        sign_cert: str | os.PathLike[str] | None = None,
        sign_key: str | os.PathLike[str] | None = None,
        visible_label: str | None = None,
        audit_log: str | os.PathLike[str] | None = None,
        output: str | os.PathLike[str] | None = None,
    ) -> None:
        parts = [photo, *audio] if isinstance(audio, list) else [photo, audio]
        parts += [source for sources in (more or {}).values() for source in sources]
        self._files = [part for part in parts if isinstance(part, Fingerprint)]
        self._identity = load_identity(sign_cert, sign_key)
        self._style = None if visible_label is None else label.Style.parse(visible_label)
        self._record: dict[str, Any] = {
            "photo_hash": digest(photo),
            "audio_hash": None if audio is None else digest(audio),
            "seed": int(seed),
            "emotion": emotion,
            "models": dict(models or {}),
        }
        if more:  # the numbers of plain films stay what they were
            self._record["more"] = {role: [digest(source) for source in sources] for role, sources in more.items()}
        recipe = json.dumps(self._record, sort_keys=True).encode()
        self.content_id = int.from_bytes(hashlib.sha256(recipe).digest()[:4], "big")
        self.metadata = {"comment": metadata.COMMENT}
        if output is not None and Path(output).suffix.lower() == WEBM.suffix:
            self.metadata["XMP"] = metadata.xmp(self.content_id)  # Matroska has tags, and no place for more
        self._kept_photo, self.notes = _marks_of(photo.path if isinstance(photo, Fingerprint) else photo)
        self._film = output
        self._marker: FilmMarker | None = None
        self._log = audit.log_path(audit_log)
        if self._log is not None:
            audit.check(self._log)

    @classmethod
    def of(cls, seen: Facts, heard: Facts, options: MotionOptions, output: Path | None = None) -> Provenance:
        """Return the marks of a film of this scene and these sounds; notes for the user are logged."""
        marks = options if isinstance(options, FilmOptions) else FilmOptions()
        sources = list(heard.sources)
        more = {role: sources for role, sources in {**seen.more, **heard.more}.items() if sources}
        record = cls(
            seen.sources[0], sources[0] if len(sources) == 1 else sources or None, seed=options.seed,
            emotion=None if options.timeline.neutral else options.emotion, models={**seen.models, **heard.models},
            more=more, sign_cert=marks.sign_cert, sign_key=marks.sign_key, visible_label=marks.label,
            audit_log=marks.audit_log, output=output,
        )  # fmt: skip
        for note in record.notes:
            logger.info(note)
        return record

    def marker(self, pixels: Frame, fps: float, captions: Overlay | None = None) -> FilmMarker:
        """Return the marker of the film's frames, planned on the photo, so that the mark does not depend on any frame.

        Args:
            pixels: (H, W, 3) uint8 RGB, the photo in the film's size; or (H, W, 4) with opacity.
            fps: frames/s, for the label's time.
            captions: what is drawn under the label.

        Raises:
            OptionError: the label does not fit.
        """
        self._marker = film_marker(pixels, fps, self.content_id, self._style, captions)
        return self._marker

    def check_files(self, *, may_be_gone: bool = False) -> None:
        """Raise unless the files of which fingerprints were given are what they were; see :class:`Fingerprint`."""
        for file in self._files:
            file.check(may_be_gone=may_be_gone)

    def finish(self, path: Path) -> None:
        """Put XMP and the signed manifest into the finished film, in place: ``Writer(before_rename=...)``.

        Of a folder into each of its pictures; beside a WebM.

        Raises:
            OutputError: it cannot be signed or written.
            PhotoError, AudioError: a file it was made of has changed.
        """
        if self._marker is not None and self._marker.weak:
            logger.info(
                "the invisible mark of this film is weak, its picture is small (%dx%d px): hard compression elsewhere "
                "may remove it; a larger photo carries it better", *self._marker.size,
            )  # fmt: skip
        self.check_files(may_be_gone=True)  # the encoder has read to the end what it opened at the start
        pictures = sorted(path.glob("*.png")) if path.is_dir() else []
        try:
            for file in pictures:
                metadata.insert_xmp(file, metadata.xmp(self.content_id))
            if not pictures and path.suffix != WEBM.suffix:
                metadata.append_xmp(path, metadata.xmp(self.content_id))
        except OSError as e:
            raise OutputError(
                f"cannot mark {printable(self._film or path)} ({e.strerror}): free some space there"
            ) from e
        for file in pictures or [path]:
            sign(
                file, **self._record, content_id=self.content_id, signer=self._identity, photo=self._kept_photo,
                name=self._film,
            )  # fmt: skip
        if path.suffix == WEBM.suffix and self._film is not None:
            logger.info("WebM has no place for the signed manifest: it is in %s", printable(beside(self._film)))

    def finish_live(self, path: Path, sound: str) -> None:
        """Do what :meth:`finish` does for a film whose sound was not known when its marks were made.

        Args:
            path: the finished film.
            sound: SHA-256 of what was played, hexadecimal.

        Raises:
            OutputError, PhotoError: as there.
        """
        self._record["audio_hash"] = sound
        self.finish(path)

    def record(self, film: Path) -> None:
        """Write the film's line into the audit log, if there is one: once the film has its name.

        Raises:
            OutputError: the log cannot be written; the film stays, and the message says so.
        """
        if self._log is None:
            return
        name = str(film.absolute())
        try:
            audit.append(self._log, {"content_id": f"{self.content_id:08x}", "film": name, **self._record})
        except OutputError as e:
            raise OutputError(f"{printable(film)} is written, but it has no line in the audit log: {e}") from e


def digest(source: Any) -> str:
    """Return the SHA-256 of a file's bytes, of the samples or pixels of what is in memory, or of a list's digests."""
    if isinstance(source, Fingerprint):
        return source.sha256
    sha256 = hashlib.sha256()
    if isinstance(source, list):
        return hashlib.sha256("".join(digest(part) for part in source).encode()).hexdigest()
    if isinstance(source, (str, os.PathLike)):
        with Path(source).open("rb") as file:
            while chunk := file.read(_CHUNK):
                sha256.update(chunk)
        return sha256.hexdigest()
    parts = source if isinstance(source, tuple) else (source,)
    for part in parts:
        values = np.ascontiguousarray(np.asarray(part))
        sha256.update(f"{values.shape} {values.dtype.str}".encode())
        sha256.update(values.tobytes())
    return sha256.hexdigest()


def _marks_of(photo: Any) -> tuple[Path | None, tuple[str, ...]]:
    """Return the photo's file when it has a manifest to keep, and what to tell the user."""
    if not isinstance(photo, (str, os.PathLike)):
        return None, ()
    manifest = read_manifest(photo)
    notes = []
    if manifest.present and manifest.error is None:
        notes.append("the photo carries a C2PA manifest: it is kept as an ingredient of the film's")
    if manifest.elsewhere is not None:
        notes.append("the photo's C2PA manifest is not in its file, and nothing is fetched: the film goes without it")
    named = manifest.source_type if is_synthetic_type(manifest.source_type) else metadata.source_type(photo)
    if named is not None:
        notes.append(f"the photo is itself marked as synthetic ({named})")
    return (Path(photo) if manifest.present and manifest.error is None else None), tuple(notes)
