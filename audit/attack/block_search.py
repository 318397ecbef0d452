"""Proposals for a search: combinations of blocks that the closed-form surrogate ranks highest.

Coordinate ascent from random combinations of a pool of contrast codes, class after class; the best is then moved
about. Not part of the thesis; EvoShift trains its first surrogates on what comes out.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from audit.attack.closed_form import ClosedForm
from audit.attack.contrast_code import ContrastCodes
from audit.attack.edits import Block, moved
from audit.attack.question import Question

POOL = 48  # contrast codes per class
PROPOSED = 24  # combinations of codes that lie far apart: as many more blocks per class
MARKED = 0.85  # of the pool's blocks; the others look like texture
STARTS = 8  # random combinations that the ascent begins at
SWEEPS = 3  # through all classes, at most
ROUNDS, CHILDREN = 40, 8  # of the refinement: rounds of one class, new blocks in each
MOVED, AWAY = 0.6, 0.2  # of the new blocks: moved a little; codes far from those of the other classes
DIFFERENT = 2  # classes in which two proposals differ at least

Combination = dict[int, Block]


@dataclass
class Ranked:
    """Combinations with their fitness."""

    found: list[tuple[float, Combination]] = field(default_factory=list)

    def best(self, count: int) -> list[Combination]:
        """The best ones that differ from each other, best first."""
        chosen: list[Combination] = []
        for _, blocks in sorted(self.found, key=lambda one: -one[0]):
            least = min(DIFFERENT, len(blocks))
            if all(sum(blocks[k] != other[k] for k in blocks) >= least for other in chosen):
                chosen.append(blocks)
        return chosen[:count]


def propose(question: Question, closed_form: ClosedForm, count: int, seed: int) -> list[Combination]:
    """At most `count` combinations, the best first. Equal seeds give equal ones."""
    draws = np.random.default_rng((question.seed, seed))
    codes = ContrastCodes(question)
    pool = block_pool(question, codes, draws)
    ranked = Ranked([ascend(closed_form, pool, draws) for _ in range(STARTS)])
    start = max(ranked.found, key=lambda one: one[0])
    ranked.found.append(refine(question, closed_form, codes, start, draws))
    return ranked.best(count)


def block_pool(
    question: Question, codes: ContrastCodes, draws: np.random.Generator
) -> dict[int, list[Block]]:
    """Blocks of each class to choose from."""
    pool = {
        label: [question.block(codes.block(label, [], draws, draws.random() < MARKED)) for _ in range(POOL)]
        for label in question.classes
    }
    for _ in range(PROPOSED):
        wanted = codes.wanted(draws)
        for label in question.classes:
            pool[label].append(question.block([edit for edit in wanted if edit[0] == label]))
    return pool


def ascend(
    closed_form: ClosedForm, pool: dict[int, list[Block]], draws: np.random.Generator
) -> tuple[float, Combination]:
    """From a random combination: the best block for one class after the other, until no class gains."""
    blocks = {label: own[draws.integers(len(own))] for label, own in pool.items()}
    value = closed_form.fitness(blocks)
    for _ in range(SWEEPS):
        before = value
        for label in draws.permutation(list(pool)).tolist():
            fitness = closed_form.fitness_of(blocks, label, pool[label])
            best = int(fitness.argmax())
            if float(fitness[best]) > value:
                blocks, value = {**blocks, label: pool[label][best]}, float(fitness[best])
        if value <= before:
            break
    return value, blocks


def refine(
    question: Question,
    closed_form: ClosedForm,
    codes: ContrastCodes,
    start: tuple[float, Combination],
    draws: np.random.Generator,
) -> tuple[float, Combination]:
    """New blocks for one class at a time, kept where they are better."""
    value, blocks = start
    for _ in range(ROUNDS):
        label = int(draws.choice(question.classes))
        others = [codes.pattern(block[0]) for other, block in blocks.items() if other != label]
        children = []
        for _ in range(CHILDREN):
            kind = draws.random()
            if kind < MOVED:
                wanted = [moved(edit, question.image_size, draws) for edit in blocks[label]]
            elif kind < MOVED + AWAY:
                wanted = codes.block(label, others, draws)
            else:
                wanted = codes.block(label, [], draws, marked=draws.random() < 0.5)
            children.append(question.block(wanted))
        fitness = closed_form.fitness_of(blocks, label, children)
        best = int(fitness.argmax())
        if float(fitness[best]) > value:
            blocks, value = {**blocks, label: children[best]}, float(fitness[best])
    return value, blocks
