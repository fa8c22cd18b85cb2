"""The Python interface: srmd.load, restore, degrade, gaussian, read_kernel."""

import pickle
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import srmd
from small_restorers import RGB, load_small
from srmd.kernel.families import asymmetric
from srmd.pictures.photos import builtin_test_pictures


@pytest.fixture(scope="module")
def restorer(tmp_path_factory: pytest.TempPathFactory) -> srmd.Restorer:
    return load_small(tmp_path_factory.mktemp("weights"))


def test_a_kernel_is_a_text_a_file_or_an_array(restorer: srmd.Restorer, tmp_path: Path):
    np.save(tmp_path / "k.npy", 3 * asymmetric())  # normalised when it is read
    by_file = restorer.restore(RGB, tmp_path / "k.npy")
    for kernel in (
        str(tmp_path / "k.npy"),
        asymmetric(),
        torch.from_numpy(asymmetric()),
        srmd.read_kernel(tmp_path / "k.npy"),
    ):
        assert np.array_equal(restorer.restore(RGB, kernel), by_file)
    assert not np.array_equal(restorer.restore(RGB, "delta"), by_file)
    assert np.array_equal(restorer.restore(RGB, "gaussian:2.6,1,30"), restorer.restore(RGB, srmd.gaussian(2.6, 1, 30)))


def test_tile_and_self_ensemble_have_an_effect(restorer: srmd.Restorer):
    whole = restorer.restore(RGB / 255, "gaussian:2.2,1,30")
    assert np.abs(restorer.restore(RGB / 255, "gaussian:2.2,1,30", tile=16) - whole).max() < 1e-5
    assert np.abs(restorer.restore(RGB / 255, "gaussian:2.2,1,30", self_ensemble=True) - whole).max() > 1e-4


def test_a_shipped_network_restores_a_degraded_photo():
    photo = builtin_test_pictures()["astronaut"][:128, 150:278]
    lr = srmd.degrade(photo, kernel="gaussian:1.3", noise_level=5, scale=2)
    restorer = srmd.load("srmd_x2", device="cpu")
    sr, wrong_kernel_sr = (restorer.restore(lr, kernel=kernel, noise_level=5) for kernel in ("gaussian:1.3", "delta"))
    bicubic = np.asarray(Image.fromarray(lr).resize((128, 128), Image.Resampling.BICUBIC))
    errors = [np.square(each.astype(float) - photo).mean() for each in (sr, wrong_kernel_sr, bicubic)]
    assert errors[0] < 0.7 * min(errors[1:])


def test_loading_and_restoring_leave_the_random_numbers_of_the_program_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # the engines are compared once more
    state = torch.get_rng_state()
    srmd.load("srmd_x2", device="cpu").restore(RGB)
    assert torch.equal(torch.get_rng_state(), state)


def test_floats_are_not_rounded_and_the_seed_determines_the_noise():
    hr = RGB / 255
    clean, noisy = (srmd.degrade(hr, "gaussian:1.0", level) for level in (0, 50))
    assert np.abs(clean * 255 - np.rint(clean * 255)).max() > 0.1
    assert (noisy - clean).std() == pytest.approx(50 / 255, rel=0.1)
    assert np.array_equal(noisy, srmd.degrade(hr, "gaussian:1.0", 50))
    assert not np.array_equal(noisy, srmd.degrade(hr, "gaussian:1.0", 50, seed=1))
    grey = srmd.degrade(np.full((40, 40), 0.5), noise_level=50)
    assert grey.std() == pytest.approx(50 / 255, rel=0.2)


@pytest.mark.parametrize(
    ("picture", "arguments", "message"),
    [
        (RGB, {"kernel": "gauss:1"}, "^kernel: expected delta, gaussian:W, .* found 'gauss:1'"),
        (RGB, {"kernel": np.zeros((3, 3))}, "^kernel: the array: expected numbers with a finite, positive sum"),
        (RGB, {"kernel": np.ones((2, 15, 15))}, "^kernel: the array: expected a kernel .* 2×15×15"),
        (RGB, {"kernel": "delta", "noise_level": -1}, "noise_level: expected a number from 0 to 255, found -1"),
        (RGB[..., :2], {"kernel": "delta"}, "picture: expected an array .* found 24×20×2"),
        (RGB.astype(int), {"kernel": "delta"}, "picture: expected uint8, uint16 or floats in 0 to 1, found int64"),
        (RGB.astype(float), {"kernel": "delta"}, "picture: expected floats in 0 to 1, found .* to "),
        (RGB / np.nan, {"kernel": "delta"}, "picture: expected floats in 0 to 1, found nan"),
        (torch.zeros(2, 3, 8, 8), {"kernel": "delta"}, "picture: expected a tensor .* found 2×3×8×8"),
        (RGB, {"kernel": 1.3}, r"^kernel: expected an array k×k, delta, gaussian:W, .* found 1\.3"),
        (RGB, {"kernel": None}, "^kernel: expected an array k×k, delta, .* found None"),
        (RGB, {"kernel": "missing.npy"}, "^kernel: missing.npy: expected a file"),
        (RGB, {"kernel": "delta", "noise_level": "much"}, "noise_level: expected a number from 0 to 255, found 'much'"),
        (RGB, {"kernel": "delta", "tile": -5}, "tile: expected auto or a whole number of LR pixels, found -5"),
        (RGB, {"kernel": [[1, 2], [3]]}, "^kernel: expected rows of one length"),
        (torch.zeros(3, 0, 8), {"kernel": "delta"}, "picture: expected a tensor .* found 3×0×8"),
        (Image.new("RGB", (0, 5)), {"kernel": "delta"}, "picture: expected pixels, found 0×5"),
        (np.ma.masked_array(RGB), {"kernel": "delta"}, "picture: expected a NumPy array, .* found MaskedArray"),
        (torch.zeros(3, 8, 8).to_sparse(), {"kernel": "delta"}, "picture: expected a dense tensor .* torch.sparse_coo"),
        (
            torch.zeros(3, 8, 8, device="meta"),
            {"kernel": "delta"},
            "picture: expected a dense tensor .* without values",
        ),
        (RGB, {"kernel": "delta", "self_ensemble": "no"}, "self_ensemble: expected True or False, found 'no'"),
        ("photo.png", {"kernel": "delta"}, "picture: expected a NumPy array, a tensor or a PIL picture, found str"),
    ],
)
def test_an_invalid_argument_of_restore_is_an_error_that_names_it(
    restorer: srmd.Restorer, picture: Any, arguments: dict, message: str
):
    with pytest.raises(srmd.InputError, match=message):
        restorer.restore(picture, **arguments)


