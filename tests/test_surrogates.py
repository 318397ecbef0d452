"""Surrogate training: a population learns what each member would learn alone; fitness by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from audit.attack.baselines import random_edits
from audit.attack.edit_table import EditTable, carriers
from audit.attack.fitness import domain_divergence, probability_mismatch, semantic_mismatch
from audit.attack.networks import SURROGATES, BrightestDarkest, population_of
from audit.attack.perturbation import Perturbation
from audit.attack.surrogate_task import surrogate_task
from audit.attack.surrogates import SurrogateTrainer
from audit.results import Edit
from audit.scan.penalty import flagged_share
from audit.settings import SearchSettings
from audit.training.augmentation import augmentation
from tests.planted import noise_split, planted_split, quick, search_request

DEVICES = [
    "cpu",
    pytest.param(
        "cuda",
        marks=[
            pytest.mark.gpu,
            pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is visible"),
        ],
    ),
]


def candidates(n: int, channels: int = 1, severity: int = 2, fraction: float = 1.0) -> list[Perturbation]:
    request = search_request(
        noise_split(40, 12, channels), score_all=lambda jobs: [], severity=severity, fraction=fraction
    )
    return [request.perturbation(random_edits(request, seed)) for seed in range(n)]


@pytest.mark.parametrize("name", sorted(SURROGATES))
@pytest.mark.parametrize("optimizer", ["adam", "sgd-m"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("device", DEVICES)
def test_a_population_learns_what_a_plain_loop_over_its_members_learns(
    name: str, optimizer: str, channels: int, device: str
) -> None:
    """Final weights against networks trained one after the other in plain PyTorch on a CPU, float64."""
    torch.set_num_threads(1)
    assert_population_learns_alike(
        quick(surrogate=name, optimizer=optimizer, steps=6),
        "crop-flip",
        candidates(3, channels, fraction=0.5),
        device,
    )


@pytest.mark.parametrize("augmentation", ["cutmix", "mixup", "crop-flip+cutmix"])
def test_mixed_labels_reach_every_member_of_a_population(augmentation: str) -> None:
    """The plain loop has soft targets: `share` of the own class, the rest of the partner's."""
    torch.set_num_threads(1)
    assert_population_learns_alike(quick(steps=6), augmentation, candidates(3))


def assert_population_learns_alike(
    settings: SearchSettings, augmentation: str, perturbations: list[Perturbation], device: str = "cpu"
) -> None:
    task = surrogate_task(noise_split(80, 12, perturbations[0].channels), 2, settings, augmentation)
    trainer = SurrogateTrainer(task, settings, device, torch.float64)
    together = dict(
        trainer.train(trainer.population(perturbations), 4, settings.steps).network.named_parameters()
    )
    for p, perturbation in enumerate(perturbations):
        alone = plain_training(trainer, perturbation, seed=4)
        for key, value in alone.named_parameters():
            mine = together[key].cpu().reshape(3, *value.shape)[p]
            loose = 1 if device == "cpu" else 100  # sums in another order; Adam divides by small numbers
            torch.testing.assert_close(mine, value, rtol=loose * 1e-7, atol=loose * 1e-9)


def plain_training(trainer: SurrogateTrainer, perturbation: Perturbation, seed: int) -> nn.Module:
    """The reference: one network, perturbed images as numpy makes them, one loss."""
    task, settings = trainer.task, trainer.settings
    images = torch.from_numpy(perturbation.apply(task.train_images, task.train_labels)).double() / 255
    labels = torch.from_numpy(task.train_labels)
    torch.manual_seed(seed)
    network = SURROGATES[settings.surrogate].build(images.shape[1], task.n_classes, (12, 12)).double()
    rate = SURROGATES[settings.surrogate].faster * {"adam": 1e-3, "sgd-m": 1e-2}[settings.optimizer]
    optimizer: torch.optim.Optimizer = torch.optim.Adam(network.parameters(), lr=rate)
    if settings.optimizer == "sgd-m":
        optimizer = torch.optim.SGD(network.parameters(), lr=rate, momentum=0.9)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.steps)
    draws = torch.Generator().manual_seed(seed)
    for _ in range(settings.steps):
        batch = torch.randint(len(labels), (settings.batch_size,), generator=draws)
        augmented = augmentation(task.augmentation)(images[batch], draws)
        targets = functional.one_hot(labels[batch], task.n_classes).double()
        if augmented.share is not None:
            targets = targets * augmented.share[:, None] + targets[augmented.partner] * (
                1 - augmented.share[:, None]
            )
        loss = functional.cross_entropy(network(augmented.images), targets)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return network


