"""How many films an hour: ``batch`` with 1 worker, with 2, and the command ``animate`` for each row, side by side.

    PYTHONPATH=. python benchmarks/batch.py [--films 6] [--seconds 10] [--size 512x512] [--turns 2] [--workers 1 2] [--parts-of MINUTES] [--json OUT]

The same rows (examples/astronaut.jpg resampled, stretches of examples/speech.flac) go through every way in turn, so that
a busy machine slows them alike; the table shows medians over the turns. Everything counts, from the first process's start
to the last one's end: loading the nets too, which ``animate`` does for every row. With ``--parts-of`` films are cut, and drawn by all workers (``--films 1 --seconds 120``). CPU seconds are those of all processes,
ffmpeg's among them; on a machine that does other work they are the steadier measure. POSIX only. Prints Markdown.
"""  # noqa: E501

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import soundfile
from PIL import Image

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
STEP_S = 0.7  # between the beginnings of the rows' sounds


def rows_in(folder: Path, films: int, seconds: float, size: tuple[int, int]) -> list[tuple[str, Path, Path]]:
    photo = folder / "photo.png"
    Image.open(EXAMPLES / "astronaut.jpg").convert("RGB").resize(size, Image.Resampling.LANCZOS).save(photo)
    samples, rate = soundfile.read(EXAMPLES / "speech.flac")
    rows = []
    for i in range(films):
        at = [j % len(samples) for j in range(round(i * STEP_S * rate), round((i * STEP_S + seconds) * rate))]
        sound = folder / f"s{i}.wav"
        soundfile.write(sound, samples[at], rate, "PCM_16")
        rows.append((f"f{i}", photo, sound))
    text = "id,photo,audio\n" + "".join(f"{name},{photo.name},{sound.name}\n" for name, photo, sound in rows)
    (folder / "jobs.csv").write_text(text, "utf-8")
    return rows


def timed(commands: list[list[str]]) -> tuple[float, float]:
    """Run commands one after the other; return wall and CPU seconds."""
    start, cpu = time.perf_counter(), 0.0
    for arguments in commands:
        command = [sys.executable, "-m", "portrait_anim", *arguments, "--quiet"]
        process = os.posix_spawn(sys.executable, command, {**os.environ, "PYTHONPATH": str(ROOT)})
        _, status, usage = os.wait4(process, 0)
        if status:
            raise SystemExit(f"{' '.join(arguments)} ended with {os.waitstatus_to_exitcode(status)}")
        cpu += usage.ru_utime + usage.ru_stime
    return time.perf_counter() - start, cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--size", default="512x512", metavar="WxH")
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--parts-of", type=float, metavar="MINUTES")
    parser.add_argument("--json", type=Path, metavar="OUT")
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    print(
        f"{platform.machine()}, {cores} cores; {options.films} films of {options.seconds:g} s at {options.size}, "
        f"{options.turns} turns; other load before: {os.getloadavg()[0]:.1f}\n"
    )
    ways = {"animate, row by row": 0, **{f"batch, {n} worker{'s' * (n > 1)}": n for n in options.workers}}
    taken: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    with tempfile.TemporaryDirectory(prefix="portrait_anim-batch-") as name:
        folder = Path(name)
        os.environ.setdefault("PORTRAIT_ANIM_HOME", name)  # the signing key
        rows = rows_in(folder, options.films, options.seconds, (width, height))
        for turn in range(options.turns):
            for way, workers in ways.items():
                if workers:
                    out = str(folder / f"{turn}-{workers}")
                    commands = [["batch", str(folder / "jobs.csv"), "--out", out, "--workers", str(workers)]]
                    commands[0] += ["--parts-of", str(options.parts_of)] if options.parts_of else []
                else:
                    out = str(folder / f"{turn}-animate")
                    Path(out).mkdir()
                    commands = [["animate", str(p), str(s), "-o", f"{out}/{film}.mp4"] for film, p, s in rows]
                taken[way].append(timed(commands))
    results = [_row(way, taken, options.films, options.seconds / 60, min(max(n, 1), cores)) for way, n in ways.items()]
    print("| way | wall s | films an hour | film minutes an hour | x animate | CPU s a film | CPU s a film minute |")
    print("|---|---|---|---|---|---|---|")
    for row in results:
        print(
            f"| {row['way']} | {row['wall']:.1f} | {row['films_hour']:.0f} | {row['minutes_hour']:.1f} | "
            f"{row['ratio']:.2f} | {row['cpu_film']:.2f} | {row['cpu_minute']:.1f} |"
        )
    best = min(results, key=lambda row: row["cpu_film"])
    print(f"\nOf one core alone, by CPU time ({best['way']}): {3600 / best['cpu_film']:.0f} films an hour")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n", "utf-8")


def _row(
    way: str, taken: dict[str, list[tuple[float, float]]], films: int, minutes: float, cores: int
) -> dict[str, Any]:
    wall = statistics.median(wall for wall, _ in taken[way])
    cpu = statistics.median(cpu for _, cpu in taken[way])
    first = next(iter(taken.values()))
    ratio = statistics.median(base / mine for (base, _), (mine, _) in zip(first, taken[way], strict=True))
    return {
        "way": way, "cores": cores, "wall": wall, "films_hour": 3600 * films / wall, "ratio": ratio,
        "minutes_hour": 3600 * films * minutes / wall, "cpu_film": cpu / films, "cpu_minute": cpu / films / minutes,
    }  # fmt: skip


if __name__ == "__main__":
    main()
