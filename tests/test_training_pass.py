"""Passes of a population in training. On a GPU they are graphs, which test_surrogates.py holds against a plain
loop; here, without one, what stands around the capture."""

from __future__ import annotations

import copy
import gc
import weakref
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from audit.attack.training_pass import training_pass

CAPTURE = "torch.cuda.make_graphed_callables"
IMAGES = torch.arange(2 * 3 * 4 * 4, dtype=torch.float32).reshape(2, 3, 4, 4)


def network() -> nn.Module:
    """With buffers that every pass changes."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2), nn.Flatten())


def state_after(forward: Callable[[Tensor], Tensor], net: nn.Module) -> list[Tensor]:
    """Logits, gradients, buffers."""
    logits = forward(IMAGES)
    logits.square().sum().backward()  # type: ignore[no-untyped-call]
    gradients = [p.grad for p in net.parameters() if p.grad is not None]
    return [logits.detach(), *gradients, *net.buffers()]


def test_on_a_cpu_nothing_is_captured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CAPTURE, lambda *_: pytest.fail("captured"))
    net = network()
    plain = copy.deepcopy(net)
    with training_pass(net, "cpu", "float32", IMAGES) as forward:
        found = state_after(forward, net)
    assert len(found) == 1 + 4 + 3
    for mine, other in zip(found, state_after(plain, plain), strict=True):
        assert torch.equal(mine, other)


def test_what_warms_a_capture_up_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the capture does: passes in training mode before anything is recorded."""
    warmed = []

    def capture(module: nn.Module, example: tuple[Tensor, ...]) -> None:
        for _ in range(3):
            warmed.append(module(*example))

    monkeypatch.setattr(CAPTURE, capture)
    net = network()
    plain = copy.deepcopy(net)
    with training_pass(net, "cuda", "float32", IMAGES) as forward:
        found = state_after(forward, net)
    assert len(warmed) == 3
    for mine, other in zip(found, state_after(plain, plain), strict=True):
        assert torch.equal(mine, other)


def test_a_capture_that_fails_is_told_and_costs_no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def capture(module: nn.Module, example: tuple[Tensor, ...]) -> None:
        module(*example)
        raise RuntimeError("operation not permitted\nwhen stream is capturing")

    monkeypatch.setattr(CAPTURE, capture)
    net = network()
    plain = copy.deepcopy(net)
    with (
        pytest.warns(RuntimeWarning) as told,
        training_pass(net, "cuda", "float32", IMAGES) as forward,
    ):
        found = state_after(forward, net)
    assert [str(one.message) for one in told] == [
        "no CUDA graph of the surrogates (operation not permitted); they train kernel by kernel, which is slower"
    ]
    for mine, other in zip(found, state_after(plain, plain), strict=True):
        assert torch.equal(mine, other)


def test_a_capture_without_memory_is_left_to_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    def capture(module: nn.Module, example: tuple[Tensor, ...]) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(CAPTURE, capture)
    with pytest.raises(torch.OutOfMemoryError, match=r"^CUDA out of memory$"):
        training_pass(network(), "cuda", "float32", IMAGES).__enter__()


def test_what_was_captured_goes_with_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """A forward pass that refers to its own module, as a captured one does."""
    kept: list[weakref.ref[Tensor]] = []

    def capture(module: nn.Module, example: tuple[Tensor, ...]) -> None:
        graph = torch.zeros(3)
        kept.append(weakref.ref(graph))
        plain = module.forward
        module.forward = lambda images: plain(images) + graph.sum()

    monkeypatch.setattr(CAPTURE, capture)
    gc.disable()
    try:
        with training_pass(network(), "cuda", "float32", IMAGES) as forward:
            forward(IMAGES)
            assert kept[0]() is not None
        del forward
        assert kept[0]() is None
    finally:
        gc.enable()
