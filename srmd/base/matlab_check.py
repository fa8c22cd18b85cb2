"""Checks the structure of a MATLAB file of version 4 to 7 before SciPy reads it.

SciPy's reader is compiled code that trusts the file: an unknown data type or deeply nested cells end the process with a
segmentation fault, and a few bytes can state arrays of gigabytes. The structure is that of MathWorks' "MAT-File
Format"; elements are read here in the order in which SciPy reads them.
"""

import math
import struct
import zlib
from collections.abc import Container

MAX_BYTES = 2**28  # of the file, and of its content when it is decompressed
MAX_VALUES = 2**25  # numbers and characters
MAX_ARRAYS = 2**17  # arrays, cells, structs and names of fields
MAX_FIELDS = 2**12  # of a struct; SciPy compares each name with all before it
MAX_CHARACTERS = 2**20  # or their bytes; SciPy makes an object for each row of a text
MAX_NAME_BYTES = 2**12
MAX_DEPTH = 32  # of cells and structs inside others
MAX_AXES = 32

HEADER_BYTES = 128
BYTE_ORDERS = {b"IM": "<", b"MI": ">"}
# Data types. The bytes of a number or character of each type:
NUMBER_BYTES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8}
TEXT_BYTES = {1: 1, 2: 1, 4: 2, 16: 1, 17: 2, 18: 4}
NAME_TYPES = (1, 2, 16)
INTEGER_TYPES = (5, 6)
MATRIX, COMPRESSED = 14, 15
# Classes of arrays.
CELL, STRUCT, OBJECT, CHARACTERS, SPARSE, FUNCTION, OPAQUE = 1, 2, 3, 4, 5, 16, 17
NUMERIC = range(6, 16)
COMPLEX_FLAG = 1 << 11

VERSION_4_HEADER_BYTES = 20
VERSION_4_NUMBER_BYTES = (8, 4, 4, 2, 2, 1)
VERSION_4_TEXT = 1
MAX_VERSION_4_TYPE = 5000  # of a header's first number; a larger one has the other byte order


def decompressed(content: bytes) -> bytes:
    """The content of a MATLAB file of version 5 to 7, checked and without compression.

    Raises ValueError, struct.error or zlib.error if the structure is damaged or exceeds a limit.
    """
    order = BYTE_ORDERS.get(content[126:HEADER_BYTES])
    if order is None:
        raise ValueError("its header states no byte order")
    parts, position, length = [content[:HEADER_BYTES]], HEADER_BYTES, HEADER_BYTES
    check = _Check(order)
    while position < len(content):
        kind, size = struct.unpack_from(f"{order}II", content, position)
        end = position + 8 + size
        if end > len(content):
            raise ValueError("it is cut short")
        element = content[position:end]
        if kind == COMPRESSED:
            element = _inflate(element[8:], MAX_BYTES - length)
        check.element(element)
        parts.append(element)
        position, length = end, length + len(element)
    return b"".join(parts)


def _inflate(data: bytes, max_bytes: int) -> bytes:
    inflated = zlib.decompressobj().decompress(data, max_bytes + 1)
    if len(inflated) > max_bytes:
        raise ValueError(f"it holds more than {MAX_BYTES / 1e6:.0f} MB")
    return inflated


