"""Lists the picture files of a folder and of its subfolders, recognised by their suffix."""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from srmd.base.errors import InputError
from srmd.base.files import describe_path
from srmd.pictures.files import readable_formats


@dataclass
class FolderScan:
    """What `scan_folder` has found."""

    pictures: list[Path] = field(default_factory=list)  # in natural order: img2 before img10
    others: Counter[str] = field(default_factory=Counter)  # number of files of each suffix that names no picture format
    excluded: list[Path] = field(default_factory=list)  # subfolders for which `is_excluded` was true
    folders: int = 0  # number of subfolders that are not read
    unreadable: dict[Path, str] = field(default_factory=dict)  # the system's message for each folder it cannot list

    def describe_others(self) -> str:
        """What is no picture, such as `3 .txt, 1 without a suffix, 2 folders`; `no file` if there is nothing."""
        parts = [f"{count} {suffix or 'without a suffix'}" for suffix, count in self.others.most_common(3)]
        if self.folders:
            parts.append(f"{self.folders} folder{'s' if self.folders > 1 else ''}")
        return ", ".join(parts) or "no file"


def list_pictures(folder: Path, recursive: bool = False) -> list[Path]:
    """The picture files in a folder, and with `recursive` in its subfolders; see `scan_pictures`."""
    return scan_pictures(folder, recursive).pictures


def scan_pictures(folder: Path, recursive: bool = False) -> FolderScan:
    """Finds the picture files in a folder, and with `recursive` in its subfolders, in natural order: img2 before img10.

    Hidden files and folders are ignored. Raises InputError if there is no such folder, or no picture in it.
    """
    folder = Path(folder)
    scan = scan_folder(folder, recursive)
    scan.pictures = [path for path in scan.pictures if path.is_file()]
    if not scan.pictures:
        where = "inside it or its subfolders" if recursive else "directly inside it"
        raise InputError(f"{folder}: expected pictures {where}, found {scan.describe_others()}")
    return scan


def scan_folder(
    folder: Path, recursive: bool = False, is_excluded: Callable[[Path], bool] = lambda _: False
) -> FolderScan:
    """Finds the pictures in a folder, and with `recursive` in its subfolders, also broken links and pipes so named.

    Hidden files and folders are ignored, and so are subfolders for which `is_excluded` is true. A subfolder that can be
    reached by several paths, as through a symbolic link, is read once. Raises InputError if there is no such folder.
    """
    if (found := describe_path(folder, missing="no such folder")) != "a folder":
        raise InputError(f"{folder}: expected a folder of pictures, found {found}")
    scan = FolderScan()
    readable, suffixes = {*readable_formats(), "MPO"}, Image.registered_extensions()  # Pillow opens MPO as JPEG
    for path in _walk(folder, recursive, is_excluded, scan):
        suffix = path.suffix.lower()
        if suffixes.get(suffix) in readable:
            scan.pictures.append(path)
        else:
            scan.others[suffix] += 1
    scan.pictures.sort(key=lambda path: natural_order(path.relative_to(folder).parts))
    return scan


def _walk(folder: Path, recursive: bool, is_excluded: Callable[[Path], bool], scan: FolderScan) -> Iterator[Path]:
    """The paths in a folder that are no folders, also those of broken links."""
    visited: set[str] = set()
    folders, links = [folder], []  # links are followed last: a folder is read under its own path, if that is found
    while folders or links:
        current = folders.pop() if folders else links.pop()
        real_path = os.path.realpath(current)
        if real_path in visited:
            continue
        visited.add(real_path)
        if current != folder and is_excluded(current):
            scan.excluded.append(current)
            continue
        try:
            entries = list(os.scandir(current))
        except OSError as error:
            scan.unreadable[current] = error.strerror
            continue
        for entry in entries:
            if entry.name.startswith("."):
                continue
            path = current / entry.name
            if not os.path.isdir(path):  # entry.is_dir() would raise OSError for a link to itself
                yield path
            elif recursive:
                (links if entry.is_symlink() else folders).append(path)
            else:
                scan.folders += 1


def natural_order(parts: Iterable[str]) -> list[tuple]:
    """A key that sorts numbers in the parts of a path by their value."""
    return [_name_order(name) for name in parts]


def _name_order(name: str) -> tuple:
    """A key that sorts numbers in names by their value.

    In the split name text and numbers alternate, so that text is compared with text and numbers with numbers.
    """
    parts = re.split(r"(\d+)", name.lower())
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], name
