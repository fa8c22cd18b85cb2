"""The generated parts of the documents are current: `python -m docs.generate` would change nothing."""

import pytest

from docs import generate
from srmd.cli.flags import FLAGS, GROUPS, MODES, mode_parser


def test_the_page_of_flags_is_current():
    assert generate.FLAGS_PAGE.read_text(encoding="utf-8") == generate.flags_page()


def test_the_table_of_files_is_current():
    assert generate.ARCHITECTURE_PAGE.read_text(encoding="utf-8") == generate.architecture_page()


def test_the_table_of_files_names_the_layer_of_each_file():
    table = generate.file_table()
    assert "| 7 | `srmd/cli/flags.py` | " in table
    assert "| 1 | `srmd/config.py` | " in table


@pytest.mark.parametrize("mode", MODES)
def test_help_has_the_groups_of_the_page_of_flags(mode: str):
    text = mode_parser(mode).format_help()
    for title, flags in GROUPS.items():
        assert (f"\n{title}:\n" in text) == any(mode in flag.modes for flag in flags)


def test_every_flag_is_in_one_group():
    names = [flag.name for flag in FLAGS]
    assert len(names) == len(set(names))