def test_readings_do_not_depend_on_who_trains_beside() -> None:
    torch.set_num_threads(1)
    settings = quick(steps=24)
    task = surrogate_task(noise_split(80, 12), 2, settings)
    trainer = SurrogateTrainer(task, settings, "cpu", torch.float64)
    clear, other = candidates(2, severity=1)
    grey = tuple(
        edit.model_copy(update={"value": [128 / 255]}) for edit in clear.edits
    )  # as the noise around
    perturbations = [clear, clear.model_copy(update={"edits": grey}), other]
    together = trainer.score(perturbations, 3, settings.steps)
    alone = [trainer.score([p], 3, settings.steps)[0] for p in perturbations]
    assert [r.fitted for r in together] == [r.fitted for r in alone] == [True, False, True]
    np.testing.assert_allclose([r.fitness for r in together], [r.fitness for r in alone], rtol=1e-5)


def test_equal_seeds_give_equal_readings_and_other_seeds_others() -> None:
    torch.set_num_threads(1)
    settings = quick(steps=20)
    trainer = SurrogateTrainer(surrogate_task(planted_split(), 2, settings), settings, "cpu")
    a, b, c = (trainer.score(candidates(1), seed, settings.steps)[0] for seed in (1, 1, 2))
    assert a == b != c


def test_a_layer_without_a_population_form_is_refused() -> None:
    with pytest.raises(TypeError, match=r"^no population form of Dropout$"):
        population_of(nn.Sequential(nn.Dropout()), 2)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("fraction", [1.0, 0.3])
def test_the_edit_table_writes_what_the_perturbations_write(channels: int, fraction: float) -> None:
    split = noise_split(30, 12, channels)
    perturbations = candidates(4, channels, severity=3, fraction=fraction)
    partly = perturbations[0].model_copy(
        update={"edits": perturbations[0].edits[:2]}
    )  # class 0 only, fewer edits
    perturbations.append(partly)
    images = torch.from_numpy(split.images).float().div_(255)
    before = images.clone()
    labels = torch.from_numpy(split.labels)
    table = EditTable.of(perturbations, "cpu", torch.float32)
    written = table.apply(images, labels, carriers(perturbations, split.labels))
    for p, perturbation in enumerate(perturbations):
        expected = torch.from_numpy(perturbation.apply(split.images, split.labels)).float().div_(255)
        assert torch.equal(written[:, p], expected)
    assert torch.equal(images, before)


def test_the_task_holds_out_a_quarter_of_each_class_and_shares_no_image() -> None:
    split = noise_split(80, 12, n_classes=4)
    task = surrogate_task(split, 4, quick(images_per_class=16))
    assert np.bincount(task.held_labels).tolist() == [4] * 4
    assert np.bincount(task.train_labels).tolist() == [12] * 4
    fitting = {image.tobytes() for image in task.train_images}
    assert not fitting & {image.tobytes() for image in task.held_images}


SURE = torch.tensor([[50.0, 0.0], [50.0, 0.0], [50.0, 0.0], [0.0, 50.0]])
LABELS = torch.tensor([0, 0, 0, 1])


def test_fitness_by_hand() -> None:
    """Right with certainty when perturbed (CE 0, p 1), uniform when clean (CE ln 2, p 1/2)."""
    assert semantic_mismatch(torch.zeros(4, 2), SURE, LABELS).tolist() == pytest.approx(
        [np.log(2)] * 2, abs=1e-6
    )
    assert probability_mismatch(torch.zeros(4, 2), SURE, LABELS).tolist() == pytest.approx([1, 1], abs=1e-6)


def test_fitness_stands_by_class_and_is_clipped_at_three_nats() -> None:
    """Clean: class 0 right, class 1 wrong by 50 nats, clipped to 3."""
    clean = torch.tensor([[50.0, 0.0], [50.0, 0.0], [50.0, 0.0], [50.0, 0.0]])
    assert semantic_mismatch(clean, SURE, LABELS).tolist() == pytest.approx([0, 3])
    assert probability_mismatch(clean, SURE, LABELS).tolist() == pytest.approx([0, 2])


def test_domain_divergence_of_a_pixel_that_tells_and_of_equal_images() -> None:
    images = noise_split(40, 8).images
    marked = images.copy()
    marked[:, :, 3, 3] = 255
    assert domain_divergence(images, marked) == 2.0
    assert domain_divergence(images, images) == 0.0


