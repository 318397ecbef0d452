"""What defines one training apart from its images, and the names under which trainings are compared. No torch
import here."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Record(BaseModel):
    """Base of all result records: immutable, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Pair = tuple[str, str, str]
"""What is compared: (model, optimizer, defence), each with what sets it apart from its default, such as
("resnet50, dropout 0.4", "adam, learning rate 0.0001", "csn + crop-flip")."""

NO_DEFENCE = "none"
EARLY_STOPPING = "early-stopping"
CROSS_ENTROPY = "ce"
VIBCE = "vibce"


class Vib(Record):
    """Parameters of the loss vibCE (2.11).

    The reconstruction sums over pixels, so that large images leave the cross-entropy little say: with weight 1
    OCT at 64 x 64 was hardly learned in 20 epochs.
    """

    beta: float = Field(1.0, ge=0)  # weight of the KL divergence; 1 is the variational bound itself
    latent: int = Field(32, ge=1)  # dimensions of the code; the thesis names none
    reconstruction_weight: float = Field(1.0, ge=0)  # 1 as published


class Recipe(Record):
    """One training: all that defines it apart from the images."""

    model: str
    stem: str
    dropout: float = 0.0  # before the last layer
    weights: str | None = None  # SHA-256 of the file of initial weights; None: from scratch
    optimizer: str
    learning_rate: float
    weight_decay: float | None = None  # None: the optimizer's default
    schedule: str
    normalization: str
    augmentation: str = "none"
    preprocessing: str = "none"  # of every image, after the perturbation
    loss: str = CROSS_ENTROPY
    vib: Vib | None = None  # parameters of the loss vibce
    stopping: str = "none"  # early-stopping: the epoch that reads clean validation images best
    precision: str = "float32"
    epochs: int
    batch_size: int
    seed: int

    @property
    def defence(self) -> str:
        """What may keep the perturbation from being learned: 'csn + crop-flip'; 'none'."""
        loss = NO_DEFENCE if self.loss == CROSS_ENTROPY else self.loss
        parts = (self.normalization, self.augmentation, self.preprocessing, loss, self.stopping)
        return " + ".join(part for part in parts if part != NO_DEFENCE) or NO_DEFENCE
