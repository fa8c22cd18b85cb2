"""The table of what training with motion kernels gains."""

import numpy as np

from benchmarks.motion import report


def test_the_table_has_means_and_the_gain_of_each_kernel_counts():
    motion = {"bicubic": [28, 28, 28], "Gaussians": [20, 21, 25], "motion too": [30, 31.5, 24.5]}
    no_blur = {"bicubic": [32.5], "Gaussians": [34.125], "motion too": [33.7]}
    arrays = [{name: np.array(psnr) for name, psnr in each.items()} for each in (motion, no_blur)]
    text = report(*arrays, {"Gaussians": "15 | 63 %", "motion too": "60 | 14 %"})
    assert text.splitlines()[2:5] == [
        "| bicubic | – | – | 28.00 | 32.50 |",
        "| Gaussians | 15 | 63 % | 22.00 | 34.12 |",
        "| motion too | 60 | 14 % | 28.67 | 33.70 |",
    ]
    gain = (
        '"motion too" is 6.67 dB better than "Gaussians" on average (-0.50 to 10.50 dB; better for 2 of the 3 kernels).'
    )
    assert " ".join(text.splitlines()[5:]) == f" On motion kernels, {gain}"
    assert all(len(line) <= 120 for line in text.splitlines())
