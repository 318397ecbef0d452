"""Users and their passwords, hashed with Argon2id. There is no default user."""

from __future__ import annotations

import json
import re
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from audit.errors import ConfigError
from audit.store import write_atomic

USERS_FILE = "users.json"
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")
SHORTEST = 10  # signs of a password
HASHER = PasswordHasher()
NOBODY = HASHER.hash("no such user")  # checked for unknown names, so that these answer as slowly


class Accounts:
    """The users of one server."""

    def __init__(self, data: Path) -> None:
        self.file = data / USERS_FILE

    def read(self) -> dict[str, str]:
        """Hash by name; empty where there is no file. Raises ConfigError where it is damaged."""
        try:
            content = json.loads(self.file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError):
            raise ConfigError(f"{self.file}: damaged; delete it and add the users again") from None
        return {str(name): str(digest) for name, digest in content.items()}

    def add(self, name: str, password: str) -> None:
        """A new user, or a new password. Raises ConfigError."""
        if not NAME.fullmatch(name):
            raise ConfigError(f"user {name!r}: small letters, digits, . _ - only, at most 32")
        if len(password) < SHORTEST:
            raise ConfigError(
                f"user {name}: the password has {len(password)} signs; take at least {SHORTEST}"
            )
        users = {**self.read(), name: HASHER.hash(password)}
        self.file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(self.file, json.dumps(users, indent=1))
        self.file.chmod(0o600)

    def knows(self, name: str, password: str) -> bool:
        """Whether this is the password of this user."""
        digest = self.read().get(name)
        try:
            return HASHER.verify(digest or NOBODY, password) and digest is not None
        except (VerificationError, InvalidHashError):
            return False
