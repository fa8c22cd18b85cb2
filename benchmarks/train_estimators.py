"""Trains the estimators in weights/, which read blur and noise from LR pictures.

    make estimators                                # an hour
    make estimators BUDGET=20 DATA=pictures        # 20 minutes, with pictures of your own
    python -m benchmarks.train_estimators --minutes=20 --train_data=pictures

It goes on from the shipped estimators; without them, one network is trained for all scales first. Each estimator has a
second network for JPEGs, of whose training patches half are compressed; without one, it starts from the first network.
An estimator replaces the shipped one if it loses less on the pictures that were held out of the training. The learning
rate falls by a cosine over the time of each training.
"""

import copy
import logging
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.commands import add_train_data, command_parser, one_line_errors, positive
from benchmarks.estimator_scores import mean_loss, scores
from srmd.backends.device import choose_device
from srmd.base.paths import shipped_folder
from srmd.estimator import SCALES, Estimator, EstimatorConfig
from srmd.packs.reader import PackedPictures
from srmd.packs.training_data import open_training_data
from srmd.restore.estimate import BlindEstimator
from srmd.train.estimator_patches import PatchPool
from srmd.train.estimators import BATCH, EstimatorTraining
from srmd.weights.estimators import EstimatorWeights, read_estimator, write_estimator
from srmd.weights.shipped import ESTIMATOR_PREFIX

MINUTES = 60.0
JPEG_SHARE = 0.5  # of the time, and of the patches that a network for JPEGs is trained on
SHARE_FOR_ALL_SCALES = 0.6  # of the time, if there are no estimators to go on from
LOG_EVERY = 100  # steps

logger = logging.getLogger("srmd")


def train(
    network: Estimator,
    pictures: PackedPictures,
    scale: int | None,
    seconds: float,
    jpeg_share: float = 0,
    is_new: bool = False,
) -> dict:
    """Trains a network, for all scales if `scale` is None; returns how, for the metadata. It ends with its EMA."""
    start = time.monotonic()
    training = EstimatorTraining(network, PatchPool(pictures, scale, jpeg_share), choose_device("auto"))
    if is_new:
        training.standardise_features()
    while (elapsed := time.monotonic() - start) < seconds or not training.steps:
        loss = training.step(min(elapsed / seconds, 1))
        if training.steps % LOG_EVERY == 0:
            logger.info("%s: step %d, loss %.2f", f"x{scale}" if scale else "all", training.steps, loss.item())
    network.load_state_dict(training.ema.state_dict())
    network.cpu()
    scales = [scale] if scale else [*range(1, SCALES + 1)]
    return {"scales": scales, "steps": training.steps, "batch": BATCH, "minutes": round(seconds / 60, 1)}


def ship(weights: EstimatorWeights, held_out: PackedPictures, folder: Path) -> None:
    """Writes an estimator to `folder` if there is none for its scale, or one that loses more."""
    scale, pictures = weights.network.config.scale, [held_out.picture(index) for index in range(len(held_out))]
    output = folder / f"{ESTIMATOR_PREFIX}{scale}.safetensors"
    with tempfile.TemporaryDirectory() as temporary:
        candidate = Path(temporary, output.name)
        write_estimator(candidate, weights)
        table = scores(BlindEstimator(scale, candidate), pictures)
    logger.info("%s loses %.3f dB on the held-out pictures", output.name, mean_loss(table))
    if output.exists():
        shipped = mean_loss(scores(BlindEstimator(scale, output), pictures))
        if shipped <= mean_loss(table):
            logger.info("%s is not replaced: it loses %.3f dB", output.name, shipped)
            return
    write_estimator(output, replace(weights, metadata=weights.metadata | {"scores": table}))
    logger.info("%s is written", output)


def train_all(minutes: float, train_data: Path | None, folder: Path) -> None:
    """Trains the estimators of all scales within a time, and writes those that are better to `folder`."""
    pictures, held_out = open_training_data(train_data).split()
    files = {scale: folder / f"{ESTIMATOR_PREFIX}{scale}.safetensors" for scale in range(1, SCALES + 1)}
    seconds = 60 * minutes
    if all(path.exists() for path in files.values()):
        starts = {scale: read_estimator(path) for scale, path in files.items()}
    else:
        trunk = Estimator(EstimatorConfig())
        how = train(trunk, pictures, None, seconds * SHARE_FOR_ALL_SCALES, is_new=True)
        starts = {scale: _for_scale(trunk, scale, how) for scale in files}
        seconds *= 1 - SHARE_FOR_ALL_SCALES
    for scale, weights in starts.items():
        trainings = weights.metadata["trainings"]
        jpeg_trainings = weights.metadata.get("jpeg_trainings", trainings)
        jpeg_network = weights.jpeg_network or copy.deepcopy(weights.network)
        how = train(weights.network, pictures, scale, (1 - JPEG_SHARE) * seconds / SCALES)
        how_jpeg = train(jpeg_network, pictures, scale, JPEG_SHARE * seconds / SCALES, JPEG_SHARE)
        metadata = {"trainings": [*trainings, how], "jpeg_trainings": [*jpeg_trainings, how_jpeg]}
        ship(EstimatorWeights(weights.network, weights.metadata | metadata, jpeg_network), held_out, folder)


def _for_scale(trunk: Estimator, scale: int, how: dict) -> EstimatorWeights:
    network = Estimator(EstimatorConfig(scale, trunk.config.hidden))
    network.load_state_dict(copy.deepcopy(trunk.state_dict()))
    return EstimatorWeights(network, {"trainings": [how]})


if __name__ == "__main__":
    parser = command_parser(__doc__)
    parser.add_argument("--minutes", type=positive, default=MINUTES, help="time for all scales together (%(default)g)")
    add_train_data(parser)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.manual_seed(0)
    with one_line_errors():
        train_all(options.minutes, options.train_data, shipped_folder("weights"))
