"""Damages the content of a file in one of the ways that find errors in parsers; all are drawn from a generator."""

import struct
from collections.abc import Callable

import numpy as np

EXTREMES = (
    0,
    1,
    2,
    127,
    128,
    255,
    256,
    2**15,
    2**16 - 1,
    2**24,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**53,
    2**63 - 1,
    2**64 - 1,
)
WORDS = (b"NaN", b"-1", b"1e999", b"9" * 5000, b"null", b"{}", b"[" * 2000, b"\0", b"../../x", b"\x1b[31m")
MAX_CHANGES = 6
WIDTHS = {1: "B", 2: "H", 4: "I", 8: "Q"}

Mutation = Callable[[np.random.Generator, bytearray], None]


def mutate(rng: np.random.Generator, content: bytes) -> bytes:
    """The content with one to MAX_CHANGES changes."""
    changed = bytearray(content)
    for _ in range(rng.integers(1, MAX_CHANGES + 1)):
        MUTATIONS[rng.integers(len(MUTATIONS))](rng, changed)
    return bytes(changed)


def _position(rng: np.random.Generator, content: bytearray) -> int:
    """A position, half of the time among the first 512 bytes, where headers are."""
    end = len(content) if rng.random() < 0.5 else min(len(content), 512)
    return int(rng.integers(max(end, 1)))


def flip_bit(rng: np.random.Generator, content: bytearray) -> None:
    if content:
        content[_position(rng, content)] ^= 1 << int(rng.integers(8))


def set_byte(rng: np.random.Generator, content: bytearray) -> None:
    if content:
        content[_position(rng, content)] = int(rng.integers(256))


def set_number(rng: np.random.Generator, content: bytearray) -> None:
    width = int(rng.choice(list(WIDTHS)))
    order = "<" if rng.random() < 0.7 else ">"
    value = EXTREMES[rng.integers(len(EXTREMES))] % 2 ** (8 * width)
    start = _position(rng, content) // width * width
    content[start : start + width] = struct.pack(order + WIDTHS[width], value)


def cut(rng: np.random.Generator, content: bytearray) -> None:
    del content[_position(rng, content) :]


def remove(rng: np.random.Generator, content: bytearray) -> None:
    start = _position(rng, content)
    del content[start : start + int(rng.integers(1, 64))]


def repeat(rng: np.random.Generator, content: bytearray) -> None:
    start, target = _position(rng, content), _position(rng, content)
    content[target:target] = content[start : start + int(rng.integers(1, 256))]


def copy(rng: np.random.Generator, content: bytearray) -> None:
    start, target, count = _position(rng, content), _position(rng, content), int(rng.integers(1, 64))
    content[target : target + count] = content[start : start + count]


def insert_word(rng: np.random.Generator, content: bytearray) -> None:
    target = _position(rng, content)
    content[target:target] = WORDS[rng.integers(len(WORDS))]


MUTATIONS: tuple[Mutation, ...] = (flip_bit, set_byte, set_number, set_number, cut, remove, repeat, copy, insert_word)
