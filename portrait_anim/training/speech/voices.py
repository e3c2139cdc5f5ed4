"""Prepares sound-only training data, voices of many people, for the streaming encoder and the voice detector.

    python -m portrait_anim.training.speech.voices DATA/audio CORPUS

CORPUS/voices/*.safetensors  a recording each: waveform int16, features (C, T50) fp16 of the clean voice, gate (T25,);
                             of a fifth also sung int16 and source (T50,), the feature frame each of its frames is
                             taken from
CORPUS/mixed/*.safetensors   the same recordings as records sound: mostly sung, some notes held for seconds, in rooms,
                             doubled, in music or noise; features (C, T50) fp16 and source (T50,) as above
CORPUS/rests/*.safetensors   music and noise without a voice: features (C, T50) fp16
"""

from __future__ import annotations

import argparse
import csv
import logging
import sys
import zlib
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.numpy import load_file, save_file
from scipy.signal import butter, resample_poly, sosfilt
from torch import Tensor
from torch.nn import functional

from portrait_anim.audio.load import load_audio
from portrait_anim.audio.speech import SAMPLES_PER_FEATURE, SpeechFeatures
from portrait_anim.audio.vad import GateConfig, level_opening, moving_average
from portrait_anim.config import FEATURE_RATE, FEATURES_PER_FRAME, FPS, SAMPLE_RATE
from portrait_anim.errors import DataError
from portrait_anim.training.data.copies import music_of
from portrait_anim.training.data.song import FRAME_MS, Sung, chords, mix, noise, reverberate, sing
from portrait_anim.training.steps import check_finite

logger = logging.getLogger(__name__)

Array = npt.NDArray[np.float32]
Tensors = dict[str, npt.NDArray[np.generic]]
Progress = Callable[[int, int], None]

SUNG_SHARE = 0.2  # of the clean recordings that are also converted to song
MAX_S, MIXED_S, REST_S = 15.0, 20.0, 12.0  # of a recording
N_RESTS = 360
HOLD = 0.12  # chance of a long vowel to be held for seconds, in most of the mixed recordings
FULL_SCALE = 32767


@cache
def _speech() -> SpeechFeatures:
    torch.set_num_threads(1)
    return SpeechFeatures.from_weights()


@cache
def _piece(path: Path) -> Array:
    return load_audio(path)


def _listen(waveform: npt.NDArray[np.floating]) -> tuple[npt.NDArray[np.float16], Tensor]:
    """Return features (C, T50) and the probability of the likeliest phoneme (T50,)."""
    with torch.no_grad():
        heard = _speech()(torch.from_numpy(np.ascontiguousarray(waveform, np.float32))[None])
    return heard.values[0].numpy().astype(np.float16), heard.phoneme[0]


def _write(path: Path, tensors: Tensors) -> None:
    temporary = path.with_suffix(".tmp")
    save_file({name: np.ascontiguousarray(value) for name, value in tensors.items()}, temporary)
    temporary.replace(path)


def spoken(waveform: Tensor, phoneme: Tensor) -> Tensor:
    """Return (T25,) 0..1 where somebody speaks in a clean recording (N,): where phonemes (T50,) are probable."""
    heard = moving_average(phoneme.clamp(min=0) ** 1.5, round(0.6 * FEATURE_RATE) + 1)
    sure = torch.sigmoid((heard - 0.0015) / 0.0004).view(-1, FEATURES_PER_FRAME).mean(1)  # (T25,)
    sure = sure * level_opening(waveform, len(sure), GateConfig())
    half = round(0.3 * FPS)
    return functional.max_pool1d(sure[None], 2 * half + 1, 1, half)[0]


