"""The requests of the scores view: scores that were named when the page was opened, looked into and not changed."""

import shutil
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask

from artifact_utils.detector import Detector
from artifact_utils.files.private_folders import make_private_folder
from artifact_utils.filtering.selection_view import MOST_ROWS, OpenScores, Which
from artifact_utils.page.check_routes import KEPT, SIDES, draw_map
from artifact_utils.page.settings import PageError
from artifact_utils.page.sort_routes import KEPT_THUMBNAILS, THUMBNAIL
from artifact_utils.plots.previews import preview
from artifact_utils.predictions import doubts

Number = Annotated[int, Query(alias="id")]
Probability = Annotated[float, Query(ge=0, le=1)]
Name = Annotated[str, Query(max_length=1000)]


def scores_routes(scores: OpenScores, detector: Detector, sha256: str) -> APIRouter:
    """All requests of the view.

    Args:
        scores: to look into.
        detector: of the page, which draws heat maps if it is the one that has scored.
        sha256: of its file.
    """
    routes = APIRouter(prefix="/page/scores")

    @lru_cache(KEPT_THUMBNAILS)
    def thumbnail_of(picture: int) -> bytes:
        with scores.picture(picture) as file:
            return preview(file, THUMBNAIL)

    @routes.get("/about")
    def about() -> dict[str, Any]:
        source = scores.about.source
        return {
            "source": source if "://" in source else PurePosixPath(source).name,
            "threshold": scores.threshold,
            "families": list(scores.about.counted) if scores.about.families else [],
            "folders": [{"name": name, "n": n, "flagged": flagged} for name, n, flagged in scores.folders()],
            "model": scores.about.model,
            "has_maps": scores.about.model == sha256,
        }

    @routes.get("/curve")
    def curve(folder: Name = "", family: Name = "") -> dict[str, Any]:
        return scores.curve(folder, family)

    @routes.get("/rows")
    def rows(
        threshold: Probability,
        which: Which = "worst",
        folder: Name = "",
        family: Name = "",
        limit: int = Query(MOST_ROWS, ge=1, le=MOST_ROWS),
    ) -> dict[str, Any]:
        return scores.rows(threshold, which, folder, family, limit)

    @routes.get("/said")
    def said(picture: Number, threshold: Probability) -> dict[str, Any]:
        row = scores.shown(picture)
        counted = [name for name in scores.about.counted if name in row.families]
        told_apart = row.families if counted else {}
        unsure = [] if row.probability is None else doubts(row.probability, told_apart, counted, threshold)
        return {"families": row.families, "unsure": unsure}

    @routes.get("/thumbnail")
    def thumbnail(picture: Number) -> Response:
        return Response(thumbnail_of(picture), media_type="image/jpeg", headers=KEPT)

    @routes.get("/picture")
    def large(picture: Number) -> Response:
        with scores.picture(picture) as file:
            return Response(preview(file, SIDES["large"]), media_type="image/jpeg", headers=KEPT)

    @routes.get("/map")
    def map_of(picture: Number, family: Name = "") -> Response:
        if scores.about.model != sha256:
            raise PageError("another model has scored these: name it with --run")
        with scores.picture(picture) as file:
            return Response(draw_map(detector, file, family), media_type="image/png", headers=KEPT)

    @routes.post("/read")
    def read() -> dict[str, str]:
        scores.read()
        return {}

    @routes.get("/flagged.csv")
    def flagged(threshold: Probability) -> Response:
        return _listed(scores, threshold, flagged=True)

    @routes.get("/clean.csv")
    def clean(threshold: Probability) -> Response:
        return _listed(scores, threshold, flagged=False)

    return routes


def _listed(scores: OpenScores, threshold: float, *, flagged: bool) -> Response:
    """A list as a file that goes once it is sent: it may be larger than memory."""
    folder = make_private_folder("lists")
    remove = BackgroundTask(shutil.rmtree, folder, ignore_errors=True)
    name = "flagged.csv" if flagged else "clean.csv"
    try:
        scores.write_list(folder / name, threshold, flagged=flagged)
    except BaseException:  # nobody will send it
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return FileResponse(folder / name, media_type="text/csv", filename=name, background=remove)
