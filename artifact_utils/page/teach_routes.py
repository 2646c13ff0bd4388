"""The requests of the teach view: what can be learned from the labels of the folder, and what was."""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from artifact_utils.filtering.learning import MADE, MIN_LABELS, MIN_OF_A_CLASS
from artifact_utils.filtering.teaching import Teaching, missing_labels, name_of
from artifact_utils.filtering.visits import Visits


class Kind(BaseModel):
    """What to learn from."""

    kind: str = Field(max_length=20)


class Named(BaseModel):
    """A lesson, by the name of its run."""

    name: str = Field(max_length=1000)


def teach_routes(teaching: Teaching, visits: Visits) -> APIRouter:
    """All requests of the view; what is used scores what visitors drop in, too."""
    routes, live = APIRouter(prefix="/page/teach"), teaching.live

    @routes.get("/about")
    def about() -> dict[str, Any]:
        clean, artifacts = live.label_counts()
        return {
            "labels": {"clean": clean, "artifact": artifacts},
            "missing": missing_labels(clean, artifacts),
            "needed": {"all": MIN_LABELS, "of_each": MIN_OF_A_CLASS},
            "pictures": len(live.table.rows),
            "model": teaching.name,
            "before": None if teaching.before is None else name_of(teaching.before),
            "in_use": teaching.in_use,
            "progress": asdict(teaching.progress),
            "scoring": asdict(live.progress),
            "lesson": describe_lesson(teaching),
        }

    @routes.post("/start")
    def start(asked: Kind) -> dict[str, str]:
        teaching.start(asked.kind)
        return {}

    @routes.post("/stop")
    def stop() -> dict[str, str]:
        teaching.stop()
        return {}

    @routes.post("/use")
    def use(asked: Named) -> dict[str, str]:
        teaching.use(asked.name)
        visits.detector = live.detector
        return {}

    @routes.post("/back")
    def back() -> dict[str, str]:
        teaching.go_back()
        visits.detector = live.detector
        return {}

    @routes.post("/discard")
    def discard(asked: Named) -> dict[str, str]:
        teaching.discard(asked.name)
        return {}

    return routes


def describe_lesson(teaching: Teaching) -> dict[str, Any] | None:
    """What was learned last, for the page."""
    learned = teaching.learned
    if learned is None:
        return None
    n, n_artifacts = learned.before["n"], learned.before["n_artifacts"]
    shares = {
        name: {
            "of": n_artifacts if name == "found" else n - n_artifacts,
            "counts": learned.counts[name],
            "intervals": learned.count_intervals[name],
        }
        for name in learned.counts
    }
    return {
        "name": learned.run.name,
        "run": str(learned.run),
        "n": n,
        "n_artifacts": n_artifacts,
        "verdict": learned.verdict,
        "conclusion": learned.conclusion,
        "thresholds": [learned.before["threshold"], learned.threshold],
        "metrics": {
            name: {
                "values": [metrics[name] for metrics in (learned.before, learned.after)],
                "intervals": [metrics["intervals"].get(name) for metrics in (learned.before, learned.after)],
                "change": learned.differences[name],
            }
            for name in ("roc_auc", "macro_f1")
        },
        "shares": shares,
        "turned": [
            {
                "id": number,
                "name": turned.path.removesuffix(MADE).encode("utf-8", "replace").decode(),
                "made": turned.path.endswith(MADE),
                "label": turned.label,
                "before": turned.before,
                "after": turned.after,
                "flagged": turned.flagged,
                "right": turned.is_right,
            }
            for turned, number in teaching.turned()
        ],
    }
