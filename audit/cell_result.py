"""What one training gave: the content of `cells/<id>.json`. No torch import here.

Units as in audit.results, which holds these records.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from audit.recipe import Pair, Recipe, Record

CLEAN = "clean"
MATCHED_FIT = 0.95  # accuracy on the training images as trained from which fits count as comparable
EVOSHIFT = "evoshift"


class ClassMeasures(Record):
    """Table 4.1: one class on the clean test images."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int


class EpochReading(Record):
    """One epoch of one training (Fig. 4-3), measured after the epoch with recalibrated batch norm."""

    epoch: int  # 1-based
    train_loss: float
    train_accuracy: float  # on training images as trained, i.e. perturbed
    test_accuracy: float  # on clean test images


class CellMeasures(Record):
    """Everything measured on one training (method §6), clean test images unless it says otherwise."""

    accuracy: float  # of the final weights
    balanced_accuracy: float
    auc: float | None  # one-vs-rest macro; None where it is undefined
    ece: float  # expected calibration error, 15 bins
    semantic_sensitivity: float  # alpha_S (2.12)
    nuisance_sensitivity: float | None  # alpha_N (2.13); None for clean cells
    train_accuracy: float  # final fit, on the training images as trained
    matched_fit_epoch: int | None  # first epoch with train_accuracy >= 0.95 on the images read after epochs
    matched_fit_accuracy: float | None
    peak_accuracy: float  # an oracle reading: nobody can pick this epoch without the test images
    peak_epoch: int
    standard_errors: dict[str, float] = Field(
        default_factory=dict
    )  # over patients, by the measure's name here
    per_class: list[ClassMeasures]
    confusion: list[list[int]]  # [true class][predicted class], counts
    epochs: list[EpochReading]

    @property
    def under_fitted(self) -> bool:
        """Whether the training never learned its own images: neither after an epoch, read on some of them, nor in the
        end, read on all."""
        return self.matched_fit_epoch is None and self.train_accuracy < MATCHED_FIT


class Explanation(Record):
    """Where a network looks (Grad-CAM, Selvaraju et al. 2017), mean per class over a sample of images.

    A share is the part of the saliency within `radius` pixels of the edits of the image's class (a window of the
    size that Grad-CAM can resolve); a map that looks everywhere alike would have `uniform_shares` there.
    """

    reason: str | None = None  # why there is none
    layer: str = ""
    radius: int = 0  # pixels
    images: list[int] = Field(default_factory=list)  # (K,) training images averaged over
    zero_maps: list[int] = Field(default_factory=list)  # (K,) left out: no feature speaks for the class there
    maps: list[str] = Field(default_factory=list)  # (K,) PNG in base64; white: the map's own maximum
    train_shares: list[float | None] = Field(default_factory=list)  # (K,) as trained; empty for clean cells
    test_shares: list[float | None] = Field(
        default_factory=list
    )  # (K,) on clean test images, where the edits would be
    uniform_shares: list[float | None] = Field(default_factory=list)  # (K,)


class CellResult(Record):
    """One cell of the grid: one recipe trained on one (perturbed) training set."""

    id: str
    model: str  # with its dropout where there is one
    optimizer: str  # with learning rate and weight decay where they are not its defaults
    defence: str
    attack: str  # clean, or a method: evoshift, random-search, shortcut, heuristic, random
    severity: int  # N_p, pixels per class; 0 for clean
    seed: int
    draw: int = 0  # which draw of the random control
    role: Literal["grid", "baseline", "control"]
    recipe: Recipe
    perturbation_id: str | None
    status: Literal["done", "failed"]
    failure: str | None = None
    measures: CellMeasures | None = None
    predictions: list[int] = Field(default_factory=list)  # predicted class of every test image, in test order
    seconds: float = 0.0
    peak_bytes: int | None = None  # of its process, or of the GPU; None where the system does not tell
    device: str = "cpu"
    precision: str = "float32"  # that the training really had
    weights_note: str | None = None  # what became of the file of initial weights, where one was given
    explanation: Explanation | None = None  # of the first seed on clean and EvoShift images
    epoch: int | None = None  # whose weights were measured: the last, or the one at which training stopped
    micro_batch: int | None = None  # images at a time where memory was short; gradients were accumulated

    @property
    def pair(self) -> Pair:
        """(model, optimizer, defence)."""
        return (self.model, self.optimizer, self.defence)
