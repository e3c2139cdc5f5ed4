"""Looks for every mark in an image or video: manifest, invisible mark, plain metadata."""

from __future__ import annotations

import itertools
import os
import warnings
from collections.abc import Generator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from portrait_anim.errors import OutputError, VideoError
from portrait_anim.provenance import metadata
from portrait_anim.provenance.definition import PERFORMED, SOURCES
from portrait_anim.provenance.ecc import MAKER
from portrait_anim.provenance.identity import data_folder, own_identity
from portrait_anim.provenance.manifest import ManifestReading, is_synthetic_type, read_manifest
from portrait_anim.provenance.watermark import MarkReading, read_mark
from portrait_anim.system import ffmpeg
from portrait_anim.system.containers import duration_s, open_picture
from portrait_anim.system.files import printable, readable_file
from portrait_anim.video.reader import read_frames

N_FRAMES = 32  # frames that are averaged, spread over the film
MAX_S = 90  # s; later parts of a film are not read
MAX_PIXELS = 100_000_000  # of a picture; larger ones are not looked at
_MAX_RATE = 25  # frames/s


@dataclass(frozen=True)
class Verification:
    """The marks found in one file.

    Attributes:
        path: as given.
        kind: "image" or "video".
        manifest: the signed layer.
        mark: the invisible layer.
        metadata_type: the synthetic IPTC source type among the plain fields, None without one.
        metadata_ours: the plain fields name this program.
        signed_here: the manifest was signed with this machine's own key.
    """

    path: str
    kind: str
    manifest: ManifestReading
    mark: MarkReading
    metadata_type: str | None
    metadata_ours: bool
    signed_here: bool

    @property
    def marked(self) -> bool:
        """Whether any layer says that this is synthetic."""
        signed = self.manifest.present and (self.manifest.ours or is_synthetic_type(self.manifest.source_type))
        return signed or self.mark.found or self.metadata_type is not None or self.metadata_ours

    @property
    def ids_agree(self) -> bool | None:
        """Whether mark and manifest name the same film; None unless both were read."""
        if not self.mark.found or self.manifest.content_id is None:
            return None
        return self.mark.content_id == self.manifest.content_id

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON-ready values."""
        manifest = asdict(self.manifest)
        manifest["content_id"] = _hexadecimal(self.manifest.content_id)
        manifest["performed"] = self.manifest.performed
        return {
            "path": self.path,
            "kind": self.kind,
            "marked": self.marked,
            "ids_agree": self.ids_agree,
            "manifest": {**manifest, "signed_here": self.signed_here},
            "mark": self.mark.to_dict(),
            "metadata": {"source_type": self.metadata_type, "portrait_anim": self.metadata_ours},
        }

    def summary(self) -> str:
        """Return the findings in plain words, a line for each layer."""
        lines = [_about_manifest(self.manifest, self.signed_here), _about_mark(self.mark, self.kind)]
        lines += _about_sources(self.manifest)
        if self.ids_agree is False:
            lines.append("The manifest and the invisible mark name different films: one of them is not this film's.")
        if self.metadata_type is not None:
            lines.append(f"Metadata: says {self.metadata_type}. Anyone can write or remove this.")
        elif self.metadata_ours:
            lines.append("Metadata: names portrait_anim. Anyone can write or remove this.")
        else:
            lines.append("Metadata: nothing.")
        if self.mark.found or (self.manifest.ours and self.manifest.valid):
            verdict = "made by portrait_anim from a still photo: synthetic."
        elif self.marked:
            verdict = "says that it is synthetic."
        elif self.mark.trace:
            verdict = "no readable mark, but traces of one."
        else:
            verdict = "no mark found. That proves nothing: marks can be removed, and other programs leave none."
        # what the file says of itself may hold anything, also what a terminal obeys
        return "\n".join(printable(line) for line in [f"{self.path}: {verdict}", *lines])


def verify(path: str | os.PathLike[str]) -> Verification:
    """Look for every mark in an image or video.

    Of a video 32 frames are read, spread over its first 90 seconds. Nothing is fetched from the network, whatever
    addresses the file holds.

    Raises:
        VideoError: no such file, or neither an image nor a video.
    """
    file = readable_file(path, VideoError, "file")
    try:
        manifest = read_manifest(file)
        source_type, ours = metadata.source_type(file), metadata.names_portrait_anim(file)
    except OSError as e:
        raise VideoError(f"{printable(path)} cannot be read ({e.strerror}): copy it again") from e
    picture = _picture(file)
    mark = read_mark([picture] if picture is not None else _some_frames(file))
    kind = "video" if picture is None else "image"
    here = manifest.ours and manifest.valid and manifest.serial == _own_serial()
    return Verification(os.fspath(path), kind, manifest, mark, source_type, ours, here)


def _picture(file: Path) -> npt.NDArray[np.uint8] | None:
    """Return an image's pixels, None for what is no image."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with open_picture(file) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise Image.DecompressionBombError
                return np.asarray(image.convert("RGB"))
    except UnidentifiedImageError:
        return None
    except Image.DecompressionBombError as e:
        raise VideoError(f"{printable(file)} is too large a picture to look at: reduce it first") from e
    except Exception as e:  # Pillow's decoders raise nearly anything on damaged files
        reason = " ".join(str(e).split()) or type(e).__name__
        raise VideoError(f"{printable(file)} is damaged or cut off ({reason}): copy it again") from e


