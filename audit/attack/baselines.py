"""Controls that search nothing (method §4)."""

from __future__ import annotations

import numpy as np

from audit.attack.perturbation import Perturbation, make_perturbation


def random_perturbation(
    image_size: tuple[int, int], channels: int, n_classes: int, severity: int, seed: int
) -> Perturbation:
    """Uniform positions and uniform values in [0, 1], drawn with `seed`."""
    generator = np.random.default_rng(seed)
    height, width = image_size
    wanted = [
        (
            label,
            float(generator.integers(height)),
            float(generator.integers(width)),
            generator.random(channels).tolist(),
        )
        for label in range(n_classes)
        for _ in range(severity)
    ]
    return make_perturbation(wanted, image_size, channels, n_classes)
