"""What a search may spend, in surrogate trainings (method §3). No torch import here."""

from __future__ import annotations

import math
from dataclasses import dataclass

from audit.config import SearchSettings
from audit.errors import ConfigError

SMALLEST_POPULATION = 16
RACERS, RACE_SEEDS = 4, 2  # the best starts of the first generation get so many more readings
CONTENDERS = 3  # EvoShift's final mean, its best start and the shortcut are scored again beside the finalists
RACE = RACERS * RACE_SEEDS


@dataclass(frozen=True)
class Budget:
    """How many surrogate trainings a search spends, and on what."""

    population: int
    generations: int  # at most; other stop rules may end the search earlier
    race: int  # trainings that decide between the best starts
    rescoring: int  # trainings kept back for the choice among finalists

    @property
    def trainings(self) -> int:
        """All of them."""
        return self.population * self.generations + self.race + self.rescoring


def planned_budget(settings: SearchSettings, n_classes: int, channels: int, severity: int) -> Budget:
    """What a search over `n_classes` edited classes will spend at most.

    Raises ConfigError for a budget that does not cover one generation.
    """
    dimensions = (2 + channels) * n_classes * severity
    population = settings.population or max(4 + int(3 * math.log(dimensions)), SMALLEST_POPULATION)
    rescoring = (settings.finalists + CONTENDERS) * settings.rescoring_seeds
    generations = settings.generations
    if settings.budget is not None:
        affordable = (settings.budget - RACE - rescoring) // population
        if affordable < 1:
            raise ConfigError(
                f"search.budget: {settings.budget} surrogate trainings are too few; one generation, the race of "
                f"its best and the re-scoring take {population + RACE + rescoring}"
            )
        generations = min(generations, affordable)
    return Budget(population, generations, RACE, rescoring)