def test_whole_numbers_of_numpy_are_whole_numbers(restorer: srmd.Restorer):
    expected = restorer.restore(RGB, "delta", 5)
    assert np.array_equal(restorer.restore(RGB, "delta", np.int64(5), tile=np.int64(16)), expected)
    expected = srmd.degrade(RGB, noise_level=5, scale=2, seed=3)
    assert np.array_equal(srmd.degrade(RGB, noise_level=5, scale=np.int64(2), seed=np.int64(3)), expected)


def test_the_order_of_bytes_of_an_array_does_not_matter(restorer: srmd.Restorer):
    deep = RGB.astype(np.uint16) * 257
    sr = restorer.restore(deep.astype(">u2"), "delta", 0)  # as other libraries read 16-bit PNG and TIFF files
    assert sr.dtype == np.uint16
    np.testing.assert_array_equal(sr, restorer.restore(deep, "delta", 0))
    lr = (RGB / 255).astype(">f4")
    np.testing.assert_array_equal(restorer.restore(lr, "delta", 0), restorer.restore(lr.astype("<f4"), "delta", 0))
    np.testing.assert_array_equal(srmd.degrade(deep.astype(">u2")), srmd.degrade(deep))


def test_srmdnf_accepts_no_noise_level(tmp_path: Path):
    restorer = load_small(tmp_path, conditions=("kernel",))
    with pytest.raises(srmd.InputError, match=r"noise_level: expected 0 for a network that takes no .*, found 5"):
        restorer.restore(RGB, "delta", noise_level=5)


def test_an_unknown_network_is_an_error_that_lists_the_shipped_ones():
    with pytest.raises(srmd.InputError, match=r"weights: expected a file, or one of srmd_x1, .*, found 'srmd_x9'"):
        srmd.load("srmd_x9")


@pytest.mark.parametrize(
    ("argument", "value"),
    [("device", "tpu"), ("device", None), ("device", "meta"), ("precision", "int8"), ("engine", "tensorrt")],
)
def test_an_invalid_argument_of_load_is_an_error_that_names_it(argument: str, value: str | None):
    with pytest.raises(srmd.InputError, match=f"^{argument}: expected .*, found {value!r}"):
        srmd.load("srmd_x2", **{"device": "cpu"} | {argument: value})


def test_an_invalid_argument_of_degrade_is_an_error_that_names_it():
    for arguments, message in (
        ({"scale": 0}, "scale: expected a whole number of at least 1, found 0"),
        ({"scale": 2.5}, "scale: expected a whole number of at least 1, found 2.5"),
        ({"seed": -1}, "seed: expected a whole number of at least 0, found -1"),
        ({"scale": 99}, "picture: expected sides of at least 99 pixels, found 20×24"),
        ({"downsampler": "nearest"}, "downsampler: expected bicubic or direct, found 'nearest'"),
        ({"noise_level": 300}, "noise_level: expected a number from 0 to 255, found 300"),
    ):
        with pytest.raises(srmd.InputError, match=message):
            srmd.degrade(RGB, **arguments)


def test_an_array_or_tensor_of_one_number_without_axes_is_a_number(restorer: srmd.Restorer):
    expected = restorer.restore(RGB, "delta", 5)
    assert np.array_equal(restorer.restore(RGB, "delta", torch.tensor(5), tile=np.array(16)), expected)
    expected = srmd.degrade(RGB, noise_level=5, scale=2, seed=3, jpeg=40)
    arrays = {"noise_level": np.array(5.0), "scale": torch.tensor(2), "seed": np.array(3), "jpeg": np.array(40)}
    assert np.array_equal(srmd.degrade(RGB, **arrays), expected)
    assert np.array_equal(srmd.gaussian(np.array(2.0), torch.tensor(1.0), Fraction(30)), srmd.gaussian(2, 1, 30))
    assert srmd.estimate(RGB, np.array(2), noise_level=Fraction(5)) == srmd.estimate(RGB, 2, noise_level=5)