def test_the_pooled_surrogate_sees_the_brightest_and_the_darkest_of_four_pixels() -> None:
    """By hand, two channels of one image; odd sides keep their last pixels."""
    image = torch.tensor([[[[1.0, 2, 9], [3, 4, 5]], [[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]]]])
    seen = BrightestDarkest()(image)
    assert seen.shape == (1, 4, 1, 2)
    assert seen[0, :, 0].tolist() == [
        pytest.approx([4, 9]),
        pytest.approx([-1, -5]),
        pytest.approx([0.5, 0.6]),
        pytest.approx([-0.1, -0.3]),
    ]


def test_the_weighed_mean_training_loss_is_subtracted() -> None:
    torch.set_num_threads(1)
    (candidate,) = candidates(1)
    task = surrogate_task(planted_split(), 2, quick())
    plain, weighed = (
        SurrogateTrainer(task, quick(steps=20, loss_weight=weight), "cpu") for weight in (0.0, 2.0)
    )
    (loss,) = plain.train(plain.population([candidate]), 5, quick().steps).loss
    assert loss > 0.01
    (without,), (with_loss,) = (
        plain.score([candidate], 5, quick().steps),
        weighed.score([candidate], 5, quick().steps),
    )
    assert without.fitness == pytest.approx(np.mean(without.by_class))
    assert without.fitness - with_loss.fitness == pytest.approx(2 * loss)


def test_a_surrogate_that_diverges_reads_worst_and_unfit_and_stops_nothing() -> None:
    torch.set_num_threads(1)
    settings = quick(steps=20, learning_rate=1e30, surrogate="graynet")
    trainer = SurrogateTrainer(surrogate_task(planted_split(), 2, settings), settings, "cpu")
    (found,) = trainer.score(candidates(1), 0, settings.steps)
    assert not found.fitted
    assert found.by_class == (0.0, 0.0)
    assert found.fitness == -2.0 * 10.0


@pytest.mark.parametrize("name", ["cutmix", "mixup"])
def test_accuracy_under_mixing_is_that_of_the_label_with_the_larger_share(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network that always says class 0 is right where the larger share is of class 0."""
    torch.set_num_threads(1)
    settings = quick(steps=3)
    task = surrogate_task(noise_split(80, 12), 2, settings, name)
    trainer = SurrogateTrainer(task, settings, "cpu", torch.float64)
    monkeypatch.setattr(SurrogateTrainer, "fresh_population", lambda self, members, seed: AlwaysZero(members))
    (found,) = trainer.train(trainer.population(candidates(1)), 4, settings.steps).accuracy
    draws, right = torch.Generator().manual_seed(4), []
    for _ in range(3):
        batch = torch.randint(len(trainer.labels), (settings.batch_size,), generator=draws)
        mixed = augmentation(name)(torch.from_numpy(task.train_images[batch]) / 255, draws)
        labels = trainer.labels[batch]
        assert mixed.partner is not None and mixed.share is not None
        of_zero = mixed.share * (labels == 0) + (1 - mixed.share) * (labels[mixed.partner] == 0)
        right.append((of_zero > 0.5).double().mean())
    assert found == pytest.approx(float(torch.stack(right).mean()), abs=1e-6)


class AlwaysZero(nn.Module):
    """Class 0 whatever the image, for each of P members."""

    def __init__(self, members: int) -> None:
        super().__init__()
        self.members, self.weight = members, nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits = torch.tensor([9.0, 0.0], dtype=torch.float64) + self.weight * 0
        return logits.expand(len(images), self.members, 2)


def test_an_attack_that_the_scan_sees_pays_for_each_class_that_it_sees() -> None:
    """White in noise of grey in class 0; in class 1 the value that most of its images have there anyway."""
    split = noise_split(160, 12)
    split.images[:, 0, 9, 9] = 127
    edits = (Edit(label=0, row=5, col=5, value=(1.0,)), Edit(label=1, row=9, col=9, value=(127 / 255,)))
    perturbation = Perturbation(image_size=(12, 12), channels=1, n_classes=2, edits=edits)
    task = surrogate_task(split, 2, quick(), "none")
    assert flagged_share(perturbation, *task.all_images) == 0.5
    free = SurrogateTrainer(task, quick(), "cpu").score([perturbation], 0, quick().steps)[0]
    priced = SurrogateTrainer(task, quick(scan_weight=3.0), "cpu").score([perturbation], 0, quick().steps)[0]
    assert priced.fitness == pytest.approx(free.fitness - 1.5)
