"""Raw talking-head clips to training shards: one file a clip, resumable, with a manifest of what was kept and why not.

DIR/clips/ID.safetensors   displacement (T, 478, 3) fp16 IOD, features (C, T50) fp16, blank, bilabial, phoneme
                           (T50,), valid (T,), waveform int16, and the clip's facts in the header
DIR/dropped/ID.json        why a clip was not used
DIR/manifest.jsonl         one line a clip
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from portrait_anim.audio.load import load_audio
from portrait_anim.audio.speech import SpeechFeatures
from portrait_anim.config import FPS, N_LANDMARKS
from portrait_anim.errors import DataError, PortraitAnimError
from portrait_anim.face.detect import Face, make_landmarker
from portrait_anim.face.normalise import normalise_clip
from portrait_anim.motion.space import neutral_face
from portrait_anim.video.reader import read_frames

MIN_FRAMES = FPS  # a second
MIN_TRACKED = 0.9  # share of frames with a face
MAX_JUMP = 0.35  # IOD the face's middle may move between two frames; more is a cut
VIDEO_SUFFIXES = {".mp4", ".mov", ".mkv", ".webm", ".avi", ".mpg"}


@dataclass(frozen=True)
class ClipInfo:
    """Facts of one clip.

    Attributes:
        id: unique name, from its path.
        path: the video.
        person: who speaks; people are never split between train and val except where an index says so.
        split: ``train`` or ``val``.
        language: two letters, or empty.
        licence: of the clip.
        lag_frames: how many frames (25 fps) the picture comes later than the sound; None when unknown.
    """

    id: str
    path: str
    person: str
    split: str
    language: str
    licence: str
    lag_frames: int | None

    @property
    def free(self) -> bool:
        """Whether the clip may train the ``open`` weights (data free for any use)."""
        return self.person == "grid_s1" or self.licence == "US federal work"


def find_clips(folder: Path) -> list[ClipInfo]:
    """List the clips of a data folder: ours (grid_s1 + av_multi), or any folder whose subfolders are people.

    Raises:
        DataError: no clip there.
    """
    if (folder / "av_multi" / "index.csv").is_file():
        clips = list(_shared_layout(folder))
    else:
        files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES)
        clips = [
            ClipInfo(_clip_id(path, folder), str(path), path.parent.name, "train", "", "not stated", None)
            for path in files
        ]
    if not clips:
        raise DataError(f"no video clips in {folder}: name a folder of talking-head clips")
    return clips


def _clip_id(path: Path, folder: Path) -> str:
    return "__".join(path.relative_to(folder).with_suffix("").parts)


def _shared_layout(folder: Path) -> Iterator[ClipInfo]:
    listed = set()  # av_multi's index names some files of tv160 under several people: the first counts
    with (folder / "av_multi" / "index.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            path = folder / "av_multi" / row["file"]
            if path in listed:
                continue
            listed.add(path)
            lag = int(row["lag_frames"]) if row["lag_frames"] else None
            yield ClipInfo(
                _clip_id(path, folder), str(path), row["person"], row["split"], row["language"], row["licence"], lag
            )
    with (folder / "grid_s1" / "words.csv").open(encoding="utf-8") as file:
        splits = {row["clip"]: row["split"] for row in csv.DictReader(file)}
    for name, split in sorted(splits.items()):
        path = folder / "grid_s1" / f"{name}.mp4"
        if path.is_file():
            yield ClipInfo(_clip_id(path, folder), str(path), "grid_s1", split, "en", "CC BY 4.0", 0)


def track(path: str | Path) -> npt.NDArray[np.float32]:
    """Return (T, 478, 3) px landmarks at 25 fps, NaN where no face was found."""
    landmarker = make_landmarker()
    face: Face | None = None
    rows = []
    for image in read_frames(path, fps=FPS):
        face = landmarker.track(image, face)
        rows.append(face.landmarks if face else np.full((N_LANDMARKS, 3), np.nan, np.float32))
    return np.stack(rows) if rows else np.empty((0, N_LANDMARKS, 3), np.float32)


def reason_to_drop(landmarks: npt.NDArray[np.float32]) -> str | None:
    """Say why a clip's tracking (T, 478, 3) is not usable, or None."""
    tracked = np.isfinite(landmarks[:, 0, 0]) if len(landmarks) else np.zeros(0, bool)
    if len(landmarks) < MIN_FRAMES:
        return f"only {len(landmarks)} frames"
    if tracked.mean() < MIN_TRACKED:
        return f"face found in {tracked.mean():.0%} of frames"
    middle = landmarks[tracked][:, [33, 263], :2].mean(1)
    iod = np.linalg.norm(landmarks[tracked][:, 33, :2] - landmarks[tracked][:, 263, :2], axis=-1)
    jump = np.linalg.norm(np.diff(middle, axis=0), axis=1) / np.median(iod)
    if jump.max(initial=0) > MAX_JUMP:
        return f"a cut: the face jumps by {jump.max():.2f} IOD"
    return None


