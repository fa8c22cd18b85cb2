"""Replaces the parts of the documents that scripts write."""

from pathlib import Path

from srmd.base.files import atomic_write


def replace_part(path: Path, name: str, text: str) -> None:
    """Replace the part of a file between `<!-- NAME -->` and the next comment that begins with `<!-- end`."""
    before, start, rest = path.read_text(encoding="utf-8").partition(f"<!-- {name} -->\n")
    _, end, after = rest.partition("<!-- end")
    if not start or not end:
        raise ValueError(f"{path}: expected the marks of the part {name!r}")
    with atomic_write(path) as temporary:
        temporary.write_text(f"{before}{start}\n{text}\n\n{end}{after}", encoding="utf-8")
