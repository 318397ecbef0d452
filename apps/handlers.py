"""What the handlers of all steps share: who asks, how a refusal is told, the order of the steps."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import gradio as gr

from audit.errors import AuditError, ConfigError

LOCAL_USER = "local"
STEPS = ("Data", "Checks", "Plan", "Run", "Results", "Compare")
DATA, CHECKS, PLAN, RUN, RESULTS, COMPARE = range(len(STEPS))
QUIET = {"api_visibility": "private", "show_progress": "hidden"}  # answers at once: no seconds are counted


def user_of(request: gr.Request) -> str:
    """Who asks: as the login says; on a server without users, one for all."""
    return getattr(request, "username", None) or LOCAL_USER


def chosen(audit_id: str) -> str:
    """Raises ConfigError where there is no audit on the page yet."""
    if not audit_id:
        raise ConfigError("there are no images yet; choose them in the step Data first")
    return audit_id


def told(action: Callable[..., Any]) -> Callable[..., Any]:
    """What the user can mend is shown as a message; nothing else of an error reaches the page."""

    @wraps(action)
    def shown(*arguments: Any, **more: Any) -> Any:
        try:
            return action(*arguments, **more)
        except AuditError as error:
            raise gr.Error(str(error), print_exception=False) from None

    return shown
