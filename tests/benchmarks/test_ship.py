"""When a shipped network is replaced, and what its metadata contain."""

import json
import re
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors import safe_open

from benchmarks import card, ship
from benchmarks.pages import replace_part
from small_runs import train
from srmd.base.errors import InputError
from srmd.weights.files import read_weights, write_weights
from srmd.weights.shipped import network_files

PICTURES = Path("pictures")


@pytest.fixture
def shipped(folder_with_pictures: None, short_runs: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path to which the network of the run in `run` is shipped; there is no file yet."""
    assert train("run", "--steps=1", "--noise_free") == 0
    Path("weights").mkdir()
    monkeypatch.setattr(ship, "ROOT", Path.cwd())
    return Path("weights/srmdnf_x2.safetensors")


def spoil(path: Path) -> None:
    """Makes a network's SR black."""
    weights = read_weights(path)
    torch.nn.init.zeros_(weights.network.head.weight)
    write_weights(path, weights)


@pytest.mark.slow
def test_only_a_better_network_replaces_the_shipped_one(shipped: Path):
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
    ship.ship(Path("run"), [Path("not there")])  # the pictures to score are not needed for the decision
    assert shipped.read_bytes() == better


def test_a_picture_that_is_too_small_to_score_does_not_prevent_shipping(shipped: Path):
    Image.new("RGB", (8, 8)).save("pictures/small.png")
    ship.ship(Path("run"), [PICTURES])
    assert shipped.exists()


def test_the_metadata_of_a_shipped_network_have_its_training_and_scores(shipped: Path):
    config = json.loads(Path("run/config.json").read_text())
    del config["conditions"]  # older versions wrote `noise_free` in its place
    Path("run/config.json").write_text(json.dumps(config | {"noise_free": True}))
    ship.ship(Path("run"), [PICTURES])
    with safe_open(shipped, "pt") as file:
        assert file.get_tensor("head.weight").dtype == torch.float16
        assert file.get_tensor("pca").dtype == torch.float32
    metadata = read_weights(shipped).metadata
    assert metadata["command"].startswith("python main.py --mode=train")
    assert metadata["training"]["train_data"] == "pictures"
    assert metadata["training"]["conditions"] == ["kernel"]
    kernels = {cell.split(", ")[1] for cell in metadata["scores"]}
    assert kernels == set(ship.KERNELS)
    assert all(scores["psnr_y"] > 10 for scores in metadata["scores"].values())


def test_the_tables_of_the_documents_are_those_of_the_shipped_files():
    networks = card.shipped_metadata()
    texts = {name: (card.ROOT / name).read_text() for name in ("README.md", "docs/results.md", "weights/README.md")}
    assert card.summary(networks, card.SHORT_SUMMARY) in texts["README.md"]
    assert card.summary(networks) in texts["docs/results.md"]
    for name, network in networks.items():
        assert card.score_card(name, network) in texts["docs/results.md"]
        assert card.training_card(name, network) in texts["weights/README.md"]


@pytest.mark.parametrize(
    ("name", "says", "columns"),
    [
        ("srmd_x2", "Compared with the published network", 4),
        ("srmd_x1", "The published network was not scored.", 3),
        ("srmdj_x2", "The paper's authors published no network that is told of JPEG.", 3),
    ],
)
def test_a_card_has_the_published_scores_only_where_there_are_some(name: str, says: str, columns: int):
    lines = card.score_card(name, card.shipped_metadata()[name]).splitlines()
    table = [line.strip("|").split("|") for line in lines if line.startswith("|")]
    assert lines[2].startswith(says)
    assert {len(row) for row in table} == {columns}
    assert ("published" in table[0][-1]) == (columns == 4)


def test_the_entries_for_openmodeldb_are_those_of_the_shipped_files():
    networks = card.shipped_metadata()
    names = {f"{card.database_id(*item)}.json" for item in networks.items()}
    assert {path.name for path in card.MODELS.glob("*.json")} == names
    for path in network_files():
        entry = card.MODELS / f"{card.database_id(path.stem, networks[path.stem])}.json"
        text = entry.read_text(encoding="utf-8")
        assert text == card.database_text(path, networks[path.stem])


def test_the_entries_for_openmodeldb_have_its_format():
    """What its src/lib/model-props.ts checks; the tags are among those of its data/tags.json."""
    tags = {"general-upscaler", "photo", "deblur", "denoise", "jpeg", "restoration"}
    for path in card.MODELS.glob("*.json"):
        entry = json.loads(path.read_text(encoding="utf-8"))
        assert re.fullmatch(r"\d+x-[a-zA-Z0-9]+(?:-[a-zA-Z0-9]+)*", path.stem)
        assert path.stem.startswith(f"{entry['scale']}x-")
        assert {type(entry[key]) for key in ("name", "author", "license", "description", "architecture")} == {str}
        assert entry["description"] == entry["description"].strip()
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", entry["date"])
        assert entry["tags"]
        assert set(entry["tags"]) <= tags
        assert all(isinstance(each, str) for each in entry["size"])
        for key in ("scale", "inputChannels", "outputChannels", "trainingIterations", "trainingHRSize"):
            assert isinstance(entry[key], int)
        (resource,) = entry["resources"]
        assert (resource["platform"], resource["type"]) == ("pytorch", "safetensors")
        assert re.fullmatch(r"[0-9a-f]{64}", resource["sha256"])
        assert resource["size"] == (card.ROOT / resource["urls"][0]).stat().st_size
        assert entry["images"] == []


def test_a_generated_part_is_replaced_between_its_marks(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- scores -->\n\nold\n\n<!-- end of scores -->\nafter\n")
    replace_part(page, "scores", "new")
    assert page.read_text() == "before\n<!-- scores -->\n\nnew\n\n<!-- end of scores -->\nafter\n"
    with pytest.raises(InputError, match="expected the marks of the part 'trainings'"):
        replace_part(page, "trainings", "new")