def _some_frames(file: Path) -> Generator[npt.NDArray[np.uint8], None, None]:
    length = duration_s(ffmpeg.header(file))
    rate = min(N_FRAMES / min(length, MAX_S), _MAX_RATE) if length else None
    frames = read_frames(file, rate)
    try:
        yield from itertools.islice(frames, N_FRAMES)
    finally:
        frames.close()


def _own_serial() -> str | None:
    """Return this machine's serial number without making an identity for it."""
    if not data_folder().is_dir() or not (data_folder() / "signing").is_dir():
        return None
    try:
        return own_identity().serial
    except OutputError:
        return None


def _about_manifest(manifest: ManifestReading, signed_here: bool) -> str:
    if manifest.elsewhere is not None:
        return (
            f"Signed manifest (C2PA): none in the file; it names {printable(manifest.elsewhere)}, which is not fetched."
        )
    if not manifest.present:
        return "Signed manifest (C2PA): none."
    if manifest.error is not None:
        return f"Signed manifest (C2PA): there, but it cannot be read ({manifest.error})."
    by = f"by {manifest.generator or 'an unnamed program'}, signed by {manifest.signer or 'an unnamed signer'}"
    if manifest.changed:
        state = "the file was CHANGED after signing"
    elif not manifest.valid:
        state = f"NOT valid ({', '.join(manifest.problems)})"
    else:
        state = "valid, the file is unchanged since"
    if signed_here:
        trust = "the key is this machine's own"
    elif manifest.trusted:
        trust = "the signer is on the trust list"
    else:
        trust = "the signer is on no trust list here, so the name could be anyone's"
    says = f"; it says {manifest.source_type}" if manifest.source_type else ""
    return f"Signed manifest (C2PA): {by}; {state}; {trust}{says}{_named(manifest.content_id)}."


def _about_sources(manifest: ManifestReading) -> list[str]:
    """Return what went into the film beside photo and sound, by hash, and in plain words whose performance it is."""
    parts = [f"{SOURCES[role][0]} {', '.join(digests)}" for role, digests in manifest.sources.items()]
    lines = [f"Also made from (SHA-256): {'; '.join(parts)}."] if parts else []
    return [f"Performance: {PERFORMED}", *lines] if manifest.performed else lines


def _about_mark(mark: MarkReading, kind: str) -> str:
    looked = "the picture" if kind == "image" else f"{mark.n_frames} frames"
    if mark.found:
        maker = "portrait_anim" if mark.maker == MAKER else f"maker {mark.maker}"
        mirror = ", mirrored" if mark.mirrored else ""
        return (
            f"Invisible mark: {maker}{_named(mark.content_id)}; bits {mark.bits}; {mark.corrected} of 336 signs "
            f"corrected{mirror}; chance of a false alarm at most {mark.false_alarm_probability:.0e}; from {looked}."
        )
    if mark.trace:
        return f"Invisible mark: traces in {looked} (sync {mark.sync_sigma:.1f} sigma), but its bits are lost."
    return f"Invisible mark: not found in {looked}."


def _named(content_id: int | None) -> str:
    return "" if content_id is None else f", film {_hexadecimal(content_id)}"


def _hexadecimal(content_id: int | None) -> str | None:
    return None if content_id is None else f"{content_id:08x}"