def displacement(landmarks: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Return (T, 478, 3) IOD displacement from the clip's neutral and (T,) which frames were really tracked."""
    tracked = np.isfinite(landmarks[:, 0, 0])
    known = np.flatnonzero(tracked)
    nearest = known[np.clip(np.searchsorted(known, np.arange(len(landmarks))), 0, len(known) - 1)]
    points, _ = normalise_clip(landmarks[nearest])
    return points - neutral_face(points), tracked


def prepare_clip(
    clip: ClipInfo, out: Path, speech: SpeechFeatures, landmarks: npt.NDArray[np.float32] | None = None
) -> str | None:
    """Write one clip's shard unless it is there; return why it was dropped, or None.

    Args:
        clip: what to prepare.
        out: the prepared folder.
        speech: the frozen encoders.
        landmarks: (T, 478, 3) px when already tracked.
    """
    shard, note = out / "clips" / f"{clip.id}.safetensors", out / "dropped" / f"{clip.id}.json"
    if shard.is_file():
        return None
    if note.is_file():
        return str(json.loads(note.read_text("utf-8"))["reason"])
    for folder in (shard.parent, note.parent):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        landmarks = track(clip.path) if landmarks is None else landmarks
        reason = reason_to_drop(landmarks)
        waveform = load_audio(clip.path) if reason is None else None
    except PortraitAnimError as error:
        reason, waveform = str(error), None
    if reason is not None or waveform is None or landmarks is None:
        temporary = note.with_suffix(".tmp")
        temporary.write_text(json.dumps({"reason": reason}), "utf-8")
        temporary.replace(note)
        return reason
    moved, valid = displacement(landmarks)
    with torch.no_grad():
        features = speech(torch.from_numpy(waveform)[None])
    n_frames = min(len(moved), features.values.shape[-1] // 2)
    tensors = {
        "displacement": moved[:n_frames].astype(np.float16),
        "valid": valid[:n_frames].astype(np.uint8),
        "features": features.values[0, :, : 2 * n_frames].numpy().astype(np.float16),
        "blank": features.blank[0, : 2 * n_frames].numpy(),
        "bilabial": features.bilabial[0, : 2 * n_frames].numpy(),
        "phoneme": features.phoneme[0, : 2 * n_frames].numpy(),
        "waveform": (np.clip(waveform, -1, 1) * 32767).astype(np.int16),
    }
    temporary = shard.with_suffix(".tmp")
    tensors = {name: np.ascontiguousarray(value) for name, value in tensors.items()}
    save_file(tensors, temporary, metadata={"clip": json.dumps(asdict(clip))})
    temporary.replace(shard)
    return None


@cache
def _speech() -> SpeechFeatures:
    torch.set_num_threads(1)
    return SpeechFeatures.from_weights()


def _job(clip: ClipInfo, out: Path) -> str | None:
    return prepare_clip(clip, out, _speech())


def prepare(
    data: Path, out: Path, progress: Callable[[int, int, str], None] | None = None, workers: int = 1
) -> dict[str, int]:
    """Prepare every clip of ``data`` into ``out``; what is there already is kept.

    Args:
        data: see :func:`find_clips`.
        out: the prepared folder, made if absent.
        progress: called as ``progress(done, total, what)``.
        workers: processes; 1 works in this one.

    Returns:
        Clips by outcome, ``kept`` and ``dropped``.
    """
    clips = find_clips(data)
    out.mkdir(parents=True, exist_ok=True)
    reasons: dict[str, str | None] = {}
    with ExitStack() as stack:
        if workers > 1:
            pool = stack.enter_context(ProcessPoolExecutor(workers, mp_context=get_context("spawn")))
            waiting = {pool.submit(_job, clip, out): clip for clip in clips}
            results = ((waiting[future], future.result()) for future in as_completed(waiting))
        else:
            results = ((clip, _job(clip, out)) for clip in clips)
        for clip, reason in results:
            reasons[clip.id] = reason
            if progress:
                progress(len(reasons), len(clips), clip.id + (f" dropped: {reason}" if reason else ""))
    lines = [json.dumps({**asdict(clip), "dropped": reasons[clip.id]}, ensure_ascii=False) for clip in clips]
    temporary = out / "manifest.tmp"
    temporary.write_text("\n".join(lines) + "\n", "utf-8")
    temporary.replace(out / "manifest.jsonl")
    dropped = sum(reason is not None for reason in reasons.values())
    return {"kept": len(clips) - dropped, "dropped": dropped}


@dataclass
class Clip:
    """A prepared clip in memory; arrays as in the module's heading."""

    info: ClipInfo
    tensors: dict[str, npt.NDArray[np.generic]]


def load_prepared(folder: Path) -> list[Clip]:
    """Read all shards of a prepared folder.

    Raises:
        DataError: nothing prepared there.
    """
    clips = []
    for path in sorted((folder / "clips").glob("*.safetensors")):
        with safe_open(path, framework="numpy") as file:
            info = ClipInfo(**json.loads(file.metadata()["clip"]))
        clips.append(Clip(info, load_file(path)))
    if not clips:
        raise DataError(f"no prepared clips in {folder}: run portrait-anim prepare DATA {folder} first")
    return clips
