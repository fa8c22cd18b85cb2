"""Tables of scores."""

import math

from srmd.show.tables import mean_row, table


def row(name: str, **values: float) -> dict:
    scores = {"psnr_y": 30.0, "ssim_y": 0.9, "psnr_rgb": 28.0, "bicubic_psnr_y": 28.5, "bicubic_ssim_y": 0.8}
    return {"name": name} | scores | {"seconds": 0.5} | values


def test_the_table_has_a_line_for_each_picture_and_the_mean():
    lines = table([row("bird"), row("butterfly", psnr_y=32.0)]).splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["bird", "butterfly", "mean"]
    assert "28.50 / 0.8000" in lines[1]
    assert "30.00 / 0.9000" in lines[1]
    assert lines[1].endswith("1.50")
    assert lines[3].endswith("2.50")
    assert len({len(line) for line in lines[1:]}) == 1


def test_the_scores_of_the_network_told_the_truth_follow():
    auto = row("bird", truth_psnr_y=31.25, truth_ssim_y=0.95) | {"estimated": {"noise_level": 3.0}}
    lines = table([auto, auto]).splitlines()
    assert lines[0].endswith("   told the truth PSNR / SSIM   loss [dB]")
    assert lines[1].endswith("31.25 / 0.9500        1.25")
    assert len({len(line) for line in lines[1:]}) == 1
    assert mean_row([auto]).keys() == auto.keys() - {"estimated"}


def test_the_gain_is_a_dash_if_both_psnrs_are_infinite():
    assert table([row("a", psnr_y=math.inf, bicubic_psnr_y=math.inf)]).splitlines()[1].endswith(" –")


def test_no_gain_has_no_sign():
    assert table([row("a", psnr_y=30.0, bicubic_psnr_y=30.001)]).splitlines()[1].endswith(" 0.00")


def test_the_mean_with_an_infinite_psnr_is_infinite():
    assert math.isinf(mean_row([row("a", psnr_y=math.inf), row("b")])["psnr_y"])
