"""The table of songs: does the mouth move while somebody sings, and rest while nobody does?

Two kinds: a song with syllable times (UltraStar text), and karaoke recordings with the music on the left channel and
the voice on the right one, where the mouth driven by the mix is compared with the mouth driven by the voice alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from portrait_anim.audio.load import load_audio
from portrait_anim.config import FPS, SAMPLE_RATE
from portrait_anim.errors import DataError
from portrait_anim.motion.metrics import correlation, opening_p95
from portrait_anim.motion.model import MotionModel
from portrait_anim.system import ffmpeg

Curve = npt.NDArray[np.floating]
SongRows = dict[str, dict[str, float]]

OPEN_IOD = 0.03  # the mouth counts as open above this aperture
AWAY_S = 0.6  # frames further than this from every syllable are rests
SOUNDS = (".opus", ".ogg", ".wav", ".flac", ".mp3", ".m4a")


@dataclass(frozen=True)
class Syllables:
    """When a song is sung: starts and ends in seconds, (N,) each, in order."""

    start_s: npt.NDArray[np.float64]
    end_s: npt.NDArray[np.float64]

    @classmethod
    def read(cls, path: Path) -> Syllables:
        """Read an UltraStar text: beats of a quarter of 60 / BPM seconds after GAP milliseconds.

        Raises:
            DataError: no header or no notes.
        """
        header, notes = {}, []
        for line in path.read_text("utf-8", "replace").splitlines():
            if line.startswith("#") and ":" in line:
                key, _, value = line[1:].partition(":")
                header[key.strip().upper()] = value.strip()
            elif line[:1] in (":", "*", "F"):
                start, length = line[1:].split()[:2]
                notes.append((int(start), int(length)))
        try:
            beat = 60 / float(header["BPM"].replace(",", ".")) / 4
            gap = float(header["GAP"].replace(",", ".")) / 1000
        except (KeyError, ValueError) as e:
            raise DataError(f"{path} has no BPM and GAP: give an UltraStar text") from e
        if not notes:
            raise DataError(f"{path} has no notes: give an UltraStar text")
        start, length = np.array(sorted(notes), np.float64).T
        return cls(gap + start * beat, gap + (start + length) * beat)

    def sung(self, n_frames: int, margin_s: float = 0.0) -> npt.NDArray[np.bool_]:
        """Return (T,): frames at 25 fps within ``margin_s`` of a syllable."""
        middle = (np.arange(n_frames) + 0.5) / FPS
        out = np.zeros(n_frames, bool)
        for start, end in zip(self.start_s - margin_s, self.end_s + margin_s, strict=True):
            out |= (middle >= start) & (middle <= end)
        return out


def timed_song(model: MotionModel, sound: Path, syllables: Syllables) -> SongRows:
    """Return by condition how often the mouth is open while sung and in rests, and its correlation with the times."""
    opening = model.space.aperture(model.analyse(load_audio(sound)).mouth)
    n_frames = len(opening)
    sung, rest = syllables.sung(n_frames), ~syllables.sung(n_frames, AWAY_S)
    curves = {
        "model": opening,
        "shuffled audio": np.roll(opening, n_frames // 3),
        "always open": np.full(n_frames, 2 * OPEN_IOD),
        "static photo": np.zeros(n_frames),
    }
    return {
        name: {
            "open_sung": float((curve[sung] > OPEN_IOD).mean()),
            "open_rest": float((curve[rest] > OPEN_IOD).mean()),
            "r_times": correlation(curve, sung.astype(np.float64)),
        }
        for name, curve in curves.items()
    }


def karaoke(model: MotionModel, sound: Path) -> SongRows:
    """Return how the mouth driven by the mix compares with the one driven by the voice, and what music alone does."""
    music, voice = channels(sound)
    curves = {
        name: model.space.aperture(model.analyse(wave).mouth)
        for name, wave in (("mix", np.asarray((music + voice) / 2, np.float32)), ("voice", voice), ("music", music))
    }
    half = len(curves["mix"]) // 2
    rows = {"model": curves["mix"], "shuffled audio": np.roll(curves["mix"], half), "music alone": curves["music"]}
    return {
        name: {"r_voice": correlation(curve, curves["voice"]), "p95": opening_p95(curve)}
        for name, curve in {**rows, "static photo": np.zeros_like(curves["mix"])}.items()
    }


def channels(sound: Path) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return left and right of a stereo file, (N,) at 16 kHz each."""
    arguments = [*ffmpeg.QUIET, *ffmpeg.file_input(sound), "-ac", "2", "-ar", str(SAMPLE_RATE), "-f", "f32le", "pipe:1"]
    child = ffmpeg.Child(arguments)
    data = child.stdout.read()
    if child.wait():
        raise DataError(f"{sound} cannot be read: {child.reason()}")
    left, right = np.frombuffer(data, "<f4").reshape(-1, 2).T
    return np.asarray(left, np.float32).copy(), np.asarray(right, np.float32).copy()


def song_tables(model: MotionModel, folder: Path) -> dict[str, SongRows]:
    """Measure every song of a folder with ``song_timed_lyrics`` and ``song_left_music_right_voice``, where there are.

    Returns:
        table -> row -> column -> value, karaoke averaged over its recordings.
    """
    tables: dict[str, SongRows] = {}
    for text in sorted((folder / "song_timed_lyrics").glob("*.txt")):
        sounds = [path for path in sorted(text.parent.iterdir()) if path.suffix in SOUNDS]
        if sounds:
            tables[f"song with syllable times ({sounds[0].stem})"] = timed_song(model, sounds[0], Syllables.read(text))
    clips = [p for p in sorted((folder / "song_left_music_right_voice").glob("*")) if p.suffix in SOUNDS]
    if clips:
        found = [karaoke(model, clip) for clip in clips]
        tables[f"karaoke ({len(clips)} recordings)"] = {
            name: {column: float(np.mean([rows[name][column] for rows in found])) for column in found[0][name]}
            for name in found[0]
        }
    return tables


def format_songs(tables: dict[str, SongRows]) -> str:
    """Return the tables as Markdown."""
    lines = []
    for title, rows in tables.items():
        columns = list(next(iter(rows.values())))
        lines += [title, "", f"| | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
        lines += [f"| {name} | " + " | ".join(f"{row[c]:.3f}" for c in columns) + " |" for name, row in rows.items()]
        lines.append("")
    return "\n".join(lines)
