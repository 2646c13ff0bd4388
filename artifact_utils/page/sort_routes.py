"""The requests of the sort view: a folder that was named when the page was opened, and what is done to it."""

import os
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from artifact_utils.files.writing import FileError
from artifact_utils.filtering.live_folder import LiveFolder
from artifact_utils.filtering.teaching import name_of
from artifact_utils.page.check_routes import KEPT, SIDES, draw_map
from artifact_utils.plots.previews import preview
from artifact_utils.predictions import doubts

THUMBNAIL = 192  # pixels
KEPT_THUMBNAILS = 6000  # of some 8 KB each


class Choice(BaseModel):
    """At which threshold pictures are flagged, and for which families."""

    threshold: float = Field(ge=0, le=1)
    only: list[str] | None = Field(None, max_length=20)


class Label(BaseModel):
    """What a picture is."""

    id: int
    verdict: int = Field(ge=0, le=1)


@lru_cache(KEPT_THUMBNAILS)
def _thumbnail(path: Path, size: int, mtime_ns: int) -> bytes:
    return preview(path, THUMBNAIL)


def _families(only: str) -> list[str] | None:
    return [name for name in only.split(",") if name] or None


def sort_routes(live: LiveFolder) -> APIRouter:
    """All requests of the view."""
    routes = APIRouter(prefix="/page/sort")
    number = Query(alias="id")

    @routes.get("/about")
    def about() -> dict[str, Any]:
        return {
            "folder": live.config.folder.resolve().name,
            "target": str(live.config.move_flagged),
            "families": list(live.table.known),
            "counted": list(live.detector.families),
            "threshold": live.detector.threshold,
            "model": name_of(live.config.run),
        }

    @routes.get("/rows")
    def rows(since: int = Query(0, ge=0), only: str = Query("", max_length=200)) -> dict[str, Any]:
        return live.rows_since(since, _families(only)) | {"progress": asdict(live.progress)}

    @routes.get("/said")
    def said(
        picture: int = number,
        threshold: float = Query(ge=0, le=1),
        probability: float = Query(ge=0, le=1),
        only: str = Query("", max_length=200),
    ) -> dict[str, Any]:
        families, counted = live.chances(picture), live.judge(threshold, _families(only)).families
        return {"families": families, "unsure": doubts(probability, families, counted, threshold)}

    @routes.get("/agreement")
    def agreement(threshold: float = Query(ge=0, le=1), only: str = Query("", max_length=200)) -> list[dict[str, Any]]:
        return [asdict(share) for share in live.agreement(threshold, _families(only))]

    @routes.get("/thumbnail")
    def thumbnail(picture: int = number) -> Response:
        file = live.file(picture)
        try:
            status = os.stat(file)  # noqa: PTH116 (once for both)
        except OSError as error:
            raise FileError(f"{file.name} is gone from the folder: score it anew") from error
        return Response(_thumbnail(file, status.st_size, status.st_mtime_ns), media_type="image/jpeg", headers=KEPT)

    @routes.get("/picture")
    def large(picture: int = number) -> Response:
        return Response(preview(live.file(picture), SIDES["large"]), media_type="image/jpeg", headers=KEPT)

    @routes.get("/map")
    def map_of(picture: int = number, family: str = Query("", max_length=20)) -> Response:
        return Response(draw_map(live.detector, live.file(picture), family), media_type="image/png", headers=KEPT)

    @routes.post("/start")
    def start() -> dict[str, str]:
        live.start()
        return {}

    @routes.post("/stop")
    def stop() -> dict[str, str]:
        live.stop()
        return {}

    @routes.post("/label")
    def label(said: Label) -> dict[str, str]:
        live.label(said.id, said.verdict)
        return {}

    @routes.post("/unlabel")
    def unlabel() -> dict[str, int | None]:
        return {"id": live.unlabel()}

    @routes.post("/move")
    def move(choice: Choice) -> dict[str, str]:
        n = live.move(choice.threshold, choice.only)
        return {"said": f"{n} pictures moved to {live.config.move_flagged}"}

    @routes.post("/back")
    def back() -> dict[str, str]:
        return {"said": f"{live.bring_back()} pictures brought back"}

    @routes.post("/export")
    def export() -> dict[str, str]:
        return {"said": str(live.export_labels())}

    @routes.get("/scores.csv")
    def table(threshold: float = Query(ge=0, le=1), only: str = Query("", max_length=200)) -> Response:
        with tempfile.TemporaryDirectory() as folder:
            live.write_table(Path(folder) / "scores.csv", threshold, _families(only))
            content = (Path(folder) / "scores.csv").read_bytes()
        return Response(content, media_type="text/csv", headers={"content-disposition": "attachment"})

    @routes.get("/clean.zip")
    def clean(threshold: float = Query(ge=0, le=1), only: str = Query("", max_length=200)) -> Response:
        live.judge(threshold, _families(only))  # says what is wrong before the file begins
        return StreamingResponse(
            _piped(live, threshold, _families(only)),
            media_type="application/zip",
            headers={"content-disposition": "attachment"},
        )

    return routes


def _piped(live: LiveFolder, threshold: float, only: list[str] | None) -> Iterator[bytes]:
    """The zip of the clean pictures, piece by piece as it is written."""
    read_end, write_end = os.pipe()
    failed: list[Exception] = []

    def write() -> None:
        try:
            with os.fdopen(write_end, "wb") as file:
                live.write_clean(file, threshold, only)
        except BrokenPipeError:  # the visitor has stopped the download
            return
        except Exception as error:  # raised again below, so that the browser sees that the zip is not whole
            failed.append(error)

    writer = threading.Thread(target=write, name="zip", daemon=True)
    writer.start()
    with os.fdopen(read_end, "rb") as file:
        while piece := file.read(1 << 18):
            yield piece
    writer.join()
    if failed:
        raise failed[0]
