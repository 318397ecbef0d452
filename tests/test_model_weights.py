"""Pretrained weights from files: round trips, what is skipped and why, and no code from a pickle."""

from __future__ import annotations

import hashlib
import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from audit.errors import ConfigError
from audit.training.models import build_model
from audit.training.weights import load_weights, renamed


def network(seed: int, n_classes: int = 4, channels: int = 3, size: int = 32) -> nn.Module:
    torch.manual_seed(seed)
    return build_model("squeezenet1_1", n_classes, channels, "published", (size, size))


def saved(path: Path, source: nn.Module) -> Path:
    """In the format of the file's suffix."""
    if path.suffix == ".safetensors":
        save_file(source.state_dict(), path)
    else:
        torch.save(source.state_dict(), path)
    return path


def refused(path: Path) -> str:
    with pytest.raises(ConfigError) as problem:
        load_weights(network(1), path)
    return str(problem.value)


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt", "w.pth"])
def test_round_trip(tmp_path: Path, name: str) -> None:
    theirs, ours = network(1), network(2)
    path = saved(tmp_path / name, theirs)
    report = load_weights(ours, path)
    assert report.loaded == tuple(theirs.state_dict()) and report.skipped == {}
    assert report.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert all(torch.equal(tensor, ours.state_dict()[key]) for key, tensor in theirs.state_dict().items())


def test_batch_norm_statistics_are_loaded(tmp_path: Path) -> None:
    theirs, ours = nn.Sequential(nn.BatchNorm2d(2)), nn.Sequential(nn.BatchNorm2d(2))
    theirs(torch.rand(4, 2, 3, 3))
    load_weights(ours, saved(tmp_path / "w.pt", theirs))
    assert all(torch.equal(t, ours.state_dict()[key]) for key, t in theirs.state_dict().items())


def test_another_head_and_another_stem_are_skipped_and_said(tmp_path: Path) -> None:
    path = saved(tmp_path / "w.pt", network(1, n_classes=10, channels=3))
    ours = network(2, n_classes=4, channels=1)
    before = {key: tensor.clone() for key, tensor in ours.state_dict().items()}
    report = load_weights(ours, path)
    assert report.skipped == {
        "features.0.weight": "shape (64, 3, 3, 3) in the file, (64, 1, 3, 3) in the network",
        "classifier.1.weight": "shape (10, 512, 1, 1) in the file, (4, 512, 1, 1) in the network",
        "classifier.1.bias": "shape (10,) in the file, (4,) in the network",
    }
    assert set(report.loaded) | set(report.skipped) == set(before)
    assert all(torch.equal(before[key], ours.state_dict()[key]) for key in report.skipped), "left as drawn"


def test_names_on_one_side_only(tmp_path: Path) -> None:
    tensors = network(1).state_dict()
    del tensors["classifier.1.bias"]
    torch.save({**tensors, "extra": torch.zeros(1)}, tmp_path / "w.pt")
    assert load_weights(network(2), tmp_path / "w.pt").skipped == {
        "extra": "not in the network",
        "classifier.1.bias": "not in the file",
    }


def test_enlarging_networks_and_wrapped_files(tmp_path: Path) -> None:
    """16 pixels: a network behind a layer that enlarges, whose names begin with `network.`."""
    small, checkpoint = (
        network(2, size=16),
        {"epoch": 3, "state_dict": nn.DataParallel(network(1)).state_dict()},
    )
    torch.save(checkpoint, tmp_path / "w.pt")
    report = load_weights(small, tmp_path / "w.pt")
    assert report.skipped == {} and torch.equal(
        small.state_dict()["network.features.0.weight"], network(1).state_dict()["features.0.weight"]
    )
    assert load_weights(network(3), saved(tmp_path / "s.pt", small)).skipped == {}


def test_torchvisions_densenet_files_have_older_names() -> None:
    old = "features.denseblock1.denselayer1.norm.1.weight"
    new = "features.denseblock1.denselayer1.norm1.weight"
    assert renamed(old) == new
    assert new in build_model("densenet121", 4, 1, "published").state_dict()


# ---- refusals


class Malicious:
    """Leaves a file behind when a careless loader unpickles it."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("save", ["torch", "pickle"])
def test_a_malicious_pickle_is_refused_and_does_not_run(tmp_path: Path, save: str) -> None:
    path, mark = tmp_path / "w.pt", tmp_path / "mark"
    content = {"features.0.weight": Malicious(mark)}
    if save == "torch":
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content))
    assert refused(path) == (
        f"{path}: holds more than tensors, or is damaged, and was not loaded; "
        "save the network's state_dict() as .safetensors"
    )
    assert not mark.exists()
    torch.load(path, weights_only=False) if save == "torch" else pickle.loads(path.read_bytes())
    assert mark.exists(), "the file is malicious: a careless loader runs it"


def test_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "gone.pt"
    assert (
        refused(path) == f"{path}: cannot be read (No such file or directory); check the path of the weights"
    )


def test_nothing_fits(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    torch.save({"a": torch.zeros(1), "b": torch.zeros(2)}, path)
    assert refused(path) == f"{path}: none of its 2 tensors fits the network; give weights of the same model"


def test_a_list_of_tensors(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    torch.save([torch.zeros(1)], path)
    assert refused(path) == f"{path}: holds a list, not named tensors; save the network's state_dict()"


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"words"])
@pytest.mark.parametrize("name", ["w.safetensors", "w.pt"])
def test_damaged_files_are_one_line(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    message = refused(path)
    assert message.startswith(f"{path}: ") and "\n" not in message
