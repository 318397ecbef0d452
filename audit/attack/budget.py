"""What a search may spend, in surrogate trainings (method §3). No torch import here."""

from __future__ import annotations

import math
from dataclasses import dataclass

from audit.config import SearchSettings

SMALLEST_POPULATION = 16


@dataclass(frozen=True)
class Budget:
    """How many surrogate trainings a search spends, and on what."""

    population: int
    generations: int  # at most; other stop rules may end the search earlier
    rescoring: int  # trainings kept back for the choice among finalists

    @property
    def trainings(self) -> int:
        """All of them."""
        return self.population * self.generations + self.rescoring


def planned_budget(settings: SearchSettings, n_classes: int, channels: int, severity: int) -> Budget:
    """What a search over `n_classes` edited classes will spend at most."""
    dimensions = (2 + channels) * n_classes * severity
    population = settings.population or max(4 + int(3 * math.log(dimensions)), SMALLEST_POPULATION)
    rescoring = (settings.finalists + 2) * settings.rescoring_seeds  # beside the final mean and the start
    generations = settings.generations
    if settings.budget is not None:
        generations = min(generations, max((settings.budget - rescoring) // population, 1))
    return Budget(population, generations, rescoring)
