"""Sentences and results that the tests of the report's languages translate."""

from __future__ import annotations

from audit.results import (
    AuditResult,
    CheckResult,
    Cost,
    Interval,
    PairComparison,
    RepairSummary,
    ScanRecord,
    ShortcutFinding,
)
from audit.scan.record import DetectionLimit
from tests.results_factory import example_result

ENGINE = (
    "Changing 2 pixels per class in the training images (found by evolutionary search) took resnet50 with "
    "adam and "
    "covariate shift normalization + crop-flip from 93.0 % (90.1–95.2) to 31.0 % (26.0–36.4) accuracy on "
    "synthetic "
    "test images, while it fitted 99.5 % of its training images (reading inconclusive: drop 12.0 points "
    "(-1.0 to "
    "25.0) does not clear the tolerance of 10.0 points: more seeds or test images).",
    "clean accuracy 40.0 % is not surely above 45.0 %: there is too little to lose",
    "all 4 attacked conditions lose surely less than 10.0 points",
    "3 of 4 attacked conditions allow no reading",
    "No defence was shown to help resnet50 with adam: cutmix, the best of 3 defences, recovered 4.0 "
    "points (-2.0 to "
    "10.0) of attacked accuracy; reading no difference shown.",
    "Covariate shift normalization helped resnet50 with adam: it recovered 12.0 points (8.1 to 15.9) of "
    "attacked "
    "accuracy and cost 1.0 points (-1.0 to 3.0) of clean accuracy.",
    "The search did not beat the random-search control on resnet50 adam none at N_p = 1: accuracy 30.0 % "
    "(25.0–35.0) after the search, 29.0 % (24.0–34.0) after the control; their intervals overlap.",
    "clean accuracy lower than the baseline's by 7.0 points; under-fitted in 1 of 3 trainings: part of "
    "the score is "
    "lack of fit",
    "clean accuracy differs by 7.0 points (more than 5.0 points): resnet18 with sgd and no defence has "
    "the lower one",
    "attacked accuracy differs by 12.0 points (-1.0 to 25.0 at the 99.5 % level, corrected for 10 "
    "comparisons): it "
    "may be zero; one training each: other seeds may turn it around",
    "Left out to fit into 0.5 h: seeds 1, 2; severities 2, 5; models resnet18, alexnet.",
    "The search knew nothing of crop-flip, median-3: what they save from a perturbation that was searched "
    "without "
    "them, they may not save from one that was searched for them.",
    "Only 50.0 % of the images of CNV, DME carried the perturbation.",
    "Only the images of every class carried the perturbation.",
    "Initial weights of resnet50: 320 tensors from start.safetensors; left fresh: fc.weight, fc.bias.",
    "Failed: resnet50, adam, none, evoshift: RuntimeError: no such layer (model.py: forward)",
    "failed: out of memory, even with two images at a time; try fewer workers or a smaller model",
    "split by patient 70% / 10% / 20% with seed 0; patients read from the file names",
    "split as given by the folders; 12 of 40 images hold no patient id: each of these images counts as "
    "its own group, "
    "so a leak of patients between splits cannot be excluded",
    "leak between the given splits: patients or lesions in both test and train: 3 (9 of 80 test images)",
    "40 of 40 images not square: the central square of the short edge was kept",
    "labels from column dx, lesions from column lesion_id (HAM10000's layout)",
    "Surrogate pooled CNN 16-32-64, batch norm, fitness probability, budget 200, closed form 1.0, "
    "precision auto.",
    "EvoShift, 2 pixels 25 616",
    "− 2 × training loss",
    "empty file: 3 files",
)
"""As the engine writes them into results.json."""


def check(title: str, status: str, sentence: str, remedy: str = "") -> CheckResult:
    return CheckResult.model_validate(
        {"name": title, "title": title, "status": status, "sentence": sentence, "remedy": remedy}
    )


