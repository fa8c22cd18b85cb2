"""The names of results: whatever a picture is called, its result lies inside the output folder."""

import re
from pathlib import PurePath

NOT_IN_NAMES = re.compile(r"[/\\\0]")
REPLACEMENT = "_"
NO_NAME = "picture"  # of a result whose picture has no usable name


def result_file(named_after: PurePath, ending: str) -> str:
    """The path of a result inside the output folder, with / as separator; never absolute and without `..`.

    `named_after` is the picture's path relative to the folder that was given; its suffix is replaced by `ending`, the
    suffix of the result with what is put in front of it. Subfolders stay.
    """
    *folders, name = [part for part in named_after.parts if part not in (named_after.anchor, ".", "..")] or [NO_NAME]
    parts = [_file_name(part) for part in folders]
    return "/".join([*parts, _file_name(PurePath(name).stem) + ending])


def _file_name(name: str) -> str:
    """A name without separators of folders and null characters."""
    name = NOT_IN_NAMES.sub(REPLACEMENT, name)
    return name if name.strip(".") else NO_NAME


def is_inside(file: str) -> bool:
    """Whether the path of a file, from the records of a folder, stays inside this folder."""
    path = PurePath(file)
    return not path.anchor and "\0" not in file and ".." not in path.parts
