"""PNG files written and read chunk by chunk, by the specification, for tests."""

import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import numpy as np

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type


def write_png(
    path: Path,
    values: np.ndarray,
    colour_type: int,
    bit_depth: int = 8,
    before: tuple[tuple[bytes, bytes], ...] = (),
    behind: tuple[tuple[bytes, bytes], ...] = (),
) -> Path:
    """Writes a PNG with unfiltered rows, and with chunks (name, data) before and behind its pixels.

    `values` is (H, W) or (H, W, C), the numbers that the file stores.
    """
    height, width = values.shape[:2]
    rows = values.reshape(height, -1)
    if bit_depth == 16:
        data = [row.astype(">u2").tobytes() for row in rows]
    else:
        bits = np.unpackbits(rows.astype(np.uint8)[..., None], axis=2)[..., 8 - bit_depth :]
        data = [np.packbits(row).tobytes() for row in bits.reshape(height, -1)]
    header = struct.pack(">IIBBBBB", width, height, bit_depth, colour_type, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in data))
    chunks = [(b"IHDR", header), *before, (b"IDAT", pixels), *behind, (b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(name, data) for name, data in chunks))
    return path


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def read_chunks(path: Path) -> list[tuple[bytes, bytes]]:
    """The chunks of a PNG, (name, data), whose check sums are verified."""
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    position, chunks = 8, []
    while position < len(data):
        size, name = struct.unpack(">I4s", data[position : position + 8])
        content = data[position + 8 : position + 8 + size]
        assert data[position + 8 + size : position + 12 + size] == struct.pack(">I", zlib.crc32(name + content))
        chunks.append((name, content))
        position += 12 + size
    return chunks


def check_with_libpng(path: Path) -> None:
    """Fails if libpng's own tool finds a defect in a PNG; it is not everywhere."""
    if shutil.which("pngfix"):
        done = subprocess.run(["pngfix", "--warnings", str(path)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "error" not in done.stdout + done.stderr
        assert "warning" not in done.stdout + done.stderr
