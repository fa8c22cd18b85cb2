"""Checks PyTorch files before and after `torch.load`, which trusts what they say about sizes.

A file of a few bytes can state a tensor of gigabytes, a storage that is larger than its data, or a dictionary key of
nested tuples whose hash takes minutes. This project's checkpoints and the state dicts of others have none of these.
"""

import io
import pickletools
import zipfile
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor

FIRST_BYTES = b"PK\3\4"  # of a ZIP
END_RECORD = b"PK\5\6"  # the last record of a ZIP
END_RECORD_BYTES = 22  # without a comment
MAX_OPERATIONS = 2**19  # of a pickle
MAX_PICKLE_BYTES = 2**23
MAX_PARTS = 2**14  # of a ZIP; opening each takes a fifth of a millisecond
MAX_BUILDS = 16  # objects with attributes, such as the `_metadata` of a state dict; each may copy a large dictionary
MAX_TUPLE = 1000  # values in a tuple, and in the tuples inside it
LEGACY_PICKLES = 5  # at the start of a file from before PyTorch 1.6: magic number, protocol, system, content, keys
STORAGE_BYTES = {
    "DoubleStorage": 8,
    "FloatStorage": 4,
    "HalfStorage": 2,
    "BFloat16Storage": 2,
    "LongStorage": 8,
    "IntStorage": 4,
    "ShortStorage": 2,
    "CharStorage": 1,
    "ByteStorage": 1,
    "BoolStorage": 1,
}
# What pickles of state dicts and checkpoints name. PyTorch allows more, such as `bytearray`, which makes an array of
# any size from one number.
ORDERED_DICT = "collections OrderedDict"
FUNCTIONS = {ORDERED_DICT, "torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_parameter"}
OBJECTS = FUNCTIONS | {f"torch {name}" for name in STORAGE_BYTES}
OTHER_TENSORS = {
    f"torch._utils _rebuild_{kind}"
    for kind in ("qtensor", "sparse_tensor", "sparse_csr_tensor", "nested_tensor", "meta_tensor_no_storage")
}
OTHER_TENSOR = "it has a sparse or quantised tensor, or one without values"


class ForeignObjectError(ValueError):
    """A pickle names an object that no state dict or checkpoint holds; the message is its name."""


class _Value(NamedTuple):
    """A value on the stack of a pickle; `value` is None unless it is a string, a number or a tuple of these."""

    value: Any = None
    size: int = 1  # number of values in it


def check_before_loading(content: bytes) -> None:
    """Raises ValueError if the ZIP or the pickles of a PyTorch file are damaged or state more data than there are."""
    if not zipfile.is_zipfile(io.BytesIO(content)):
        if content.startswith(FIRST_BYTES):
            raise ValueError("it is a ZIP that is cut short")
        stream = io.BytesIO(content)
        for _ in range(LEGACY_PICKLES):
            _check_storages(_storages(stream), {}, len(content))
        return
    if not content[-END_RECORD_BYTES:].startswith(END_RECORD):
        raise ValueError("it has bytes behind its ZIP")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = archive.infolist()
        if len(entries) > MAX_PARTS:
            raise ValueError(f"it has {len(entries)} parts, more than {MAX_PARTS}")
        _check_entries(entries, len(content))
        if damaged := archive.testzip():  # PyTorch ignores checksums
            raise ValueError(f"its part {damaged} is damaged, or has no checksum")
        sizes = {entry.filename.partition("/")[2]: entry.file_size for entry in entries}
        for entry in entries:
            if entry.filename.endswith(".pkl"):
                if entry.file_size > MAX_PICKLE_BYTES:
                    raise ValueError(f"its part {entry.filename} has {entry.file_size / 1e6:.0f} MB")
                _check_storages(_storages(io.BytesIO(archive.read(entry))), sizes, len(content))


def _check_entries(entries: list[zipfile.ZipInfo], length: int) -> None:
    """Raises ValueError for compressed or overlapping parts of a ZIP: PyTorch writes neither."""
    end = 0
    for entry in sorted(entries, key=lambda entry: entry.header_offset):
        if entry.compress_type != zipfile.ZIP_STORED or entry.header_offset < end:
            raise ValueError(f"its part {entry.filename} is compressed, or overlaps another")
        end = entry.header_offset + entry.file_size
    if end > length or len({entry.filename for entry in entries}) < len(entries):
        raise ValueError("it has parts that are cut short, or two of one name")


def _check_storages(storages: dict[str, int], sizes: dict[str, int], length: int) -> None:
    """Raises ValueError if storages have more bytes than their parts of the ZIP, or all together than the file."""
    for key, size in storages.items():
        if size > sizes.get(f"data/{key}", length):
            raise ValueError(f"its storage {key} states {size} bytes")
    if sum(storages.values()) > length:
        raise ValueError(f"its storages state {sum(storages.values())} bytes")


