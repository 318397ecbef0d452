"""Reading a network: pixels in, batch norm recalibrated, class probabilities out."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from audit.training.sampling import evaluation_batches


def scaled(images: Tensor) -> Tensor:
    """Bytes, or floats in [0, 255] (N, C, H, W) -> floats in [0, 1], channels last in memory."""
    return images.float().div(255).contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def recalibrate_batch_norm(network: nn.Module, images: Tensor, batch_size: int) -> None:
    """Batch-norm statistics afresh from training images as trained. After short trainings the running
    averages lag behind the weights and evaluation mode fails for that reason alone."""
    batches = evaluation_batches(len(images), batch_size)
    update_bn((scaled(images[batch.to(images.device)]) for batch in batches), network)


@torch.no_grad()
def predict(network: nn.Module, images: Tensor, batch_size: int) -> Tensor:
    """Class probabilities (N, K) on the CPU, in the order of `images` (uint8 (N, C, H, W)). In float32."""
    network.eval()
    batches = evaluation_batches(len(images), batch_size)
    outputs = [network(scaled(images[batch.to(images.device)])).softmax(1).cpu() for batch in batches]
    probabilities = torch.empty(len(images), outputs[0].shape[1])
    probabilities[torch.cat(batches)] = torch.cat(outputs)
    return probabilities
