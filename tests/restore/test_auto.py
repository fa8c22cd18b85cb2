"""Restoring with an estimated kernel or noise level, from Python."""

import logging
import pickle

import numpy as np
import pytest
import torch
from PIL import Image

import srmd
from default_pca import default_pca
from srmd.backends.backend import Backend
from srmd.kernel.families import gaussian
from srmd.model import SRMD, NetworkConfig
from srmd.pictures.photos import builtin_test_pictures
from srmd.restore.auto import describe_estimate
from srmd.restore.estimate import BlindEstimator, Estimate
from srmd.restore.restorer import Restorer
from srmd.weights.files import Weights

PHOTO = builtin_test_pictures()["chelsea"][100:124, 150:170]


def small(downsampler: str = "bicubic", **shape: object) -> Restorer:
    torch.manual_seed(0)
    network = SRMD(NetworkConfig(**{"features": 4, "layers": 3} | shape))
    weights = Weights(network, default_pca(), {"downsampler": downsampler})
    return Restorer(weights, Backend("torch", "fp32", torch.device("cpu")))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """The arguments of all estimates, which are `gaussian:1.4,1.1,30` with noise 6."""
    arguments: list[tuple] = []

    def estimate(_: BlindEstimator, *values: object) -> Estimate:
        arguments.append(values)
        return Estimate((1.4, 1.1), 30.0, 6.0, 0.9)

    monkeypatch.setattr(BlindEstimator, "estimate", estimate)
    return arguments


def test_what_is_not_given_is_estimated(calls: list[tuple], caplog: pytest.LogCaptureFixture):
    restorer = small()
    expected = restorer.restore(PHOTO, "gaussian:1.4,1.1,30", 6)
    assert not calls
    with caplog.at_level(logging.INFO, "srmd"):
        assert np.array_equal(restorer.restore(PHOTO), expected)
    assert caplog.messages == ["picture: kernel gaussian:1.4,1.1,30 (sure), noise 6"]
    assert np.array_equal(restorer.restore(PHOTO, kernel="auto", noise_level="auto"), expected)
    assert np.array_equal(calls[0][0], PHOTO)
    assert calls[0][1:] == (None, None, None)


def test_what_is_known_is_used(calls: list[tuple]):
    restorer = small()
    assert np.array_equal(restorer.restore(PHOTO, "gaussian:2"), restorer.restore(PHOTO, "gaussian:2", 6))
    assert np.array_equal(restorer.restore(PHOTO, noise_level=9), restorer.restore(PHOTO, "gaussian:1.4,1.1,30", 9))
    assert np.allclose(calls[0][1], gaussian(2))
    assert calls[0][2] is None
    assert calls[1][1:] == (None, 9, None)


def test_srmdnf_is_told_no_noise_level(calls: list[tuple]):
    restorer = small(conditions=("kernel",))
    assert np.array_equal(restorer.restore(PHOTO), restorer.restore(PHOTO, "gaussian:1.4,1.1,30", 0))
    assert calls[0][1:] == (None, None, None)
    restorer.restore(PHOTO, "delta")
    assert len(calls) == 1


@pytest.mark.parametrize("kind", ["PIL", "alpha", "tensor"])
def test_a_picture_of_any_kind_is_estimated_as_it_is_shown(kind: str, calls: list[tuple]):
    restorer = small()
    alpha = np.full(PHOTO.shape[:2], 255, np.uint8)
    alpha[:8] = 0
    hidden = PHOTO.copy()
    hidden[:8] = 0
    pictures = {
        "PIL": Image.fromarray(PHOTO),
        "alpha": np.dstack([hidden, alpha]),
        "tensor": torch.from_numpy(PHOTO / 255).permute(2, 0, 1),
    }
    restorer.restore(pictures[kind])
    pixels = calls[0][0]
    if kind == "alpha":
        assert (pixels[:8] == PHOTO[8]).all()
    assert pixels.shape == PHOTO.shape


def test_a_large_window_gets_a_large_kernel(calls: list[tuple]):
    torch.manual_seed(0)
    network = SRMD(NetworkConfig(2, features=4, layers=3, kernel_size=21))
    pca = torch.linalg.qr(torch.randn(441, 15)).Q.T
    restorer = Restorer(Weights(network, pca), Backend("torch", "fp32", torch.device("cpu")))
    expected = restorer.restore(PHOTO, "gaussian:1.4,1.1,30", 6)
    assert np.array_equal(restorer.restore(PHOTO), expected)


def test_a_restorer_that_has_estimated_can_be_pickled():
    restorer = small()
    sr = restorer.restore(PHOTO)
    assert np.array_equal(pickle.loads(pickle.dumps(restorer)).restore(PHOTO), sr)


@pytest.mark.parametrize(
    ("shape", "arguments", "message"),
    [
        ({"downsampler": "direct"}, {"noise_level": 0}, "^kernel: auto works for the bicubic downsampler only"),
        ({"scale": 5}, {"noise_level": 0}, "^kernel: expected a scale that has an estimator .*, found 5"),
        ({"scale": 5}, {"kernel": "delta"}, "^noise_level: expected a scale that has an estimator .*, found 5"),
        ({}, {"noise_level": "much"}, "^noise_level: expected a number from 0 to 255, found 'much'"),
        ({}, {"kernel": "automatic"}, "^kernel: expected delta, "),
    ],
)
def test_what_cannot_be_estimated_is_an_error_that_names_the_argument(shape: dict, arguments: dict, message: str):
    with pytest.raises(srmd.InputError, match=message):
        small(**shape).restore(PHOTO, **arguments)


@pytest.mark.parametrize(
    ("estimate", "parts", "text"),
    [
        (Estimate((1.4, 1.1), 30, 6.0, 0.9), {}, "kernel gaussian:1.4,1.1,30 (sure), noise 6"),
        (Estimate((0, 0), 0, 6.5, 0.9), {}, "kernel delta (sure), noise 6.5"),
        (Estimate((0, 0), 0, 0.0, 0.1), {}, "blur can't be estimated, no blur is assumed, noise 0"),
        (Estimate((1.4, 1.4), 0, 6.0, 0.9), {"noise_level": False}, "kernel gaussian:1.4 (sure)"),
        (Estimate((1.4, 1.4), 0, 6.0, 0.9), {"kernel": False}, "noise 6"),
    ],
)
def test_an_estimate_in_words(estimate: Estimate, parts: dict, text: str):
    assert describe_estimate(estimate, **parts) == text


def test_a_blurred_photo_is_restored_better_than_without_an_estimate():
    hr = builtin_test_pictures()["chelsea"][40:232, 60:252]
    lr = srmd.degrade(hr, "gaussian:2", noise_level=0, scale=2)
    restorer = srmd.load("srmd_x2", device="cpu", engine="torch", precision="fp32")
    errors = [((sr - hr.astype(float)) ** 2).mean() for sr in (restorer.restore(lr), restorer.restore(lr, "delta", 0))]
    assert errors[0] < 0.8 * errors[1]
