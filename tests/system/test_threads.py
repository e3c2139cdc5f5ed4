"""One thread each for torch, OpenCV and the others, whatever the user's environment says."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from conftest import environment

pytestmark = pytest.mark.media

ODD = {  # what users' shells and clusters set
    "OMP_NUM_THREADS": "7", "MKL_NUM_THREADS": "5", "OPENBLAS_NUM_THREADS": "6", "NUMBA_NUM_THREADS": "2",
    "OPENCV_FOR_THREADS_NUM": "4",
}  # fmt: skip


def run(code: str, *arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)], capture_output=True, text=True,
        env={**environment(), **ODD}, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_library_gets_its_threads_back(small_astronaut: Path) -> None:
    said = run(
        """
        import sys, threading
        import cv2, numpy as np, torch
        torch.set_num_threads(7)
        cv2.setNumThreads(4)
        from portrait_anim import Animator
        from portrait_anim.audio.speech import SpeechFeatures
        seen = []
        encode = SpeechFeatures.encode
        def watched(self, waveform):
            seen.append((torch.get_num_threads(), threading.current_thread().name))
            return encode(self, waveform)
        SpeechFeatures.encode = watched
        sound = (np.sin(np.arange(30 * 16000) * 0.05).astype("float32"), 16000)
        frames = Animator(sys.argv[1]).frames(sound)
        next(frames)
        print({n for n, _ in seen}, len(seen), any(name.startswith("MainThread") for _, name in seen))
        print(torch.get_num_threads(), cv2.getNumThreads())
        frames.close()
        print(torch.get_num_threads(), cv2.getNumThreads())
        """,
        small_astronaut,
    )
    assert said.splitlines() == ["{1} 2 False", "1 1", "7 4"]


def test_the_command_line_uses_one_thread_a_library(small_astronaut: Path, speech: Path, tmp_path: Path) -> None:
    said = run(
        """
        import os, sys
        from portrait_anim.cli.main import main
        assert main(["animate", sys.argv[1], sys.argv[2], "-o", sys.argv[3], "--quiet"]) == 0
        import cv2, torch
        print(torch.get_num_threads(), cv2.getNumThreads(), {os.environ[name] for name in sys.argv[4:]})
        """,
        small_astronaut, speech, tmp_path / "film.mp4", *ODD,
    )  # fmt: skip
    assert said.splitlines()[-1] == "1 1 {'1'}"
