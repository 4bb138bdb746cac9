"""The part of `reader.py` for vector files: docs/format.md, "Vector files" and "The stored form of vectors"."""

import base64
import math
import struct
import zlib
from collections.abc import Iterable, Iterator

import zstandard

TEXT, VECTORS, CORRECTIONS, FRAME = 2, 3, 4, 7
SPLIT = 0xFFFFFF
MASK = 0xFFFFFFFF

Piece = tuple[int, int, bytes]
"""Kind and `count` of a chunk, and its content."""


def require(condition: object, what: object) -> None:
    if not condition:
        raise ValueError(f"{what} is damaged, or of a kind this reader does not know")


def float_of(bits: int) -> float:
    value: float = struct.unpack("<f", struct.pack("<I", bits))[0]
    return value


def times(bits: int, factor: int) -> int:
    """The product of two float32: exact in a double, then rounded once. What is no number is left alone."""
    if bits & 0x7F800000 == 0x7F800000:
        return bits
    product = float_of(bits) * float_of(factor)
    try:
        return int(struct.unpack("<I", struct.pack("<f", product))[0])
    except OverflowError:
        return 0x7F800000 | (0x80000000 if product < 0 else 0)


def ordered(bits: int) -> int:
    """The same map both ways."""
    return bits ^ 0x7FFFFFFF if bits >> 31 else bits


def expanded(half: int) -> int:
    """A half's bits as a float32's."""
    if half & 0x7C00 == 0x7C00:
        return (half & 0x8000) << 16 | 0x7F800000 | (half & 0x3FF) << 13
    value = struct.unpack("<e", struct.pack("<H", half))[0]
    return int(struct.unpack("<I", struct.pack("<f", value))[0])


def base_of(width: int) -> int:
    base = math.isqrt(math.isqrt(1 << width))
    return base - base % 2


def unpacked(data: bytes, halved: list[bool], width: int) -> tuple[list[int], int]:
    """The numbers, four by four, and how many bytes they took."""
    bits, at, numbers = int.from_bytes(data, "little"), 0, list[int]()
    for first in range(0, len(halved), 4):
        of_four = (halved[first : first + 4] + [False] * 3)[:4]
        length = width - sum(of_four)
        four, found = bits >> at & ((1 << length) - 1), list[int]()
        for one in reversed(of_four):
            four, digit = divmod(four, base_of(width) >> one)
            found.insert(0, digit)
        require(four == 0, "a number")
        numbers += found
        at += length
    return numbers[: len(halved)], (at + 7) // 8


