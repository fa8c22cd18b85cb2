"""Which settings of a run may change when it is resumed."""

from dataclasses import fields
from pathlib import Path

import pytest

from srmd.base.errors import InputError
from srmd.config import TrainConfig
from srmd.train.run_folder import RunFolder, run_config

CHANGEABLE = {"cache", "device", "visdom", "save_every", "debug"}
OF_THE_COMMAND = {"output", "resume", "command"}  # they say which run is resumed, and how
SETTINGS = [field for field in fields(TrainConfig) if field.name not in OF_THE_COMMAND]


def other_value(value: object) -> object:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    return 3 if value is None else f"{value}-other"


@pytest.mark.parametrize("field", SETTINGS, ids=lambda field: field.name)
def test_every_setting_but_those_of_machine_and_display_stays(tmp_path: Path, field):
    folder = RunFolder(tmp_path / "run")
    with folder.locked():
        folder.begin(TrainConfig(output=folder.path), step=0)
    changed = other_value(field.default)
    asked = {"resume": str(folder.path), field.name: changed}
    if field.name in CHANGEABLE:
        assert getattr(run_config(asked), field.name) == changed
    else:
        with pytest.raises(InputError, match=f"^{field.name}: the run in "):
            run_config(asked)
