"""Everything that can be set, with its limits and defaults. `audit.config` fills it from files and options.

Messages of bad values begin with the field; names are checked against the tables of what there is. No torch
import here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from audit.attack.methods import METHODS
from audit.data.frames import check_policy
from audit.names import known, unique
from audit.results import CROSS_ENTROPY, EVOSHIFT, Vib
from audit.training.augmentation import augmentation
from audit.training.external_models import is_factory
from audit.training.losses import LOSSES
from audit.training.models import model_row
from audit.training.normalization import NORMALIZATIONS
from audit.training.optimizers import OPTIMIZERS
from audit.training.preprocessing import preprocessing
from audit.training.schedules import SCHEDULES

TRANSFER = "transfer"
LOCAL, RAY = "local", "ray"  # engines
Severity = Annotated[int, Field(ge=0, le=10)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # what both numpy's and torch's generators take


class Settings(BaseModel):
    """Base of all settings: immutable, unknown keys refused; JSON has no infinity and no nan."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ColumnSettings(Settings):
    """Columns of the label table, by name; None: found by itself."""

    image: str | None = None
    label: str | None = None
    group: str | None = None  # patient or lesion
    split: str | None = None


class QuotaSettings(Settings):
    """What is refused as too large: an archive's files, and single images."""

    files: int = Field(200_000, ge=1)
    bytes: int = Field(20 * 2**30, ge=1)  # unpacked, all together
    file_bytes: int = Field(2 * 2**30, ge=1)  # one file
    ratio: int = Field(200, ge=2)  # unpacked to packed, of one file
    pixels: int = Field(200_000_000, ge=64)  # of one image, or one DICOM file with all its frames


class DataSettings(Settings):
    """Which images, at which resolution."""

    path: Path | None = None  # None: phantoms
    table: Path | None = None  # labels of the images; None: the .csv of the data folder, if it has one
    columns: ColumnSettings = ColumnSettings()
    square: Literal["crop", "pad"] = "crop"  # central square of the short edge, or black bars on the long one
    frames: str = "all"  # of DICOM files with several: all, middle, every-N
    unreadable: Literal["refuse", "skip"] = "refuse"  # files that cannot be read
    quotas: QuotaSettings = QuotaSettings()
    cache: bool = True  # keep decoded images between audits
    phantom: Literal["oct", "derma"] = "oct"
    image_size: int = Field(64, ge=8, le=512)  # pixels, square
    channels: Literal[1, 3] | None = None  # None: as the images are
    n_train: int = Field(1200, ge=2)  # phantoms only, all classes together
    n_val: int = Field(0, ge=0)
    n_test: int = Field(400, ge=2)
    split_seed: Seed = 0  # splits of unsplit folders; content of phantoms
    licence: str | None = None

    @field_validator("frames")
    @classmethod
    def _known_policy(cls, policy: str) -> str:
        return check_policy(policy)


class ControlSettings(Settings):
    """Controls beside EvoShift (method §4)."""

    methods: list[str] = ["shortcut", "random"]
    transfer_from: Path | None = None  # an artefact whose perturbation is carried over to these images (2.9)
    random_draws: int = Field(1, ge=1, le=20)  # perturbations of the random control
    scope: Literal["baseline", "plain", "all"] = "plain"
    """Which pairs also train on the controls: only the baseline pair; every model with the baseline's
    optimizer and normalization; or every pair of the grid."""

    @field_validator("methods")
    @classmethod
    def _known_methods(cls, names: list[str]) -> list[str]:
        if EVOSHIFT in names:
            raise ValueError(
                f"{EVOSHIFT!r} is the search itself, not a control; leave it out (search.enabled)"
            )
        return unique([known("method", name, METHODS) for name in names])

    @model_validator(mode="after")
    def _transfer_has_a_source(self) -> ControlSettings:
        if (TRANSFER in self.methods) != (self.transfer_from is not None):
            raise ValueError(f"methods: {TRANSFER!r} and transfer_from, its artefact, go together; set both")
        return self


class PerturbedSettings(Settings):
    """Which training images carry the perturbation (thesis 2.8.3)."""

    classes: list[str] = []  # names of the classes; empty: all of them
    fraction: float = Field(1.0, gt=0, le=1)  # of each such class's images


class BaselineSettings(Settings):
    """The pair that robustness scores are divided by (4.3), always without normalization."""

    model: str = "resnet50"
    optimizer: str = "adam"

    @field_validator("model")
    @classmethod
    def _known_model(cls, name: str, info: ValidationInfo) -> str:
        return check_model(name, info, "--baseline")

    @field_validator("optimizer")
    @classmethod
    def _known_optimizer(cls, name: str) -> str:
        return known("optimizer", name, OPTIMIZERS)


