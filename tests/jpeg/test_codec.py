"""The tensor codec against libjpeg, through Pillow."""

import numpy as np
import pytest
import torch
from skimage.data import astronaut

from srmd.jpeg.codec import Compression, compress
from srmd.jpeg.pillow_codec import compress_array
from srmd.jpeg.tables import SUBSAMPLINGS, JpegTables

PICTURE = np.ascontiguousarray(astronaut()[:160, 100:260])
MANY_QUALITIES = [*range(1, 101, 7), 95, 98, 100]


def to_tensor(pictures: list[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).double() / 255


def by_tensors(pictures: list[np.ndarray], tables: list[JpegTables], offsets: np.ndarray) -> np.ndarray:
    entries = np.array([(each.luma, each.chroma) for each in tables])
    subsamplings = [each.subsampling for each in tables]
    compression = Compression.of_arrays(np.arange(len(pictures)), entries, subsamplings, offsets)
    return (compress(to_tensor(pictures), compression) * 255).round().byte().permute(0, 2, 3, 1).numpy()


def by_pillow(rgb: np.ndarray, tables: JpegTables, offset: np.ndarray, grey: bool = False) -> np.ndarray:
    """The picture compressed by Pillow with `offset` rows and columns, copies of its edge, above and left of it."""
    (rows, columns) = offset
    padded = np.pad(rgb, ((rows, 0), (columns, 0), (0, 0)), mode="edge")
    return compress_array(padded, tables, grey)[rows:, columns:]


def assert_equal_to_pillow(pictures: list[np.ndarray], tables: list[JpegTables], offsets: np.ndarray) -> None:
    decoded = by_tensors(pictures, tables, offsets)
    for number, (rgb, table, offset) in enumerate(zip(pictures, tables, offsets, strict=True)):
        np.testing.assert_array_equal(decoded[number], by_pillow(rgb, table, offset), str(table.subsampling))


@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
@pytest.mark.parametrize("shape", [(64, 48), (61, 47), (50, 50)])
def test_photos_are_equal_to_pillow_to_the_bit(subsampling: str, shape: tuple[int, int]):
    pictures = [PICTURE[: shape[0], : shape[1]]] * len(MANY_QUALITIES)
    tables = [JpegTables.of_quality(quality, subsampling) for quality in MANY_QUALITIES]
    assert_equal_to_pillow(pictures, tables, np.zeros((len(pictures), 2), int))


@pytest.mark.slow
@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
def test_all_qualities_are_equal_to_pillow_to_the_bit(subsampling: str):
    tables = [JpegTables.of_quality(quality, subsampling) for quality in range(1, 101)]
    assert_equal_to_pillow([PICTURE] * 100, tables, np.zeros((100, 2), int))


@pytest.mark.parametrize("shape", [(1, 1), (1, 17), (2, 3), (5, 4), (7, 5), (16, 2), (17, 33)])
def test_small_and_odd_pictures_are_equal_to_pillow_to_the_bit(shape: tuple[int, int]):
    rng = np.random.default_rng(0)
    tables = [JpegTables.of_quality(quality, each) for each in SUBSAMPLINGS for quality in (20, 90)]
    pictures = [rng.integers(0, 256, (*shape, 3), np.uint8) for _ in tables]
    assert_equal_to_pillow(pictures, tables, np.zeros((len(tables), 2), int))


def test_each_picture_has_its_tables_its_subsampling_and_its_grid():
    rng = np.random.default_rng(0)
    count = 24
    pictures = [
        rng.integers(0, 256, (21, 30, 3), np.uint8) if n % 2 else PICTURE[n:][:21, n:][:, :30] for n in range(count)
    ]
    luma, chroma = rng.integers(1, 256, (2, count, 64)).tolist()
    subsamplings = rng.choice([*SUBSAMPLINGS], count).tolist()
    tables = [JpegTables(tuple(a), tuple(b), c) for a, b, c in zip(luma, chroma, subsamplings, strict=True)]
    assert_equal_to_pillow(pictures, tables, rng.integers(16, size=(count, 2)))


def test_a_grey_picture_is_compressed_as_a_grey_jpeg():
    grey = np.repeat(PICTURE[:61, :47, 1:2], 3, axis=2)
    offset = np.array([3, 5])
    for quality in (1, 10, 50, 90, 100):
        tables = JpegTables.of_quality(quality, "4:4:4")
        decoded = by_tensors([grey], [tables], offset[None])[0]
        np.testing.assert_array_equal(decoded, by_pillow(grey, tables, offset, grey=True))


def test_other_pictures_of_the_batch_are_not_changed():
    pictures = torch.rand(3, 3, 20, 20, generator=torch.Generator().manual_seed(0)) * 2 - 0.5
    tables = np.array([JpegTables.of_quality(30, "4:2:0").luma] * 2)[None]
    compression = Compression.of_arrays(np.array([1]), tables, ["4:2:0"], np.zeros((1, 2), int))
    compressed = compress(pictures, compression)
    assert torch.equal(compressed[::2], pictures[::2])
    clipped = (pictures[1:2].clamp(0, 1) * 255).round() / 255
    assert torch.equal(compressed[1:2], compress(clipped, Compression(torch.tensor([0]), *compression[1:])))
    assert compressed.dtype == torch.float32


def test_no_value_is_copied_to_the_cpu():
    tables = np.ones((2, 2, 64), np.int64)
    compression = Compression.of_arrays(np.arange(2), tables, ["4:2:0", "4:4:4"], np.zeros((2, 2), int))
    pictures = torch.rand(3, 3, 21, 30).to("meta")  # tensors without values: reading one is an error
    assert compress(pictures, Compression(*(each.to("meta") for each in compression))).shape == pictures.shape


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_computes_what_the_cpu_computes():
    rng = np.random.default_rng(0)
    pictures = torch.from_numpy(rng.random((32, 3, 61, 60)))
    tables = rng.integers(1, 256, (32, 2, 64))
    subsamplings = rng.choice([*SUBSAMPLINGS], 32).tolist()
    compression = Compression.of_arrays(np.arange(32), tables, subsamplings, rng.integers(16, size=(32, 2)))
    on_gpu = compress(pictures.cuda(), Compression(*(each.cuda() for each in compression)))
    assert torch.equal(on_gpu.cpu(), compress(pictures, compression))
