"""The flags of devices, speed and logging."""

from srmd.cli.flag import ALL_MODES, ON, Flag
from srmd.cli.values import checked, dashboard_server, one_of, tile_side, whole, words

DEVICE_GROUPS: dict[str, tuple[Flag, ...]] = {
    "Device and speed": (
        Flag(
            "device",
            ("train", "test", "panel"),
            "device to compute on; auto: a CUDA GPU if there is one, else the CPU",
            {
                "type": one_of(r"auto|cpu|mps|cuda(:\d{1,2})?", "auto, cpu, cuda[:N] or mps"),
                "metavar": "auto|cpu|cuda[:N]|mps",
            },
        ),
        Flag(
            "engine",
            ("test", "panel"),
            "library that runs the network; auto: the fastest in a short benchmark, whose result is cached",
            words("auto", "torch", "ncnn", "openvino"),
        ),
        Flag(
            "precision",
            ("train", "test", "export", "panel"),
            "number format of the computation; auto: fp16 on a CUDA GPU, else fp32, and restoring on a CPU also tries "
            "bf16; with --mode=export, the numbers in the file, fp32 or fp16",
            words("auto", "fp32", "bf16", "fp16"),
        ),
        Flag("threads", ("train", "test", "panel"), "CPU threads", {"type": whole(1, 1024), "metavar": "N"}),
        Flag(
            "tile",
            ("test",),
            "largest side in LR pixels of the tiles that are computed one at a time, rounded down to a multiple of 6; "
            "auto: chosen for the engine",
            {"type": tile_side, "metavar": "auto|N"},
        ),
        Flag(
            "self_ensemble",
            ("test",),
            "average the results for the 8 flips and rotations of the picture, which takes 8 times as long",
            ON,
        ),
    ),
    "Logging and reproducibility": (
        Flag("seed", ("train", "test"), "seed of the random numbers", {"type": whole(0), "metavar": "N"}),
        Flag(
            "visdom",
            ("train", "test"),
            "address of the dashboard server; auto: localhost, port 8097, where training starts a server if there is "
            "none",
            {"type": checked(dashboard_server), "metavar": "auto|off|URL"},
        ),
        Flag("debug", ALL_MODES, "show the traceback of an error", ON),
    ),
}
