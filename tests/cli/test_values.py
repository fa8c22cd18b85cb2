"""Parsers of the flags' values."""

import argparse

import pytest

from srmd.cli.values import existing


def test_a_path_that_may_not_be_read_is_refused(unreadable):
    with pytest.raises(argparse.ArgumentTypeError, match=r"a\.png: expected .*that can be read, found no permission"):
        existing(str(unreadable("a.png")))


def test_an_empty_path_is_refused():
    with pytest.raises(argparse.ArgumentTypeError, match="expected a path, found nothing"):
        existing("")
