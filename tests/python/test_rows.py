"""Canonical rows and corrections against the numpy that is installed: the codec's C, compiled by itself, called through
ctypes."""

import ctypes
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

Row = NDArray[np.float32]

CSRC = Path(__file__).resolve().parents[2] / "csrc"
SOURCES = ["codec/canonical.c", "codec/cpu.c", "codec/float_env.c"]
FLAGS = ["-std=c11", "-D_GNU_SOURCE", "-O3", "-ffp-contract=off", "-fno-trapping-math", "-fno-math-errno"]
PLAIN, ALL = 0, 3
"""Levels of instructions, of csrc/codec/cpu.h."""
MOST_STEPS = 32
"""After so many without an end a walk is given up: half of LRB_CANONICAL_STEPS."""

finite = st.floats(width=32, allow_nan=False, allow_infinity=False)
rows = st.integers(1, 700).flatmap(lambda dim: arrays.arrays(np.float32, dim, elements=finite))


@pytest.fixture(scope="module")
def codec(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    library = tmp_path_factory.mktemp("codec") / "codec.so"
    words = [os.environ.get("CC", "cc"), *FLAGS, "-shared", "-fPIC", f"-I{CSRC}", "-o", str(library)]
    subprocess.run([*words, *(str(CSRC / source) for source in SOURCES), "-lm"], check=True)
    return ctypes.CDLL(str(library))


def normalised(codec: ctypes.CDLL, row: Row) -> Row:
    out = np.empty_like(row)
    codec.lrb_row_normalise(row.ctypes.data_as(ctypes.c_void_p), row.size, out.ctypes.data_as(ctypes.c_void_p))
    return out


def canonical(codec: ctypes.CDLL, row: Row) -> tuple[bytes, bool]:
    """The canonical row, and whether its walk was given up (canonical.h): then it is the row itself."""
    out, scratch = np.empty_like(row), np.empty_like(row)
    path = ctypes.create_string_buffer(1024)
    pointers = [one.ctypes.data_as(ctypes.c_void_p) for one in (row, out, scratch)]
    codec.lrb_row_canonical(pointers[0], row.size, pointers[1], pointers[2], path)
    return out.tobytes(), int.from_bytes(path.raw[:4], "little") >= MOST_STEPS


def of_numpy(row: Row) -> Row:
    """What NanoVectorDB makes of a row when it loads it."""
    matrix = row.reshape(1, -1)
    result: Row = (matrix / np.linalg.norm(matrix, axis=1, keepdims=True))[0]
    return result


@pytest.mark.parametrize("level", [PLAIN, ALL])
def test_normalising_is_numpys_bit_for_bit_in_every_dim(codec: ctypes.CDLL, level: int) -> None:
    random = np.random.default_rng(1)
    codec.lrb_cpu_limit(level)
    for dim in [
        *range(1, 20),
        *range(120, 140),
        255,
        257,
        384,
        511,
        513,
        768,
        1000,
        1001,
        1024,
        1536,
        3072,
        4095,
        4096,
        4099,
    ]:
        for scale in (1, 1e-3, 37):
            row = (random.standard_normal(dim) * scale / np.sqrt(dim)).astype(np.float32)
            for _ in range(4):
                assert normalised(codec, row).tobytes() == of_numpy(row).tobytes(), dim
                row = of_numpy(row)
    codec.lrb_cpu_limit(ALL)


@settings(max_examples=60, deadline=None)
@given(row=rows)
def test_a_row_and_its_next_load_have_one_canonical_row(codec: ctypes.CDLL, row: Row) -> None:
    """Rows of a few repeated numbers, which Hypothesis likes, may wander for long; those of embeddings do not."""
    with np.errstate(all="ignore"):
        once = of_numpy(row)
        if not np.isfinite(once).all() or abs(float(np.linalg.norm(once)) - 1) > 2**-13:
            assert canonical(codec, row)[0] == row.tobytes()
            return
        again = of_numpy(once)
    assert normalised(codec, once).tobytes() == again.tobytes()
    settled, given_up = canonical(codec, once)
    if given_up:
        assert settled == once.tobytes()
        return
    assert canonical(codec, again) == (settled, False)
    assert canonical(codec, np.frombuffer(settled, np.float32)) == (settled, False)


def test_embeddings_settle(codec: ctypes.CDLL) -> None:
    random = np.random.default_rng(2)
    for dim in (64, 100, 384, 768, 1000, 1024, 1536):
        for _ in range(200):
            row = of_numpy(random.standard_normal(dim).astype(np.float32))
            settled, given_up = canonical(codec, row)
            assert not given_up
            assert canonical(codec, of_numpy(row)) == (settled, False)
