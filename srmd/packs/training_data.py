"""Opens training data: a pack, or a folder of pictures or the built-in set, which are packed on first use."""

import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from srmd.base.errors import InputError
from srmd.config import PackOptions
from srmd.packs.index import pack_version
from srmd.packs.layout import PACK_VERSION
from srmd.packs.reader import PackedPictures
from srmd.packs.sources import DEFAULT_OPTIONS, PackingProgress, PackSummary, pack, write
from srmd.packs.version_1 import read_version_1
from srmd.pictures.folders import list_pictures

logger = logging.getLogger("srmd")

DIGEST_LENGTH = 12  # characters of a digest in a file's name
BUILTIN_SET_VERSION = 1  # part of the name of the built-in set's pack; increased whenever the set changes


def open_training_data(
    path: Path | None,
    cache: Path = Path("data"),
    progress: PackingProgress = lambda done, total: None,
    options: PackOptions = DEFAULT_OPTIONS,
) -> PackedPictures:
    """Open a pack, a folder of pictures, or the built-in set (None).

    Folders and the built-in set are packed on first use, into the folder `cache`. A folder is packed again if the name,
    size or time of one of its pictures has changed, or if the pack in `cache` is damaged. A pack of version 1 is packed
    again into `cache`. `options` are for folders. Raises InputError if the path is neither a pack nor a folder, or if
    the folder has no picture that can be read.
    """
    if path is None:
        packed = cache / f"builtin-{BUILTIN_SET_VERSION}-{PACK_VERSION}.h5"
        return _open_cached(packed, "the built-in set", "builtin-*.h5", lambda: logger.info("%s", pack(None, packed)))
    if path.is_dir():
        return _open_folder(path, cache, progress, options)
    if not path.exists():
        raise InputError(f"{path}: expected a folder of pictures or a packed .h5 file, found neither")
    if pack_version(path) == 1:
        return _open_version_1(path, cache)
    return PackedPictures(path)


def _open_folder(folder: Path, cache: Path, progress: PackingProgress, options: PackOptions) -> PackedPictures:
    paths = list_pictures(folder, options.recursive)
    stats = [(path.relative_to(folder).as_posix(), path.stat()) for path in paths]
    files = [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]
    name = f"folder-{_digest(str(folder.resolve()))}"
    settings = _digest([PACK_VERSION, asdict(options)])
    packed = cache / f"{name}-{settings}-{_digest(files)}.h5"

    def pack_folder() -> None:
        logger.info("packing the pictures of %s; this is done once", folder)
        logger.info("%s", pack(folder, packed, progress, options))

    pictures = _open_cached(packed, folder, f"{name}-{settings}-*.h5", pack_folder)
    for old in cache.glob(f"{name}-{'?' * DIGEST_LENGTH}.h5"):  # a pack of version 1
        old.unlink(missing_ok=True)
    return pictures


def _open_version_1(path: Path, cache: Path) -> PackedPictures:
    stat = path.stat()
    name = f"pack-{_digest(str(path.resolve()))}"
    packed = cache / f"{name}-{_digest([PACK_VERSION, stat.st_size, stat.st_mtime_ns])}.h5"

    def pack_again() -> None:
        logger.info("%s is a pack of version 1; it is packed again into %s", path, packed)
        write(read_version_1(path), PackSummary(packed))

    return _open_cached(packed, path, f"{name}-*.h5", pack_again)


def _open_cached(packed: Path, name: str | Path, outdated: str, make: Callable[[], None]) -> PackedPictures:
    """Open a pack in the cache, which `make` writes if it is missing or damaged.

    `outdated` is a pattern of the names of packs that a new one replaces.
    """
    if packed.exists():
        try:
            return PackedPictures(packed, name)
        except InputError as error:
            logger.warning("%s; it is made again", error)
    make()
    for path in set(packed.parent.glob(outdated)) - {packed}:
        path.unlink(missing_ok=True)  # another process may have removed it already
    return PackedPictures(packed, name)


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:DIGEST_LENGTH]
