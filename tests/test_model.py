"""The network: its shape, initialisation, conditions and receptive field, and changes to trained weights."""

import dataclasses
import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from default_pca import default_pca
from srmd.base.paths import shipped_folder
from srmd.degradation import Degradation, degrade
from srmd.kernel.families import gaussian
from srmd.kernel.pca import kernel_codes
from srmd.model import SRMD, NetworkConfig
from srmd.pictures.photos import builtin_test_pictures
from srmd.train.kernels import GAUSSIANS, TrainingKernels
from srmd.weights.files import read_weights
from srmd.weights.surgery import merge_batch_norm, reproject_first_layer

CONDITIONS = [("kernel", "noise"), ("kernel",)]  # SRMD, SRMDNF
HEADS = ["subpixel", "upsample"]
PAPERS_PARAMETERS = {2: (1511692, 1510540), 3: (1528987, 1527835), 4: (1553200, 1552048)}  # SRMD and SRMDNF
VARIANTS = [
    NetworkConfig(scale, head, conditions, batch_norm)
    for scale, head, conditions, batch_norm in itertools.product([1, 2, 3, 4, 8], HEADS, CONDITIONS, [False, True])
]


def label(config):
    batch_norm = "-bn" if config.batch_norm else ""
    return f"x{config.scale}-{config.head}-{config.kind}{batch_norm}"


def make(config=None, seed=0, **changes):
    torch.manual_seed(seed)
    return SRMD(dataclasses.replace(config or NetworkConfig(), **changes)).eval()


def pictures(height=12, width=14):
    """Two smooth pictures that use most of 0 to 1, (2, 3, height, width)."""
    row, column = torch.meshgrid(torch.arange(height) / 5, torch.arange(width) / 6, indexing="ij")
    waves = torch.stack([0.5 + 0.4 * torch.sin(row + c) * torch.cos(column - c) for c in range(3)])
    return torch.stack([waves, 1 - waves.flip(-1)])


def maps(network, n=2, height=1, width=1, seed=1):
    """Random degradation maps with values of the usual size, (n, C, height, width)."""
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(n, network.config.map_channels, height, width, generator=generator)


@torch.no_grad()
def run(network, lr, degradation_map):
    return network(lr, degradation_map)


def psnr(a, b):
    return -10 * float((a - b).square().mean().log10())


def randomise_batch_norm(network, seed=2):
    """Give batch norm random weights and statistics, as if the network had been trained."""
    generator = torch.Generator().manual_seed(seed)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms
    for norm in norms:
        for tensor, low, high in [(norm.weight, 0.3, 2), (norm.bias, -0.5, 0.5), (norm.running_mean, -0.4, 0.4)]:
            tensor.data.uniform_(low, high, generator=generator)
        norm.running_var.uniform_(0.2, 3, generator=generator)
    return network


# --- shape


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_networks_have_as_many_parameters_as_the_papers(scale):
    counts = [sum(p.numel() for p in make(scale=scale, conditions=c).parameters()) for c in CONDITIONS]
    assert tuple(counts) == PAPERS_PARAMETERS[scale]


@pytest.mark.parametrize("config", VARIANTS, ids=label)
def test_sr_is_scale_times_as_large_as_lr(config):
    network = make(config, features=8)
    assert run(network, torch.rand(2, 3, 5, 7), maps(network)).shape == (2, 3, 5 * config.scale, 7 * config.scale)


def test_the_convolutions_have_the_papers_channels():
    convs = [m for m in make(scale=3).modules() if isinstance(m, nn.Conv2d)]
    assert [(c.in_channels, c.out_channels) for c in convs] == [(19, 128)] + [(128, 128)] * 10 + [(128, 27)]
    assert {(c.kernel_size, c.padding, c.bias is not None) for c in convs} == {((3, 3), (1, 1), True)}


