"""Class-wise block search: children of good candidates in which the edits of one class are exchanged.

One surrogate training tells how well each class's edits work (the fitness has a value per class), so a few
trainings go further than with one number for all classes. Of several children the one that the closed-form surrogate
ranks highest is trained. Not part of the thesis; EvoShift uses it between its starts and CMA-ES.
"""

from __future__ import annotations

import numpy as np

from audit.attack.contrast_code import ContrastCodes
from audit.attack.edits import WantedEdit, blocks_of, moved
from audit.attack.perturbation import Perturbation
from audit.attack.search import Seen, best_first

PARENTS = 4
DONORS = 4  # candidates whose edits did best in a class hand them on
INVENTED = 0.5  # of the exchanged blocks are new contrast codes, the others a donor's
MOVED = 0.5  # of the children have another block moved a little
LEAST = 0.1  # even the class whose edits work best is exchanged now and then
ATTEMPTS = 50  # per child wanted


def crossings(
    codes: ContrastCodes, seen: list[Seen], count: int, together: int, seed: int
) -> list[list[Perturbation]]:
    """At most `count` groups of about `together` children of the best candidates seen, none of them seen before."""
    draws = np.random.default_rng(seed)
    ranked = best_first(seen)
    known = {one.perturbation.id for one in seen}
    children: dict[str, Perturbation] = {}
    wanted = count * together
    for _ in range(ATTEMPTS * wanted):
        child = crossed(codes, ranked, draws)
        if child.id not in known:
            children.setdefault(child.id, child)
        if len(children) == wanted:
            break
    found = list(children.values())
    return [found[i::count] for i in range(min(count, len(found)))]


def crossed(codes: ContrastCodes, seen: list[Seen], draws: np.random.Generator) -> Perturbation:
    """One of the best with one block exchanged: the likelier, the less that class's edits did."""
    parent = seen[draws.integers(min(PARENTS, len(seen)))]
    blocks: dict[int, list[WantedEdit]] = {k: list(b) for k, b in blocks_of(parent.perturbation).items()}
    labels = list(codes.question.classes)
    gains = np.array([parent.reading.by_class[label] for label in labels])
    weights = gains.max() - gains + LEAST
    label = int(draws.choice(labels, p=weights / weights.sum()))
    if draws.random() < INVENTED:
        others = [codes.pattern(block[0]) for other, block in blocks.items() if other != label]
        blocks[label] = codes.block(label, others, draws)
    else:
        donors = sorted(seen, key=lambda one: -one.reading.by_class[label])[:DONORS]
        blocks[label] = list(blocks_of(donors[draws.integers(len(donors))].perturbation)[label])
    if draws.random() < MOVED:
        other = int(draws.choice(labels))
        blocks[other] = [moved(edit, codes.question.image_size, draws) for edit in blocks[other]]
    return codes.question.perturbation([edit for block in blocks.values() for edit in block])
