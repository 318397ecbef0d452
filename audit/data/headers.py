"""What the headers of DICOM files and raw scans add to a listing: frames, patients, and what they hold of a person."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from audit.data.dicom import DicomFacts, read_facts
from audit.data.frames import chosen_frames
from audit.data.listing import DICOM, PICTURE, ImageFile, Listing, Tags
from audit.data.oct_raw import read_raw
from audit.errors import DataError

if TYPE_CHECKING:
    from audit.data.assembly import Intake

HEADER_THREADS = 8


def with_headers(listing: Listing, intake: Intake) -> Listing:
    """`listing` with the frames that `intake` chooses in place of files of several, and their patients.

    A patient is the salted hash of the patient's id, with a salt that is thrown away here; where the label table
    names a group, that one stays. Raises DataError for files that hold no image, unless such are skipped.
    """
    files = [file for file in listing.files if file.kind != PICTURE]
    if not files:
        return listing
    salt = os.urandom(32)
    with ThreadPoolExecutor(max_workers=HEADER_THREADS) as pool:
        facts = dict(
            zip(files, pool.map(lambda file: read_or_refuse(file, salt, intake), files), strict=True)
        )
    found, excluded = [], list(listing.excluded)
    numbers: dict[str, int] = {}  # in place of the hashes: these change from run to run, splits must not
    for file in listing.files:
        own = facts.get(file)
        if isinstance(own, DicomFacts) and own.group is not None:
            own = replace(own, group=f"header {numbers.setdefault(own.group, len(numbers))}")
        if isinstance(own, DataError):
            excluded.append((file.shown, str(own).removeprefix(f"{file.shown}: ")))
        else:
            found += [file] if own is None else frames_of(file, own, intake.frames)
    known = {file: own for file, own in facts.items() if isinstance(own, DicomFacts)}
    from_headers = any(own.group for own in known.values()) and not any(file.group for file in files)
    return replace(
        listing,
        files=tuple(found),
        groups_from="the headers of the files (hashed)" if from_headers else listing.groups_from,
        notes=(*listing.notes, *header_notes(list(known.values()), intake.frames)),
        excluded=tuple(excluded),
        tags=tags_of([own for file, own in known.items() if file.kind == DICOM]),
    )


def read_or_refuse(file: ImageFile, salt: bytes, intake: Intake) -> DicomFacts | DataError:
    """The header; its refusal where unreadable files are skipped."""
    try:
        if file.kind == DICOM:
            return read_facts(file.path, file.shown, salt, intake.max_pixels)
        return raw_facts(file, salt, intake.max_pixels)
    except DataError as refusal:
        if intake.unreadable == "refuse":
            raise
        return refusal


def raw_facts(file: ImageFile, salt: bytes, max_pixels: int) -> DicomFacts:
    """The same of a raw scan, which is read as a whole for it."""
    scan = read_raw(file.path, file.shown, max_pixels)
    frames, rows, columns = scan.frames.shape
    patient = scan.patient
    return DicomFacts(
        frames=frames,
        rows=rows,
        columns=columns,
        kind=f"raw scan of a {scan.maker} device (unpublished format, read by oct-converter)",
        photometric="MONOCHROME2",
        laterality=scan.laterality,
        group=hmac.new(salt, patient.encode(), hashlib.sha256).hexdigest()[:16] if patient else None,
        burned_in="not stated",
        identifiers_present=(),
    )


def frames_of(file: ImageFile, facts: DicomFacts, policy: str) -> list[ImageFile]:
    """One image for each chosen frame. Frames of one file stay together: they show one eye of one patient."""
    group = file.group or facts.group or (f"of {file.shown}" if facts.frames > 1 else None)
    chosen = chosen_frames(facts.frames, policy)
    return [replace(file, group=group, frame=number if facts.frames > 1 else None) for number in chosen]


def header_notes(known: list[DicomFacts], policy: str) -> tuple[str, ...]:
    """Sentences on kinds, sides and frames."""
    if not known:
        return ()
    kinds = Counter(facts.kind for facts in known)
    notes = [f"kinds of image: {', '.join(f'{kind} ({n} files)' for kind, n in sorted(kinds.items()))}"]
    sides = Counter(facts.laterality or "not stated" for facts in known)
    notes.append(f"laterality of these files: {', '.join(f'{s} {n}' for s, n in sorted(sides.items()))}")
    several = [facts.frames for facts in known if facts.frames > 1]
    if several:
        notes.append(f"{len(several)} files of several frames ({sum(several)} frames in all): {policy} used")
    return tuple(notes)


def tags_of(known: list[DicomFacts]) -> Tags | None:
    """Counts of DICOM files by identifying tag and by BurnedInAnnotation."""
    if not known:
        return None
    identifying = Counter(tag for facts in known for tag in facts.identifiers_present)
    return Tags(len(known), dict(sorted(identifying.items())), dict(Counter(f.burned_in for f in known)))