def test_true_is_no_number(restorer: srmd.Restorer, tmp_path: Path):
    np.save(tmp_path / "kernels.npy", np.ones((2, 3, 3)))
    calls: list[tuple[str, Callable[[], object]]] = [
        ("noise_level", lambda: restorer.restore(RGB, "delta", True)),
        ("noise_level", lambda: restorer.restore(RGB, "delta", np.True_)),
        ("tile", lambda: restorer.restore(RGB, "delta", 0, tile=True)),
        ("noise_level", lambda: srmd.degrade(RGB, noise_level=True)),
        ("scale", lambda: srmd.degrade(RGB, scale=True)),
        ("seed", lambda: srmd.degrade(RGB, seed=False)),
        ("jpeg", lambda: srmd.degrade(RGB, jpeg=True)),
        ("noise_level", lambda: srmd.estimate(RGB, 2, noise_level=False)),
        ("width1", lambda: srmd.gaussian(True)),
        ("width1", lambda: srmd.gaussian(2, True)),
        ("width1", lambda: srmd.gaussian(2, 1, True)),
        ("size", lambda: srmd.gaussian(2, size=True)),
        ("quality", lambda: srmd.JpegTables.of_quality(True)),
        ("index", lambda: srmd.read_kernel(tmp_path / "kernels.npy", True)),
    ]
    for argument, call in calls:
        with pytest.raises(srmd.InputError, match=f"^{argument}: .* found .*(True|False)"):
            call()


@pytest.mark.parametrize(
    "arguments",
    [(0,), (-1,), (float("nan"),), (1, 2), (2, 1, float("inf")), (1, 1, 0, 14), ("1",), (1, 1, 0, 1.5), (1, 1, 0, 257)],
)
def test_an_invalid_argument_of_gaussian_is_an_error_that_names_it(arguments: tuple):
    with pytest.raises(
        srmd.InputError, match=r"width1: expected finite widths|size: expected an odd whole number from 1 to 255"
    ):
        srmd.gaussian(*arguments)


def test_a_restorer_can_be_pickled(restorer: srmd.Restorer):
    unpickled = pickle.loads(pickle.dumps(restorer))
    assert unpickled.backend == restorer.backend
    assert np.array_equal(unpickled.restore(RGB, "gaussian:1", 3), restorer.restore(RGB, "gaussian:1", 3))


@pytest.mark.parametrize("engine", ["torch", "ncnn", "openvino"])
def test_threads_may_share_a_restorer(tmp_path: Path, engine: str):
    if engine != "torch":
        pytest.importorskip(engine, reason=f"{engine} is not installed (requirements-engines.txt)")
    load_small(tmp_path)
    restorer = srmd.load(tmp_path / "small.safetensors", device="cpu", precision="fp32", engine=engine)
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (16 + 4 * (i % 3), 20, 3), np.uint8) for i in range(9)]
    alone = [restorer.restore(picture, "delta") for picture in pictures]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda picture: restorer.restore(picture, "delta"), pictures))
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


def test_a_large_picture_is_never_in_memory_as_floats(restorer: srmd.Restorer):
    lr = np.zeros((400, 400, 3), np.uint8)
    restorer.restore(lr[:8, :8], "delta", noise_level=0)  # imports what takes memory too
    tracemalloc.start()
    sr = restorer.restore(lr, "delta", noise_level=0, tile=64)  # an estimate takes memory for 16 places of 128×128
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * sr.nbytes


def test_read_kernel_reads_a_kernel_of_a_file_by_its_index(tmp_path: Path):
    kernels = np.stack([srmd.gaussian(1.0), srmd.gaussian(2.0)])
    np.save(tmp_path / "k.npy", kernels)
    np.testing.assert_allclose(srmd.read_kernel(tmp_path / "k.npy", 1), kernels[1])
    with pytest.raises(srmd.InputError, match=r"index: expected 0 to 1, because .*k\.npy holds several"):
        srmd.read_kernel(tmp_path / "k.npy")
    with pytest.raises(srmd.InputError, match=r"index: .* holds 2 kernels, 0 to 1; found 2"):
        srmd.read_kernel(tmp_path / "k.npy", 2)
    with pytest.raises(srmd.InputError, match=r"^path: expected the path of a kernel file, found NoneType"):
        srmd.read_kernel(None)


def test_a_message_on_a_wrong_array_has_one_line():
    with pytest.raises(srmd.InputError, match=r"^noise_level: expected .*, found array") as noise:
        srmd.degrade(RGB, noise_level=np.zeros((30, 30)))
    with pytest.raises(srmd.InputError, match=r"^downsampler: expected .*, found array") as downsampler:
        srmd.degrade(RGB, downsampler=np.array(["direct", "bicubic"]))
    assert "\n" not in f"{noise.value}{downsampler.value}"
