"""The settings of the page: bounds, and what is left to what was found."""

import pytest

from srmd.base.errors import InputError
from srmd.panel.candidates import candidate_settings
from srmd.panel.settings import Settings, checked_number, chosen_kernel, chosen_noise_level
from srmd.restore.estimate import Estimate

FOUND = Estimate((1.9, 1.2), 30.0, 4.5, 0.9)


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"width": -0.1}, "width"),
        ({"width": 8.1}, "width"),
        ({"width": float("nan")}, "width"),
        ({"second_width": "1"}, "second_width"),
        ({"angle": 181}, "angle"),
        ({"noise_level": float("inf")}, "noise_level"),
        ({"noise_level": True}, "noise_level"),
        ({"jpeg": 0}, "quality"),
        ({"jpeg": 50.5}, "quality"),
        ({"jpeg": "../x"}, "quality"),
        ({"angle": "x"}, "angle"),
        ({"scale": 5}, "scale"),
        ({"scale": "2"}, "scale"),
    ],
)
def test_a_value_out_of_its_bounds_is_an_error_that_names_the_setting(values: dict, name: str):
    with pytest.raises(InputError, match="expected") as raised:
        Settings(**values)
    assert raised.value.argument == name


def test_an_empty_field_is_an_error_in_words():
    with pytest.raises(InputError, match=r"^width: expected a number from 0 to 8, found nothing$"):
        checked_number("width", None)


@pytest.mark.parametrize(
    ("values", "kernel"),
    [
        ({}, "gaussian:1.9,1.2,30"),
        ({"width": 1.3}, "gaussian:1.3"),  # the second width follows
        ({"width": 1.3, "second_width": 0.8}, "gaussian:1.3,0.8,30"),
        ({"second_width": 0.8}, "gaussian:1.9,0.8,30"),
        ({"width": 1, "second_width": 2, "angle": 100}, "gaussian:2,1,10"),  # the long axis is the second one's
        ({"angle": 180}, "gaussian:1.9,1.2,0"),
        ({"width": 0}, "delta"),
        ({"width": 1, "second_width": 0}, "gaussian:1,0.05,30"),
        ({"width": 0.04, "second_width": 0}, "gaussian:0.04"),  # below the smallest second width
        ({"width": 0, "second_width": 0.05}, "gaussian:0.05"),
    ],
)
def test_what_is_not_set_is_what_was_found(values: dict, kernel: str):
    assert chosen_kernel(Settings(**values), FOUND) == kernel


def test_the_noise_level_is_the_one_found_or_set():
    assert chosen_noise_level(Settings(), FOUND) == 4.5
    assert chosen_noise_level(Settings(noise_level=0), FOUND) == 0


def test_candidates_are_numbered_combinations_around_the_present_settings():
    candidates = candidate_settings(Settings(scale=3, jpeg=40), "gaussian:2,0.5,30", 10.0, True)
    assert [candidate.number for candidate in candidates] == list(range(1, 13))
    assert [candidate.settings.width for candidate in candidates[:4]] == [0.4, 0.7, 1.0, 1.3]
    assert [candidate.settings.noise_level for candidate in candidates[::4]] == [5.0, 10.0, 15.0]
    assert candidates[6].label == "7: width 1, noise 10"
    assert all((candidate.settings.scale, candidate.settings.jpeg) == (3, 40) for candidate in candidates)


def test_without_blur_and_noise_candidates_start_at_none():
    candidates = candidate_settings(Settings(), "delta", 0.0, True)
    assert [candidate.settings.width for candidate in candidates[:4]] == [0, 0.3, 0.6, 0.9]
    assert [candidate.settings.noise_level for candidate in candidates[::4]] == [0, 3, 6]
    assert {candidate.settings.noise_level for candidate in candidate_settings(Settings(), "delta", 0.0, False)} == {
        None
    }
