"""Short training runs in this process, for the tests of training and testing."""

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
    """Trains or resumes a small run in the folder `output`; returns the exit code."""
    resumes = any(flag.startswith("--resume") for flag in flags)
    options = ["--visdom=off"] if resumes else QUICK
    return main.main(["--mode=train", f"--output={output}", *options, *flags])
