"""The last two steps of the page: results of one audit, and two audits side by side."""

from __future__ import annotations

import base64
import io
from typing import Any

import gradio as gr
from PIL import Image

from apps import views
from apps.desk import FILES, Desk
from apps.handlers import COMPARE, QUIET, RESULTS, told, user_of
from apps.terms import HELP
from audit.results import AuditResult
from reports import words

SLIDER = 320  # pixels; as wide in style.css: the picture is square and must not be cut


def results_step(desk: Desk, current: gr.Textbox) -> tuple[gr.Tab, list[Any]]:
    """Verdict, scores, one condition after the other, pictures, files."""
    with gr.Tab("Results", id=RESULTS) as tab:
        verdict = gr.HTML(elem_id="verdict")
        files = gr.HTML(elem_id="files")
        scores = gr.HTML(elem_id="scores")
        pick = gr.Dropdown([], label="Show one training condition", elem_id="condition", visible=False)
        shown = gr.HTML(elem_id="matrix")
        with gr.Row():
            pairs = gr.Dropdown(
                [], label="Show one class, unchanged and changed", elem_id="class", visible=False
            )
        slider = gr.ImageSlider(
            label="unchanged | changed", type="pil", height=SLIDER, elem_id="slider", visible=False
        )

        def show(audit_id: str, key: str | None, request: gr.Request) -> str:
            result = desk.results(user_of(request), audit_id) if audit_id else None
            return views.condition(result, key or "") if result else ""

        def slide(audit_id: str, key: str | None, request: gr.Request) -> Any:
            result = desk.results(user_of(request), audit_id) if audit_id else None
            found = pictures(result, key)
            return gr.ImageSlider(found, visible=found is not None)

        pick.change(told(show), [current, pick], shown, **QUIET)
        pairs.change(told(slide), [current, pairs], slider, **QUIET)
    return tab, [verdict, files, scores, pick, pairs]


def results_of(result: AuditResult | None, audit_id: str, key: str | None, pair: str | None) -> list[Any]:
    """Values of the results step. `key`, `pair`: what is picked now."""
    if result is None:
        waiting = views.note("Nothing to show yet: results stand here when the audit is done.")
        return [waiting, "", "", picker([], None), picker([], None)]
    names = result.dataset.class_names
    classes = [
        (f"{names[e.label]}: {words.attack_label(e.attack, e.severity)}", str(number))
        for number, e in enumerate(result.dataset.examples)
    ]
    return [
        views.verdict(result),
        views.downloads(audit_id, FILES),
        views.scores(result),
        picker(views.conditions(result), key),
        picker(classes, pair),
    ]


def picker(choices: list[tuple[str, str]], picked: str | None) -> gr.Dropdown:
    """What may be picked; the first of it, where nothing is picked; not there where there is nothing to pick."""
    values = [value for _, value in choices]
    value = picked if picked in values else values[0] if values else None
    return gr.Dropdown(choices=choices, value=value, visible=bool(choices))


def pictures(result: AuditResult | None, key: str | None) -> tuple[Image.Image, Image.Image] | None:
    """One class before and after, enlarged without smoothing."""
    if result is None or key is None or not key.isdigit() or int(key) >= len(result.dataset.examples):
        return None
    example = result.dataset.examples[int(key)]
    found = []
    for coded in (example.clean_png, example.perturbed_png):
        with Image.open(io.BytesIO(base64.b64decode(coded))) as image:
            factor = max(SLIDER // max(image.size), 1)
            size = (image.width * factor, image.height * factor)
            found.append(image.convert("RGB").resize(size, Image.Resampling.NEAREST))
    return found[0], found[1]


def compare_step(desk: Desk, current: gr.Textbox) -> tuple[gr.Tab, gr.Dropdown]:
    """Beside another audit of the same images."""
    with gr.Tab("Compare", id=COMPARE) as tab:
        other = gr.Dropdown(
            [], label="Another audit of the same images", info=HELP["compare"], elem_id="other"
        )
        shown = gr.HTML(elem_id="compared")

        def compare(audit_id: str, other_id: str | None, request: gr.Request) -> str:
            user = user_of(request)
            if not audit_id or not other_id:
                return ""
            first, second = desk.results(user, audit_id), desk.results(user, other_id)
            return (
                views.comparison(first, second)
                if first and second
                else views.note("One of them is not done yet.")
            )

        other.change(told(compare), [current, other], shown, **QUIET)
    return tab, other


def others(desk: Desk, user: str, audit_id: str) -> list[tuple[str, str]]:
    """Finished audits of the user, for the comparison with this one."""
    finished = [one for one in desk.history(user) if one.verdict and one.id != audit_id]
    return [(f"{one.title} ({one.id[:6]})", one.id) for one in finished]
