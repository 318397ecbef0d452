"""Classifiers by name: published sizes, stems, small images, dropout, refusals."""

from __future__ import annotations

import hashlib
import itertools

import pytest
import torch
from torch import nn

from audit.errors import ModelError
from audit.training.adaptations import LinearAfterDropout, Resize, first_convolution, reads
from audit.training.model_costs import listed_names, parameters_on_meta
from audit.training.model_row import STEMS, ModelRow
from audit.training.models import MODELS, build_model, model_row
from audit.training.torchvision_models import FAMILIES, FAMILY_OF
from tests.one_step import trains

COMBINATIONS = list(itertools.product((1, 3), (28, 32, 64)))
LISTED = listed_names(everything=False)
HEAVY = ("vgg11_bn", "maxvit_t", "inception_v3", "wide_resnet50_2", "vit_b_16")  # seconds each


def built(name: str, channels: int = 1, size: int = 32, stem: str = "published") -> nn.Module:
    torch.manual_seed(0)
    return build_model(name, 4, channels, stem, (size, size))


def on_meta(name: str, n_classes: int, channels: int, size: int) -> nn.Module:
    with parameters_on_meta():
        return build_model(name, n_classes, channels, "published", (size, size)).to("meta")


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


# ---- every name is there, and is what was published


def test_every_classifier_of_the_installed_torchvision_has_a_family() -> None:
    import torchvision

    assert sorted(FAMILY_OF) == sorted(torchvision.models.list_models(module=torchvision.models))
    assert sum(len(family.names) for family in FAMILIES) == len(FAMILY_OF), "no name stands twice"


@pytest.mark.parametrize(
    ("name", "millions"),
    [  # of torchvision's own documentation, 1000 classes, three channels, 224 x 224
        ("resnet50", 25.557032), ("resnet18", 11.689512), ("densenet121", 7.978856), ("alexnet", 61.100840),
        ("vgg16", 138.357544), ("squeezenet1_1", 1.235496), ("mobilenet_v2", 3.504872),
        ("efficientnet_b0", 5.288548), ("regnet_y_400mf", 4.344144), ("convnext_tiny", 28.589128),
        ("swin_t", 28.288354), ("vit_b_16", 86.567656), ("maxvit_t", 30.919624), ("googlenet", 6.624904),
    ],
)  # fmt: skip
def test_parameters_are_the_published_ones(name: str, millions: float) -> None:
    assert parameters(on_meta(name, 1000, 3, 224)) == round(millions * 1e6)


@pytest.mark.parametrize(
    ("name", "sha256"),
    [
        ("resnet50", "df4e95ae4ae5e5593032461b69225b37354b07bd303d1c78c15fd627b0c24d2e"),
        ("densenet121", "211a973a7fb5d1c2ef4ed54d42eda2e53e548ede1a267d9a4ce65a7afa385185"),
        ("resnet18", "138b3bc46ae7efe5a5fbdc0da81583507970962b4ce99398cf9916b58b7d0a9e"),
        ("small-cnn", "acd72c0e273ee4b4e0bdd103911bf028e8b26faebb8f164bbb17ad0ef0589495"),
    ],
)
def test_models_of_earlier_audits_keep_their_layers(name: str, sha256: str) -> None:
    """Names and shapes of all tensors, sorted, as they were before the table grew."""
    lines = [f"{key} {tuple(tensor.shape)}" for key, tensor in sorted(built(name).state_dict().items())]
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == sha256


@pytest.mark.parametrize(("name", "options"), [("resnet18", {}), ("resnet50", {"zero_init_residual": True})])
def test_models_of_earlier_audits_keep_their_weights(name: str, options: dict[str, bool]) -> None:
    """As they were drawn before: torchvision's network, then a first convolution with torch's default."""
    import torchvision

    torch.manual_seed(7)
    before = torchvision.models.get_model(name, weights=None, num_classes=4, **options)
    before.conv1 = nn.Conv2d(1, 64, 7, 2, padding=3, bias=False)
    torch.manual_seed(7)
    now = build_model(name, 4, 1, "published").state_dict()
    assert all(torch.equal(tensor, now[key]) for key, tensor in before.state_dict().items())


# ---- each listed model trains


