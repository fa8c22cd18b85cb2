"""What a run trains, and with which settings: the same in all its jobs."""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from benchmarks.plans import PLANS, ROOT, Plan, shipped
from srmd.base.errors import InputError
from srmd.base.files import atomic_write
from srmd.config import TrainConfig

BY_NAME = {plan.name: plan for plan in PLANS}
# The networks of a run if none are named; those of which most is expected come first. With the files settings.json and
# metrics.jsonl, a run of six has eight files.
NETWORKS = ("srmdnf_x2", "srmd_x2", "srmdnf_x4", "srmd_x4", "srmdnf_x3", "srmd_x3")


@dataclass(frozen=True)
class Settings:
    """The settings of a run, stored in settings.json."""

    networks: tuple[str, ...]
    total_minutes: float  # of all jobs together
    train_data: str | None  # folder of pictures or pack; None: the built-in set
    batch_size: int
    patch_size: int
    lr: float

    def config(self, name: str, command: str) -> TrainConfig:
        """Return the configuration of a network's training. Each network draws batches of its own."""
        plan: Plan = BY_NAME[name]
        source = plan.source()
        return TrainConfig(
            scale_factor=plan.scale,
            conditions=plan.conditions,
            kernel_size=plan.kernel_size,
            weights=shipped(source).relative_to(ROOT) if source else None,
            train_data=Path(self.train_data) if self.train_data else None,
            batch_size=self.batch_size,
            patch_size=self.patch_size,
            lr=self.lr,
            seed=PLANS.index(plan) + 1,  # 0 is the seed of trainings by `make weights`
            cache="off",  # all networks share one copy of the pictures, see run.py
            visdom="off",
            command=command,
        )


def store_settings(folder: Path, settings: Settings) -> None:
    """Write settings.json of a new run; raises InputError if the run in the folder was started with other settings."""
    path = folder / "settings.json"
    if not path.exists():
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(asdict(settings), indent=2) + "\n", encoding="utf-8")
        return
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        values = {field.name: stored[field.name] for field in fields(Settings)}
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: expected the settings of a run, found {error!r}") from error
    for name, value in json.loads(json.dumps(asdict(settings))).items():
        if values[name] != value:
            raise InputError(f"the run in {folder} was started with {values[name]!r}, found {value!r}", name)
