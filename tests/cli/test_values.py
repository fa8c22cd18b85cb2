"""Parsers of the flags' values."""

import argparse
import os
from pathlib import Path

import pytest

from srmd.cli.values import existing, output_path


def test_a_path_that_may_not_be_read_is_refused(unreadable):
    with pytest.raises(argparse.ArgumentTypeError, match=r"a\.png: expected .*that can be read, found no permission"):
        existing(str(unreadable("a.png")))


def test_an_empty_path_is_refused():
    with pytest.raises(argparse.ArgumentTypeError, match="expected a path, found nothing"):
        existing("")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_a_path_to_write_below_a_folder_that_may_not_be_entered_is_refused(tmp_path: Path):
    (tmp_path / "secret").mkdir(mode=0)
    is_root = os.geteuid() == 0
    if is_root:  # root may enter every folder
        os.seteuid(65534)
    try:
        with pytest.raises(argparse.ArgumentTypeError, match="new: expected a path to write to, found no permission"):
            output_path(str(tmp_path / "secret/new"))
    finally:
        if is_root:
            os.seteuid(0)
