"""What the audit speaks of, and of what it does not: task, threat model, out of scope."""

from __future__ import annotations

from audit.results import AuditResult
from reports import lookups, words
from reports.document import Bullets, Facts, Heading, Section, Text

MODALITIES = {"oct": "retinal OCT (configuration oct)", "derma": "dermatology (configuration derma)"}
"""By the name of the configuration: images do not say it."""

OUT_OF_SCOPE = (
    "changes of test images, or of images in use: adversarial examples, noise, artefacts, other devices and sites",
    "changes of labels, of weights, or of the training program",
    "larger changes than those named above, and changes that differ from image to image",
    "whether the data represent the patients for whom a classifier is meant",
    "what readers or clinicians do with a classifier's answers",
)


def scope_section(result: AuditResult) -> Section:
    """Facts of the task, then who could do what, then what is left out."""
    data = result.dataset
    channels = "grey" if data.channels == 1 else f"{data.channels} channels, colour"
    task = (
        f"name one of {len(data.class_names)} classes ({words.listed(data.class_names)}) for one image of "
        f"{data.image_size[0]} × {data.image_size[1]} pixels, {channels}"
    )
    severities = lookups.severities(result)
    amount = words.listed([str(severity) for severity in severities]) or words.NOT_RUN
    return Section(
        "Scope",
        [
            Facts(
                [
                    ("Modality", MODALITIES.get(lookups.setting_text(result, "name"), "not stated")),
                    ("Task", task),
                    ("Data", words.dataset_name(data)),
                    (
                        "Who",
                        "somebody, or some device, that touches training images before a classifier is trained",
                    ),
                    ("Knows", "the training images with their labels, and how such networks are trained"),
                    ("Changes", f"pixels per class: {amount}; in {words.carriers(result)}"),
                    ("Cannot", "change labels, test images, the network or its training"),
                    ("Harm", "the trained classifier fails on images that nobody has changed"),
                ]
            ),
            Text(
                "A pixel like that need not come from an attacker: a burnt-in mark, a dead sensor cell or an edge that "
                "goes with one class acts in the same way."
            ),
            Heading("Out of scope"),
            Bullets(list(OUT_OF_SCOPE)),
        ],
    )
