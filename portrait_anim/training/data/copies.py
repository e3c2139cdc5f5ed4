"""Augmented copies of prepared clips: sung, in music, and sounds without a voice at which the mouth rests.

DIR/copies/ID__song.safetensors   a train clip sung (or spoken in music), one a clip
DIR/copies/ID__voice.safetensors  a train clip in another voice and room, at another speed, one a clip
DIR/copies/ID__sung*.safetensors  a val clip sung alone, with music 6 dB below the voice, and as loud as the voice
DIR/copies/rest__*.safetensors    music, noise and silence alone
Each holds features (C, T50) fp16, blank, bilabial, phoneme (T50,), waveform int16, and source (T,): the clip's sound
frame (25 fps, fractional) each frame is taken from, -1 where nobody speaks.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
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
from portrait_anim.config import FPS, SAMPLE_RATE
from portrait_anim.errors import DataError
from portrait_anim.training.data.song import FRAME_MS, chords, mix, noise, revoice, sing

VAL_MUSIC_SHARE = 6  # every sixth piece is kept for the val split
VAL_KINDS = {"sung": None, "sung_6db": 6.0, "sung_0db": 0.0}  # kind -> voice above the music, dB
REST_S = 16.0  # s of a sound without a voice
N_NOISES = 24  # how many of them are noise
SOUND_SUFFIXES = {".opus", ".wav", ".flac", ".mp3", ".ogg", ".m4a"}


@dataclass(frozen=True)
class CopyInfo:
    """Facts of one copy.

    Attributes:
        id: unique name.
        clip: id of the clip it was made from; empty for sounds without a voice.
        kind: ``song``, ``speech_in_music``, ``voice``, one of :data:`VAL_KINDS`, ``music``, ``noise`` or ``silence``.
        split: ``train`` or ``val``.
        music: what was mixed in, by file name; empty for none.
    """

    id: str
    clip: str
    kind: str
    split: str
    music: str


@dataclass
class Copy:
    """A copy in memory; arrays as in the module's heading."""

    info: CopyInfo
    tensors: dict[str, npt.NDArray[np.generic]]


def _seed(text: str) -> int:
    return zlib.crc32(text.encode())


def music_of(folder: Path | None, split: str) -> list[Path]:
    """Return the pieces of a folder that belong to a split (by a hash of their names); [] without a folder."""
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in SOUND_SUFFIXES) if folder else []
    return [p for p in files if (_seed(p.name) % VAL_MUSIC_SHARE == 0) == (split == "val")]


@cache
def _piece(path: Path) -> npt.NDArray[np.float32]:
    return load_audio(path)


def _accompaniment(
    n_samples: int, music: list[Path], rng: np.random.Generator, real: float
) -> tuple[npt.NDArray[np.float32], str]:
    """Return (N,) of instruments and their name: with probability ``real`` a recording, else synthetic chords."""
    if music and rng.random() < real:
        path = music[int(rng.integers(len(music)))]
        piece = _piece(path)
        return np.resize(np.roll(piece, -int(rng.integers(len(piece)))), n_samples), path.name
    return chords(n_samples, rng), "synthetic chords"


