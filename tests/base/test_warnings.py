"""Of many warnings of one kind the first ones are logged, and the others counted."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from srmd.base.warnings import PictureWarnings


def test_the_first_three_of_each_kind_are_logged_and_all_are_counted(caplog: pytest.LogCaptureFixture):
    warnings = PictureWarnings()
    with ThreadPoolExecutor(4) as pool:
        for number in range(500):
            pool.submit(warnings.add, f"{number}.gif", f"it holds {number} pictures")
    for number in range(3):
        warnings.add(f"{number}.png", "its colour profile is damaged")
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 6
    assert messages[-1] == "2.png: its colour profile is damaged"
    (line,) = warnings.summary()
    assert line.startswith("500 warnings such as: it holds ")