CHECKS = [
    check(
        "Unreadable files", "fail", "3 of 90 files cannot be read (2 reasons)",
        "mend or remove these files; --set data.unreadable=skip leaves them out and says so in the report",
    ),
    check(
        "Images by class and split", "warn",
        "4 classes, 720 train, 80 val, 100 test images; largest to smallest training class 12.5 to 1",
        "add images of the rare classes, and read balanced accuracy",
    ),
    check(
        "Size of classes", "warn",
        "2 of 4 classes have fewer than 20 training or 30 test images: a recall of 90 % in the smallest is "
        "known to "
        "± 12 points at best",
        "add images of these classes, or read their recall as a rough figure",
    ),
    check(
        "Patients across splits", "fail",
        "2 of 60 patients or lesions stand in several splits (9 test images): test results look better than "
        "they are",
        "move all images of a patient into one split, or give class folders without splits, which are then "
        "split by "
        "patient",
    ),
    check(
        "Patients under several classes", "warn", "3 of 60 patients or lesions have images of more than one class",
        "look whether their labels are right: two eyes may differ, one lesion may not",
    ),
    check(
        "Exact duplicates", "warn",
        "5 pairs of images with equal pixels: 1 across splits, 2 across classes, 3 of one patient",
        "keep one of each pair, and each patient in one split",
    ),
    check(
        "Near duplicates", "pass",
        "no pairs of nearly equal images (mirrored or turned copies were not looked for) among 900 images",
    ),
    check(
        "Constant and saturated images", "warn",
        "4 of 900 images: 1 (nearly) constant, 2 more than half black, 1 more than half white",
        "look at them; remove what shows nothing",
    ),
    check(
        "Cues beside the picture", "warn",
        "2 of 8 cues alone tell the class (balanced accuracy): black border, share 61 %, brightness 44 % "
        "(guessing 25 %)",
        "find out whether this is the disease (skin colour, fluid) or the acquisition (device, source, zoom): "
        "a model may "
        "learn the latter",
    ),
    check(
        "Shortcut pixels", "fail",
        "2 marks give away 2 of 4 classes: pixel of CNV at row 12, column 40 (100 % of its images, other "
        "classes at most "
        "0 %); low-contrast of DME at row 3, column 4, 2 x 3 pixels (on the mean of the class; which images "
        "carry it is "
        "not known). padding or borders that go with a class, as of the acquisition: border of DME at row 0, "
        "column 0, "
        "32 x 2 pixels (30 % of its images, other classes at most 1.5 %)",
        "look at the flagged places with: audit scan; have them taken out in a copy with: audit repair; find "
        "out where "
        "they come from",
    ),
    check(
        "Patient identity (PHI)", "warn",
        "2 identifying tags are filled in (PatientName, PatientID); names in the pixels: said for 1, not "
        "stated for 9 of "
        "10 files",
        "remove identifying tags before the files are passed on, and look at the images for names: nothing of "
        "a header "
        "stands in any output of an audit",
    ),
    check("Licence", "pass", "CC BY 4.0"),
    check(
        "Synthetic images", "warn", "synthetic phantoms: no number says anything about patients or devices",
        "audit real images before you conclude anything",
    ),
]  # fmt: skip


def interval(estimate: float, half: float = 0.1) -> Interval:
    return Interval(
        estimate=estimate, low=estimate - half, high=estimate + half, n_images=100, n_groups=50, n_seeds=2
    )


def comparison(defence: bool, reading: str, reason: str) -> PairComparison:
    first = ("resnet50", "adam", "csn") if defence else ("densenet121", "sgd-m", "none")
    return PairComparison.model_validate(
        {
            "first": first, "second": ("resnet50", "adam", "none"), "attack": "evoshift", "severity": 1,
            "attacked": interval(0.3), "corrected": interval(0.3, 0.2), "clean": interval(-0.01),
            "reading": reading, "reason": reason, "is_defence": defence,
        }
    )  # fmt: skip


def full_result() -> AuditResult:
    """With checks, a scan, a repair, comparisons and a cost."""
    finding = ShortcutFinding(
        label=2, kind="pixel", row=12, col=20, pixels=1, moves=True, value=[1.0], contrast=200.0,
        share=1.0, others=0.01, images=180, strength=0.98,
    )  # fmt: skip
    faint = finding.model_copy(
        update={"kind": "low-contrast", "share": None, "others": None, "strength": None}
    )
    scan = ScanRecord(
        status="fail",
        sentence=next(one.sentence for one in CHECKS if one.title == "Shortcut pixels"),
        images=720,
        image_size=(32, 32),
        false_alarm_rate=0.01,
        strength=0.61,
        findings=[finding, faint],
        limits=[
            "Images smaller than 32 x 32 pixels were enlarged and are left out of the scan.",
            "A mark is told from chance by about eight images of a class or more; the smallest class has 180 "
            "training "
            "images. Rarer marks are missed.",
            "Test images were not looked at. A scan that finds nothing is no proof that there is nothing.",
        ],
        detection=[
            DetectionLimit(kind=kind, count=1, share=0.3, contrast=contrast, planted=4, found=3)
            for kind, contrast in (("pixel", 255), ("jittered", 255), ("patch", 255), ("pixel", 32))
        ],
    )
    repair = RepairSummary(
        note="repaired copy: in 180 of 720 images 180 marked pixels were filled from their neighbourhood before this "
        "audit (original fingerprint 0123456789ab)",
        images=180,
        pixels=180,
        sentence="1 mark gives away 1 of 4 classes: pixel of CNV at row 12, column 20 (100 % of its images, "
        "other classes "
        "at most 1 %)",
        findings=[finding],
    )
    cost = Cost(
        predicted_seconds=600,
        measured_seconds=540, time_error=-0.1, workers=1, sessions=1,
        predicted_bytes=3 * 2**30, measured_bytes=2 * 2**30,
        predicted_watt_hours=1.7, measured_watt_hours=None,
        power_basis="assumed 10 W per worker, as no power meter can be read here",
    )  # fmt: skip
    comparisons = [
        comparison(
            True,
            "better",
            "attacked accuracy differs by 30.0 points (10.0 to 50.0 at the 97.5 % level, corrected for 2 "
            "comparisons)",
        ),
        comparison(
            False,
            "withheld",
            "fit differs or is missing: densenet121 with sgd-m and no defence under-fitted in 1 of 4 "
            "trainings (attacked "
            "and clean; lowest training accuracy 76.7 %); resnet50 with adam and no defence under-fitted in 2 of 4 "
            "trainings (attacked and clean; lowest training accuracy 91.8 %)",
        ),
    ]
    return example_result(checks=CHECKS, scan=scan, repair=repair, cost=cost, comparisons=comparisons)
