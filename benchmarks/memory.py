"""What a large photo takes: 6000×4000 LR pixels at x2, a result of 96 megapixels.

    python -m benchmarks.memory    # some minutes; time, peak memory and a `ratio NAME X.XX` line

The peak is that of the whole process as the system counts it, pictures and torch included. With the fastest engine that
is installed here.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

from srmd.pictures.photos import builtin_test_pictures

ROOT = Path(__file__).parents[1]
SIZE = (6000, 4000)  # LR pixels
MAX_GIB = 2.5  # that the process may take


def main() -> None:
    """Restores the photo and prints what that took."""
    with tempfile.TemporaryDirectory() as folder:
        photo = f"{folder}/photo.jpg"
        Image.fromarray(builtin_test_pictures()["coffee"]).resize(SIZE, Image.Resampling.BICUBIC).save(photo)
        flags = ["--mode=test", "--input", photo, "--kernel=delta", "--visdom=off", f"--output={folder}/result"]
        start = time.perf_counter()
        subprocess.run([sys.executable, str(ROOT / "main.py"), *flags], check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    megapixels = SIZE[0] * SIZE[1] / 1e6
    print(f"{SIZE[0]}×{SIZE[1]} at x2: {seconds:.0f} s, {seconds / megapixels:.1f} s per LR megapixel; {peak:.2f} GiB")
    print(f"ratio large_photo_within_{MAX_GIB}_GiB {MAX_GIB / peak:.2f}")


if __name__ == "__main__":
    main()
