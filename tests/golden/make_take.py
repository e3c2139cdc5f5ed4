"""Makes take.csv: a csv as phones and tools write it, of our own making, with the traps that real ones have.

    python tests/golden/make_take.py

45 rows at 30 a second, whose timecode counts 60 steps a second and passes midnight; names in camelCase, right before
left; no tongue column; the count is spelt BlendshapeCount; the head's cells are empty. The mouth opens twice, one smile
is the performer's left one, the lids shut once, the eyes go to the performer's right.
"""

import math
from pathlib import Path

from portrait_anim.motion.arkit import EYES, FACE, HEAD

FPS, BASE, N_ROWS = 30, 60, 45
START_S = 86399.0 + 10 / 60  # of the day


def swapped(name: str) -> str:
    """Return a name with left and right exchanged: the columns' order, not what they say."""
    return name.replace("Left", "*").replace("Right", "Left").replace("*", "Right")


def value(name: str, i: int) -> float:
    """Return one cell."""
    time = i / FPS
    if name == "JawOpen":
        return 0.25 * (1 - math.cos(2 * math.pi * time / 0.75))
    if name == "MouthSmileLeft":
        return min(1.0, time)
    if name.startswith("EyeBlink"):
        return max(0.0, 1 - abs(i - 20) / 3)
    if name in ("EyeLookInLeft", "EyeLookOutRight"):
        return 0.2
    return 0.0


def main() -> None:
    """Write the file."""
    names = [swapped(name) for name in FACE if name != "TongueOut"]
    camel = [name[0].lower() + name[1:] for name in names]
    lines = [",".join(["Timecode", "BlendshapeCount", *camel, *HEAD, *EYES])]
    for i in range(N_ROWS):
        whole, steps = divmod(round(START_S * BASE) + i * BASE // FPS, BASE)
        whole %= 86400
        code = f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}:{steps + 0.452:06.3f}"
        cells = [f"{value(name, i):.4f}" for name in names] + [""] * len(HEAD) + ["0.0000"] * len(EYES)
        lines.append(",".join([code, "60", *cells]))
    (Path(__file__).parent / "take.csv").write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