def make_copy(
    clip: str, waveform: npt.NDArray[np.float32], kind: str, split: str, music: list[Path]
) -> tuple[CopyInfo, npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return a copy's facts, waveform (N,) and source frames (T,); they depend on ``clip`` and ``kind`` alone."""
    name = f"{clip}__{kind}"
    rng = np.random.default_rng(_seed(clip if split == "val" else name))  # val kinds share one melody
    used = ""
    level: float | None = None
    sound, source_s = waveform, np.arange(len(waveform) / SAMPLE_RATE * 1000 / FRAME_MS + 1) * FRAME_MS / 1000
    if kind == "voice":
        revoiced = revoice(waveform, rng)
        sound, source_s = revoiced.waveform, revoiced.source_s
    elif kind == "song" and rng.random() < 0.25:
        kind = "speech_in_music"
    else:
        sung = sing(waveform, rng)
        sound, source_s = sung.waveform, sung.source_s
    if kind in VAL_KINDS:
        level = VAL_KINDS[kind]
    elif kind != "voice":
        level = None if kind == "song" and rng.random() < 0.25 else float(rng.uniform(-4, 12))
    if level is not None:
        instruments, used = _accompaniment(len(sound), music, rng, 1.0 if split == "val" else 0.6)
        sound = mix(sound, instruments, level)
    n_frames = max(1, round(len(sound) / SAMPLE_RATE * FPS))
    middle_s = (np.arange(n_frames) + 0.5) / FPS
    source = np.interp(middle_s, np.arange(len(source_s)) * FRAME_MS / 1000, source_s) * FPS - 0.5
    return CopyInfo(name, clip, kind, split, used), sound, np.maximum(source, 0).astype(np.float32)


@cache
def _speech() -> SpeechFeatures:
    torch.set_num_threads(1)
    return SpeechFeatures.from_weights()


def _write(out: Path, info: CopyInfo, sound: npt.NDArray[np.float32], source: npt.NDArray[np.float32]) -> None:
    with torch.no_grad():
        features = _speech()(torch.from_numpy(sound)[None])
    n_frames = min(len(source), features.values.shape[-1] // 2)
    tensors = {
        "features": features.values[0, :, : 2 * n_frames].numpy().astype(np.float16),
        "blank": features.blank[0, : 2 * n_frames].numpy(),
        "bilabial": features.bilabial[0, : 2 * n_frames].numpy(),
        "phoneme": features.phoneme[0, : 2 * n_frames].numpy(),
        "waveform": (np.clip(sound, -1, 1) * 32767).astype(np.int16),
        "source": source[:n_frames],
    }
    path = out / f"{info.id}.safetensors"
    temporary = path.with_suffix(".tmp")
    tensors = {name: np.ascontiguousarray(value) for name, value in tensors.items()}
    save_file(tensors, temporary, metadata={"copy": json.dumps(asdict(info))})
    temporary.replace(path)


def _rest_sound(kind: str, piece: str, split: str) -> npt.NDArray[np.float32]:
    """Return music (a piece by its path, or chords), noise or silence; for val whole pieces."""
    n_samples = int(REST_S * SAMPLE_RATE)
    rng = np.random.default_rng(_seed(f"{kind} {Path(piece).stem}"))
    if kind == "silence":
        return np.zeros(n_samples, np.float32)
    if kind == "noise":
        return noise(n_samples, rng)
    if not Path(piece).suffix:
        return chords(n_samples, rng)
    sound = _piece(Path(piece))
    if split == "val":
        return sound
    return np.asarray(np.resize(np.roll(sound, -int(rng.integers(len(sound)))), n_samples), np.float32)


def _job(prepared: Path, source: str, kind: str, split: str, folder: Path | None) -> str:
    """Make and write one copy of the clip ``source`` unless it is there; of a rest it is a piece's path, or a name."""
    out = prepared / "copies"
    rest = kind in ("music", "noise", "silence")
    name = f"rest__{kind}_{Path(source).stem}" if rest else f"{source}__{kind}"
    if (out / f"{name}.safetensors").is_file():
        return name
    if rest:
        sound = _rest_sound(kind, source, split)
        still = -np.ones(round(len(sound) / SAMPLE_RATE * FPS), np.float32)
        music = Path(source).name if Path(source).suffix else ""
        _write(out, CopyInfo(name, "", kind, split, music), sound, still)
    else:
        samples = load_file(prepared / "clips" / f"{source}.safetensors")["waveform"]
        sound = np.asarray(samples, np.float32) / np.float32(32767)
        _write(out, *make_copy(source, sound, kind, split, music_of(folder, split)))
    return name


def make_copies(
    prepared: Path,
    music: Path | None = None,
    workers: int = 2,
    progress: Callable[[int, int, str], None] | None = None,
    *,
    voices: bool = False,
) -> int:
    """Make the copies of every prepared clip that are not there yet; return how many there are now.

    Args:
        prepared: a folder :func:`portrait_anim.training.data.prepare.prepare` wrote.
        music: a folder of instrumental recordings; None mixes with synthetic chords only.
        workers: processes.
        progress: called as ``progress(done, total, name)``.
        voices: also a copy of every train clip in another voice and room.
    """
    jobs: list[tuple[str, str, str]] = []
    for path in sorted((prepared / "clips").glob("*.safetensors")):
        with safe_open(path, framework="numpy") as file:
            info = json.loads(file.metadata()["clip"])
        kinds = tuple(VAL_KINDS) if info["split"] == "val" else ("song", "voice")[: 1 + voices]
        jobs += [(info["id"], kind, info["split"]) for kind in kinds]
    if not jobs:
        raise DataError(f"no prepared clips in {prepared}: run portrait-anim prepare DATA {prepared} first")
    for split in ("train", "val"):
        jobs += [(str(piece), "music", split) for piece in music_of(music, split)]
        jobs += [(f"{split}{i}", "music", split) for i in range(N_NOISES if split == "train" else 4)]
        jobs += [(f"{split}{i}", "noise", split) for i in range(N_NOISES if split == "train" else 8)]
        jobs.append((split, "silence", split))
    (prepared / "copies").mkdir(exist_ok=True)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        waiting = [pool.submit(_job, prepared, *job, music) for job in jobs]
        for done, future in enumerate(as_completed(waiting), 1):
            name = future.result()
            if progress:
                progress(done, len(jobs), name)
    return len(jobs)


def load_copies(folder: Path) -> list[Copy]:
    """Read all copies of a prepared folder; [] when none were made."""
    copies = []
    for path in sorted((folder / "copies").glob("*.safetensors")):
        with safe_open(path, framework="numpy") as file:
            info = CopyInfo(**json.loads(file.metadata()["copy"]))
        copies.append(Copy(info, load_file(path)))
    return copies
