"""Images with a label table beside them, as a data set."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit.data.assembly import Intake, assemble
from audit.data.dataset import ImageDataset
from audit.data.table import Columns
from audit.data.table_lesions import find_table
from audit.data.table_listing import list_table
from audit.errors import DataError
from tests.class_folders import write

HAM = "lesion_id,image_id,dx\nHAM_1,ISIC_1,nv\nHAM_1,ISIC_2,nv\nHAM_2,ISIC_3,mel\n"


@pytest.fixture
def clinic(tmp_path: Path) -> Path:
    """HAM10000's layout: two folders of images, one table."""
    root = tmp_path / "ham"
    for number in range(1, 9):
        write(root / f"part_{number % 2}" / f"ISIC_{number}.jpg", 20 * number)
    lines = [f"HAM_{(n + 1) // 2},ISIC_{n},{'nv' if n < 5 else 'mel'}\n" for n in range(1, 9)]
    (root / "HAM10000.csv").write_text("lesion_id,image_id,dx\n" + "".join(lines))
    return root


def read(root: Path, columns: Columns | None = None) -> ImageDataset:
    found = find_table(sorted(root.iterdir()), root.name)
    assert found is not None
    return assemble(list_table(root, root.name, found, columns or Columns()), Intake(image_size=8))


def images_refused(root: Path) -> str:
    with pytest.raises(DataError) as problem:
        read(root)
    return str(problem.value)


def test_images_and_table_become_a_data_set(clinic: Path) -> None:
    dataset = read(clinic)
    assert dataset.class_names == ("mel", "nv")
    assert sum(len(dataset.split(s)) for s in ("train", "val", "test")) == 8
    groups = [set(g.tolist()) for s in ("train", "test") if (g := dataset.split(s).groups) is not None]
    assert not groups[0] & groups[1], "lesions stay together"
    for split in ("train", "val", "test"):
        part = dataset.split(split)
        assert [int(value) > 90 for value in part.images[:, 0, 0, 0]] == [label == 0 for label in part.labels]
    assert "HAM_1" not in repr(dataset) + str(dataset.notes)
    assert dataset.notes[-1].endswith("with seed 0; patients read from the label table")


def test_splits_of_the_table_are_kept(clinic: Path) -> None:
    lines = ["image,label,split"]
    for n in range(1, 9):
        lines.append(f"part_{n % 2}/ISIC_{n}.jpg,{'ab'[n % 2]},{'train' if n < 7 else 'test'}")
    (clinic / "HAM10000.csv").write_text("\n".join(lines))
    dataset = read(clinic)
    assert (len(dataset.train), len(dataset.val), len(dataset.test)) == (6, 0, 2)
    assert any(
        note.startswith("split as given by the label table; 8 of 8 images hold no") for note in dataset.notes
    )


def test_lesions_from_the_metadata_beside(clinic: Path) -> None:
    hot = "".join(f"ISIC_{n},{float(n < 5)},{float(n >= 5)}\n" for n in range(1, 9))
    (clinic / "HAM10000.csv").unlink()
    lesions = "".join(f"ISIC_{n},,HAM_{(n + 1) // 2}\n" for n in range(1, 9))
    (clinic / "ISIC_Metadata.csv").write_text("image,age_approx,lesion_id\n" + lesions)
    (clinic / "ISIC_GroundTruth.csv").write_text("image,NV,MEL\n" + hot)
    dataset = read(clinic)
    assert dataset.train.groups is not None
    assert any("ISIC_Metadata.csv" in note for note in dataset.notes)


def test_images_that_no_row_names_are_counted(clinic: Path) -> None:
    write(clinic / "part_1" / "other.jpg")
    assert "1 of 9 image files have no row in the table and were left out" in read(clinic).notes


def test_no_images(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "labels.csv").write_text(HAM)
    assert images_refused(tmp_path / "set") == (
        "set: no images beside labels.csv; put the table into the folder of the images"
    )
