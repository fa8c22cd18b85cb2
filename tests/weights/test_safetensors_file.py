"""Reading .safetensors files."""

import signal
from pathlib import Path

import pytest
import safetensors
import torch
from safetensors.torch import save_file

from srmd.weights.safetensors_file import read_safetensors


def test_ctrl_c_while_a_file_is_read_does_not_count_as_a_broken_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    save_file({"a": torch.ones(2)}, tmp_path / "a.safetensors", {"srmd": "1"})
    safe_open = safetensors.safe_open

    def interrupted_open(path: Path, framework: str) -> object:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt as error:  # what the compiled reader does with it
            raise safetensors.SafetensorError("could not determine the shape") from error
        return safe_open(path, framework)

    monkeypatch.setattr(safetensors, "safe_open", interrupted_open)
    with pytest.raises(KeyboardInterrupt):
        read_safetensors(tmp_path / "a.safetensors")
