"""What takes a shipped network's place, and what is written of it."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors import safe_open

from benchmarks import card, ship
from small_runs import train
from srmd.weights.files import read_weights, write_weights

PICTURES = Path("pictures")


@pytest.fixture
def shipped(folder_with_pictures: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the network of the run in `run` is shipped to; nothing is there yet."""
    assert train("run", "--steps=1", "--noise_free") == 0
    Path("weights").mkdir()
    monkeypatch.setattr(ship, "ROOT", Path.cwd())
    return Path("weights/srmdnf_x2.safetensors")


def spoil(path: Path) -> None:
    """Makes a network's SR black."""
    weights = read_weights(path)
    torch.nn.init.zeros_(weights.network.head.weight)
    write_weights(path, weights)


def test_a_better_network_takes_the_place_of_a_worse_one_and_no_worse_one_does(shipped: Path):
    run = Path("run/last.safetensors")
    good = run.read_bytes()
    spoil(run)
    ship.ship(Path("run"), [PICTURES])
    black = shipped.read_bytes()
    run.write_bytes(good)
    ship.ship(Path("run"), [PICTURES])
    better = shipped.read_bytes()
    assert better != black
    spoil(run)
    ship.ship(Path("run"), [Path("not there")])  # the pictures to score on have no say
    assert shipped.read_bytes() == better


def test_a_picture_that_is_too_small_to_score_does_not_keep_a_network_from_being_shipped(shipped: Path):
    Image.new("RGB", (8, 8)).save("pictures/small.png")
    ship.ship(Path("run"), [PICTURES])
    assert shipped.exists()


def test_a_shipped_network_says_how_it_was_trained_and_what_it_scores(shipped: Path):
    ship.ship(Path("run"), [PICTURES])
    with safe_open(shipped, "pt") as file:
        assert file.get_tensor("head.weight").dtype == torch.float16
        assert file.get_tensor("pca").dtype == torch.float32
    found = read_weights(shipped).metadata
    assert found["command"].startswith("python main.py --mode=train")
    assert found["training"]["train_data"] == "pictures"
    kernels = {cell.split(", ")[1] for cell in found["scores"]}
    assert kernels == set(ship.KERNELS)
    assert all(scores["psnr_y"] > 10 for scores in found["scores"].values())


def test_the_tables_of_the_documents_are_those_of_the_shipped_files():
    networks = card.shipped()
    texts = {name: (card.ROOT / name).read_text() for name in ("README.md", "docs/results.md", "weights/README.md")}
    assert card.summary(networks, card.SHORT_SUMMARY) in texts["README.md"]
    assert card.summary(networks) in texts["docs/results.md"]
    for name, network in networks.items():
        assert card.score_card(name, network) in texts["docs/results.md"]
        assert card.training_card(name, network) in texts["weights/README.md"]


def test_a_generated_part_is_replaced_between_its_marks(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- scores -->\n\nold\n\n<!-- end of scores -->\nafter\n")
    card.replace_part(page, "scores", "new")
    assert page.read_text() == "before\n<!-- scores -->\n\nnew\n\n<!-- end of scores -->\nafter\n"
    with pytest.raises(ValueError, match="expected the marks of the part 'trainings'"):
        card.replace_part(page, "trainings", "new")
