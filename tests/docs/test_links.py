"""Links between documents lead somewhere: files, images and headings exist."""

import re
from pathlib import Path

import pytest

from documents import NAMES, ROOT, prose, read

LINK = re.compile(r"\]\(([^()\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
WIDTH = 120  # characters of a line, as for code


def links(name: str) -> list[str]:
    """Return the targets of a document's links and images that lie in the repository."""
    return [target for target in LINK.findall(prose(name)) if not re.match(r"[a-z]+:", target)]


def anchors(path: Path) -> set[str]:
    """Return the anchors of a document's headings, as GitHub makes them."""
    headings = HEADING.findall(prose(path.relative_to(ROOT).as_posix()))
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_to_files_and_headings(name: str):
    for link in links(name):
        target, _, anchor = link.partition("#")
        path = ((ROOT / name).parent / target).resolve() if target else ROOT / name
        assert path.is_relative_to(ROOT.resolve()), f"{link} leads out of the repository"
        assert path.exists(), f"{link}: no such file"
        assert not anchor or anchor in anchors(path), f"{link}: no such heading"


@pytest.mark.parametrize("name", NAMES)
def test_the_rows_of_a_table_have_as_many_cells(name: str):
    for table in re.findall(r"(?:^\|.*\n)+", prose(name), re.MULTILINE):
        counts = {len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}
        assert len(counts) == 1, table


def test_every_page_can_be_reached_from_the_readme():
    reached, waiting = set(), ["README.md"]
    while waiting:
        name = waiting.pop()
        reached.add(name)
        targets = {((ROOT / name).parent / link.partition("#")[0]).resolve() for link in links(name) if link[0] != "#"}
        names = {path.relative_to(ROOT.resolve()).as_posix() for path in targets if path.suffix == ".md"}
        waiting += names - reached
    assert set(NAMES) == reached


def test_every_picture_is_shown_in_a_document():
    shown = {((ROOT / name).parent / link).resolve() for name in NAMES for link in links(name)}
    assert {path.resolve() for path in (ROOT / "img").iterdir()} <= shown


def test_the_readme_is_short():
    assert len(read("README.md").splitlines()) <= 200


@pytest.mark.parametrize("name", NAMES)
def test_lines_are_no_longer_than_those_of_code(name: str):
    """Tables can't be wrapped, links and generated sentences neither."""
    lines = [line for line in prose(name).splitlines() if not line.startswith("|") and "](" not in line]
    assert not [line for line in lines if len(line) > WIDTH]
