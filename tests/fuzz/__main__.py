"""Fuzzes what reads strangers' files: ``python -m tests.fuzz --minutes 60``.

Each target runs in a process of its own, so that a crash of native code is found too. An input that is a finding is
kept in ``--out``; ``--replay FILE --only TARGET`` reads it again. Exit code 1: findings.
"""

from __future__ import annotations

import argparse
import logging
import random
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.fuzz.mutate import mutated
from tests.fuzz.targets import TARGETS, check, seeds

SLOW_S = 20.0  # one input; more is a finding
ROUND_S = 30.0  # of one target
STUCK_S = 90.0  # beyond its time, after which a target's process is ended


def run(name: str, seconds: float, seed: int, out: Path) -> int:
    """Fuzz one target in this process; return how many findings there were."""
    target, given = TARGETS[name], seeds(name)
    names, rng = sorted(given), random.Random(seed)
    until, tried, found = time.monotonic() + seconds, 0, set()
    with tempfile.TemporaryDirectory(dir=out) as folder:
        while time.monotonic() < until:
            start = rng.choice(names)
            data = mutated(given[start], list(given.values()), target.words, rng)
            path = Path(folder) / f"current{Path(start).suffix}"
            path.write_bytes(data)
            began, problem = time.monotonic(), None
            try:
                check(target, path)
            except Exception as e:
                last = traceback.extract_tb(e.__traceback__)[-1]
                problem = f"{type(e).__name__} at {Path(last.filename).name}:{last.lineno}: {str(e)[:100]}"
            if time.monotonic() - began > SLOW_S:
                problem = f"took {time.monotonic() - began:.0f} s"
            if problem is not None and (key := problem.partition(": ")[0]) not in found:
                found.add(key)
                kept = out / f"{name}.{seed}-{tried}{Path(start).suffix}"
                path.replace(kept)
                print(f"FOUND {name}: {problem} ({kept})", flush=True)
            path.unlink(missing_ok=True)
            tried += 1
    print(f"{name}: {tried} inputs", flush=True)
    return len(found)


def main() -> int:
    """Share the time out among the targets, round after round."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--only", nargs="+", choices=sorted(TARGETS), default=sorted(TARGETS))
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "portrait_anim-findings")
    parser.add_argument("--replay", type=Path)
    parser.add_argument("--here", type=float, help=argparse.SUPPRESS)
    args = parser.parse_args()
    logging.getLogger("portrait_anim").setLevel(logging.CRITICAL)  # notes on every broken file are not wanted
    args.out.mkdir(parents=True, exist_ok=True)
    if args.replay is not None:
        print(check(TARGETS[args.only[0]], args.replay))
        return 0
    if args.here is not None:
        return int(run(args.only[0], args.here, args.seed, args.out) > 0)
    until, seed, bad = time.monotonic() + 60 * args.minutes, args.seed, 0
    each_s = min(ROUND_S, 60 * args.minutes / len(args.only))
    while time.monotonic() < until:
        for name in args.only:
            command = [sys.executable, "-m", "tests.fuzz", "--only", name, "--here", str(each_s)]
            command += ["--seed", str(seed), "--out", str(args.out)]
            try:
                code = subprocess.run(command, timeout=each_s + STUCK_S, check=False).returncode
            except subprocess.TimeoutExpired:
                print(f"FOUND {name}: stuck, see the newest folder in {args.out}", flush=True)
                code = 1
            if code < 0:
                print(f"FOUND {name}: its process ended with {code}, see the newest folder in {args.out}", flush=True)
            bad += code != 0
            seed += 1
    print(f"{bad} rounds with findings")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
