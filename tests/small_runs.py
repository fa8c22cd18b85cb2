"""Runs on small pictures, in this process, for the tests of training and of testing."""

from srmd.cli import main

QUICK = [
    "--batch_size=2",
    "--patch_size=8",
    "--precision=fp32",
    "--device=cpu",
    "--visdom=off",
    "--train_data=pictures",
]


def train(output: str, *flags: str) -> int:
    resuming = any(flag.startswith("--resume") for flag in flags)
    return main.main(["--mode=train", f"--output={output}", *(QUICK if not resuming else ["--visdom=off"]), *flags])
