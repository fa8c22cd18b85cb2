"""The flags of networks and their training."""

from srmd.cli.flag import ON, Flag
from srmd.cli.values import conditions, existing, existing_file, number, odd, output_path, relative_sizes, whole, words
from srmd.train.kernels import MAX_WINDOW

MAX_SCALE = 8  # a larger scale makes the last layer and the crops of a batch too large for memory

TRAINING_GROUPS: dict[str, tuple[Flag, ...]] = {
    "Network and weights": (
        Flag(
            "scale_factor",
            ("train", "test", "export"),
            f"HR pixels per LR pixel along each axis, 1 to {MAX_SCALE}",
            {"type": whole(1, MAX_SCALE), "metavar": "N"},
        ),
        Flag(
            "weights",
            ("train", "test", "export", "panel"),
            "weights file of the network to test, to export or to restore with, or to start training from",
            {"type": existing_file, "metavar": "FILE"},
        ),
        Flag(
            "pca",
            ("train", "test", "export", "panel"),
            "file (.mat) of the PCA matrix P, for weights files that do not contain it",
            {"type": existing_file, "metavar": "FILE"},
        ),
        Flag(
            "conditions",
            ("train",),
            "what the network is told of the degradation: kernel, noise, jpeg; noise and JPEG are applied in training "
            "if it is told of them",
            {"type": conditions, "metavar": "NAME,NAME,…"},
        ),
        Flag("noise_free", ("train",), "train SRMDNF: short for --conditions=kernel", ON),
        Flag(
            "kernel_size",
            ("train",),
            f"side of the kernel window in HR pixels, odd, 3 to {MAX_WINDOW}",
            {"type": odd(3, MAX_WINDOW), "metavar": "N"},
        ),
        Flag("pca_dim", ("train",), "numbers in a kernel code, that is rows of P", {"type": whole(1), "metavar": "N"}),
        Flag(
            "head",
            ("train",),
            "last layers: the paper's sub-pixel convolution, or upsampling of the features before the last convolution",
            words("subpixel", "upsample"),
        ),
        Flag("batch_norm", ("train",), "add batch norm to the inner layers; needs large batches", ON),
    ),
    "Training": (
        Flag("steps", ("train",), "optimizer steps", {"type": whole(1), "metavar": "N"}),
        Flag(
            "batch_size", ("train",), "patches per step, of all processes together", {"type": whole(1), "metavar": "N"}
        ),
        Flag("patch_size", ("train",), "side of a patch in LR pixels", {"type": whole(4), "metavar": "N"}),
        Flag(
            "lr",
            ("train",),
            "highest learning rate, reached after the warm-up",
            {"type": number(0, 1, above=True), "metavar": "X"},
        ),
        Flag("loss", ("train",), "mean absolute error (l1) or mean squared error (l2)", words("l1", "l2")),
        Flag("save_every", ("train",), "steps between checkpoints", {"type": whole(1), "metavar": "N"}),
        Flag(
            "resume",
            ("train",),
            "continue from the newest checkpoint of the run in PATH; without PATH, of the run in --output or else of "
            "the newest run, or start a new run if there is none",
            {"type": lambda text: text and str(output_path(text)), "nargs": "?", "const": "", "metavar": "PATH"},
        ),
    ),
    "Training data": (
        Flag(
            "train_data",
            ("train", "prepare"),
            "folder of HR pictures; for training also a packed .h5 file",
            {"type": existing, "metavar": "PATH"},
        ),
        Flag(
            "pack_sizes",
            ("train", "prepare"),
            "sizes at which each picture of the folder in --train_data is packed, relative to its file, above 0 and up "
            "to 1; a smaller version whose shorter side would be below 128 pixels is left out",
            {"type": relative_sizes, "metavar": "X,X,…"},
        ),
        Flag(
            "pack_sizes_lossy",
            ("train", "prepare"),
            "the same for pictures in lossy files, such as JPEG",
            {"type": relative_sizes, "metavar": "X,X,…"},
        ),
        Flag(
            "train_kernels",
            ("train",),
            "kernels of your own to train on: a folder of kernel files, or one file of several kernels; P is computed "
            "from them and the Gaussians",
            {"type": existing, "metavar": "PATH"},
        ),
        Flag(
            "gaussian_share",
            ("train",),
            "share of Gaussians among the kernels drawn with --train_kernels, 0 to 1",
            {"type": number(0, 1), "metavar": "X"},
        ),
        Flag(
            "cache",
            ("train",),
            "where the packed pictures are kept: on disk (off), in main memory, or in device memory; auto: on a GPU "
            "the fastest with enough room, else on disk",
            words("auto", "off", "memory", "device"),
        ),
    ),
}