def row_values(data: bytes, halves: tuple[int, ...], scale: int, width: int, patches: int) -> tuple[bytes, int]:
    """A predicted row, and how many bytes its values took."""
    dim, significand = len(halves), scale & 0x7FFFFF | 0x800000
    threshold = -(-(1 << 34) // significand) - 1024
    halved = [(half & 0x3FF) >= threshold for half in halves]
    numbers, used = unpacked(data[dim : 4 * dim], halved, width)
    at = dim + used
    for element, low, high in struct.iter_unpack("<HHB", data[at : at + 5 * patches]):
        numbers[element] = low | high << 16
    values = []
    for i, half in enumerate(halves):
        prediction = ordered(times(expanded(half), scale))
        bias = 128 * (base_of(width) >> halved[i])
        values.append(ordered((prediction + (numbers[i] << 8) + data[i] - bias) & MASK))
    return struct.pack(f"<{dim}I", *values), at + 5 * patches


def decoded(stored: bytes, dim: int) -> bytes:
    """The content of a vectors chunk from its stored form."""
    rows, plane_bytes = struct.unpack_from("<II", stored)
    heads = [struct.unpack_from("<IHBBH", stored, 8 + 10 * i) for i in range(rows)]
    lengths = [low | high << 16 for _, low, high, _, _ in heads]
    at = 8 + 10 * rows
    planes, split = stored[at : at + plane_bytes], dim * lengths.count(SPLIT)
    planes = planes if plane_bytes == split else zstandard.decompress(planes)
    at += plane_bytes
    streams, values = [], []
    for length in lengths:
        if length != SPLIT:
            streams.append(stored[at : at + length])
            at += length
            continue
        halves = bytes(byte for pair in zip(stored[at : at + dim], planes[:dim], strict=True) for byte in pair)
        head = struct.pack("<3B2H", 0x78, 0x9C, 1, 2 * dim, 2 * dim ^ 0xFFFF)
        streams.append(head + halves + struct.pack(">I", zlib.adler32(halves)))
        planes, at = planes[dim:], at + dim
    for (scale, _, _, width, patches), stream in zip(heads, streams, strict=True):
        if not width:
            values.append(stored[at : at + 4 * dim])
            at += 4 * dim
            continue
        row, used = row_values(stored[at:], struct.unpack(f"<{dim}H", zlib.decompress(stream)), scale, width, patches)
        values.append(row)
        at += used
    require(at == len(stored) and not planes[split:], "a vectors chunk")
    sizes = struct.pack(f"<{rows + 1}I", rows, *map(len, streams))
    return sizes + b"".join(values) + b"".join(streams)


def plain(stored: bytes, codec: int, kind: int, dim: int) -> bytes:
    """A chunk's content from its stored form."""
    require(codec in (0, 1) or (codec, kind) == (2, VECTORS), f"codec {codec}")
    require(codec != 1 or zstandard.frame_content_size(stored) >= 0, "a frame")
    return stored if codec == 0 else zstandard.decompress(stored) if codec == 1 else decoded(stored, dim)


def corrected(rows: list[bytes], pieces: Iterable[Piece], dim: int) -> Iterator[bytes]:
    """The rows of the file from the canonical ones."""
    changed: dict[int, list[int]] = {}
    first = 0
    for _, count, content in pieces:
        at = 0
        while at < len(content):
            index, steps, exceptions = struct.unpack_from("<III", content, at)
            lengths = struct.unpack_from(f"<{steps}I", content, at + 12)
            at += 12 + 4 * steps
            row = list(struct.unpack(f"<{dim}I", rows[first + index]))
            for length in reversed(lengths):
                row = [times(bits, length) for bits in row]
            for element, distance in struct.iter_unpack("<II", content[at : at + 8 * exceptions]):
                row[element] = ordered((ordered(row[element]) + distance) & MASK)
            changed[first + index] = row
            at += 8 * exceptions
        first += count
    require(first == len(rows), "the corrections")
    for number, canonical in enumerate(rows):
        yield struct.pack(f"<{dim}I", *changed[number]) if number in changed else canonical


def vector_file(pieces: list[Piece]) -> bytes:
    """The bytes of a vector file from all chunks of its recipe, in order."""
    frame = pieces[0][2]
    total, dim, middle, end = struct.unpack_from("<QIII4x", frame)
    corrections = [piece for piece in pieces if piece[0] == CORRECTIONS]
    records, texts, rows = list[bytes](), list[bytes](), list[bytes]()
    for kind, _, content in pieces[1:]:
        if kind not in (TEXT, VECTORS):
            continue
        count = struct.unpack_from("<I", content)[0]
        lengths = struct.unpack_from(f"<{count}I", content, 4)
        at = 4 + 4 * count
        if kind == VECTORS:
            rows += [content[at + 4 * dim * i : at + 4 * dim * (i + 1)] for i in range(count)]
            at += 4 * dim * count
        for length in lengths:
            piece = content[at : at + length]
            at += length
            if kind == TEXT:
                texts.append(piece)
            else:
                records.append(texts[len(records)] + base64.b64encode(piece))
    require(total == len(rows) == len(texts), "a vector file")
    matrix = base64.b64encode(b"".join(corrected(rows, corrections, dim)))
    tail = frame[24 : 24 + middle] + matrix + frame[24 + middle : 24 + middle + end]
    return b"".join(records) + tail


def joined(pieces: Iterator[Piece], plain: Iterable[int]) -> Iterator[bytes]:
    """What the chunks of a recipe give: a vector file when they begin with a frame, else each by itself."""
    first = next(pieces)
    if first[0] == FRAME:
        yield vector_file([first, *pieces])
        return
    for kind, _, content in (first, *pieces):
        require(kind in plain, f"a chunk of kind {kind}")
        yield content
