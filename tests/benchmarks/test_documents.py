"""The command that makes the generated parts of the documents anew, in copies of the repository."""

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.documents import ROOT, STEPS, Step, is_in_data, paths

FOLDERS = "benchmarks", "docs", "kernels", "srmd", "weights"
FILES = "README.md", "pyproject.toml"
NOT_MADE = {"scaling.png"}  # pictures of speed
SCORES = next(step.writes.split() for step in STEPS if step.name == "scores")


def copy_repository(folder: Path) -> Path:
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, folder)
    return folder


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "benchmarks.documents", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def contents(folder: Path, names: list[str]) -> dict[str, bytes]:
    """The files of a repository that are named, or lie in folders that are named, by their paths."""
    files = [
        path for name in names for path in ([folder / name] if (folder / name).is_file() else (folder / name).iterdir())
    ]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_repository(tmp_path_factory.mktemp("repository"))


def test_every_step_is_listed_and_nothing_is_run(repository: Path):
    done = run(repository, "--list")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == [step.name for step in STEPS]
    assert all(step.writes in line and step.time in line for step, line in zip(STEPS, lines, strict=True))
    assert not (repository / "results").exists()


def test_a_step_writes_what_is_committed(repository: Path):
    pages = [repository / "docs" / name for name in ("flags.md", "architecture.md")]
    pages[0].write_text("")
    pages[1].write_text(pages[1].read_text().replace("| 7 | `srmd/cli/flags.py` | ", ""))
    done = run(repository, "--only", "flags")
    assert done.returncode == 0
    assert re.fullmatch(r"flags +\d+\.\d s  docs/flags\.md docs/architecture\.md\n", done.stdout)
    for page in pages:
        assert page.read_bytes() == (ROOT / "docs" / page.name).read_bytes()


def test_a_step_that_fails_is_named_and_the_others_still_run(repository: Path):
    readme, entry = repository / "README.md", repository / "docs" / "models" / "2x-SRMD.json"
    readme.write_text(re.sub(r"^\| gaussian.*\n", "", readme.read_text(), flags=re.MULTILINE))
    entry.unlink()
    (repository / "pyproject.toml").rename(repository / "elsewhere.toml")
    done = run(repository, "--only", "scores", "flags")
    (repository / "elsewhere.toml").rename(repository / "pyproject.toml")
    assert done.returncode == 1
    assert done.stderr == "failed: flags; results/documents/ has what they printed\n"
    flags, scores = done.stdout.splitlines()  # in the order of the table
    assert re.match(r"flags +\d+\.\d s  failed with exit code 1: FileNotFoundError: .*pyproject\.toml'", flags)
    assert "Traceback" in (repository / "results" / "documents" / "flags.log").read_text()
    assert re.match(r"scores +\d+\.\d s  README\.md ", scores)
    assert contents(repository, SCORES) == contents(ROOT, SCORES)


def test_a_step_that_lacks_something_is_skipped_with_the_reason(repository: Path, tmp_path: Path):
    before = (repository / "docs" / "blind.md").read_bytes()
    done = run(repository, "--only", "loss", "halves")
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "loss         skipped: there is no runs/weights/srmd_x4/metrics.jsonl",
        "halves       skipped: needs pictures: --data=FOLDER, or DATA=folder for make",
    ]
    done = run(repository, "--only", "halves", "--list", f"--data={tmp_path}")
    assert done.stdout.endswith("docs/blind.md  (skipped: there is no DATA/B100/101085.*)\n")
    assert (repository / "docs" / "blind.md").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--only", "flogs"], "--only: invalid choice: 'flogs'"), (["--data=nowhere"], "--data: nowhere: expected a ")],
)
def test_unknown_steps_and_folders_are_refused(repository: Path, arguments: list[str], message: str):
    done = run(repository, *arguments)
    assert done.returncode == 2
    assert message in done.stderr


def test_pictures_are_found_whatever_their_format_is(tmp_path: Path):
    data = tmp_path / "my [pictures]"
    (data / "Set5").mkdir(parents=True)
    for name in ("butterfly.bmp", "bird.png"):
        (data / "Set5" / name).touch()
    assert paths("DATA/Set5/butterfly.*", data) == [str(data / "Set5" / "butterfly.bmp")]
    assert paths("DATA", data) == [str(data)]
    assert paths("docs/fl*.md", None) == ["docs/flags.md"]


def test_every_picture_is_made_by_a_step():
    written = {path for step in STEPS for path in step.writes.split()}
    assert all((ROOT / path).exists() for path in written)
    pictures = {path.relative_to(ROOT).as_posix() for path in (ROOT / "img").iterdir()}
    assert {path for path in written if path.startswith("img/")} == pictures - {f"img/{name}" for name in NOT_MADE}


def test_every_marked_part_is_on_a_page_that_a_step_writes():
    written = {path for step in STEPS for path in step.writes.split()}
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), ROOT / "weights" / "README.md"]
    marked = {page.relative_to(ROOT).as_posix() for page in pages if "<!-- end" in page.read_text(encoding="utf-8")}
    assert {"README.md", "docs/training.md", "docs/blind.md"} < marked <= written


@pytest.mark.parametrize("step", [step for step in STEPS if "--page=" in step.command], ids=lambda step: step.name)
def test_the_page_of_a_step_has_the_marks_that_its_script_replaces(step: Step):
    module, *_, flag = step.command.split()
    page = flag.removeprefix("--page=")
    assert page in step.writes.split()
    script = Path(importlib.util.find_spec(module).origin).read_text(encoding="utf-8")
    names = re.findall(r'replace_part\((?:options\.)?page, "([^"]+)"', script)
    assert names or "write_page(text, options.page)" in script  # a part, or the whole page
    assert re.findall(r'add_page\(parser, "([^"]+)"', script) == names
    lines = (ROOT / page).read_text(encoding="utf-8").splitlines()
    assert all({f"<!-- {name} -->", f"<!-- end of {name} -->"} <= set(lines) for name in names)


def test_the_page_of_jpeg_scores_has_a_table_for_each_folder_that_is_measured():
    commands = [step.command.split() for step in STEPS if step.command.startswith("benchmarks.jpeg weights/")]
    measured = {
        f"{Path(weights).stem} {Path(word).name}"
        for _, weights, *words in commands
        for word in words
        if is_in_data(word)
    }
    text = (ROOT / "docs" / "jpeg.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^<!-- (srmdj.*) -->$", text, re.MULTILINE)) == measured


def test_the_script_of_each_step_exists():
    assert all(importlib.util.find_spec(step.command.split()[0]) for step in STEPS)
