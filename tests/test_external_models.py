"""MONAI, timm and a user's own classifiers; code in configurations is refused."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from audit.config import load_config
from audit.errors import ConfigError, ModelError
from audit.settings import AuditConfig
from audit.training.external_models import MONAI, is_factory
from audit.training.model_costs import parameters_on_meta
from audit.training.models import build_model, model_row
from tests.one_step import trains

OWN = "tests.own_models"


def refused(name: str, channels: int = 1) -> str:
    with pytest.raises(ModelError) as problem:
        build_model(name, 4, channels, "published", (28, 28))
    assert "\n" not in str(problem.value)
    return str(problem.value)


# ---- MONAI


@pytest.mark.parametrize(
    ("name", "channels", "size"),
    [("DenseNet121", 1, 28), ("SEResNet50", 3, 32), ("resnet10", 1, 64), ("EfficientNetBN", 3, 28)],
)
def test_monai_classifiers_train_a_step(name: str, channels: int, size: int) -> None:
    torch.manual_seed(0)
    trains(build_model(f"monai:{name}", 4, channels, "published", (size, size)), channels, size)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(MONAI))
def test_every_monai_classifier_reads_small_images(name: str) -> None:
    for channels, size in ((1, 28), (3, 32), (1, 64)):
        with parameters_on_meta():
            network = build_model(f"monai:{name}", 4, channels, "published", (size, size)).to("meta")
        assert network(torch.empty(2, channels, size, size, device="meta")).shape == (2, 4)


def test_monai_densenet_is_the_published_one() -> None:
    """7.98 M for 1000 classes and three channels, as torchvision's."""
    with parameters_on_meta():
        network = build_model("monai:DenseNet121", 1000, 3, "published")
    assert sum(p.numel() for p in network.parameters()) == 7_978_856


def test_unknown_monai_name() -> None:
    assert (
        refused("monai:DenseNet12") == "unknown model 'monai:DenseNet12'; did you mean 'monai:DenseNet121'?"
    )
    assert refused("monai:UNet").startswith("unknown model 'monai:UNet'; ")


# ---- timm


@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 64)])
@pytest.mark.parametrize("name", ["convnext_atto", "vit_tiny_patch16_224", "mobilenetv3_small_050"])
def test_timm_classifiers_train_a_step(name: str, channels: int, size: int) -> None:
    pytest.importorskip("timm", reason="the extra timm is not installed")
    torch.manual_seed(0)
    trains(build_model(f"timm:{name}", 4, channels, "published", (size, size)), channels, size)


def test_unknown_timm_name() -> None:
    pytest.importorskip("timm", reason="the extra timm is not installed")
    assert refused("timm:convnext_tni") == (
        "unknown model 'timm:convnext_tni'; did you mean 'timm:convnext_tiny'?"
    )


def test_without_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)  # what Python makes of a module that is not there
    assert refused("timm:convnext_tiny") == (
        "model 'timm:convnext_tiny' needs the extra timm; pip install 'imaging-audit[timm]'"
    )


# ---- a user's own


def test_a_factory_is_built_and_the_check_draws_no_random_number() -> None:
    torch.manual_seed(0)
    expected = torch.nn.Linear(28 * 28, 4).weight
    after = torch.rand(1)
    torch.manual_seed(0)
    network = build_model(f"{OWN}:make", 4, 1, "published", (28, 28))
    assert torch.equal(after, torch.rand(1)) and network.training
    assert torch.equal(expected, next(iter(network.parameters())))
    trains(network, 1, 28)


