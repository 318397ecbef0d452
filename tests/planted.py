"""Data sets whose classes differ by one planted pixel each, for tests of search and training."""

from __future__ import annotations

import numpy as np

from audit.data.dataset import Images, Labels, Split


def noise_images(n: int, size: int, channels: int, seed: int) -> Images:
    """Images that say nothing about any class: grey noise."""
    generator = np.random.default_rng(seed)
    return generator.integers(90, 166, size=(n, channels, size, size)).astype(np.uint8)


def balanced_labels(n: int, n_classes: int) -> Labels:
    """0, 1, .., K-1, 0, 1, .."""
    return (np.arange(n) % n_classes).astype(np.int64)


def noise_split(n: int, size: int = 16, channels: int = 1, n_classes: int = 2, seed: int = 0) -> Split:
    """Noise with labels that mean nothing."""
    return Split(noise_images(n, size, channels, seed), balanced_labels(n, n_classes))
