"""Motion kernels: how a point of the picture moves while the shutter of a camera that shakes is open.

    python -m srmd.kernel.motion motion.npy --count=1000 --size=15 --seed=0    # for --train_kernels=motion.npy

The camera's velocity is a random walk that is drawn back to zero (an Ornstein-Uhlenbeck process), so that its way is
smooth: nearly straight where the velocity remembers longer than the exposure lasts, wriggly where it forgets sooner.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from srmd.base.errors import InputError
from srmd.base.files import atomic_write, make_folder

MOMENTS = 512  # of the exposure, at which the point leaves its light
MEMORY = (0.1, 3)  # of the velocity, in exposures
MIN_REACH = 1  # HR pixels from the centre of mass to the farthest point, along a row or a column; at most size // 2


def motion_kernels(rng: np.random.Generator, count: int, size: int = 15) -> NDArray:
    """Kernels (count, size, size), sum 1, their centres of mass in the middle; `size` is odd and at least 3."""
    kernels = np.stack([_rendered(way, size) for way in _ways(rng, count, size // 2)])
    return kernels / kernels.sum((-2, -1), keepdims=True)


def _ways(rng: np.random.Generator, count: int, most_reach: int) -> NDArray:
    """Where the point is at each moment, (count, MOMENTS, 2) as (row, column) about the centre of mass, HR pixels."""
    memory = np.exp(rng.uniform(*np.log(MEMORY), count))
    reach = rng.uniform(MIN_REACH, most_reach, count)
    kept = np.exp(-1 / (MOMENTS * memory))[:, None]
    kicks = rng.standard_normal((MOMENTS, count, 2))
    velocity = [kicks[0]]
    for kick in kicks[1:]:
        velocity.append(kept * velocity[-1] + np.sqrt(1 - kept**2) * kick)
    ways = np.cumsum(velocity, 0).transpose(1, 0, 2)
    ways -= ways.mean(1, keepdims=True)
    return ways * (reach / np.abs(ways).max((1, 2)))[:, None, None]


def _rendered(way: NDArray, size: int) -> NDArray:
    """Light (size, size) of a way: each moment's is shared by the four nearest pixels, which keeps its place."""
    light = np.zeros((size + 1, size + 1))  # a point on the last row has no share in the one behind it
    corner = np.floor(way).astype(int)
    part = way - corner
    row, column = (corner + size // 2).T
    for down in (0, 1):
        for right in (0, 1):
            share = np.abs(1 - down - part[:, 0]) * np.abs(1 - right - part[:, 1])
            np.add.at(light, (row + down, column + right), share)
    return light[:size, :size]


def main() -> None:
    """Writes kernels to an .npy file."""
    parser = argparse.ArgumentParser(description="Draws motion kernels into an .npy file, (count, size, size).")
    parser.add_argument("output", type=Path, help="the .npy file")
    parser.add_argument("--count", type=int, default=1000, help="kernels (default: 1000)")
    parser.add_argument("--size", type=int, default=15, help="side of their window, odd, at least 3 (default: 15)")
    parser.add_argument("--seed", type=int, default=0, help="of all that is random (default: 0)")
    asked = parser.parse_args()
    if asked.output.suffix != ".npy" or asked.count < 1 or asked.size < 3 or asked.size % 2 == 0 or asked.seed < 0:
        parser.error("expected an .npy file, a count of at least 1, an odd size of at least 3 and no negative seed")
    kernels = motion_kernels(np.random.default_rng(asked.seed), asked.count, asked.size)
    try:
        make_folder(asked.output.parent)
        with atomic_write(asked.output) as temporary:
            np.save(temporary, kernels.astype(np.float32))
    except (InputError, OSError) as error:
        parser.error(str(error))
    print(f"wrote {asked.count} motion kernels, {asked.size} by {asked.size}, to {asked.output}")


if __name__ == "__main__":
    main()
