"""Store MediaPipe's own landmarks for the pictures in examples/, as the oracle of tests/test_facemesh.py.

Run in an environment of its own that has mediapipe==1.2.2 (it must not be in the project's):
    python tests/golden/make_facemesh.py face_landmarker.task
"""

import sys
from pathlib import Path

import mediapipe as mp
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision
from PIL import Image

HERE = Path(__file__).parent
PICTURES = sorted((HERE.parents[1] / "examples").glob("**/*.jpg"))


def main() -> None:
    """Detect in image mode and write pixels (pixel centres at integers, z scaled by the width)."""
    options = vision.FaceLandmarkerOptions(base_options=BaseOptions(model_asset_path=sys.argv[1]), num_faces=3)
    landmarker = vision.FaceLandmarker.create_from_options(options)
    golden = {}
    for path in PICTURES:
        pixels = np.array(Image.open(path).convert("RGB"))
        height, width = pixels.shape[:2]
        (face,) = landmarker.detect(mp.Image(image_format=mp.ImageFormat.SRGB, data=pixels)).face_landmarks
        golden[path.name] = np.array([[p.x * width, p.y * height, p.z * width] for p in face], np.float32)
    np.savez_compressed(HERE / "facemesh_mediapipe.npz", **golden)


if __name__ == "__main__":
    main()