class SearchSettings(Settings):
    """EvoShift and random search (method §3). Budget is stated in surrogate trainings."""

    enabled: bool = True  # False: controls only
    generations: int = Field(20, ge=1)  # at most
    budget: int | None = Field(None, ge=1)  # surrogate trainings at most, re-scoring included
    max_seconds: float | None = Field(
        None, gt=0
    )  # of surrogate training; the generation under way is finished
    flat_generations: int | None = Field(None, ge=1)  # stop when the median has not risen for so many
    population: int | None = Field(None, ge=4)  # None: CMA-ES's own default, at least 16
    fitness: Literal["cross-entropy", "probability"] = "probability"
    loss_weight: float = Field(2.0, ge=0)  # of the mean training loss, which is subtracted
    domain_weight: float = Field(0.0, ge=0)  # w of the domain divergence (2.7)
    scan_weight: float = Field(0.0, ge=0)  # of the share of classes that the shortcut scan flags: evades it
    closed_form: bool = True  # a surrogate without training proposes and ranks what is worth one
    surrogate: Literal["pooled", "strided", "graynet", "colornet"] = "pooled"
    optimizer: str = "adam"  # of the surrogates
    augmentation: str | None = None  # of the surrogates; None: the victims' first
    preprocessing: str = "none"  # of the surrogates; set it when the search knows the victims' own
    learning_rate: float | None = Field(None, gt=0)  # None: the surrogate's multiple of the optimizer's own
    precision: Literal["auto", "float32", "bfloat16"] = "auto"  # auto: bfloat16 where it is faster
    images_per_class: int = Field(128, ge=4)  # for surrogates, of the training images; a quarter is held out
    batch_size: int = Field(32, ge=2)
    steps: int = Field(200, ge=1)  # of each surrogate, its learning rate falling to zero (cosine)
    pilot_factor: int = Field(4, ge=1)  # times as many steps where no pilot's surrogate fits; 1: no pilot
    fit_accuracy: float = Field(0.95, gt=0, le=1)  # over its last steps; below it, a surrogate is unfit
    finalists: int = Field(3, ge=0)  # scored again, beside the final mean
    rescoring_seeds: int = Field(3, ge=1)  # of the better half; the first one decides which half that is
    seed: Seed = 0

    @field_validator("optimizer")
    @classmethod
    def _known_optimizer(cls, name: str) -> str:
        return known("optimizer", name, OPTIMIZERS)

    @field_validator("augmentation")
    @classmethod
    def _known_augmentation(cls, name: str | None) -> str | None:
        return name if name is None else check_augmentation(name)

    @field_validator("preprocessing")
    @classmethod
    def _known_preprocessing(cls, name: str) -> str:
        return check_preprocessing(name)


class TrainingSettings(Settings):
    """Recipe shared by all cells."""

    epochs: int = Field(30, ge=1)
    batch_size: int = Field(32, ge=2)
    stem: Literal["published", "half", "full"] = "published"
    schedule: str = "constant"
    precision: Literal["auto", "float32", "bfloat16"] = "float32"  # auto: bfloat16 where it is faster
    learning_rates: dict[str, list[float]] = {}  # optimizer -> grid axis, where not its default alone
    weights: dict[str, Path] = {}  # model -> file of initial weights (safetensors, or a saved state dict)
    weight_decays: list[Annotated[float, Field(ge=0)]] = []  # grid axis; empty: each optimizer's default
    vib: Vib = Vib()  # parameters of the loss vibce
    dropouts: list[Annotated[float, Field(ge=0, lt=1)]] = Field([0.0], min_length=1)  # grid axis; last layer
    oversample: bool = True  # rare classes up to the largest (thesis 4.3)

    @field_validator("learning_rates", mode="before")
    @classmethod
    def _one_is_a_list(cls, rates: object) -> object:
        if not isinstance(rates, Mapping):
            return rates
        return {name: rate if isinstance(rate, list) else [rate] for name, rate in rates.items()}

    @field_validator("learning_rates")
    @classmethod
    def _known_optimizers(cls, rates: dict[str, list[float]]) -> dict[str, list[float]]:
        for name, values in rates.items():
            known("optimizer", name, OPTIMIZERS)
            for rate in values:
                if rate <= 0:
                    raise ValueError(f"{name}: a learning rate is above 0, got {rate}")
            unique(values)
        return rates

    @field_validator("schedule")
    @classmethod
    def _known_schedule(cls, name: str) -> str:
        return known("schedule", name, SCHEDULES)

    @field_validator("weight_decays", "dropouts")
    @classmethod
    def _no_repeats(cls, values: list[float]) -> list[float]:
        return unique(values)


class EvaluationSettings(Settings):
    """How trainings are measured, fixed beforehand."""

    batch_size: int = Field(100, ge=2)  # matters for `csn`, whose output depends on the batch
    monitor_images: int = Field(256, ge=16)  # training images read after each epoch for fit and batch norm
    drop_tolerance: float = Field(0.10, ge=0, le=1)  # a loss of accuracy below this is tolerated
    min_clean_above_chance: float = Field(0.20, ge=0, le=1)  # else no verdict is given
    explained_images: int = Field(128, ge=0)  # for Grad-CAM, of training and of test; 0: no explanations
    bootstrap: int = Field(4000, ge=200)  # resamples
    seed: Seed = 0


