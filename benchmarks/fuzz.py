"""Damaged and arbitrary bytes into every parser of the intake: only a DataError may come out.

    python benchmarks/fuzz.py [--seconds 60] [--seed 0]

Each target starts from valid files (ZIP, CSV, DICOM, image heads) and flips, cuts, repeats or joins their bytes.
Prints inputs tried, accepted and refused for each target; any other exception is shown and ends with exit code 1.
"""

from __future__ import annotations

import argparse
import io
import random
import sys
import tempfile
import time
import traceback
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RLELossless, SecondaryCaptureImageStorage

from audit.data.archive import Quotas, unpack
from audit.data.dicom import read_facts
from audit.data.dicom_pixels import read_frames
from audit.data.sniff import check_type
from audit.data.table import read_table
from audit.errors import DataError

MAX_PIXELS = 1 << 20


@dataclass(frozen=True)
class Target:
    """One parser: valid inputs, the file name under which it meets them, and a call."""

    name: str
    file: str
    seeds: Callable[[], list[bytes]]
    read: Callable[[Path], object]


def zips() -> list[bytes]:
    """Small archives, packed and stored."""
    found = []
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", compression) as archive:
            for name in ("eyes/train/A/1.png", "eyes/test/B/é 2.png", "__MACOSX/x"):
                archive.writestr(name, bytes(range(256)) * 4)
        found.append(stream.getvalue())
    return found


def tables() -> list[bytes]:
    """Each layout that is recognised."""
    texts = (
        "lesion_id,image_id,dx\nHAM_1,ISIC_1,nv\nHAM_2,ISIC_2,mel\n",
        "image,MEL,NV\nISIC_1,0.0,1.0\nISIC_2,1.0,0.0\n",
        'file;label;split\r\n"a;b.png";x;train\r\nc.png;y;test\r\n',
    )
    return [text.encode(encoding) for text in texts for encoding in ("utf-8", "utf-16", "cp1252")]


def dicoms() -> list[bytes]:
    """Grey, colour and run-length packed."""
    found = []
    for pixels in (np.arange(48, dtype=np.uint8).reshape(6, 8), np.zeros((4, 4, 3), dtype=np.uint8)):
        for packed in (False, True):
            ds = Dataset()
            ds.file_meta = FileMetaDataset()
            ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            ds.SOPClassUID, ds.SOPInstanceUID = SecondaryCaptureImageStorage, "1.2.3"
            ds.PatientID = "4711"
            ds.Rows, ds.Columns = pixels.shape[:2]
            ds.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
            ds.PhotometricInterpretation = "RGB" if pixels.ndim == 3 else "MONOCHROME1"
            ds.PlanarConfiguration = 0
            ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
            ds.WindowCenter, ds.WindowWidth = 100, 120
            ds.PixelData = pixels.tobytes()
            if packed:
                ds.compress(RLELossless)
            stream = io.BytesIO()
            ds.save_as(stream, enforce_file_format=True)
            found.append(stream.getvalue())
    return found


def images() -> list[bytes]:
    """Small images of every format that is read."""
    found = []
    for kind in ("PNG", "JPEG", "TIFF", "BMP"):
        stream = io.BytesIO()
        Image.new("L", (9, 7), 100).save(stream, format=kind)
        found.append(stream.getvalue())
    return found


def read_zip(path: Path) -> object:
    """Unpack; nothing may stand outside."""
    with tempfile.TemporaryDirectory(dir=path.parent) as work:
        folder = Path(work) / "deep" / "in"
        folder.mkdir(parents=True)
        found = unpack(path, folder, Quotas(max_bytes=1 << 20, max_file_bytes=1 << 20))
        outside = {p for p in Path(work).rglob("*") if not p.is_relative_to(folder)} - {folder.parent}
        assert not outside, outside
    return found


def read_dicom(path: Path) -> object:
    """Header and the first two frames."""
    facts = read_facts(path, path.name, b"salt", MAX_PIXELS)
    return list(read_frames(path, path.name, range(min(facts.frames, 2)), MAX_PIXELS))


TARGETS = (
    Target("archive", "a.zip", zips, read_zip),
    Target("label table", "a.csv", tables, lambda path: read_table(path, path.name)),
    Target("DICOM", "a.dcm", dicoms, read_dicom),
    Target("image head", "a.png", images, lambda path: check_type(path, path.name, MAX_PIXELS)),
)


def mutated(generator: random.Random, seeds: list[bytes]) -> bytes:
    """A valid file with a few things done to it; now and then no file at all."""
    content = bytearray(generator.choice(seeds))
    for _ in range(generator.randint(1, 6)):
        at = generator.randrange(len(content) + 1)
        match generator.randrange(6):
            case 0 | 1 if content:
                content[at % len(content)] = generator.randrange(256)
            case 2:
                del content[at:]
            case 3:
                content[at:at] = generator.randbytes(generator.randint(1, 9))
            case 4:
                content[at:at] = content[at : at + generator.randint(1, 60)]
            case _ if content:
                start = at % len(content)
                content[start : start + 4] = generator.choice(
                    (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f")
                )
    return bytes(content)


def fuzz(target: Target, seconds: float, seed: int, folder: Path) -> tuple[int, int, int]:
    """Inputs tried, accepted, failed; a failure is shown with its input."""
    generator, seeds = random.Random(seed), target.seeds()
    tried = accepted = failed = 0
    end = time.monotonic() + seconds
    path = folder / target.file
    while time.monotonic() < end:
        content = mutated(generator, seeds)
        path.write_bytes(content)
        tried += 1
        try:
            target.read(path)
            accepted += 1
        except DataError:
            pass
        except Exception:  # noqa: BLE001  that is what is looked for
            failed += 1
            traceback.print_exc()
            print(f"{target.name}: input {content!r}", file=sys.stderr)
    return tried, accepted, failed


def main() -> None:
    """All targets in turn."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print("| parser | inputs | accepted | refused | other exceptions |\n|---|---|---|---|---|")
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        for target in TARGETS:
            tried, accepted, failed = fuzz(target, options.seconds / len(TARGETS), options.seed, Path(folder))
            failures += failed
            print(
                f"| {target.name} | {tried:,} | {accepted:,} | {tried - accepted - failed:,} | {failed} |",
                flush=True,
            )
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