QUICK = [
    (name, *COMBINATIONS[number % len(COMBINATIONS)])
    for number, name in enumerate(LISTED)
    if name not in HEAVY
]
OTHERS = [
    (name, *each) for name, each in itertools.product(LISTED, COMBINATIONS) if (name, *each) not in QUICK
]


@pytest.mark.parametrize(("name", "channels", "size"), QUICK)
def test_listed_models_train_a_step(name: str, channels: int, size: int) -> None:
    trains(built(name, channels, size), channels, size)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "channels", "size"), OTHERS)
def test_every_listed_model_trains_a_step(name: str, channels: int, size: int) -> None:
    trains(built(name, channels, size), channels, size, batch=2 if name in HEAVY else 4)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(FAMILY_OF))
def test_every_torchvision_classifier_reads_small_images(name: str) -> None:
    for channels, size in ((1, 28), (3, 28), (1, 32), (1, 64)):
        network = on_meta(name, 4, channels, size).train()
        assert network(torch.empty(2, channels, size, size, device="meta")).shape == (2, 4)


@pytest.mark.parametrize("family", [f for f in FAMILIES if f.smallest > 1], ids=lambda f: str(f.names[0]))
def test_smallest_sizes_are_the_smallest(family: object) -> None:
    """At its smallest size a family is given the images as they are, and they pass."""
    name = family.names[0]  # type: ignore[attr-defined]
    size = model_row(name).smallest
    network = on_meta(name, 4, 3, size)
    assert not isinstance(network, nn.Sequential) or not isinstance(network[0], Resize)
    assert reads(network, 3, (size, size))


# ---- stems


