"""Words for clinicians beside each choice, and what a plan may hold. Names are those of the engine."""

from __future__ import annotations

from typing import Any

MODELS = {
    "resnet18": "ResNet-18: small, quick",
    "resnet50": "ResNet-50: the usual choice",
    "densenet121": "DenseNet-121: common in medical imaging",
    "efficientnet_b0": "EfficientNet-B0",
    "mobilenet_v3_small": "MobileNetV3 small: very quick",
}
OPTIMIZERS = {
    "adam": "Adam: the usual choice",
    "sgd-m": "SGD with momentum",
    "adabound": "AdaBound",
    "sgd": "SGD",
}
NORMALIZATIONS = {"none": "none", "csn": "CSN: each batch to zero mean and unit deviation"}
FILTERS = {"median-3": "median filter, 3 × 3", "jpeg-50": "JPEG, quality 50"}
SEVERITIES = {1: "1 pixel", 2: "2 pixels", 5: "5 pixels"}
PROFILES = {
    "quick": "Quick look: small images, one training each; minutes. Not evidence for a decision.",
    "cpu": "Careful, on a machine without a GPU; hours.",
    "standard": "Full audit; a GPU is advised.",
}
PHANTOMS = {"oct": "OCT phantoms (synthetic)", "derma": "Skin phantoms (synthetic)"}
HELP = {
    "data": (
        "One ZIP with a folder per class (or train/, val/ and test/ with a folder per class), or with images and a "
        "table of labels. PNG, JPEG, TIFF, BMP, DICOM; or a MedMNIST .npz. Images never leave this server."
    ),
    "models": "Networks to be trained on your images. Each adds its trainings to the time.",
    "optimizers": "How a network learns. Each combination with each network is trained.",
    "normalizations": "A simple defence: image values are shifted and scaled before the network sees them.",
    "filters": "Defences that smooth or recompress every image before training and testing.",
    "severities": "How many pixels per class are changed in the training images. One is the smallest attack.",
    "compare": "Your finished audits. Numbers of two audits can stand side by side where their images are the same.",
    "profile": "How much time the audit may take, and so how far its numbers can be trusted.",
}
UNTESTED = (
    "Not tested, whatever you choose: changed test images, changed labels, other devices or sites, and whether your "
    "images represent your patients."
)


def overrides(
    models: list[str],
    optimizers: list[str],
    normalizations: list[str],
    filters: list[str],
    severities: list[int],
) -> dict[str, Any]:
    """Settings of the engine from the choices of the page. Raises ValueError where a choice is not on it: names of code
    (`module:factory`) are no choices here."""
    chosen: dict[str, list[Any]] = {}
    for name, picked, known in (
        ("models", models, MODELS),
        ("optimizers", optimizers, OPTIMIZERS),
        ("normalizations", normalizations, NORMALIZATIONS),
        ("preprocessings", filters, FILTERS),
        ("severities", severities, SEVERITIES),
    ):
        strange = [str(one) for one in picked if one not in known]
        if strange:
            raise ValueError(f"{name}: {', '.join(strange)} cannot be chosen here")
        chosen[name] = [one for one in known if one in picked]
    for name in ("models", "optimizers", "severities"):
        if not chosen[name]:
            raise ValueError(f"{name}: choose at least one")
    defences = ["none", *[one for one in chosen["normalizations"] if one != "none"]]
    return {
        "models": chosen["models"],
        "optimizers": chosen["optimizers"],
        "normalizations": defences,
        "preprocessings": ["none", *chosen["preprocessings"]],
        "severities": [0, *chosen["severities"]],
        "baseline.model": chosen["models"][0],
        "baseline.optimizer": chosen["optimizers"][0],
    }
