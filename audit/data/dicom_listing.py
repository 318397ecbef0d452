"""What the headers of DICOM files add to a listing: their frames, their patients, and what they hold of a person."""

from __future__ import annotations

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from audit.data.dicom import DicomFacts, read_facts
from audit.data.frames import chosen_frames
from audit.data.listing import ImageFile, Listing, Tags
from audit.errors import DataError

if TYPE_CHECKING:
    from audit.data.assembly import Intake

HEADER_THREADS = 8


def with_dicom_headers(listing: Listing, intake: Intake) -> Listing:
    """`listing` with the frames that `intake` chooses in place of DICOM files, and their patients.

    A patient is the salted hash of PatientID, with a salt that is thrown away here; where the label table names a
    group, that one stays. Raises DataError for a file that is no DICOM or holds no image, unless such are skipped.
    """
    dicoms = [file for file in listing.files if file.is_dicom]
    if not dicoms:
        return listing
    salt = os.urandom(32)
    with ThreadPoolExecutor(max_workers=HEADER_THREADS) as pool:
        facts = dict(
            zip(dicoms, pool.map(lambda file: read_or_refuse(file, salt, intake), dicoms), strict=True)
        )
    files, excluded = [], list(listing.excluded)
    numbers: dict[str, int] = {}  # in place of the hashes: these change from run to run, splits must not
    for file in listing.files:
        found = facts.get(file)
        if isinstance(found, DicomFacts) and found.group is not None:
            found = replace(found, group=f"header {numbers.setdefault(found.group, len(numbers))}")
        if isinstance(found, DataError):
            excluded.append((file.shown, str(found).removeprefix(f"{file.shown}: ")))
        else:
            files += [file] if found is None else frames_of(file, found, intake.frames)
    known = [found for found in facts.values() if isinstance(found, DicomFacts)]
    from_headers = any(found.group for found in known) and not any(file.group for file in dicoms)
    return replace(
        listing,
        files=tuple(files),
        groups_from="PatientID in the DICOM headers (hashed)" if from_headers else listing.groups_from,
        notes=(*listing.notes, *header_notes(known, len(files), intake.frames)),
        excluded=tuple(excluded),
        tags=tags_of(known),
    )


def read_or_refuse(file: ImageFile, salt: bytes, intake: Intake) -> DicomFacts | DataError:
    """The header; its refusal where unreadable files are skipped."""
    try:
        return read_facts(file.path, file.shown, salt, intake.max_pixels)
    except DataError as refusal:
        if intake.unreadable == "refuse":
            raise
        return refusal


def frames_of(file: ImageFile, facts: DicomFacts, policy: str) -> list[ImageFile]:
    """One image for each chosen frame. Frames of one file stay together: they show one eye of one patient."""
    group = file.group or facts.group or (f"of {file.shown}" if facts.frames > 1 else None)
    chosen = chosen_frames(facts.frames, policy)
    return [replace(file, group=group, frame=number if facts.frames > 1 else None) for number in chosen]


def header_notes(known: list[DicomFacts], images: int, policy: str) -> tuple[str, ...]:
    """Sentences on kinds, sides and frames."""
    kinds = Counter(facts.kind for facts in known)
    notes = [f"DICOM: {', '.join(f'{kind} ({n} files)' for kind, n in sorted(kinds.items()))}"]
    sides = Counter(facts.laterality or "not stated" for facts in known)
    notes.append(f"laterality of the DICOM files: {', '.join(f'{s} {n}' for s, n in sorted(sides.items()))}")
    several = sum(facts.frames > 1 for facts in known)
    if several:
        frames = sum(facts.frames for facts in known)
        notes.append(f"{several} DICOM files of several frames ({frames} frames in all): {policy} used")
    return tuple(notes)


def tags_of(known: list[DicomFacts]) -> Tags:
    """Counts of files by identifying tag and by BurnedInAnnotation."""
    identifying = Counter(tag for facts in known for tag in facts.identifiers_present)
    return Tags(len(known), dict(sorted(identifying.items())), dict(Counter(f.burned_in for f in known)))