@pytest.mark.parametrize(
    ("name", "stem", "kernel", "stride"),
    [
        ("resnet34", "published", 7, 2), ("resnet34", "half", 3, 2), ("resnext50_32x4d", "full", 3, 1),
        ("wide_resnet50_2", "half", 3, 2), ("densenet169", "published", 7, 2), ("densenet169", "full", 3, 1),
        ("densenet161", "half", 3, 2),
    ],
)  # fmt: skip
@pytest.mark.parametrize("channels", [1, 3])
def test_stems(name: str, stem: str, kernel: int, stride: int, channels: int) -> None:
    with parameters_on_meta():
        network = build_model(name, 4, channels, stem)
    convolution = first_convolution(network)[1]
    assert (convolution.in_channels, convolution.kernel_size, convolution.stride) == (
        channels,
        (kernel, kernel),
        (stride, stride),
    )
    assert convolution.padding == (kernel // 2, kernel // 2)
    pooled = any(isinstance(layer, nn.MaxPool2d) for layer in network.modules())
    assert pooled == (stem == "published")


@pytest.mark.parametrize("stem", ["half", "full"])
def test_half_and_full_stems_train(stem: str) -> None:
    trains(built("resnet34", 3, 28, stem), 3, 28)


@pytest.mark.parametrize("name", ["vgg11", "convnext_tiny", "vit_b_16", "monai:DenseNet121"])
def test_other_families_have_the_published_stem_only(name: str) -> None:
    with pytest.raises(ValueError) as refused:  # a ModelError is one, so that validators name the field
        build_model(name, 4, 1, "half")
    assert isinstance(refused.value, ModelError)
    assert str(refused.value) == (
        f"model {name!r} has no stem 'half'; set training.stem: published, or leave the model out"
    )


@pytest.mark.parametrize(
    ("name", "fan_in"), [("convnext_tiny", False), ("vit_b_16", True), ("alexnet", True)]
)
def test_first_convolutions_of_one_channel_are_drawn_as_the_network_draws_them(
    name: str, fan_in: bool
) -> None:
    """Its spread for one channel: sqrt(3) times that for three where it follows the inputs, else equal."""
    rgb, grey = (first_convolution(built(name, channels, 64))[1].weight for channels in (3, 1))
    assert (grey.shape[0], grey.shape[1], *grey.shape[2:]) == (rgb.shape[0], 1, *rgb.shape[2:])
    ratio = float(grey.detach().std() / rgb.detach().std())
    assert ratio == pytest.approx(3**0.5 if fan_in else 1.0, rel=0.03)


def test_three_channels_leave_a_published_network_untouched() -> None:
    import torchvision

    torch.manual_seed(0)
    theirs = torchvision.models.get_model("mobilenet_v3_small", weights=None, num_classes=4).state_dict()
    ours = built("mobilenet_v3_small", 3, 64).state_dict()
    assert list(ours) == list(theirs) and all(torch.equal(ours[key], theirs[key]) for key in ours)


# ---- small images


@pytest.mark.parametrize(
    ("smallest", "grid", "image_size", "given"),
    [
        (1, 1, (28, 28), (28, 28)),
        (32, 1, (28, 28), (32, 32)),
        (32, 1, (28, 56), (32, 64)),
        (32, 1, (64, 40), (64, 40)),
        (75, 1, (28, 32), (75, 86)),  # 32 * 75 / 28 = 85.7, upwards
        (16, 16, (28, 28), (32, 32)),
        (16, 16, (64, 64), (64, 64)),
        (224, 224, (64, 64), (224, 224)),
    ],
)
def test_input_sizes(smallest: int, grid: int, image_size: tuple[int, int], given: tuple[int, int]) -> None:
    row = ModelRow("", lambda *_: nn.Identity(), smallest=smallest, grid=grid)
    assert row.input_size(image_size) == given


def test_small_images_are_enlarged_by_a_first_layer() -> None:
    small, large = built("squeezenet1_1", 1, 16), built("squeezenet1_1", 1, 21)
    assert isinstance(small, nn.Sequential) and isinstance(small[0], Resize) and small[0].size == (21, 21)
    assert not isinstance(large, nn.Sequential)
    grey = small[0](torch.tensor([[0.0, 1.0]]).reshape(1, 1, 1, 2))
    assert grey.shape == (1, 1, 21, 21)
    assert [float(grey.min()), float(grey.max())] == pytest.approx([0.0, 1.0])
    assert float(grey[0, 0, 3, 10]) == pytest.approx(0.5), "half way between the two pixels"


# ---- dropout


@pytest.mark.parametrize("name", ["resnet18", "small-cnn", "graynet", "mobilenet_v3_small", "monai:resnet10"])
def test_dropout_stands_before_the_last_linear_layer_and_draws_no_weight(name: str) -> None:
    torch.manual_seed(0)
    without, after_without = build_model(name, 4, 1, "published"), torch.rand(1)
    torch.manual_seed(0)
    dropped, after_dropped = build_model(name, 4, 1, "published", dropout=0.5), torch.rand(1)
    assert torch.equal(after_without, after_dropped), "the random numbers that follow are the same"
    tensors = dropped.state_dict()
    assert list(tensors) == list(without.state_dict())
    assert all(torch.equal(tensor, tensors[key]) for key, tensor in without.state_dict().items())
    last = [layer for layer in dropped.modules() if isinstance(layer, nn.Linear)][-1]
    assert isinstance(last, LinearAfterDropout) and last.dropout.p == 0.5
    images = torch.rand(2, 1, 64, 64)
    assert torch.equal(without.eval()(images), dropped.eval()(images)), "nothing is dropped in evaluation"
    features = torch.ones(1, last.in_features)
    with torch.no_grad():
        last.weight.fill_(1.0)
        assert float(last.train()(features)[0, 0]) != pytest.approx(float(last.eval()(features)[0, 0]))


def test_dropout_needs_a_linear_layer() -> None:
    with pytest.raises(ModelError) as refused:
        build_model("squeezenet1_1", 4, 1, "published", dropout=0.2)
    assert str(refused.value) == (
        "model 'squeezenet1_1' ends in no linear layer to put dropout before; set training.dropout: 0"
    )


# ---- names


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet5", "unknown model 'resnet5'; did you mean 'resnet50'?"),
        ("DenseNet121", "unknown model 'DenseNet121'; did you mean 'densenet121'?"),
        ("convnext_tinny", "unknown model 'convnext_tinny'; did you mean 'convnext_tiny'?"),
        (
            "xyz",
            f"unknown model 'xyz'; choose from {', '.join(MODELS)}, or another name of `audit models --all`",
        ),
    ],
)
def test_unknown_names(name: str, message: str) -> None:
    with pytest.raises(ModelError) as refused:
        model_row(name)
    assert str(refused.value) == message


def test_our_own_models_take_every_stem() -> None:
    """An audit with `training.stem: half` may name them beside a ResNet."""
    assert {row.stems for row in MODELS.values()} == {STEMS}
