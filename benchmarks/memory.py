"""Measures time and peak memory of restoring a large photo: 6000×4000 LR pixels at x2 give 96 megapixels.

    python -m benchmarks.memory    # some minutes; prints time, peak memory and a `ratio NAME X.XX` line

The peak is the memory of the whole process, as the operating system reports it. The engine is the fastest one that is
installed. A ratio above 1 means less memory than the target in its name.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

from benchmarks.commands import command_parser
from srmd.pictures.photos import builtin_test_pictures

ROOT = Path(__file__).parents[1]
SIZE = (6000, 4000)  # LR pixels
MAX_GIB = 2.5  # of peak memory


def main() -> None:
    """Restores the photo, and prints time and peak memory."""
    with tempfile.TemporaryDirectory() as folder:
        photo = f"{folder}/photo.jpg"
        Image.fromarray(builtin_test_pictures()["coffee"]).resize(SIZE, Image.Resampling.BICUBIC).save(photo)
        flags = ["--mode=test", "--input", photo, "--kernel=delta", "--noise_level=0", "--visdom=off"]
        flags += [f"--output={folder}/result"]
        start = time.perf_counter()
        subprocess.run([sys.executable, str(ROOT / "main.py"), *flags], check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - start
    peak_gib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    megapixels = SIZE[0] * SIZE[1] / 1e6
    cost = f"{seconds:.0f} s, {seconds / megapixels:.1f} s per LR megapixel; {peak_gib:.2f} GiB"
    print(f"{SIZE[0]}×{SIZE[1]} at x2: {cost}")
    print(f"ratio large_photo_within_{MAX_GIB}_GiB {MAX_GIB / peak_gib:.2f}")


if __name__ == "__main__":
    command_parser(__doc__).parse_args()
    main()
