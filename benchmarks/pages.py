"""Replaces generated parts of documents."""

from pathlib import Path

from srmd.base.errors import InputError
from srmd.base.files import atomic_write, check_is_file


def replace_part(path: Path, name: str, text: str) -> None:
    """Replace the part of a file between `<!-- NAME -->` and the next comment that begins with `<!-- end`."""
    before, after = split_page(path, name)
    with atomic_write(path) as temporary:
        temporary.write_text(f"{before}\n{text}\n\n{after}", encoding="utf-8", errors="surrogateescape")


def split_page(path: Path, name: str) -> tuple[str, str]:
    """What a page has before a part and after it, with the marks. Raises InputError for a page without the part."""
    check_is_file(path)
    before, start, rest = path.read_text(encoding="utf-8", errors="surrogateescape").partition(f"<!-- {name} -->\n")
    _, end, after = rest.partition("<!-- end")
    if not start or not end:
        raise InputError(f"{path}: expected the marks of the part {name!r}, found none")
    return before + start, end + after
