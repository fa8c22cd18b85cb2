"""Reads .safetensors files, whose metadata this package stores as JSON under `srmd`."""

import json
import struct
from pathlib import Path
from typing import Any

from torch import Tensor

from srmd.base.errors import InputError
from srmd.base.files import check_is_file, check_size
from srmd.base.signals import deferred_signals

MAX_HEADER_BYTES = 2**20
MAX_BYTES = 2**31  # of a file
LENGTH = struct.Struct("<Q")  # of the header, at the beginning of the file


def read_safetensors(path: Path, key: str = "srmd") -> tuple[Any, dict[str, Tensor]]:
    """The value under `key` in the metadata, None if there is none, and the tensors by name.

    Raises InputError if the file is damaged or its header exceeds a limit.
    """
    from safetensors import SafetensorError, safe_open

    check_is_file(path)
    check_size(path, MAX_BYTES)
    with path.open("rb") as file:
        start = file.read(LENGTH.size)
    try:
        (header_bytes,) = LENGTH.unpack(start)
        if header_bytes > MAX_HEADER_BYTES:
            raise ValueError(f"expected a header of up to {MAX_HEADER_BYTES} bytes, found {header_bytes}")
        # The compiled reader would turn an exception of a signal handler into an error of the file.
        with deferred_signals(), safe_open(path, "pt") as file:
            metadata = json.loads((file.metadata() or {}).get(key, "null"))
            names = file.keys()
            return metadata, {name: file.get_tensor(name) for name in names}
    except (SafetensorError, ValueError, RecursionError, struct.error) as error:
        raise InputError(f"{path}: a broken .safetensors file ({error})") from error
