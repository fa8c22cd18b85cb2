"""The built-in training and test pictures: photos that scikit-image ships, and drawn dead leaves."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from srmd.pictures.dead_leaves import box_downsample, dead_leaves
from srmd.pictures.files import read_picture

TEST_PHOTOS = ("astronaut.png", "chelsea.png", "coffee.png")
# Each photo with the factor by which it is downsampled before training: at full size the soft photos have no sharp
# detail to learn from, and half of the crops would come from them. The order decides which pictures are held out for
# validation: the third, seventh and eleventh photo. These three are grey, because all of the few colour photos are
# needed for training.
TRAINING_PHOTOS = {
    "motorcycle_left.png": 1,
    "rocket.jpg": 1,
    "camera.png": 1,
    "grass.png": 1,
    "ihc.png": 1,
    "hubble_deep_field.jpg": 2,
    "coins.png": 1,
    "brick.png": 1,
    "retina.jpg": 3,
    "gravel.png": 1,
    "page.png": 1,
    "moon.png": 2,
}
LEAVES_PER_PHOTO = 2
LEAVES_SIZE = 384  # pixels, height and width


@cache
def builtin_test_pictures() -> dict[str, NDArray[np.uint8]]:
    """The test photos by name, read-only arrays (H, W, 3), read once per process; none is used for training."""
    photos = {Path(file).stem: _photo(file) for file in TEST_PHOTOS}
    for pixels in photos.values():
        pixels.setflags(write=False)  # all callers share the cached arrays
    return photos


def builtin_training_pictures() -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Name and pixels (H, W, 3) of each training picture; after each photo come two pictures of dead leaves."""
    for number, (file, shrink) in enumerate(TRAINING_PHOTOS.items()):
        yield Path(file).stem, box_downsample(_photo(file), shrink)
        for seed in range(number * LEAVES_PER_PHOTO, (number + 1) * LEAVES_PER_PHOTO):
            yield f"dead_leaves_{seed}", dead_leaves(LEAVES_SIZE, seed)


def _photo(file: str) -> NDArray[np.uint8]:
    import skimage

    return read_picture(Path(skimage.__file__).parent / "data" / file).pixels
