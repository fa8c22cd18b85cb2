"""The average of a network that is told of JPEG and the one that it was trained from."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks import average
from benchmarks.card import training_card
from small_restoring import write_network
from srmd.base.errors import InputError
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


def run(*arguments: str, name: str = "srmdj_x2", source: str = "srmd_x2") -> None:
    average.run(average.parsed([name, source, "--train_data=pictures", *arguments]))


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


def gains(text: str) -> dict[float, float]:
    """The gain of each share in a printed table, which is the smallest difference from the trained network."""
    header, _, *lines = [line for line in text.splitlines() if line.startswith("|")]
    assert header.startswith("| share | delta, 30 | delta, 50 |")
    rows = {float(line.split("|")[1]): [float(cell) for cell in line.split("|")[2:-1]] for line in lines}
    for *psnr, gain in rows.values():
        assert gain == pytest.approx(min(map(float.__sub__, psnr, rows[1])), abs=0.011)
    return {share: row[-1] for share, row in rows.items()}


@pytest.mark.usefixtures("shipped")
def test_the_share_with_the_largest_gain_is_written(capsys: pytest.CaptureFixture[str]):
    spoil(TRAINED)
    trained, source = read_weights(TRAINED), read_weights(SOURCE)
    run()
    found = gains(capsys.readouterr().out)
    assert list(found) == [1, 0.9, 0.8, 0.7]
    assert max(found, key=found.get) == 0.7
    written = read_weights(TRAINED)
    expected = average.average(trained.network, source.network, 0.7).state_dict()
    torch.testing.assert_close(written.network.state_dict()[OTHER], expected[OTHER].half().float())
    assert written.metadata["average"] == {
        "share": 0.7,
        "source": "srmd_x2",
        "command": "python -m benchmarks.average srmdj_x2 srmd_x2 --train_data=pictures",
    }


@pytest.mark.usefixtures("shipped")
def test_nothing_is_written_if_no_average_gains(capsys: pytest.CaptureFixture[str]):
    spoil(SOURCE)
    before = TRAINED.read_bytes()
    run()
    printed = capsys.readouterr().out
    assert max(gain for share, gain in gains(printed).items() if share < 1) < 0
    assert printed.endswith("nothing is written: no average is better than the trained network everywhere\n")
    assert TRAINED.read_bytes() == before


@pytest.mark.usefixtures("shipped")
def test_a_given_share_of_a_weights_file_is_taken_as_it_is():
    write_network("before.safetensors", seed=3, conditions=("kernel", "noise", "jpeg"))
    trained, before = read_weights(TRAINED), read_weights(Path("before.safetensors"))
    run("--share=0.25", source="before.safetensors")
    written = read_weights(TRAINED)
    for key, weight in written.network.state_dict().items():
        mean = 0.25 * trained.network.state_dict()[key] + 0.75 * before.network.state_dict()[key]
        torch.testing.assert_close(weight, mean.half().float())
    assert written.metadata["average"] == {
        "share": 0.25,
        "source": "before.safetensors",
        "command": "python -m benchmarks.average srmdj_x2 before.safetensors --train_data=pictures --share=0.25",
    }


@pytest.mark.usefixtures("shipped")
def test_an_average_does_not_keep_the_scores_of_the_trained_network():
    weights = read_weights(TRAINED)
    torch.nn.init.zeros_(weights.network.head.weight)
    old = {"held_out_psnr_y": 1.0, "scores": {"pictures, delta, noise 0": {"psnr_y": 1.0}}}
    write_weights(TRAINED, replace(weights, metadata={"license": "MIT"} | old))
    run("--output=none.safetensors")
    metadata = read_weights(Path("none.safetensors")).metadata
    assert metadata["license"] == "MIT"
    assert not metadata.keys() & old.keys()
    run("--output=scored.safetensors", "--test_data", "pictures")
    assert read_weights(Path("scored.safetensors")).metadata["scores"]["pictures, delta, noise 0"]["psnr_y"] > 1


@pytest.mark.usefixtures("shipped")
def test_networks_that_cannot_be_averaged_are_refused():
    write_network("weights/srmd_x3.safetensors", scale=3, conditions=("kernel", "noise"))
    write_network("weights/wide.safetensors", conditions=("kernel", "noise"), kernel_size=21)
    for source in ("srmd_x3", "wide"):
        with pytest.raises(InputError, match=f"{source}: expected scale, sizes and P of srmdj_x2, found others"):
            run(source=source)
    spoil(TRAINED)
    run()
    with pytest.raises(InputError, match="srmdj_x2: expected a network as its training left it, found average"):
        run()


def test_the_card_states_the_share_and_the_commands():
    training = {"weights": None, "steps": 5, "batch_size": 4, "patch_size": 48, "lr": 1e-4}
    metadata = {"command": "python main.py", "training": training, "colours": {"command": "colours"}}
    metadata["average"] = {"share": 0.9, "source": "srmd_x2", "command": "average"}
    text = training_card("srmdj_x2", metadata)
    assert "\n\nIts weights are 0.9 of the last training's and 0.1 of those of `srmd_x2`.\n\n" in text
    assert text.endswith("```bash\npython main.py\naverage\ncolours\n```")


def test_the_card_says_what_a_file_that_is_not_shipped_was():
    training = {"weights": None, "steps": 5, "batch_size": 4, "patch_size": 48, "lr": 1e-4}
    average = {"share": 0.5, "source": "before.safetensors", "command": "average"}
    text = training_card("srmdj_x1", {"command": "python main.py", "training": training, "average": average})
    assert "0.5 of those of `before.safetensors`, the network that it started from.\n\n" in text


def test_a_network_that_is_only_described_is_not_in_backticks():
    training = {"weights": None, "steps": 5, "batch_size": 4, "patch_size": 48, "lr": 1e-4}
    text = training_card("srmdnf_x4", {"command": "python main.py", "training": training, "trained_share": 0.5})
    sentence = "0.5 of those of the network shipped before, with its kernel window enlarged.\n\n"
    assert sentence in text.replace("window\nenlarged", "window enlarged")


def test_an_unknown_network_is_an_error_of_one_line():
    command = [sys.executable, "-m", "benchmarks.average", "srmdj_x9", "srmd_x4"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert "srmdj_x9.safetensors" in done.stderr
    assert len(done.stderr.splitlines()) == 1
