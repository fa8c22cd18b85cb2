"""What the demo does: its photos, the paths of what it writes, and its steps with their commands."""

import shlex
from dataclasses import dataclass
from pathlib import Path

SCALE = 2
JPEG_GAIN = "JPEG, told its tables"  # name of a gain over bicubic upscaling


@dataclass(frozen=True)
class Photo:
    """A built-in test photo, how LR is made of it, and the part of it that the page shows."""

    name: str
    kernel: str
    noise_level: float
    quality: int | None  # of the JPEG that LR is saved as; None: a PNG
    part: tuple[slice, slice]  # rows and columns of HR


NOISY = Photo("astronaut", "gaussian:1.3", 3, None, (slice(20, 276), slice(100, 420)))
COMPRESSED = Photo("coffee", "gaussian:1.0", 0, 50, (slice(80, 336), slice(180, 500)))


@dataclass(frozen=True)
class Budget:
    """The sizes of the training, and the gains over bicubic upscaling that are expected at least, in dB."""

    steps: int = 300
    batch_size: int = 8
    patch_size: int = 24
    min_gain: float = 1.0
    min_jpeg_gain: float = 0.2


@dataclass(frozen=True)
class Step:
    """A step of the demo: a line that says what comes, and its commands, each as the flags of the command line."""

    title: str
    commands: tuple[tuple[str, ...], ...]

    def lines(self) -> tuple[str, ...]:
        """The commands as a user types them."""
        return tuple(shlex.join(["python", "main.py", *flags]) for flags in self.commands)


@dataclass(frozen=True)
class Demo:
    """The folder of results, the folder of the training run, and the sizes of the training."""

    folder: Path
    run: Path
    budget: Budget

    @property
    def page(self) -> Path:
        """The page that shows all results."""
        return self.folder / "index.html"

    def hr(self, photo: Photo) -> Path:
        """The original of a photo."""
        return self.folder / "hr" / f"{photo.name}.png"

    def lr(self, photo: Photo) -> Path:
        """The picture that is restored."""
        return self.folder / "lr" / f"{photo.name}.{'png' if photo.quality is None else 'jpg'}"

    def steps(self) -> list[Step]:
        """The steps, in their order; the names of their folders are those that the page reads."""
        noisy, compressed = str(self.lr(NOISY)), str(self.lr(COMPRESSED))
        truth = (f"--kernel={NOISY.kernel}", f"--noise_level={NOISY.noise_level:g}")
        return [
            Step(
                "Restoring a photo of which nothing is told: its blur and noise are estimated",
                ((noisy, self._output("auto")),),
            ),
            Step("Restoring the same photo, told its true blur and noise", ((noisy, *truth, self._output("told")),)),
            Step(
                "Restoring a JPEG, told nothing of its compression, and again, told the tables in its file",
                ((compressed, "--jpeg=off", self._output("jpeg_off")), (compressed, self._output("jpeg"))),
            ),
            Step(
                f"Training a new network for {self.budget.steps} steps, about a minute, and scoring it",
                (self._training(), self._test()),
            ),
        ]

    def _output(self, name: str) -> str:
        return f"--output={self.folder / name}"

    def _training(self) -> tuple[str, ...]:
        budget = self.budget
        sizes = (f"--steps={budget.steps}", f"--batch_size={budget.batch_size}", f"--patch_size={budget.patch_size}")
        return ("--mode=train", f"--scale_factor={SCALE}", "--noise_free", *sizes, f"--output={self.run}")

    def _test(self) -> tuple[str, ...]:
        network = (f"--weights={self.run / 'last.safetensors'}", f"--kernel={NOISY.kernel}")
        return ("--mode=test", *network, f"--test_data={self.folder / 'hr'}", "--save_lr", self._output("trained"))
