"""The flags of pictures and their degradation."""

from srmd.cli.flag import ON, Flag
from srmd.cli.values import (
    auto_or,
    checked,
    existing,
    existing_file,
    jpeg_quality,
    kernel_choice,
    kernel_output,
    number,
    output_place,
    picture_source,
    whole,
    words,
)

PICTURE_GROUPS: dict[str, tuple[Flag, ...]] = {
    "Pictures and output": (
        Flag(
            "input",
            ("test", "panel"),
            "LR pictures, or folders of them, to restore; - is standard input; with --mode=panel one picture",
            {"type": picture_source, "nargs": "+", "action": "extend", "metavar": "PATH"},
        ),
        Flag(
            "test_data",
            ("test",),
            "HR picture, or folder of them, to degrade, restore and score",
            {"type": existing, "metavar": "PATH"},
        ),
        Flag(
            "recursive",
            ("train", "test", "prepare"),
            "also use the pictures in subfolders; results keep the tree of folders",
            ON,
        ),
        Flag(
            "output",
            ("train", "test", "prepare", "export"),
            "folder for the results; with --mode=prepare, the HDF5 file; with --mode=export, also the file to write; "
            "for the result of one LR picture, also the file to write, or - for standard output; messages then go to "
            "standard error",
            {"type": output_place, "metavar": "PATH"},
        ),
        Flag(
            "max_pixels",
            ("test", "prepare", "panel"),
            "largest number of pixels of a picture; larger pictures are not read",
            {"type": whole(1), "metavar": "N"},
        ),
        Flag("save_lr", ("test",), "also save the LR pictures, clipped and rounded to 8 bits", ON),
    ),
    "Degradation": (
        Flag(
            "kernel",
            ("test", "export"),
            "blur kernel: delta (no blur), gaussian:W, gaussian:W1,W2,ANGLE, or a .mat, .npy, .png, .txt or .csv file; "
            "W: widths, that is standard deviations (not variances) in HR pixels; ANGLE: of the long axis, in degrees; "
            "with --mode=test and LR pictures also auto, estimated from each one; with --regions, once for each region",
            {"type": auto_or(checked(kernel_choice)), "action": "append", "metavar": "auto|SPEC"},
        ),
        Flag(
            "kernel_index",
            ("test", "export"),
            "which kernel to take from a file of several kernels, counted from 0; give the flag once for all such "
            "files, or once for each",
            {"type": whole(0), "action": "append", "metavar": "N"},
        ),
        Flag(
            "recentre_kernel", ("test", "export"), "shift each kernel so that its centre of mass is in the middle", ON
        ),
        Flag(
            "save_kernel",
            ("test",),
            "save the kernel: as an enlarged picture (.png), or as numbers (.mat); if kernels of several pictures are "
            "estimated, the folder for a .mat of each",
            {"type": kernel_output, "metavar": "PATH"},
        ),
        Flag(
            "noise_level",
            ("test", "export"),
            "standard deviation of the Gaussian noise, 0 to 255; with --mode=test and LR pictures also auto, "
            "estimated from each one",
            {"type": auto_or(number(0, 255)), "metavar": "auto|X"},
        ),
        Flag(
            "noise_map",
            ("test",),
            "a noise level for each pixel, in place of --noise_level: a grey picture or .npy file of LR's or HR's "
            "size, values 0 to 255",
            {"type": existing_file, "metavar": "FILE"},
        ),
        Flag(
            "jpeg",
            ("test", "export"),
            "JPEG compression; with HR pictures: off, or a quality from 1 to 100, applied after the noise and told to "
            "the network; with LR pictures, what the network is told: auto (the quantisation tables of each file, or "
            "estimated ones of a picture that once was a JPEG), off, or a quality; with --mode=export, what is built "
            "in: off or a quality",
            {"type": jpeg_quality, "metavar": "auto|off|N"},
        ),
        Flag(
            "regions",
            ("test",),
            "label picture of LR's or HR's size: where a pixel has the value i, the i-th --kernel applies, counted "
            "from 0",
            {"type": existing_file, "metavar": "FILE"},
        ),
        Flag(
            "region_blend",
            ("test",),
            "standard deviation of the Gaussian that blends the --regions at their borders, in LR pixels, 0 to 100",
            {"type": number(0, 100), "metavar": "X"},
        ),
        Flag(
            "downsampler",
            ("train", "test", "export"),
            "how HR becomes LR after the blur: MATLAB's bicubic imresize, or direct (every s-th pixel, s being the "
            "scale)",
            words("bicubic", "direct"),
        ),
    ),
    "What the network is told": (
        Flag(
            "assumed_kernel",
            ("test",),
            "kernel that the network is told, where it differs from the one applied to HR pictures; auto: estimated "
            "from each LR picture, and the scores are shown beside those with what was applied",
            {"type": auto_or(checked(kernel_choice)), "metavar": "auto|SPEC"},
        ),
        Flag(
            "assumed_noise_level",
            ("test",),
            "noise level that the network is told, where it differs from the one applied, 0 to 255; auto as with "
            "--assumed_kernel",
            {"type": auto_or(number(0, 255)), "metavar": "auto|X"},
        ),
        Flag(
            "assumed_jpeg",
            ("test",),
            "JPEG quality that the network is told, where it differs from the one applied: 1 to 100, off, or auto, "
            "estimated from each LR picture",
            {"type": jpeg_quality, "metavar": "auto|off|N"},
        ),
    ),
}