class _Check:
    """Walks through the elements of a file and counts arrays and values; `order` is the byte order for `struct`."""

    def __init__(self, order: str):
        self._order = order
        self._arrays = self._values = self._characters = 0

    def element(self, data: bytes) -> None:
        """Checks a variable: an element that is an array."""
        kind, size = self._integers(data, 0, 2)
        if kind != MATRIX or size > len(data) - 8:
            raise ValueError(f"an element of type {kind} with {size} bytes")
        self._add_arrays(1)
        if self._array(data, 8, 0) > len(data):
            raise ValueError("an array that is cut short")

    def _integers(self, data: bytes, position: int, count: int) -> tuple[int, ...]:
        return struct.unpack_from(f"{self._order}{count}I", data, position)

    def _array(self, data: bytes, position: int, depth: int) -> int:
        """Checks the array whose flags begin at a position, and returns the position behind it."""
        if depth > MAX_DEPTH:
            raise ValueError(f"more than {MAX_DEPTH} cells and structs inside of each other")
        (flags,) = self._integers(data, position + 8, 1)
        position += 16
        array_class, parts = flags & 0xFF, 2 if flags & COMPLEX_FLAG else 1
        if array_class == OPAQUE:
            for _ in range(3):
                position = self._name(data, position)
            return self._member(data, position, depth)
        count, position = self._count(data, position, array_class)
        position = self._name(data, position)
        if array_class in (CELL, STRUCT, OBJECT, FUNCTION):
            members, position = self._members(data, position, array_class, count)
            for _ in range(members):
                position = self._member(data, position, depth)
            return position
        return self._numbers(data, position, array_class, count, parts)

    def _count(self, data: bytes, position: int, array_class: int) -> tuple[int, int]:
        """The number of values that the dimensions of an array state, and the position behind them."""
        _, size, end = self._data(data, position, INTEGER_TYPES)
        start = end - 4 if size <= 4 else position + 8
        shape = struct.unpack_from(f"{self._order}{size // 4}i", data, start)
        if not 1 <= len(shape) <= MAX_AXES or min(shape) < 0:
            raise ValueError(f"an array with the dimensions {shape[:MAX_AXES]}")
        count = math.prod(shape)
        if array_class != SPARSE:  # its numbers are fewer
            self._add_values(count)
        return count, end

    def _name(self, data: bytes, position: int) -> int:
        _, size, end = self._data(data, position, NAME_TYPES)
        if size > MAX_NAME_BYTES:
            raise ValueError(f"a name of {size} bytes")
        return end

    def _add_arrays(self, count: int) -> None:
        self._arrays += count
        if self._arrays > MAX_ARRAYS:
            raise ValueError(f"more than {MAX_ARRAYS} cells, structs and names of fields")

    def _add_values(self, count: int) -> None:
        self._values += count
        if self._values > MAX_VALUES:
            raise ValueError(f"more than {MAX_VALUES} numbers")

    def _add_characters(self, count: int) -> None:
        self._characters += count
        if self._characters > MAX_CHARACTERS:
            raise ValueError(f"more than {MAX_CHARACTERS} characters")

    def _members(self, data: bytes, position: int, array_class: int, count: int) -> tuple[int, int]:
        """The number of arrays inside a cell array, struct or function, and the position of the first."""
        if array_class == CELL:
            return count, position
        if array_class == FUNCTION:
            return 1, position
        if array_class == OBJECT:
            position = self._name(data, position)  # of its class
        _, size, end = self._data(data, position, INTEGER_TYPES)
        name_length = struct.unpack_from(f"{self._order}i", data, end - 4 if size <= 4 else position + 8)[0]
        _, names, position = self._data(data, end, NAME_TYPES)
        if size != 4 or not 1 <= name_length <= MAX_NAME_BYTES:
            raise ValueError(f"a struct with names of {name_length} letters")
        fields = names // name_length
        if fields > MAX_FIELDS:
            raise ValueError(f"a struct of more than {MAX_FIELDS} fields")
        self._add_arrays(fields)
        return count * fields, position

    def _member(self, data: bytes, position: int, depth: int) -> int:
        self._add_arrays(1)  # an empty one too: SciPy makes an array of it
        kind, size = self._integers(data, position, 2)
        if kind != MATRIX:
            raise ValueError(f"an element of type {kind} inside a cell or struct")
        return self._array(data, position + 8, depth + 1) if size else position + 8

    def _numbers(self, data: bytes, position: int, array_class: int, count: int, parts: int) -> int:
        """Checks the numbers or characters of an array; a complex one has two parts."""
        if array_class == CHARACTERS:
            _, size, end = self._data(data, position, TEXT_BYTES)
            self._add_characters(max(count, size))
            return end
        if array_class != SPARSE and array_class not in NUMERIC:
            raise ValueError(f"an array of class {array_class}")
        if array_class == SPARSE:
            for _ in range(2):  # rows and columns
                _, size, position = self._data(data, position, NUMBER_BYTES)
                self._add_values(size)
        for _ in range(parts):
            kind, size, position = self._data(data, position, NUMBER_BYTES)
            if array_class == SPARSE:
                self._add_values(size)
            elif size != count * NUMBER_BYTES[kind]:
                raise ValueError(f"an array of {count} numbers with {size} bytes")
        return position

    def _data(self, data: bytes, position: int, types: Container[int]) -> tuple[int, int, int]:
        """Type and size of the data at a position, and the position behind them; up to 4 bytes lie in their tag."""
        (kind,) = self._integers(data, position, 1)
        if kind >> 16:
            kind, size, end = kind & 0xFFFF, kind >> 16, position + 8
            fits = size <= 4 and end <= len(data)
        else:
            (size,) = self._integers(data, position + 4, 1)
            end = position + 8 + size
            fits = end <= len(data)
            end += -size % 8
        if kind not in types or not fits:
            raise ValueError(f"data of type {kind} with {size} bytes")
        return kind, size, end


def check_version_4(content: bytes) -> None:
    """Raises ValueError or struct.error if a MATLAB file of version 4 is damaged or exceeds a limit."""
    (kind,) = struct.unpack_from("<i", content)
    order, position = "<" if 0 <= kind <= MAX_VERSION_4_TYPE else ">", 0
    arrays = values = characters = 0
    while position < len(content):
        kind, rows, columns, is_complex, name_length = struct.unpack_from(f"{order}5i", content, position)
        number_type = kind // 10 % 10
        if not 0 <= kind <= MAX_VERSION_4_TYPE or number_type >= len(VERSION_4_NUMBER_BYTES):
            raise ValueError(f"an array of type {kind}")
        if min(rows, columns, name_length) < 0 or is_complex not in (0, 1):
            raise ValueError(f"an array of {rows}×{columns}")
        count = rows * columns * (1 + is_complex)
        values, arrays = values + count, arrays + 1
        if kind % 10 == VERSION_4_TEXT:
            characters += count
        position += VERSION_4_HEADER_BYTES + name_length + count * VERSION_4_NUMBER_BYTES[number_type]
        if values > MAX_VALUES or position > len(content):
            raise ValueError("it is cut short, or holds too many numbers")
        if characters > MAX_CHARACTERS or arrays > MAX_ARRAYS or name_length > MAX_NAME_BYTES:
            raise ValueError(f"more than {MAX_CHARACTERS} characters or {MAX_ARRAYS} arrays, or a long name")
