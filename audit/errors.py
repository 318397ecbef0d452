"""Problems that a user can mend. Each class carries the exit code of the command line.

Every message is one line that names the culprit (file or field) and the remedy; the command line prints
it without a traceback.
"""

from __future__ import annotations

EXIT_PASS = 0
EXIT_GATE_FAILED = 1
EXIT_USAGE = 2
EXIT_DATA = 3
EXIT_INCOMPLETE = 4
EXIT_INCONCLUSIVE = 5
EXIT_INTERRUPTED = 130


class AuditError(Exception):
    """Base of all problems that a user can mend."""

    exit_code: int = EXIT_USAGE


class ConfigError(AuditError):
    """An unknown key, a bad value, an unknown model or optimizer, a path that is not there."""

    exit_code = EXIT_USAGE


class ModelError(ConfigError, ValueError):
    """A model that cannot be had or built as asked. A ValueError too, so that a validator names its field."""


class DataError(AuditError):
    """The data set was read and refused: unreadable, too small, inconsistent."""

    exit_code = EXIT_DATA


class StorageError(AuditError):
    """The disk is full, or cannot be read or written any more."""

    exit_code = EXIT_INCOMPLETE


class IncompleteError(AuditError):
    """An audit that has no results yet, or not all of them."""

    exit_code = EXIT_INCOMPLETE


class RunDirectoryError(AuditError):
    """The run directory cannot be used: it holds another audit, or is not writable."""

    exit_code = EXIT_USAGE
