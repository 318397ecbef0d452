"""What the nearest checks of other tools find on the sets that the shortcut scan is measured on.

    python -m venv V && V/bin/pip install "cleanlab[datalab]" cleanvision dataeval scikit-image
    PYTHONPATH=. V/bin/python benchmarks/scan_rivals.py PATH.npz [--seed 0]

In an environment of its own: these are no dependencies of the audit. Training images of PATH as they are, and with
marks planted into every class (`audit.scan.plants`). Each tool is asked for what it flags in connection with the class:
Cleanlab Datalab's spurious correlations (CleanVision's image properties against labels; flagged below its threshold),
CleanVision's own issues (images flagged), DataEval's balance (mutual information of its pixel statistics and the class;
flagged above its threshold) and outliers (images flagged). A tool sees a mark where the planted set is flagged and the
clean one is not.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from audit.data.dataset import Images, Labels
from audit.data.npz import read_npz
from audit.scan.plants import Plan, plant
from audit.scan.scan import scan_images

MARKS = {
    "white or black pixel, all images": Plan("pixel"),
    "white or black pixel, 10 % of images": Plan("pixel", share=0.1),
    "10 pixels, all images": Plan("pixel", count=10),
    "patch of 3 x 3, all images": Plan("patch"),
    "letters, all images": Plan("text"),
    "border, all images": Plan("border"),
}


def pictures(images: Images) -> list[Image.Image]:
    """As Pillow has them."""
    return [Image.fromarray(image.transpose(1, 2, 0).squeeze()) for image in images]


def datalab(images: Images, labels: Labels) -> str:
    """Properties that Cleanlab's Datalab calls correlated with the class."""
    from cleanlab import Datalab
    from datasets import ClassLabel, Dataset, Features
    from datasets import Image as Picture

    names = [f"class {label}" for label in range(int(labels.max()) + 1)]
    held = Dataset.from_dict(
        {"image": pictures(images), "label": labels.tolist()},
        features=Features({"image": Picture(), "label": ClassLabel(names=names)}),
    )
    lab = Datalab(held, label_name="label", image_key="image", verbosity=0)
    lab.find_issues()
    found = lab.get_info("spurious_correlations")
    table, threshold = found["correlations_df"], found["threshold"]
    flagged = table[table["score"] < threshold]["property"].tolist()
    return f"{', '.join(flagged) or 'nothing'} (least score {table['score'].min():.2f}, flagged below {threshold})"


def cleanvision(images: Images, labels: Labels) -> str:
    """Images with an issue, by issue."""
    from cleanvision import Imagelab
    from datasets import Dataset, Features
    from datasets import Image as Picture

    held = Dataset.from_dict({"image": pictures(images)}, features=Features({"image": Picture()}))
    lab = Imagelab(hf_dataset=held, image_key="image")
    lab.find_issues()
    counts = lab.issue_summary.set_index("issue_type")["num_images"]
    return ", ".join(f"{name} {count}" for name, count in counts.items() if count) or "nothing"


def balance(images: Images, labels: Labels) -> str:
    """Pixel statistics that tell the class by DataEval's threshold."""
    from dataeval import Metadata
    from dataeval.bias import Balance
    from dataeval.core import compute_stats
    from dataeval.flags import ImageStats

    wanted = (
        ImageStats.PIXEL_MEAN | ImageStats.PIXEL_STD | ImageStats.PIXEL_SKEW | ImageStats.PIXEL_KURTOSIS
        | ImageStats.PIXEL_ENTROPY | ImageStats.VISUAL_BRIGHTNESS | ImageStats.VISUAL_CONTRAST
        | ImageStats.VISUAL_DARKNESS | ImageStats.VISUAL_SHARPNESS
    )  # fmt: skip
    found = compute_stats(list(images), stats=wanted)
    factors: dict[str, Any] = {
        name: values for name, values in found["stats"].items() if np.asarray(values).ndim == 1
    }
    metadata = Metadata.from_factors(factors, class_labels=labels)
    judge = Balance()
    rows = judge.evaluate(metadata).balance.to_dicts()
    scores = {row["factor_name"]: row["mi_value"] for row in rows if row["factor_name"] != "class_label"}
    best = max(scores, key=lambda name: scores[name])
    flagged = [name for name, score in scores.items() if score > 0.3]
    return f"{', '.join(flagged) or 'nothing'} (most: {best} {scores[best]:.2f}, flagged above 0.3)"


def outliers(images: Images, labels: Labels) -> str:
    """Images that DataEval calls outliers."""
    from dataeval.quality import Outliers

    found = Outliers().evaluate(list(images))
    return f"{len(set(found.data().to_dict(as_series=False)['item_index']))} images"


def ours(images: Images, labels: Labels) -> str:
    """The shortcut scan: classes with a finding, edits and borders."""
    classes = int(labels.max()) + 1
    found = scan_images(images, labels, None, classes)
    edits = {one.label for one in found.groups}
    borders = {frame.label for frame in found.frames}
    return f"edits in {len(edits)} of {classes} classes, padding or borders in {len(borders)}"


TOOLS = {
    "shortcut scan": ours,
    "Cleanlab Datalab, spurious correlations": datalab,
    "CleanVision, issues": cleanvision,
    "DataEval, balance of pixel statistics": balance,
    "DataEval, outliers": outliers,
}


def main() -> None:
    """One table: sets x tools."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    train = read_npz(options.data, None).train
    sets = {"as they are": train.images}
    for name, plan in MARKS.items():
        sets[name] = plant(train.images, train.labels, int(train.labels.max()) + 1, plan, options.seed).images
    print("| training images | tool | finds | s |\n|---|---|---|---|")
    for name, images in sets.items():
        for tool, look in TOOLS.items():
            started = time.perf_counter()
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                found = look(images, train.labels)
            print(f"| {name} | {tool} | {found} | {time.perf_counter() - started:.1f} |", flush=True)


if __name__ == "__main__":
    main()
