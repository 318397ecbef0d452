"""The page: six steps, thin handlers over `apps.desk`. Nothing is computed here; whatever takes time is queued."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from apps import views
from apps.desk import Desk, Status
from apps.handlers import CHECKS, DATA, PLAN, QUIET, RESULTS, RUN, chosen, told, user_of
from apps.outcome import compare_step, others, results_of, results_step
from apps.terms import FILTERS, HELP, MODELS, NORMALIZATIONS, OPTIMIZERS, PHANTOMS, PROFILES, SEVERITIES
from audit.errors import ConfigError

TITLE = "Robustness audit"
TICK = 2.0  # seconds between two looks at the disk
NOTICE = (
    "For research use. Not a medical device: a report supports a review by qualified persons, it does not replace "
    "one."
)
CHOICES = ("models", "optimizers", "normalizations", "filters", "severities")
NARROW = "() => { if (innerWidth < 800) { document.querySelector('.sidebar.open button')?.click(); } }"
SHOW_ID = "(id) => { if (id) { history.replaceState(null, '', '?audit=' + id); } return id; }"


def step_of(desk: Desk, user: str, audit_id: str) -> int:
    """Where an audit is in the walk."""
    job = desk.find(user, audit_id).job()
    if desk.results(user, audit_id) is not None and (job is None or not job.pending):
        return RESULTS
    if job is not None and job.kind == "audit":
        return RUN
    if job is not None and job.kind == "estimate":
        return PLAN
    return CHECKS


def build_page(desk: Desk) -> gr.Blocks:
    """All steps and their handlers."""
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(3600, 3600)) as page:
        current = gr.Textbox(visible="hidden", elem_id="audit-id")  # no State: the address is written from it
        timer = gr.Timer(TICK)
        with gr.Sidebar(label="Audits"):
            gr.HTML('<p><a href="?">New audit</a></p>')
            history = gr.HTML(elem_id="history")
        gr.HTML(f'<h1>{TITLE}</h1><p class="mute">{NOTICE}</p>')
        head = gr.HTML(elem_id="head")
        with gr.Tabs(selected=DATA) as steps:
            data_step(desk, current, steps)
            shown_checks = checks_step(steps)
            cost = plan_step(desk, current, steps)
            running, curve = run_step(desk, current, steps)
            results_tab, results = results_step(desk, current)
            compare_tab, compared = compare_step(desk, current)

        def refresh(audit_id: str, request: gr.Request) -> list[Any]:
            """What may have changed, from the disk."""
            user = user_of(request)
            listed = desk.history(user)
            if not audit_id:
                return [views.history(listed, ""), *[gr.skip()] * 5]
            one = desk.status(user, audit_id)
            return [
                views.history(listed, audit_id),
                f"<h2>{escape(one.title)}</h2>",
                checks_of(desk, user, one),
                views.cost(desk.estimate(user, audit_id), one),
                views.running(one, desk.events(user, audit_id, "cell")),
                curve_of(desk, user, audit_id),
            ]

        def show_results(audit_id: str, key: str | None, pair: str | None, request: gr.Request) -> list[Any]:
            """The results, once they are there; what was picked stays picked."""
            result = desk.results(user_of(request), audit_id) if audit_id else None
            return results_of(result, audit_id, key, pair)

        def open_audit(request: gr.Request) -> tuple[str, Any]:
            """The audit that the address names."""
            audit_id = str(request.query_params.get("audit", ""))
            if not audit_id:  # the step is there: shown anew, it would lose a file that is being chosen
                return "", gr.skip()
            return audit_id, gr.Tabs(selected=step_of(desk, user_of(request), audit_id))

        def list_others(audit_id: str, request: gr.Request) -> Any:
            """Audits to compare with."""
            return gr.Dropdown(choices=others(desk, user_of(request), audit_id))

        live = [history, head, shown_checks, cost, running, curve]
        asked = [current, *results[-2:]]
        page.load(told(open_audit), None, [current, steps], **QUIET).then(
            told(refresh), [current], live, **QUIET
        ).then(told(show_results), asked, results, **QUIET)
        timer.tick(told(refresh), [current], live, **QUIET)
        current.change(told(refresh), [current], live, **QUIET).then(
            told(show_results), asked, results, **QUIET
        )
        results_tab.select(told(show_results), asked, results, **QUIET)  # it may have ended meanwhile
        compare_tab.select(told(list_others), [current], [compared], **QUIET)
        current.change(None, [current], None, js=SHOW_ID)
        page.load(None, None, None, js=NARROW)  # where the list would cover the page
    page.queue(default_concurrency_limit=8)
    return page


def checks_of(desk: Desk, user: str, one: Status) -> str:
    """What was found in the data; while it is looked for, or where they were refused, that."""
    if one.job is not None and one.job.kind == "check" and one.job.state != "done":
        return views.state(one)
    return views.checks(desk.data_check(user, one.id), desk.find(user, one.id).checks)


def data_step(desk: Desk, current: gr.Textbox, steps: gr.Tabs) -> None:
    """Choose images."""
    with gr.Tab("Data", id=DATA):
        gr.Markdown(HELP["data"])
        file = gr.File(label="Images (one ZIP or .npz)", file_types=[".zip", ".npz"], elem_id="upload")
        send = gr.Button("Audit these images", variant="primary", elem_id="send")
        gr.Markdown("Or try it on computed images:")
        sources = {f"phantom:{name}": label for name, label in PHANTOMS.items()}
        sources |= {f"folder:{name}": f"{name} (folder of this server)" for name in desk.settings.folders}
        pick = gr.Radio(
            [(label, name) for name, label in sources.items()],
            label="Images of this server",
            elem_id="source",
        )
        take = gr.Button("Audit the chosen images", elem_id="take")

        def create(source: str, upload: str | None, request: gr.Request) -> str:
            """A new audit; returns its id. `source`: upload, phantom:oct, phantom:derma or folder:NAME."""
            return desk.create(user_of(request), source, uploaded(upload) if upload else None)

        def send_file(upload: str | None, request: gr.Request) -> tuple[str, Any, Any]:
            audit_id = desk.create(user_of(request), "upload", uploaded(upload) if upload else None)
            return audit_id, gr.Tabs(selected=CHECKS), gr.File(value=None)

        def take_source(source: str | None, request: gr.Request) -> tuple[str, Any]:
            return desk.create(user_of(request), source or ""), gr.Tabs(selected=CHECKS)

        send.click(told(send_file), [file], [current, steps, file], **QUIET)
        take.click(told(take_source), [pick], [current, steps], **QUIET)
        # Not gr.api: it would fetch any file of this server into the cache; a File takes uploads alone.
        asked, made = gr.Textbox(visible=False), gr.Textbox(visible=False)
        gr.Button(visible=False).click(told(create), [asked, file], [made], api_name="create")


def uploaded(path: str) -> Path:
    """A file that was uploaded, and no other one of this server. Raises ConfigError."""
    file = Path(path).resolve()
    if not file.is_file() or not file.is_relative_to(Path(get_upload_folder()).resolve()):
        raise ConfigError("no such upload; choose the file again")
    return file


def checks_step(steps: gr.Tabs) -> gr.HTML:
    """What was found in them."""
    with gr.Tab("Checks", id=CHECKS):
        shown = gr.HTML(views.checks(None, Path()), elem_id="checks")
        go = gr.Button("Go on to the plan", variant="primary", elem_id="to-plan")
        go.click(lambda: gr.Tabs(selected=PLAN), None, steps, **QUIET)
    return shown


def plan_step(desk: Desk, current: gr.Textbox, steps: gr.Tabs) -> gr.HTML:
    """Choose what is trained; see what it costs, anew with each choice."""
    with gr.Tab("Plan", id=PLAN) as tab:
        profile = gr.Radio(
            [(text, name) for name, text in PROFILES.items()],
            value="quick",
            label="How thorough",
            info=HELP["profile"],
        )
        models = boxes("Networks", MODELS, ["resnet18"], "models")
        optimizers = boxes("Optimizers", OPTIMIZERS, ["adam"], "optimizers")
        normalizations = boxes("Defence: normalization", NORMALIZATIONS, ["none", "csn"], "normalizations")
        filters = boxes("Defence: filters", FILTERS, [], "filters")
        severities = boxes("Changed pixels", SEVERITIES, [1], "severities")
        choices = [profile, models, optimizers, normalizations, filters, severities]
        cost = gr.HTML(elem_id="cost")
        start = gr.Button("Start the audit", variant="primary", elem_id="start")

        def with_choices(act: Callable[..., Any]) -> Callable[..., Any]:
            """A handler that hands on what is chosen now."""

            def plan(
                audit_id: str,
                profile: str,
                models: list[str],
                optimizers: list[str],
                normalizations: list[str],
                filters: list[str],
                severities: list[int],
                request: gr.Request,
            ) -> Any:
                """Write the plan of an audit and have its time estimated."""
                lists: list[list[Any]] = [models, optimizers, normalizations, filters, severities]
                picked = dict(zip(CHOICES, lists, strict=True))
                return act(user_of(request), audit_id, profile, picked)

            return told(plan)

        def tell(user: str, audit_id: str, profile: str, picked: dict[str, list[Any]]) -> str:
            """What it will take, or that this is being worked out."""
            desk.estimate_plan(user, chosen(audit_id), profile, picked)
            return views.cost(desk.estimate(user, audit_id), desk.status(user, audit_id))

        def keep_told(user: str, audit_id: str, profile: str, picked: dict[str, list[Any]]) -> Any:
            """With each choice. What is wrong is told beside it; nothing without images, or once it has begun."""
            if not audit_id or not desk.can_be_planned(user, audit_id):
                return gr.skip()
            try:
                return tell(user, audit_id, profile, picked)
            except ConfigError as error:
                return views.note(f"{error}.", "bad")

        def begin(user: str, audit_id: str, profile: str, picked: dict[str, list[Any]]) -> Any:
            """Run what is chosen."""
            desk.start_chosen(user, chosen(audit_id), profile, picked)
            return gr.Tabs(selected=RUN)

        asked = [current, *choices]
        changes = [tab.select, *[one.input for one in choices]]
        gr.on(changes, with_choices(keep_told), asked, [cost], api_name="time", **QUIET)
        start.click(with_choices(begin), asked, [steps], api_name="begin", **QUIET)
        gr.api(with_choices(tell), api_name="plan")
    return cost


def boxes(label: str, known: dict[Any, str], value: list[Any], key: str) -> gr.CheckboxGroup:
    """A choice with its help."""
    return gr.CheckboxGroup(
        [(text, name) for name, text in known.items()], value=value, label=label, info=HELP[key]
    )


def run_step(desk: Desk, current: gr.Textbox, steps: gr.Tabs) -> tuple[gr.HTML, gr.LinePlot]:
    """Watch it; cancel; go on."""
    with gr.Tab("Run", id=RUN):
        running = gr.HTML(
            views.note("An audit can be watched here once it was started in the step Plan."),
            elem_id="running",
        )
        curve = gr.LinePlot(
            x="trainings", y="fitness", color="of each generation", title="Search for pixels",
            x_title="surrogate trainings spent", y_title="fitness", height=220, visible=False,
        )  # fmt: skip
        with gr.Row():
            cancel = gr.Button("Cancel", variant="stop", elem_id="cancel")
            resume = gr.Button("Go on", elem_id="resume")
            go = gr.Button("See the results", variant="primary", elem_id="to-results")

        def stop(audit_id: str, request: gr.Request) -> str:
            """Stop an audit at the next step; what is done is kept."""
            desk.cancel(user_of(request), chosen(audit_id))
            return "cancelling"

        def start(audit_id: str, request: gr.Request) -> str:
            """Start an audit, or go on with it."""
            desk.start(user_of(request), chosen(audit_id))
            return "waiting"

        def status(audit_id: str, request: gr.Request) -> dict[str, Any]:
            """How far an audit is."""
            one = desk.status(user_of(request), audit_id)
            job = one.job
            return {
                "id": one.id,
                "title": one.title,
                "job": job.kind if job else None,
                "state": job.state if job else None,
                "message": job.message if job else "",
                "position": one.position,
                "done": one.done,
                "total": one.total,
                "verdict": one.verdict,
            }

        go.click(lambda: gr.Tabs(selected=RESULTS), None, steps, **QUIET)
        cancel.click(told(stop), [current], None, api_name="stop", **QUIET)
        resume.click(told(start), [current], None, api_name="go_on", **QUIET)
        for action, name in ((stop, "cancel"), (start, "start"), (status, "status")):
            gr.api(told(action), api_name=name)
    return running, curve


def curve_of(desk: Desk, user: str, audit_id: str) -> Any:
    """Best and median fitness by trainings; no plot while there is nothing to see."""
    import pandas

    rows = [
        {
            "trainings": e["trainings"],
            "fitness": e[name],
            "of each generation": f"{e['attack'].rpartition('-np')[2]} px, {name}",
        }
        for e in desk.events(user, audit_id, "generation")
        for name in ("best", "median")
    ]
    frame = pandas.DataFrame(rows, columns=["trainings", "fitness", "of each generation"])
    return gr.LinePlot(frame.astype({"trainings": float, "fitness": float}), visible=bool(rows))
