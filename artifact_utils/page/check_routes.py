"""The requests of the check view: pictures that a visitor drops in, and what is said of them."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from artifact_utils.console import ArtifactUtilsError
from artifact_utils.detector import Detector
from artifact_utils.explain import heat_map
from artifact_utils.filtering.visits import MAX_ZIP_BYTES, Checked, VisitError, Visits
from artifact_utils.images import ImageError
from artifact_utils.plots.previews import heat_overlay, preview
from artifact_utils.predictions import MIN_SIDE, doubts

SIDES = {"small": 240, "large": 1280}
"""Pixels of the long side."""
KEPT = {"cache-control": "private, max-age=3600"}


def describe_check(checked: Checked, detector: Detector) -> dict[str, Any]:
    """What is said of a picture, for the page."""
    said: dict[str, Any] = {"token": checked.token, "name": checked.name}
    outcome = checked.outcome
    if isinstance(outcome, ImageError):
        return said | {"verdict": "unreadable", "why": outcome.reason}
    assert outcome is not None
    if outcome.too_small:
        return said | {"verdict": "too small", "why": f"less than {MIN_SIDE} pixels a side: send it larger"}
    unsure = doubts(outcome.probability, outcome.families, detector.families, detector.threshold)
    return said | {
        "verdict": "artifact" if outcome.flagged else "clean",
        "probability": outcome.probability,
        "family": outcome.family,
        "families": dict(outcome.families),
        "unsure": unsure,
    }


def draw_map(detector: Detector, file: Path, family: str = "") -> bytes:
    """The heat map of a picture as a PNG to lay over it."""
    return heat_overlay(heat_map(detector, file, family=family or None))


def check_routes(visits: Visits, examples: Sequence[Path]) -> APIRouter:
    """All requests of the view."""
    routes = APIRouter(prefix="/page/check")

    def visitor(request: Request) -> str:
        return request.headers.get("x-visitor", "")

    @routes.post("/begin")
    def begin() -> dict[str, Any]:
        return {
            "visitor": visits.begin(),
            "examples": [file.name for file in examples],
            "threshold": visits.detector.threshold,
            "families": list(visits.detector.info.families),
        }

    @routes.post("/pictures")
    async def pictures(request: Request, name: str = Query(max_length=1000)) -> dict[str, int]:
        key = visitor(request)
        visits.visit(key)
        n_bytes = 0
        with tempfile.SpooledTemporaryFile(max_size=1 << 22) as content:
            async for piece in request.stream():
                n_bytes += len(piece)
                if n_bytes > MAX_ZIP_BYTES:
                    raise VisitError(f"{name} is larger than {MAX_ZIP_BYTES:,} bytes: send a smaller one")
                content.write(piece)
            content.seek(0)
            return {"taken": await run_in_threadpool(visits.add, key, name, content)}

    @routes.post("/examples/{number}")
    def example(request: Request, number: int) -> dict[str, int]:
        if not 0 <= number < len(examples):
            raise VisitError("there is no such example: choose one of those that are shown")
        with examples[number].open("rb") as content:
            return {"taken": visits.add(visitor(request), examples[number].name, content)}

    @routes.get("/examples/{number}")
    def example_picture(number: int) -> Response:
        if not 0 <= number < len(examples):
            raise VisitError("there is no such example: choose one of those that are shown")
        return Response(preview(examples[number], 160), media_type="image/jpeg", headers=KEPT)

    @routes.get("/results")
    def results(request: Request, since: int = Query(ge=0)) -> dict[str, Any]:
        visit = visits.visit(visitor(request))
        done = []
        for checked in visit.pictures[since:]:
            if checked.outcome is None:
                break
            done.append(describe_check(checked, visits.detector))
        return {
            "total": len(visit.pictures),
            "queued": visits.queued(visit),
            "threshold": visits.detector.threshold,
            "results": done,
        }

    @routes.post("/clear")
    def clear(request: Request) -> dict[str, str]:
        visits.leave(visitor(request))
        return {"visitor": visits.begin()}

    @routes.post("/leave")
    async def leave(request: Request) -> Response:
        visits.leave_soon((await request.body()).decode(errors="replace"))
        return Response(status_code=204)

    @routes.get("/picture/{token}")
    def picture(token: str, size: str = "large") -> Response:
        file = visits.picture(token).file
        return Response(preview(file, SIDES.get(size, 240)), media_type="image/jpeg", headers=KEPT)

    @routes.get("/map/{token}")
    def map_of(token: str, family: str = "") -> Response:
        drawn = draw_map(visits.detector, visits.picture(token).file, family)
        return Response(drawn, media_type="image/png", headers=KEPT)

    return routes


async def tell_error(_: Request, error: Exception) -> Response:
    """An error of the package as a sentence for the page."""
    from fastapi.responses import JSONResponse

    assert isinstance(error, ArtifactUtilsError)
    text = error.reason if isinstance(error, ImageError) else str(error)  # not where the file lies
    return JSONResponse(
        {"error": text.encode("utf-8", "replace").decode()}, 410 if isinstance(error, VisitError) else 400
    )
