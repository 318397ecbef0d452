"""How the application is served: where it keeps things, who may come, how much is allowed."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from audit.store import write_atomic

SETTINGS_FILE = "server.json"
MEGABYTE = 10**6
CACHE = "cache"  # in the data folder: what Gradio keeps


class ServerSettings(BaseModel):
    """Written into the data folder, where the worker process reads it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: Path = Path("audit-server")  # audits, uploads, queue, users
    host: str = "127.0.0.1"
    port: int = Field(7860, ge=0, le=65535)
    root_path: str = ""  # where a proxy has the page: /audit
    running: int = Field(1, ge=1, le=64)  # audits at once
    upload_mb: int = Field(1024, ge=1)  # the largest upload
    quota_mb: int = Field(4096, ge=1)  # uploads and runs of one user together
    keep_days: float = Field(30, gt=0)  # after which audits and uploads are deleted
    folders: dict[str, Path] = Field(default_factory=dict)  # of this server, that users may choose by name
    overrides: dict[str, Any] = Field(default_factory=dict)  # settings of every audit here, by dotted field
    redis: str | None = None  # URL of a Redis for the queue; None: SQLite in the data folder

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the page."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def audits(self) -> Path:
        """A folder per audit."""
        return self.data / "audits"

    def save(self) -> None:
        """For the worker."""
        self.data.mkdir(parents=True, exist_ok=True)
        write_atomic(self.data / SETTINGS_FILE, self.model_dump_json(indent=1))

    @classmethod
    def load(cls, data: Path) -> ServerSettings:
        """As the server wrote them."""
        return cls.model_validate_json((data / SETTINGS_FILE).read_text(encoding="utf-8"))
