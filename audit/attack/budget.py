"""What a search may spend, in surrogate trainings (method §3). No torch import here."""

from __future__ import annotations

import math
from dataclasses import dataclass

from audit.errors import ConfigError
from audit.settings import SearchSettings

SMALLEST_POPULATION = 16
FEWEST_CROSSINGS = 2  # generations of crossings; below 2 + 1 generations there are no others
CROSSINGS_SHARE = 3  # one third of a longer search
PILOT = 4  # surrogates that decide how many steps all others take
RACERS, RACE_SEEDS = 4, 2  # the best of starts and crossings get so many more readings before CMA-ES begins
CONTENDERS = 3  # scored again beside the finalists: EvoShift's final mean, race winner and shortcut
RACE = RACERS * RACE_SEEDS


@dataclass(frozen=True)
class Budget:
    """How many surrogate trainings a search spends, and on what."""

    population: int
    generations: int  # at most; other stop rules may end the search earlier
    rescoring: int  # trainings kept back for the choice among finalists
    pilot: int = 0  # trainings that decide on the number of steps

    @property
    def crossings(self) -> int:
        """Generations after the first in which EvoShift crosses candidates class by class."""
        return min(max(FEWEST_CROSSINGS, self.generations // CROSSINGS_SHARE), self.generations - 1)

    @property
    def race(self) -> int:
        """Trainings that decide where CMA-ES begins, if it does."""
        return RACE if self.generations > 1 + self.crossings else 0

    @property
    def trainings(self) -> int:
        """All of them."""
        return self.pilot + self.population * self.generations + self.race + self.rescoring


def planned_budget(settings: SearchSettings, n_classes: int, channels: int, severity: int) -> Budget:
    """What a search over `n_classes` edited classes will spend at most.

    Raises ConfigError for a budget that does not cover one generation.
    """
    dimensions = (2 + channels) * n_classes * severity
    population = settings.population or max(4 + int(3 * math.log(dimensions)), SMALLEST_POPULATION)
    rivals = settings.finalists + CONTENDERS
    rescoring = rivals + better_half(rivals) * (settings.rescoring_seeds - 1)
    pilot = PILOT if settings.pilot_factor > 1 else 0
    budget = Budget(population, settings.generations, rescoring, pilot)
    if settings.budget is None:
        return budget
    if settings.budget < pilot + population + rescoring:
        raise ConfigError(
            f"search.budget: {settings.budget} surrogate trainings are too few; pilot, one generation and the "
            f"re-scoring take {pilot + population + rescoring}"
        )
    affordable = (settings.budget - pilot - rescoring) // population
    while Budget(population, affordable, rescoring, pilot).trainings > settings.budget:
        affordable -= 1  # the race must be paid too
    return Budget(population, min(settings.generations, affordable), rescoring, pilot)


def better_half(rivals: int) -> int:
    """How many rivals are read more than once."""
    return math.ceil(rivals / 2)
