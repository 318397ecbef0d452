"""A few surrogates first: where none of them fits, all others of the search take more steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from audit.attack.baselines import RANDOM_SEARCH
from audit.attack.methods import METHODS
from audit.attack.surrogates import Job, Reading
from audit.results import EVOSHIFT, SearchRecord
from audit.settings import SearchSettings
from tests.planted import noise_split, quick, reading, search_request

PILOT = 4


def searched(method: str, settings: SearchSettings, fits_at: Sequence[int]) -> tuple[list[Job], SearchRecord]:
    """What a search asks for, where the n-th surrogate of the pilot fits from `fits_at[n]` steps on."""
    asked: list[Job] = []

    def score_all(jobs: Sequence[Job]) -> list[Reading]:
        first = len(asked)
        asked.extend(jobs)
        return [
            replace(reading(0.5, 2, job.steps), fitted=job.steps >= (*fits_at, *[1] * len(asked))[first + n])
            for n, job in enumerate(jobs)
        ]

    _, record = METHODS[method].find(search_request(noise_split(80, 16), settings, score_all))
    assert record is not None
    return asked, record


@pytest.mark.parametrize("method", [EVOSHIFT, RANDOM_SEARCH])
def test_where_no_pilot_fits_all_others_take_more_steps(method: str) -> None:
    settings = quick(steps=100, pilot_factor=3, batch_size=16)
    asked, record = searched(method, settings, [101] * PILOT)
    assert [job.steps for job in asked] == [100] * PILOT + [300] * (len(asked) - PILOT)
    assert record.settings["steps"] == 300 and record.settings["pilot_fitted"] == "0 of 4"
    assert {generation.steps for generation in record.curve} == {300}
    assert record.trainings == len(asked) == PILOT + 2 * 16 + 5 + 3
    assert record.image_steps == 16 * (100 * PILOT + 300 * (2 * 16 + 5 + 3))


def test_one_that_fits_is_enough() -> None:
    asked, record = searched(EVOSHIFT, quick(steps=100, pilot_factor=3), [101, 101, 100, 101])
    assert {job.steps for job in asked} == {100}
    assert record.settings["steps"] == 100 and record.settings["pilot_fitted"] == "1 of 4"
    assert record.trainings == PILOT + 2 * 16 + 5 + 3


def test_without_a_pilot_nothing_is_trained_for_it() -> None:
    asked, record = searched(EVOSHIFT, quick(steps=100, pilot_factor=1), [])
    assert {job.steps for job in asked} == {100} and "pilot_fitted" not in record.settings
    assert record.trainings == 2 * 16 + 5 + 3


def test_rivals_have_the_same_pilot() -> None:
    settings = quick(steps=100, pilot_factor=3)
    of_each = [searched(method, settings, [101] * PILOT)[0][:PILOT] for method in (EVOSHIFT, RANDOM_SEARCH)]
    assert of_each[0] == of_each[1]
    assert len({job.perturbation.id for job in of_each[0]}) == PILOT
