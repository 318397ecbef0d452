"""Small label tables on disk, for the tests that read them."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit.data.table import Columns, LabelTable, read_table
from audit.errors import DataError

NO_GROUP = "counts as its own group, so a leak of patients between splits cannot be excluded"
NO_COLUMN = f"no column of patients or lesions: each image {NO_GROUP}"

HAM = """lesion_id,image_id,dx,dx_type,age,sex,localization
HAM_0000118,ISIC_0027419,bkl,histo,80.0,male,scalp
HAM_0000118,ISIC_0025030,bkl,histo,80.0,male,scalp
HAM_0002730,ISIC_0026769,nv,histo,,male,scalp
"""
ISIC_2019 = """image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC,UNK
ISIC_0000000,0.0,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0
ISIC_0000001,0.0,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0
ISIC_0000002,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0
"""
PLAIN = "file,class,patient\na.png,CNV,71\nb.png,CNV,71\nc.png,DME,72\n"


def save(folder: Path, text: str | bytes, name: str = "labels.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def read(folder: Path, text: str | bytes, columns: Columns | None = None, **limits: int) -> LabelTable:
    return read_table(save(folder, text), "clinic/labels.csv", columns or Columns(), **limits)


def refused(
    folder: Path, text: str | bytes, message: str, columns: Columns | None = None, **limits: int
) -> None:
    with pytest.raises(DataError) as refusal:
        read(folder, text, columns, **limits)
    assert str(refusal.value) == f"clinic/labels.csv: {message}"


def found(table: LabelTable) -> list[tuple[str, str, str | None, str | None]]:
    return [(row.image, row.label, row.group, row.split) for row in table.rows]
