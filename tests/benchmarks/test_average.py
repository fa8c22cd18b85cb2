"""The average of a network that is told of JPEG and the one that it was trained from."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import average
from benchmarks.card import training_card
from small_restoring import write_network
from srmd.weights.files import read_weights, write_weights

TRAINED, SOURCE = Path("weights/srmdj_x2.safetensors"), Path("weights/srmd_x2.safetensors")
FIRST, OTHER = "convs.0.weight", "convs.1.weight"


@pytest.fixture
def shipped(folder_with_pictures: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small networks in `weights`, which are unlike each other."""
    Path("weights").mkdir()
    write_network(str(TRAINED), seed=1, conditions=("kernel", "noise", "jpeg"))
    write_network(str(SOURCE), seed=2, conditions=("kernel", "noise"))
    monkeypatch.setattr(average, "shipped", lambda name: Path(f"weights/{name}.safetensors"))


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["average", "srmdj_x2", "srmd_x2", "--train_data=pictures", *arguments])
    average.main()


def spoil(path: Path) -> None:
    """Makes a network's SR black."""
    weights = read_weights(path)
    torch.nn.init.zeros_(weights.network.head.weight)
    torch.nn.init.zeros_(weights.network.head.bias)
    write_weights(path, weights)


def test_weights_are_averaged_and_the_source_has_none_for_tables(shipped: None):
    trained, source = read_weights(TRAINED).network, read_weights(SOURCE).network
    mean = average.average(trained, source, 0.75)
    expected = 0.75 * trained.state_dict()[OTHER] + 0.25 * source.state_dict()[OTHER]
    torch.testing.assert_close(mean.state_dict()[OTHER], expected)
    jpeg = 3 + trained.config.condition_channels["jpeg"].start
    first, before = trained.state_dict()[FIRST], source.state_dict()[FIRST]
    torch.testing.assert_close(mean.state_dict()[FIRST][:, jpeg:], 0.75 * first[:, jpeg:])
    torch.testing.assert_close(mean.state_dict()[FIRST][:, :jpeg], 0.75 * first[:, :jpeg] + 0.25 * before)


@pytest.mark.parametrize(("worse", "share"), [(TRAINED, 0.7), (SOURCE, 1.0)])
def test_the_share_that_is_best_on_the_held_out_pictures_is_kept(
    shipped: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], worse: Path, share: float
):
    spoil(worse)
    trained, source = read_weights(TRAINED), read_weights(SOURCE)
    run(monkeypatch)
    header, _, *rows = capsys.readouterr().out.splitlines()
    assert header.startswith("| share | delta, 30 | delta, 50 |")
    table = {float(row.split("|")[1]): [float(cell) for cell in row.split("|")[2:-1]] for row in rows}
    assert list(table) == [1, 0.9, 0.8, 0.7]
    for *psnr, gain in table.values():
        assert gain == pytest.approx(
            min(after - before for after, before in zip(psnr, table[1], strict=False)), abs=0.02
        )
    assert max(table, key=lambda each: table[each][-1]) == share
    written = read_weights(TRAINED)
    expected = average.average(trained.network, source.network, share).state_dict()
    torch.testing.assert_close(written.network.state_dict()[OTHER], expected[OTHER].half().float())
    assert written.metadata["average"] == {
        "share": share,
        "source": "srmd_x2",
        "command": "python -m benchmarks.average srmdj_x2 srmd_x2 --train_data=pictures",
    }


def test_the_card_states_the_share_and_the_command(
    shipped: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    before = TRAINED.read_bytes()
    run(monkeypatch, "--output=mean.safetensors")
    assert TRAINED.read_bytes() == before
    metadata = read_weights(Path("mean.safetensors")).metadata
    training = {"weights": None, "steps": 5, "batch_size": 4, "patch_size": 48, "lr": 1e-4}
    text = training_card("srmdj_x2", metadata | {"command": "python main.py", "training": training})
    share = metadata["average"]["share"]
    assert f"Its weights are {share:g} of the last training's and {1 - share:g} of those of `srmd_x2`." in text
    assert text.endswith(f"```bash\npython main.py\n{metadata['average']['command']}\n```")


def test_the_help_of_the_command_is_printed():
    done = subprocess.run([sys.executable, "-m", "benchmarks.average", "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "python -m benchmarks.average srmdj_x4 srmd_x4" in done.stdout
