"""Turns raw clips of speaking people into training data: one file a clip, resumable, and a list of what was kept.

DIR/clips/ID.safetensors   displacement (T, 478, 3) fp16 IOD from neutral (478, 3), rotation (T, 3, 3), centre
                           (T, 3) IOD and size (T,) of the head (1: the clip's median), features (C, T50) fp16,
                           blank, bilabial, phoneme (T50,), valid (T,), waveform int16, and the clip's facts in the
                           header
DIR/dropped/ID.json        why a clip was not used
DIR/manifest.jsonl         one line a clip
"""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
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
from portrait_anim.config import FPS
from portrait_anim.errors import DataError, PortraitAnimError
from portrait_anim.face.normalise import IMAGE_TO_FACE, normalise_clip
from portrait_anim.face.track import FaceTrack, track
from portrait_anim.motion.metrics import best_offset
from portrait_anim.motion.model import MotionModel
from portrait_anim.motion.space import neutral_face
from portrait_anim.training.data.layouts import ClipInfo, find_clips
from portrait_anim.video.reader import probe, read_frames

Tensors = dict[str, npt.NDArray[np.generic]]

MIN_FRAMES = FPS  # a second
MIN_TRACKED = 0.9  # share of frames with a face
MAX_JUMP = 0.35  # IOD the face's middle may move between two frames; more is a cut
MIN_FPS = 20.0  # below, closures fall between two frames
MAX_CROWDED = 0.3  # share of the searches for other faces that may find one about as large
MIN_SYNC_FRAMES = 5 * FPS  # shorter clips say too little about sound and mouth
# Sound and picture belong together when the mouth made from the sound correlates with the real one by more than
# SYNC / sqrt(frames). With the shipped weights on av_multi's val people, the 2nd percentile of the correlation is .65
# at 5 s and .56 at 8 s; between one person's sound and another's picture the 95th percentile is .49 and .38.
SYNC = 4.5


def reason_to_drop(followed: FaceTrack) -> str | None:
    """Return why a clip's tracking is not usable; None when it is."""
    landmarks = followed.landmarks
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
    if followed.crowded > MAX_CROWDED:
        return f"several people: a second large face in {followed.crowded:.0%} of looks"
    return None


def motion_tensors(landmarks: npt.NDArray[np.float32]) -> Tensors:
    """Return what a clip's file keeps of tracked landmarks (T, 478, 3).

    They are NaN where there is no face; such frames get the nearest frame with one.
    """
    tracked = np.isfinite(landmarks[:, 0, 0])
    known = np.flatnonzero(tracked)
    nearest = known[np.clip(np.searchsorted(known, np.arange(len(landmarks))), 0, len(known) - 1)]
    points, poses = normalise_clip(landmarks[nearest])
    neutral = neutral_face(points)
    scales = np.array([pose.scale for pose in poses])
    size = np.median(scales)
    centre = np.stack([pose.origin for pose in poses]) * IMAGE_TO_FACE / size
    return {
        "displacement": (points - neutral).astype(np.float16),
        "neutral": neutral.astype(np.float32),
        "rotation": np.stack([pose.rotation for pose in poses]).astype(np.float32),
        "centre": centre.astype(np.float32),
        "size": (scales / size).astype(np.float32),
        "valid": tracked.astype(np.uint8),
    }


def sync_of(tensors: Tensors) -> tuple[float, int]:
    """Return how well the mouth that the shipped weights make from the sound correlates with the real one.

    Returns:
        the best correlation over offsets of up to 8 frames, and that offset in frames: above 0 the picture is later.
    """
    model = _model()
    with torch.no_grad():
        asked = model.net(torch.from_numpy(tensors["features"].astype(np.float32))[None])[0].T.numpy()
    real = model.space.encode(tensors["displacement"].astype(np.float32))
    return best_offset(model.space.aperture(asked), model.space.aperture(real))


def _tensors(clip: ClipInfo, speech: SpeechFeatures, followed: FaceTrack | None) -> tuple[Tensors, ClipInfo] | str:
    """Return a clip's tensors and what is now known of it, or why it cannot be used."""
    try:
        fps = probe(clip.path).fps
        if fps < MIN_FPS:
            return f"only {fps:.0f} frames/s"
        followed = followed or track(read_frames(clip.path, fps=FPS))
        reason = reason_to_drop(followed)
        if reason is not None:
            return reason
        waveform = load_audio(clip.path)
    except PortraitAnimError as error:
        return str(error)
    tensors = motion_tensors(followed.landmarks)
    with torch.no_grad():
        features = speech(torch.from_numpy(waveform)[None])
    n_frames = min(len(followed.landmarks), features.values.shape[-1] // 2)
    tensors = {name: value if name == "neutral" else value[:n_frames] for name, value in tensors.items()}
    tensors |= {
        "features": features.values[0, :, : 2 * n_frames].numpy().astype(np.float16),
        "blank": features.blank[0, : 2 * n_frames].numpy(),
        "bilabial": features.bilabial[0, : 2 * n_frames].numpy(),
        "phoneme": features.phoneme[0, : 2 * n_frames].numpy(),
        "waveform": (np.clip(waveform, -1, 1) * 32767).astype(np.int16),
    }
    if clip.lag_frames is None and not clip.checked:
        score, lag = sync_of(tensors)
        least = SYNC / n_frames**0.5
        if n_frames >= MIN_SYNC_FRAMES and score < least:
            return f"sound and mouth do not belong together at any offset (best r {score:.2f}): dubbed?"
        clip = replace(clip, lag_frames=lag if score >= least else None)
    return tensors, clip


def prepare_clip(clip: ClipInfo, out: Path, speech: SpeechFeatures, followed: FaceTrack | None = None) -> str | None:
    """Write one clip's shard unless it is there; return why it was dropped, or None.

    Args:
        clip: what to prepare.
        out: the prepared folder.
        speech: the frozen encoders.
        followed: when already tracked.
    """
    shard, note = out / "clips" / f"{clip.id}.safetensors", out / "dropped" / f"{clip.id}.json"
    if shard.is_file():
        return None
    if note.is_file():
        return str(json.loads(note.read_text("utf-8"))["reason"])
    for folder in (shard.parent, note.parent):
        folder.mkdir(parents=True, exist_ok=True)
    made = _tensors(clip, speech, followed)
    if isinstance(made, str):
        temporary = note.with_suffix(".tmp")
        temporary.write_text(json.dumps({"reason": made}), "utf-8")
        temporary.replace(note)
        return made
    tensors, clip = made
    temporary = shard.with_suffix(".tmp")
    tensors = {name: np.ascontiguousarray(value) for name, value in tensors.items()}
    save_file(tensors, temporary, metadata={"clip": json.dumps(asdict(clip))})
    temporary.replace(shard)
    return None


@cache
def _model() -> MotionModel:
    return MotionModel.from_weights()


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
    tensors: Tensors


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
