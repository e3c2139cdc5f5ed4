"""Cubic interpolation of single pixels with four channels, compiled; sixteen numbers at a time.

The same as ``cv2.remap`` with ``INTER_CUBIC`` and ``BORDER_REPLICATE``: places are rounded to 1/32 px, and the weights
are those of a cubic convolution (Keys 1981, "Cubic Convolution Interpolation for Digital Image Processing"), a = -.75.
OpenCV sums in whole numbers, this in float32: some values differ by one level of 255.

Convention:
    * Pictures are (H, W, 4) uint8, C-contiguous; a pixel is one number of 32 bits, its first channel the lowest byte.
    * Places are (x, y) in 1/32 px; pixel centres are at whole px.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

Image = npt.NDArray[np.uint8]
Array = npt.NDArray[np.float32]
Number: TypeAlias = Any  # a whole number of compiled code

PARTS = 32  # steps in a px that places are rounded to
SHIFT, MASK = 5, PARTS - 1
SHARPNESS = -0.75  # the a of the cubic, OpenCV's
CHANNELS, TAPS = 4, 4


def _weights() -> Array:
    """Return (32, 4) how much four pixels in a row count, for each 1/32 px that a place lies beyond the second."""
    x = np.arange(PARTS) / PARTS
    a = SHARPNESS
    before = ((a * (x + 1) - 5 * a) * (x + 1) + 8 * a) * (x + 1) - 4 * a
    here = ((a + 2) * x - (a + 3)) * x * x + 1
    after = ((a + 2) * (1 - x) - (a + 3)) * (1 - x) * (1 - x) + 1
    return np.stack([before, here, after, 1 - before - here - after], 1).astype(np.float32)


DOWN = _weights()  # (32, 4) weights of rows
ACROSS = np.ascontiguousarray(np.repeat(DOWN, CHANNELS, axis=1))  # (32, 16) of columns, once for each channel


@intrinsic
def _sum(typing_context: Any, corner: Any, stride: Any, across: Any, down: Any) -> Any:
    """Return the weighted sum of 4 x 4 pixels as one pixel.

    Args, all of them addresses but ``stride``, which is bytes from a row to the next: of the upper left pixel, of 16
    float32 weights of columns (four channels each), of 4 float32 weights of rows.
    """
    number = types.intp
    signature = types.uint32(number, number, number, number)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        corner, stride, across, down = arguments
        byte, single, whole = ir.IntType(8), ir.FloatType(), ir.IntType(32)
        bytes_16, floats_16 = ir.VectorType(byte, 16), ir.VectorType(single, 16)
        fast = ("contract",)

        def load(address: Any, kind: Any, align: int) -> Any:
            value = builder.load(builder.inttoptr(address, kind.as_pointer()))
            value.align = align
            return value

        def spread(value: Any, kind: Any, length: int) -> Any:
            one = builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(whole, 0))
            zeros = ir.Constant(ir.VectorType(whole, length), [0] * length)
            return builder.shuffle_vector(one, ir.Constant(kind, ir.Undefined), zeros)

        def half(value: Any, start: int, length: int) -> Any:
            kind = ir.VectorType(whole, length)
            places = ir.Constant(kind, list(range(start, start + length)))
            return builder.shuffle_vector(value, ir.Constant(value.type, ir.Undefined), places)

        total, row = None, corner
        for tap in range(TAPS):
            pixels = builder.uitofp(load(row, bytes_16, 1), floats_16)
            weight = load(builder.add(down, ir.Constant(down.type, 4 * tap)), single, 4)
            part = builder.fmul(pixels, spread(weight, floats_16, 16), flags=fast)
            total = part if total is None else builder.fadd(total, part, flags=fast)
            row = builder.add(row, stride)
        total = builder.fmul(total, load(across, floats_16, 4), flags=fast)
        eight = builder.fadd(half(total, 0, 8), half(total, 8, 8))
        four = builder.fadd(half(eight, 0, 4), half(eight, 4, 4))
        floats_4 = four.type
        rounded = builder.fadd(four, ir.Constant(floats_4, [0.5] * 4))
        for limit, order in ((0.0, "<"), (255.0, ">")):
            edge = ir.Constant(floats_4, [limit] * 4)
            rounded = builder.select(builder.fcmp_ordered(order, rounded, edge), edge, rounded)
        levels = builder.fptosi(rounded, ir.VectorType(whole, 4))
        return builder.bitcast(builder.trunc(levels, ir.VectorType(byte, 4)), whole)

    return signature, generate


@intrinsic
def _pixel(typing_context: Any, address: Any) -> Any:
    """Return the pixel at an address."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value = builder.load(builder.inttoptr(arguments[0], ir.IntType(32).as_pointer()))
        value.align = 1
        return value

    return types.uint32(types.intp), generate


@numba.njit(cache=True, nogil=True)
def address_of(values: npt.NDArray[Any]) -> Number:
    """Return where an array's values are."""
    return np.intp(values.ctypes.data)


@numba.njit(cache=True, nogil=True)
def taken(picture: Number, width: Number, height: Number, across: Number, down: Number, x: Number, y: Number) -> Number:
    """Return the pixel (its four channels as one number) that is seen at a place of a picture.

    It takes addresses, not arrays: compiled code counts references to an array that is passed on, for every pixel.

    Args:
        picture: the address of a (height, width, 4) uint8 picture.
        width: px.
        height: px.
        across: the address of ``ACROSS``.
        down: the address of ``DOWN``.
        x: 1/32 px.
        y: 1/32 px.
    """
    column, row = x >> SHIFT, y >> SHIFT
    weights_x, weights_y = np.intp(across + 64 * (x & MASK)), np.intp(down + 16 * (y & MASK))
    stride = np.intp(CHANNELS * width)
    if 1 <= column < width - 2 and 1 <= row < height - 2:
        corner = np.intp(picture + stride * (row - 1) + CHANNELS * (column - 1))
        return _sum(corner, stride, weights_x, weights_y)  # type: ignore[call-arg]
    return _at_edge(picture, width, height, weights_x, weights_y, column, row)


@numba.njit(cache=True, nogil=True)
def _at_edge(
    picture: Number, width: Number, height: Number, across: Number, down: Number, column: Number, row: Number
) -> Number:
    """Return the same at the picture's edge, beyond which its own pixels go on."""
    around = np.empty((TAPS, TAPS), np.uint32)
    for i in range(TAPS):
        for j in range(TAPS):
            at_row, at_column = min(max(row - 1 + i, 0), height - 1), min(max(column - 1 + j, 0), width - 1)
            place = np.intp(picture + CHANNELS * (width * at_row + at_column))
            around[i, j] = _pixel(place)  # type: ignore[call-arg]
    corner = address_of(around)
    return _sum(corner, np.intp(CHANNELS * TAPS), np.intp(across), np.intp(down))  # type: ignore[call-arg]