def test_a_factory_beside_the_command_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "clinic_models.py").write_text(
        "from torch import nn\n"
        "def make(n_classes, channels, image_size):\n"
        "    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, n_classes))\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert model_row("clinic_models:make").title == "clinic_models:make (your own)"
    assert sys.path[-1] == str(tmp_path), "last: it hides nothing that is installed"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_package:make",
         "model 'no_such_package:make': 'no_such_package' cannot be imported (ModuleNotFoundError: No module "
         "named 'no_such_package'); mend it, or run where it can be imported"),
        (f"{OWN}:mak", f"model '{OWN}:mak': '{OWN}' has no 'mak'; name a function of that module"),
        (f"{OWN}:NOT_A_FUNCTION",
         f"model '{OWN}:NOT_A_FUNCTION': 'NOT_A_FUNCTION' is a int; name a function (n_classes, channels, "
         "image_size) -> nn.Module"),
        (f"{OWN}:no_module", f"model '{OWN}:no_module' returns a str; return an nn.Module"),
        (f"{OWN}:too_many_classes",
         f"model '{OWN}:too_many_classes' gives (2, 5) for images of shape (2, 1, 28, 28); return logits of "
         "shape (2, 4)"),
        (f"{OWN}:a_tuple",
         f"model '{OWN}:a_tuple' gives tuple for images of shape (2, 1, 28, 28); return logits of shape (2, 4)"),
        (f"{OWN}:colour_only",
         f"model '{OWN}:colour_only' cannot read images of shape (2, 1, 28, 28) (ValueError: colour images only); "
         "mend its forward"),
        (f"{OWN}:wrong_arguments",
         f"model '{OWN}:wrong_arguments' fails (TypeError: wrong_arguments() takes 1 positional argument but 3 "
         "were given); mend it: (n_classes, channels, image_size)"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_factory(name: str, message: str) -> None:
    assert refused(name) == message


def test_a_module_that_fails_while_it_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_models.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert refused("broken_models:make") == (
        "model 'broken_models:make': 'broken_models' cannot be imported (ZeroDivisionError: division by zero); "
        "mend it, or run where it can be imported"
    )


def test_which_names_are_code() -> None:
    assert is_factory("package.module:factory")
    assert not any(is_factory(name) for name in ("resnet50", "monai:DenseNet121", "timm:convnext_tiny"))


# ---- configurations


def test_configurations_take_every_name() -> None:
    names = ["graynet", "convnext_tiny", "monai:DenseNet121"]
    assert load_config("oct", overrides={"models": names, "baseline.model": "vgg11"}).models == names


def test_the_command_line_may_name_code() -> None:
    config = load_config("oct", overrides={"models": [f"{OWN}:make"], "baseline.model": f"{OWN}:make"})
    assert (config.models, config.baseline.model) == ([f"{OWN}:make"], f"{OWN}:make")


CODE = "tests.would_run:make"  # there is no such module: were it imported, the message would say so
FROM_FILE = {
    "models": (f"models: [{CODE}]\n", f"models: {CODE!r} is code; it is accepted on the command line only (--models)"),
    "baseline": (
        f"baseline:\n  model: {CODE}\n",
        f"baseline.model: {CODE!r} is code; it is accepted on the command line only (--baseline)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("field", list(FROM_FILE))
@pytest.mark.parametrize("typed", [{}, {"models": [f"{OWN}:make"]}, {"baseline.model": f"{OWN}:make"}])
def test_a_file_may_not(tmp_path: Path, field: str, typed: dict[str, object]) -> None:
    """Nor beside other code that was typed; what was typed in its place is accepted."""
    content, message = FROM_FILE[field]
    (tmp_path / "sent.yaml").write_text(content)
    if any(name.startswith(field) for name in typed):
        load_config("oct", file=tmp_path / "sent.yaml", overrides=typed)
        return
    with pytest.raises(ConfigError) as problem:
        load_config("oct", file=tmp_path / "sent.yaml", overrides=typed)
    assert CODE in str(problem.value) or OWN in str(problem.value)
    if not typed:
        assert str(problem.value) == message


def test_code_is_refused_unless_the_context_allows_it() -> None:
    with pytest.raises(ValueError, match="is code; it is accepted on the command line only"):
        AuditConfig(models=[f"{OWN}:make"])
    allowed = AuditConfig.model_validate({"models": [f"{OWN}:make"]}, context={"factories": True})
    assert allowed.models == [f"{OWN}:make"]