class AuditConfig(Settings):
    """Everything that defines an audit."""

    name: str = "oct"
    profile: str = "standard"
    operator: str = Field("", max_length=120)  # who runs the audit, as the report's cover names them
    data: DataSettings = DataSettings()
    models: list[str] = Field(["resnet50", "densenet121"], min_length=1)
    optimizers: list[str] = Field(["adam", "adabound", "sgd", "sgd-m"], min_length=1)
    normalizations: list[str] = Field(["none", "csn"], min_length=1)
    augmentations: list[str] = Field(["none"], min_length=1)  # the first is the recipe's own
    preprocessings: list[str] = Field(["none"], min_length=1)
    losses: list[str] = Field([CROSS_ENTROPY], min_length=1)  # the first is the recipe's own
    stoppings: list[Literal["none", "early-stopping"]] = Field(["none"], min_length=1)
    combine_defences: bool = False  # False: each normalization, augmentation, .. by itself
    severities: list[Severity] = Field([0, 1, 2, 5], min_length=1)
    seeds: list[Seed] = Field([0], min_length=1)
    perturbed: PerturbedSettings = PerturbedSettings()
    controls: ControlSettings = ControlSettings()
    baseline: BaselineSettings = BaselineSettings()
    search: SearchSettings = SearchSettings()
    training: TrainingSettings = TrainingSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    device: Literal["auto", "cpu", "cuda"] = "auto"
    deterministic: bool = False  # on a GPU: equal bits from equal seeds, at a cost; a CPU always gives them
    workers: int | None = Field(None, ge=1, le=256)  # None: one per core on a CPU, 1 on a GPU
    engine: str = LOCAL  # or ray, or ray:ADDRESS of a cluster

    @field_validator("models")
    @classmethod
    def _known_models(cls, names: list[str], info: ValidationInfo) -> list[str]:
        return unique([check_model(name, info, "--models") for name in names])

    @field_validator("optimizers")
    @classmethod
    def _known_optimizers(cls, names: list[str]) -> list[str]:
        return unique([known("optimizer", name, OPTIMIZERS) for name in names])

    @field_validator("normalizations")
    @classmethod
    def _known_normalizations(cls, names: list[str]) -> list[str]:
        return unique([known("normalization", name, NORMALIZATIONS) for name in names])

    @field_validator("augmentations")
    @classmethod
    def _known_augmentations(cls, names: list[str]) -> list[str]:
        return unique([check_augmentation(name) for name in names])

    @field_validator("losses")
    @classmethod
    def _known_losses(cls, names: list[str]) -> list[str]:
        return unique([known("loss", name, LOSSES) for name in names])

    @field_validator("preprocessings")
    @classmethod
    def _known_preprocessings(cls, names: list[str]) -> list[str]:
        return unique([check_preprocessing(name) for name in names])

    @field_validator("engine")
    @classmethod
    def _known_engine(cls, name: str) -> str:
        if name in (LOCAL, RAY) or name.startswith(f"{RAY}:"):
            return name
        raise ValueError(f"unknown engine {name!r}; write local, ray, or ray:ADDRESS of a cluster")

    @field_validator("severities", "seeds", "stoppings")
    @classmethod
    def _no_repeats(cls, values: list[int | str]) -> list[int | str]:
        return unique(values)

    def learning_rates(self, optimizer: str) -> list[float]:
        """The learning rates of `optimizer` in this audit."""
        return self.training.learning_rates.get(optimizer) or [OPTIMIZERS[optimizer].learning_rate]

    @model_validator(mode="after")
    def _weights_are_of_models_of_the_grid(self) -> AuditConfig:
        for name in self.training.weights:
            if name not in {*self.models, self.baseline.model}:
                raise ValueError(
                    f"training.weights: {name!r} is not a model of this audit; name one of models"
                )
        return self

    @property
    def search_augmentation(self) -> str:
        """The augmentation that the search knows."""
        return self.search.augmentation or self.augmentations[0]


def check_model(name: str, info: ValidationInfo, option: str) -> str:
    """Refuse a classifier that `model_row` does not know, and code (`package.module:factory`) unless the
    validation's context allows it: a file that somebody sends must not run anything. Raises ValueError."""
    if is_factory(name) and not (info.context or {}).get("factories"):
        raise ValueError(f"{name!r} is code; it is accepted on the command line only ({option})")
    model_row(name)
    return name


def check_augmentation(name: str) -> str:
    """Refuse what is no augmentation or combination of some. Raises ValueError."""
    augmentation(name)
    return name


def check_preprocessing(name: str) -> str:
    """Refuse what is no preprocessing or combination of some. Raises ValueError."""
    preprocessing(name)
    return name
