"""Random motion kernels: the blur of a camera that shakes during the exposure.

    python -m srmd.kernel.motion motion.npy --count=1000 --size=15 --seed=0    # for --train_kernels=motion.npy

The velocity of the camera is an Ornstein-Uhlenbeck process, a random walk with a pull towards zero, so that the
trajectory is smooth: nearly straight if the correlation time of the velocity exceeds the exposure time, and winding if
it is shorter.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from srmd.base.errors import InputError
from srmd.base.files import atomic_write, make_folder

STEPS = 512  # points of a trajectory, at equal intervals of the exposure
CORRELATION_TIMES = (0.1, 3)  # smallest and largest correlation time of the velocity, in exposure times
MIN_REACH = 1  # HR pixels; the reach is the largest row or column distance of a trajectory from its centre of mass


def motion_kernels(rng: np.random.Generator, count: int, size: int = 15) -> NDArray:
    """Random motion kernels (count, size, size), sum 1, centred by mass; `size` is odd and at least 3."""
    kernels = np.stack([_render(trajectory, size) for trajectory in _trajectories(rng, count, size // 2)])
    return kernels / kernels.sum((-2, -1), keepdims=True)


def _trajectories(rng: np.random.Generator, count: int, max_reach: int) -> NDArray:
    """Random trajectories, (count, STEPS, 2): (row, column) in HR pixels relative to the centre of mass."""
    correlation_time = np.exp(rng.uniform(*np.log(CORRELATION_TIMES), count))
    reach = rng.uniform(MIN_REACH, max_reach, count)
    correlation = np.exp(-1 / (STEPS * correlation_time))[:, None]  # of the velocity from one step to the next
    noise = rng.standard_normal((STEPS, count, 2))
    velocity = [noise[0]]
    for step_noise in noise[1:]:
        velocity.append(correlation * velocity[-1] + np.sqrt(1 - correlation**2) * step_noise)
    positions = np.cumsum(velocity, 0).transpose(1, 0, 2)
    positions -= positions.mean(1, keepdims=True)
    return positions * (reach / np.abs(positions).max((1, 2)))[:, None, None]


def _render(trajectory: NDArray, size: int) -> NDArray:
    """The trajectory drawn as a kernel, (size, size), whose sum is the number of points.

    The light of each point is spread over its four nearest pixels with bilinear weights, which keep the centre of mass.
    """
    light = np.zeros((size + 1, size + 1))  # points on the last row or column add 0 to the extra ones
    corner = np.floor(trajectory).astype(int)
    fraction = trajectory - corner
    row, column = (corner + size // 2).T
    for down in (0, 1):
        for right in (0, 1):
            weight = np.abs(1 - down - fraction[:, 0]) * np.abs(1 - right - fraction[:, 1])
            np.add.at(light, (row + down, column + right), weight)
    return light[:size, :size]


def main() -> None:
    """Writes random motion kernels to an .npy file."""
    parser = argparse.ArgumentParser(
        description="Writes random motion kernels to an .npy file, an array (count, size, size)."
    )
    parser.add_argument("output", type=Path, help="the .npy file")
    parser.add_argument("--count", type=int, default=1000, help="number of kernels (default: 1000)")
    parser.add_argument(
        "--size", type=int, default=15, help="side of the kernels in HR pixels, odd, at least 3 (default: 15)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the random numbers (default: 0)")
    options = parser.parse_args()
    is_odd_size = options.size >= 3 and options.size % 2 == 1
    if options.output.suffix != ".npy" or options.count < 1 or not is_odd_size or options.seed < 0:
        parser.error("expected an .npy file, a count of at least 1, an odd size of at least 3 and a seed of at least 0")
    kernels = motion_kernels(np.random.default_rng(options.seed), options.count, options.size)
    try:
        make_folder(options.output.parent)
        with atomic_write(options.output) as temporary:
            np.save(temporary, kernels.astype(np.float32))
    except (InputError, OSError) as error:
        parser.error(str(error))
    print(f"wrote {options.count} motion kernels, {options.size} by {options.size}, to {options.output}")


if __name__ == "__main__":
    main()