def source_frames(song: Sung) -> npt.NDArray[np.float32]:
    """Return (T50,): the feature frame of the original that each of a song's feature frames is."""
    middle_s = (np.arange(len(song.waveform) // SAMPLES_PER_FEATURE) + 0.5) / FEATURE_RATE
    source_s = np.interp(middle_s, np.arange(len(song.source_s)) * FRAME_MS / 1000, song.source_s)
    return np.asarray(source_s * FEATURE_RATE - 0.5, np.float32)


def _voice(path: Path, target: Path) -> None:
    """Encode one recording; convert some of them to singing as well."""
    waveform = load_audio(path)[: int(MAX_S * SAMPLE_RATE)]
    features, phoneme = _listen(waveform)
    tensors: Tensors = {
        "waveform": (np.clip(waveform, -1, 1) * FULL_SCALE).astype(np.int16),
        "features": features,
        "gate": spoken(torch.from_numpy(waveform), phoneme).numpy().astype(np.float16),
    }
    rng = np.random.default_rng(zlib.crc32(path.name.encode()))
    if rng.random() < SUNG_SHARE:
        song = sing(waveform, rng)
        tensors["sung"] = (np.clip(song.waveform, -1, 1) * FULL_SCALE).astype(np.int16)
        tensors["source"] = source_frames(song)
    _write(target, tensors)


def as_on_a_record(
    waveform: Array, rng: np.random.Generator, music: list[Path]
) -> tuple[Array, npt.NDArray[np.float32]]:
    """Return a recording sung, in a room, doubled and accompanied, each by chance, and its source frames (T50,)."""
    source = np.arange(len(waveform) // SAMPLES_PER_FEATURE, dtype=np.float32)
    voice: npt.NDArray[np.floating] = waveform
    if rng.random() < 0.8:
        part = waveform[: int(SAMPLE_RATE * rng.uniform(3, 9))]
        song = sing(part, rng, HOLD if rng.random() < 0.7 else 0.0)
        voice, source = song.waveform, source_frames(song)
    if rng.random() < 0.6:
        voice = reverberate(voice, rng, (0.2, 1.8), (0.15, 0.9))
    if rng.random() < 0.3:  # a second voice, a little later
        voice = voice + rng.uniform(0.3, 0.8) * np.roll(voice, int(rng.uniform(0.01, 0.035) * SAMPLE_RATE))
    voice = np.asarray(voice, np.float32)
    if rng.random() < 0.92:
        kind = rng.random()
        if kind < 0.7 and music:
            other = np.roll(piece := _piece(music[int(rng.integers(len(music)))]), -int(rng.integers(len(piece))))
        else:
            other = chords(len(voice), rng) if kind < 0.85 else noise(len(voice), rng)
        voice = mix(voice, other, float(rng.uniform(-6, 12)))
    return voice[: int(MIXED_S * SAMPLE_RATE)], source


def _mixed(path: Path, target: Path, music: list[Path]) -> None:
    """Encode one recording as it would sound on a music record."""
    rng = np.random.default_rng(zlib.crc32(path.name.encode() + b"mix"))
    waveform, source = as_on_a_record(load_audio(path)[: int(MAX_S * SAMPLE_RATE)], rng, music)
    features, _ = _listen(waveform)
    n = min(features.shape[1], len(source)) // FEATURES_PER_FRAME * FEATURES_PER_FRAME
    _write(target, {"features": features[:, :n], "source": source[:n]})


def without_voice(rng: np.random.Generator, music: list[Path]) -> Array:
    """Return 12 s of noise, synthetic chords or instruments, of those often several at once or only a band of them."""
    n = int(REST_S * SAMPLE_RATE)

    def piece() -> Array:
        if not music:
            return chords(n, rng)
        sound = _piece(music[int(rng.integers(len(music)))])
        up = int(rng.integers(80, 126))
        part = np.roll(sound, -int(rng.integers(len(sound))))[: int(1.6 * n)]
        return np.resize(np.asarray(resample_poly(part, up, 100), np.float32), n)

    kind = rng.random()
    if kind < 0.12:
        return noise(n, rng)
    if kind < 0.24:
        return chords(n, rng)
    sound = piece()
    if rng.random() < 0.4:
        sound = mix(sound, piece(), float(rng.uniform(-6, 6)))
    if rng.random() < 0.25:
        sound = mix(sound, chords(n, rng), float(rng.uniform(-6, 6)))
    if rng.random() < 0.3:
        low = rng.uniform(200, 1500)
        band = butter(2, [low, low * rng.uniform(2, 5)], btype="band", fs=SAMPLE_RATE, output="sos")
        sound = sosfilt(band, sound) * rng.uniform(0.5, 2) + sound * rng.uniform(0, 1)
    return np.asarray(sound, np.float32)


def _rest(number: int, target: Path, music: list[Path]) -> None:
    _write(target, {"features": _listen(without_voice(np.random.default_rng((number, 77)), music))[0]})


def write_corpus(
    audio: Path, corpus: Path, workers: int = 2, progress: Progress | None = None, *, n_rests: int = N_RESTS
) -> int:
    """Encode every training recording of a folder with an ``index.csv`` (file, use) that is not done yet.

    Returns:
        how many recordings there are.

    Raises:
        DataError: no index, or nothing in it may be trained on.
    """
    index = audio / "index.csv"
    if not index.is_file():
        raise DataError(f"{index} is missing: give a folder of recordings with their index.csv")
    with index.open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["use"] == "train" and not row["file"].startswith("music/")]
    if not rows:
        raise DataError(f"{index} names no recording with use 'train'")
    music = music_of(audio / "music", "train") if (audio / "music").is_dir() else []
    voices, mixed, rests = (corpus / name for name in ("voices", "mixed", "rests"))
    for folder in (voices, mixed, rests):
        folder.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        waiting = []
        for row in rows:
            path, name = audio / row["file"], f"{Path(row['file']).stem}.safetensors"
            if not (voices / name).is_file():
                waiting.append(pool.submit(_voice, path, voices / name))
            if not (mixed / name).is_file():
                waiting.append(pool.submit(_mixed, path, mixed / name, music))
        for number in range(n_rests):
            if not (target := rests / f"{number}.safetensors").is_file():
                waiting.append(pool.submit(_rest, number, target, music))
        for done, future in enumerate(as_completed(waiting), 1):
            future.result()
            if progress:
                progress(done, len(waiting))
    return len(rows)


def load_corpus(folder: Path) -> dict[str, Tensors]:
    """Read all files of one of the corpus' folders, by file name.

    Raises:
        DataError: there are none, or one holds values that are not numbers.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise DataError(
            f"no recordings in {folder}: run python -m portrait_anim.training.speech.voices AUDIO CORPUS first"
        )
    corpus = {path.name: load_file(path) for path in files}
    for name, tensors in corpus.items():
        check_finite(name, tensors)
    return corpus


def training_data(audio: Path) -> list[str]:
    """Return the training data of a corpus made from this folder, with licences, for the registry."""
    pieces = [f"{piece.name} (music, mixed in)" for piece in music_of(audio / "music", "train")]
    return [
        "LibriSpeech (CC BY 4.0)", "VCTK (CC BY 4.0)", "intent (Apache-2.0)", "prompts (CC BY-SA 3.0)", *pieces
    ]  # fmt: skip


def main() -> None:
    """Encode everything that is not done yet."""
    from tqdm import tqdm

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("audio", type=Path, help="folder of recordings with an index.csv, music/ in it")
    parser.add_argument("corpus", type=Path, help="folder for what is made")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with tqdm(unit="recording", file=sys.stderr, mininterval=1.0) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        count = write_corpus(args.audio, args.corpus, progress=progress)
    logger.info("%s: %d recordings", args.corpus, count)


if __name__ == "__main__":
    main()
