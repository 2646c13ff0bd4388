"""The requests of the evaluation view: reports and figures of runs that exist, and the audit of the folder."""

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse

from artifact_utils.audit.command import AuditConfig, run_audit
from artifact_utils.console import ArtifactUtilsError
from artifact_utils.evaluation.report_pages import ReportPage, audit_pages, run_pages
from artifact_utils.page.guard import SANDBOXED
from artifact_utils.page.settings import PageError

logger = logging.getLogger(__name__)

_MEDIA = {".html": "text/html", ".png": "image/png"}


class Audit:
    """The audit of one folder, one at a time, in the background.

    Args:
        folder: of pictures.
        out: where the page goes.
    """

    def __init__(self, folder: Path, out: Path) -> None:
        self.config = AuditConfig(folder, out, labels=False)
        self.error = ""
        self._worker: threading.Thread | None = None

    @property
    def is_running(self) -> bool:
        return self._worker is not None and self._worker.is_alive()

    def start(self) -> None:
        if not self.is_running:
            self._worker = threading.Thread(target=self._run, name="audit", daemon=True)
            self._worker.start()

    def _run(self) -> None:
        self.error = ""
        try:
            run_audit(self.config)
        except (ArtifactUtilsError, OSError) as error:
            self.error = str(error)
            logger.warning("the audit of %s ended: %s", self.config.folder, error)


def report_routes(runs: Callable[[], Sequence[Path]], audit: Audit | None) -> APIRouter:
    """All requests of the view."""
    routes = APIRouter(prefix="/page/reports")

    def pages() -> list[ReportPage]:
        return [*(audit_pages(audit.config.out) if audit else []), *run_pages(runs())]

    @routes.get("/list")
    def list_pages() -> dict[str, Any]:
        return {
            "pages": [{"title": page.title, "kind": page.file.suffix} for page in pages()],
            "audit": None if audit is None else {"running": audit.is_running, "error": audit.error},
        }

    @routes.get("/show/{title:path}")
    def show(title: str) -> Response:
        for page in pages():
            if page.title == title:
                headers = {"content-security-policy": SANDBOXED}
                return FileResponse(page.file, media_type=_MEDIA[page.file.suffix], headers=headers)
        raise PageError("this report is gone: choose another")

    @routes.post("/audit")
    def start_audit() -> dict[str, str]:
        if audit is None:
            raise PageError("no folder was named: open the page with python app.py FOLDER")
        audit.start()
        return {}

    return routes