def _storages(stream: io.BytesIO) -> dict[str, int]:
    """The bytes of each storage that a pickle states, by its key. Raises ValueError if the pickle is damaged."""
    try:
        return _run(pickletools.genops(stream))
    except (IndexError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise ValueError(f"its pickle is damaged ({error!r})") from error


def _run(operations: Iterable[tuple]) -> dict[str, int]:
    """Runs a pickle without making its objects: only the sizes of its tuples are computed, and storages noted."""
    stack: list[_Value] = []
    marks: list[int] = []
    memo: dict[int, _Value] = {}
    storages: dict[str, int] = {}
    builds = 0
    for number, (operation, argument, _) in enumerate(operations):
        if number > MAX_OPERATIONS:
            raise ValueError(f"its pickle has more than {MAX_OPERATIONS} operations")
        name = operation.name
        if name in ("PUT", "BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name == "MARK":
            marks.append(len(stack))
        else:
            popped = _pop(stack, marks, operation)
            _check_operation(name, argument, popped)
            builds += name == "BUILD"
            if builds > MAX_BUILDS:
                raise ValueError(f"its pickle has more than {MAX_BUILDS} objects with attributes")
            if name == "BINPERSID":
                _add_storage(storages, popped[-1].value)
            stack += _pushed(operation, argument, popped)
    return storages


def _check_operation(name: str, argument: Any, popped: list[_Value]) -> None:
    """Raises ValueError if an operation names or calls anything that makes more than tensors and dictionaries."""
    if name in ("GLOBAL", "INST"):
        _check_object(argument)
    elif name == "STACK_GLOBAL":
        _check_object(" ".join(str(item.value) for item in popped))
    elif name == "REDUCE":
        function, arguments = (item.value for item in popped)
        if function not in FUNCTIONS or (function == ORDERED_DICT and arguments != ()):
            raise ValueError(f"its pickle calls {function!s:.100}")
    elif name in ("OBJ", "NEWOBJ", "NEWOBJ_EX"):
        raise ValueError(f"its pickle calls {popped[0].value!s:.100}")


def _check_object(name: str) -> None:
    if name in OTHER_TENSORS:
        raise ValueError(OTHER_TENSOR)
    if name not in OBJECTS:
        raise ForeignObjectError(name[:100].replace(" ", "."))


def _pop(stack: list[_Value], marks: list[int], operation: pickletools.OpcodeInfo) -> list[_Value]:
    """Removes what an operation takes from the stack, and returns it."""
    before = operation.stack_before
    start = len(stack) - len(before)
    if pickletools.markobject in before:
        start = marks.pop() - before.index(pickletools.markobject)
    if start < 0:
        raise IndexError("an empty stack")
    popped = stack[start:]
    del stack[start:]
    return popped


def _pushed(operation: pickletools.OpcodeInfo, argument: Any, popped: list[_Value]) -> list[_Value]:
    """What an operation puts on the stack."""
    if operation.stack_after == [pickletools.pytuple]:
        size = 1 + sum(item.size for item in popped)
        if size > MAX_TUPLE:
            raise ValueError(f"it has tuples of more than {MAX_TUPLE} values")
        return [_Value(tuple(item.value for item in popped), size)]
    if not operation.stack_before and isinstance(argument, str | int):
        return [_Value(argument)]
    return [_Value() for _ in operation.stack_after]


def _add_storage(storages: dict[str, int], identity: Any) -> None:
    """Notes a storage from its identity ("storage", type, key, device, number of elements, …)."""
    _, storage_type, key, _, count = identity[:5]
    if not isinstance(key, str) or not isinstance(count, int) or count < 0:
        raise ValueError(f"its pickle states the storage {identity}")
    size = count * STORAGE_BYTES[str(storage_type).split()[-1]]
    if storages.setdefault(key, size) != size:
        raise ValueError(f"its storage {key} has two sizes")


def check_tensors(content: Any, length: int) -> None:
    """Raises ValueError unless all tensors in dictionaries, lists and tuples are plain numbers that the file stores.

    A tensor that several keys share counts for each, because readers copy it for each. `length` is the file's, in
    bytes.
    """
    todo, seen, total = [content], set(), 0
    while todo:
        item = todo.pop()
        if isinstance(item, Tensor):
            _check_tensor(item)
            total += item.numel() * item.element_size()
        elif isinstance(item, dict | list | tuple) and id(item) not in seen:
            seen.add(id(item))
            todo += [*item.keys(), *item.values()] if isinstance(item, dict) else item
    if total > length:
        raise ValueError(f"its tensors have {total} bytes, its file {length}: several share their values")


def _check_tensor(tensor: Tensor) -> None:
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta:
        raise ValueError(OTHER_TENSOR)
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise ValueError(f"it has a tensor {tuple(tensor.shape)} that repeats its values")