def test_batch_norm_follows_every_layer_but_the_first_and_the_last():
    norms = [m.num_features for m in make(batch_norm=True).modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms == [128] * 10
    assert not any(isinstance(m, nn.BatchNorm2d) for m in make(features=8).modules())


# --- initialisation


@pytest.mark.parametrize("config", VARIANTS, ids=label)
def test_an_untrained_network_returns_the_enlarged_picture(config):
    network, lr = make(config, features=64), pictures()
    mode = "nearest" if config.head == "subpixel" else "bilinear"
    sr = run(network, lr, maps(network))
    assert psnr(sr, F.interpolate(lr, scale_factor=config.scale, mode=mode)) > (22 if mode == "nearest" else 28)


@pytest.mark.parametrize("config", [c for c in VARIANTS if c.batch_norm], ids=label)
def test_an_untrained_network_with_batch_norm_in_training_mode_returns_roughly_the_enlarged_picture(config):
    network, lr = make(config, features=64).train(), pictures()
    sr, hr = run(network, lr, maps(network)), F.interpolate(lr, scale_factor=config.scale)
    assert psnr(sr, hr) > 13
    assert torch.corrcoef(torch.stack([sr.flatten(), hr.flatten()]))[0, 1] > 0.8


def test_untrained_networks_depend_on_the_seed_alone():
    first, again, other = (run(n, pictures(), maps(n)) for n in (make(seed=s, features=32) for s in (0, 0, 1)))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


@pytest.mark.parametrize("head", HEADS)
def test_every_layer_of_an_untrained_network_gets_gradients(head):
    network = make(head=head, features=16, batch_norm=True).train()
    target = F.interpolate(pictures(), scale_factor=2, mode="bicubic").clamp(0, 1)
    F.l1_loss(network(pictures(), maps(network)), target).backward()
    for name, parameter in network.named_parameters():
        assert torch.isfinite(parameter.grad).all(), name
    assert all(m.weight.grad.abs().sum() > 0 for m in network.modules() if isinstance(m, nn.Conv2d))


def test_the_subpixel_head_does_not_clip_and_the_upsample_head_ends_in_a_sigmoid():
    bright = 3 * pictures()
    sr = {head: run(make(head=head, features=32), bright, torch.zeros(2, 16, 1, 1)) for head in HEADS}
    assert sr["subpixel"].max() > 2
    assert sr["upsample"].min() > 0
    assert sr["upsample"].max() <= 1


# --- degradation map


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("conditions", CONDITIONS)
def test_a_uniform_map_gives_the_same_sr_as_an_expanded_one(head, conditions):
    network, lr = make(head=head, conditions=conditions, features=32), pictures()
    uniform = maps(network)
    expanded = uniform.expand(-1, -1, *lr.shape[-2:]).contiguous()
    assert torch.equal(run(network, lr, uniform), run(network, lr, expanded))


@pytest.mark.parametrize("channel", [0, 14, 15])
def test_every_channel_of_the_map_changes_sr(channel):
    network, lr = make(features=32), pictures()
    original = maps(network)
    changed = original.clone()
    changed[:, channel] += 0.3
    assert (run(network, lr, original) - run(network, lr, changed)).abs().max() > 1e-3


def test_the_samples_of_a_batch_are_independent_and_inputs_are_not_changed():
    network, lr = make(features=32), pictures()
    degradation_maps, copy_of_lr = maps(network), lr.clone()
    sr = run(network, lr, degradation_maps)
    torch.testing.assert_close(sr[1:], run(network, lr[1:], degradation_maps[1:]), atol=1e-5, rtol=0)
    assert torch.equal(lr, copy_of_lr)


# --- receptive field


def reach(network, height=33, width=31):
    """How far SR changes when the middle LR pixel changes, in LR pixels up or down and left or right."""
    lr = torch.rand(1, 3, height, width, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    degradation_map, changed = maps(network, 1).double(), lr.clone()
    changed[:, :, height // 2, width // 2] += 0.5
    difference = run(network, lr, degradation_map) - run(network, changed, degradation_map)
    _, _, rows, columns = torch.nonzero(difference, as_tuple=True)
    s = network.config.scale
    return int((rows // s - height // 2).abs().max()), int((columns // s - width // 2).abs().max())


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_the_receptive_field_with_the_subpixel_head_is_12_lr_pixels_to_each_side(scale):
    assert reach(make(scale=scale, features=32).double()) == (12, 12)


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_the_receptive_field_with_the_upsample_head_is_at_most_12_lr_pixels_to_each_side(scale):
    assert max(reach(make(scale=scale, head="upsample", features=32).double())) <= 12


# --- merging batch norm


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("conditions", CONDITIONS)
@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 1e-4), (torch.float64, 1e-9)])
def test_merging_batch_norm_does_not_change_sr(head, conditions, dtype, error):
    network = randomise_batch_norm(make(head=head, conditions=conditions, batch_norm=True, scale=3, features=32)).to(
        dtype
    )
    merged = merge_batch_norm(network)
    assert merged.config == dataclasses.replace(network.config, batch_norm=False)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in merged.modules())
    lr, degradation_maps = pictures().to(dtype), maps(network).to(dtype)
    expected = run(network, lr, degradation_maps)
    assert expected.std() > 1e-3
    assert (run(merged, lr, degradation_maps) - expected).abs().max() < error * max(1, expected.abs().max())


def test_merging_does_not_change_the_original_network():
    network = randomise_batch_norm(make(batch_norm=True, features=16))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    merge_batch_norm(network)
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_a_network_in_training_mode_is_merged_with_its_running_statistics():
    network = randomise_batch_norm(make(batch_norm=True, features=16))
    expected = run(network, pictures(), maps(network))
    torch.testing.assert_close(run(merge_batch_norm(network.train()), pictures(), maps(network)), expected)


def test_a_merged_network_has_the_papers_number_of_parameters():
    merged = merge_batch_norm(make(batch_norm=True))
    assert sum(p.numel() for p in merged.parameters()) == PAPERS_PARAMETERS[2][0]


@pytest.mark.parametrize("conditions", CONDITIONS)
@pytest.mark.parametrize(("size", "dim"), [(15, 40), (21, 60)])
def test_reprojecting_to_another_p_changes_sr_little_for_kernels_that_both_describe(conditions, size, dim):
    network = make(conditions=conditions, features=16)
    old, new = default_pca(), torch.from_numpy(TrainingKernels(size).pca(dim))
    reprojected = reproject_first_layer(network, old, new, TrainingKernels(size).sample())
    assert (reprojected.config.kernel_size, reprojected.config.pca_dim) == (size, dim)
    kernels = torch.from_numpy(gaussian([0.7, 1.3, 2.0], [0.7, 1.0, 1.2], [0, 30, 80], 15)).float()
    noise = torch.full((3, len(conditions) - 1), 0.2)
    codes = torch.cat([kernel_codes(kernels, old), noise], 1)[..., None, None]
    wide = F.pad(kernels, [(size - 15) // 2] * 4)
    new_codes = torch.cat([kernel_codes(wide, new), noise], 1)[..., None, None]
    lr = pictures()[:1].expand(3, -1, -1, -1)
    expected = run(network, lr, codes)
    error = (run(reprojected, lr, new_codes) - expected).abs().max()
    effect_of_codes = (run(network, lr, 0 * codes) - expected).abs().max()
    assert error < 0.02 * effect_of_codes


@pytest.mark.parametrize("spec", [(0.7,), (1.3,), (2.6,), (2.6, 1.0, 30)])
def test_a_shipped_network_reprojected_to_a_larger_window_restores_with_a_small_kernel_as_before(spec: tuple):
    weights = read_weights(shipped_folder("weights") / "srmdnf_x2.safetensors")
    wide = default_pca(21)
    reprojected = reproject_first_layer(weights.network, weights.pca, wide, TrainingKernels(21).sample())
    kernel = torch.from_numpy(gaussian(*spec))[None].float()
    photo = builtin_test_pictures()["chelsea"][80:144, 120:184] / 255
    hr = torch.from_numpy(photo).float().permute(2, 0, 1)[None]
    lr = degrade(hr, Degradation.uniform(kernel, torch.zeros(1)), 2)
    old = run(weights.network, lr, kernel_codes(kernel, weights.pca)[..., None, None])
    new = run(reprojected, lr, kernel_codes(F.pad(kernel, [3] * 4), wide)[..., None, None])
    assert (new - old).abs().mean() < 0.25 / 255


def test_a_reprojected_network_takes_a_wide_gaussian_for_its_inner_part():
    """Told the 21×21 kernel, it computes what the old one computes of the inner 15×15, divided by its sum."""
    network = make(conditions=("kernel",), features=16)
    old, new = default_pca(), default_pca(21)
    reprojected = reproject_first_layer(network, old, new, TrainingKernels(21).sample())
    codes, new_codes = (
        kernel_codes(torch.from_numpy(gaussian(3.6, size=size))[None].float(), pca)[..., None, None]
        for size, pca in ((15, old), (21, new))
    )
    lr = pictures()[:1]
    expected = run(network, lr, codes)
    effect_of_codes = (run(network, lr, 0 * codes) - expected).abs().max()
    assert (run(reprojected, lr, new_codes) - expected).abs().max() < 0.02 * effect_of_codes


def test_reprojecting_to_the_same_p_changes_nothing_and_copies_the_weights():
    network, pca = randomise_batch_norm(make(features=16, batch_norm=True)), default_pca()
    reprojected = reproject_first_layer(network, pca, pca, GAUSSIANS.sample())
    assert reprojected.config == network.config
    expected = run(network, pictures(), maps(network))
    torch.testing.assert_close(run(reprojected.eval(), pictures(), maps(network)), expected)
    reprojected.convs[3].weight.data += 1
    assert not torch.equal(reprojected.convs[3].weight, network.convs[3].weight)
