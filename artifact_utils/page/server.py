"""The web server: one process for all visitors of a page."""

import contextlib
import logging
import socket
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import gradio as gr
import uvicorn
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse

from artifact_utils.console import ArtifactUtilsError, in_notebook
from artifact_utils.device import keep_freed_memory
from artifact_utils.evaluation.report_pages import list_runs
from artifact_utils.filtering.live_folder import LiveFolder
from artifact_utils.filtering.options import Outputs
from artifact_utils.filtering.scoring import load_detector, with_run_in_use
from artifact_utils.filtering.selection_view import OpenScores
from artifact_utils.filtering.teaching import Teaching
from artifact_utils.filtering.visits import Visits
from artifact_utils.page.check_routes import check_routes, tell_error
from artifact_utils.page.guard import Guard
from artifact_utils.page.layout import CSS, HEAD, THEME, build_layout
from artifact_utils.page.report_routes import Audit, report_routes
from artifact_utils.page.scores_routes import scores_routes
from artifact_utils.page.settings import PageConfig, PageError, is_loopback, on_space
from artifact_utils.page.sort_routes import sort_routes
from artifact_utils.page.teach_routes import teach_routes

logger = logging.getLogger(__name__)

STATIC = Path(__file__).parent / "static"
START_SECONDS = 60.0


@dataclass
class Page:
    """A page that is served."""

    url: str
    live: LiveFolder | None
    visits: Visits
    _server: uvicorn.Server
    _worker: threading.Thread
    _held: contextlib.ExitStack

    def wait(self) -> None:
        """Until somebody ends the server."""
        while self._worker.is_alive():
            self._worker.join(0.5)

    def close(self) -> None:
        """Stop all work, remove what visitors sent, and give the folder back; in the thread that launched the page."""
        self._server.should_exit = True
        self._worker.join(10)
        self._held.close()


def build_app(
    config: PageConfig,
    visits: Visits,
    teaching: Teaching | None,
    examples: Sequence[Path] = (),
    scores: APIRouter | None = None,
) -> FastAPI:
    """The whole web application, with the guard in front."""
    live = None if teaching is None else teaching.live
    app = FastAPI(openapi_url=None)
    app.add_exception_handler(ArtifactUtilsError, tell_error)
    app.add_exception_handler(OSError, _tell_os_error)
    app.add_exception_handler(RequestValidationError, _tell_invalid)
    app.include_router(check_routes(visits, examples))
    audit = None
    if live is not None and teaching is not None:
        app.include_router(sort_routes(live))
        app.include_router(teach_routes(teaching, visits))
        audit = Audit(live.config.folder, Outputs.of(live.config).beside("audit"))
    if scores is not None:
        app.include_router(scores)
    named = [config.run] if config.run is not None and config.run.is_dir() else []

    def runs() -> list[Path]:
        return [*named, *(run for run in list_runs(config.runs) if run not in named)]

    app.include_router(report_routes(runs, audit))
    static = {file.name: file for file in STATIC.iterdir()}

    @app.get("/page/static/{name}")
    def static_file(name: str) -> Response:
        if name not in static:
            raise PageError("there is nothing of this name: load the page anew")
        return FileResponse(static[name])

    @app.get("/page/{rest:path}")
    def nothing(rest: str) -> Response:
        return JSONResponse({"error": "there is nothing here: load the page anew"}, 404)

    gr.mount_gradio_app(
        app,
        build_layout(has_folder=live is not None, has_scores=scores is not None),
        path="/",
        footer_links=[],
        run_history=False,
        show_error=False,
        max_file_size="1b",  # pictures come by our own way
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        theme=THEME,
        css=CSS,
        head=HEAD,
    )
    local = is_loopback(config.host) and not config.share and not in_colab() and not on_space()
    framed = in_notebook() or on_space()
    app.add_middleware(Guard, credentials=config.credentials, local=local, framed=framed)  # type: ignore[arg-type]
    return app


def in_colab() -> bool:
    """Whether this is a notebook of Colab, which has ways of its own to a port of its machine."""
    return "google.colab" in sys.modules


async def _tell_os_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, OSError)
    logger.warning("%s", error)
    reason = error.strerror or type(error).__name__
    return JSONResponse({"error": f"the server could not do that ({reason}): look at its terminal"}, 500)


async def _tell_invalid(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": "this request is not one of the page: load the page anew"}, 422)


def launch(
    folder: str | Path | None = None,
    *,
    config: PageConfig | None = None,
    examples: Sequence[Path] = (),
    height: int = 900,
) -> Page:
    """Open the page, and show it in the cell if this is a notebook; it is served until ``close``.

    Args:
        folder: of portraits to sort.
        config: everything else; ``folder`` overrides that in it.
        examples: pictures to click in the check view.
        height: of the cell's frame in pixels.

    Raises:
        PageError, FilterError: the page cannot be opened as asked; ScaleError, one of these, of ``select``.
        FileError: another process is at work on the folder, or the port is taken.
    """
    config = config or PageConfig()
    if folder is not None:
        config = replace(config, folder=Path(folder))
    if on_space() and config.host == PageConfig.host:
        config = replace(config, host="0.0.0.0")
    if config.is_public:
        logger.warning(
            "whoever knows the address%s can look at the pictures and move them",
            " and the password" if config.credentials else "",
        )
    keep_freed_memory()
    filtering = config.filter_config(config.folder or Path())
    if config.folder is not None:
        learned = with_run_in_use(replace(filtering, run=None))  # what was chosen on the page stays in use
        if learned.run is not None and learned.run != filtering.run:
            logger.info("%s is in use: the view Teach goes back to the model before", learned.run)
            filtering = learned
    with contextlib.ExitStack() as held:
        scores = OpenScores(config.select, config.threshold) if config.select else None
        if scores is not None:
            held.callback(scores.close)
        detector, sha256 = load_detector(filtering)
        visits = Visits(detector)
        held.callback(visits.close)
        live = teaching = None
        if config.folder is not None:
            live = LiveFolder(filtering, detector, sha256)
            held.callback(live.close)
            teaching = Teaching(live)
            held.callback(teaching.close)
            live.start()
        routes = None if scores is None else scores_routes(scores, detector, sha256)
        app = build_app(config, visits, teaching, [file for file in examples if file.is_file()], routes)
        server, worker = _serve(app, config)
        held.callback(lambda: setattr(server, "should_exit", True))  # if the tunnel cannot be opened
        port = server.servers[0].sockets[0].getsockname()[1]
        url = f"http://{'127.0.0.1' if config.host in ('0.0.0.0', '::') else config.host}:{port}/"
        if config.share:
            held.callback(_Tunnel(port).close)
        page = Page(url, live, visits, server, worker, held.pop_all())
    if in_notebook():
        _show_in_cell(port, height)
    return page


def _serve(app: FastAPI, config: PageConfig) -> tuple[uvicorn.Server, threading.Thread]:
    listening = _listen(config.host, config.port)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2, server_header=False))
    worker = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, name="page", daemon=True)
    worker.start()
    end = time.monotonic() + START_SECONDS
    while not server.started:
        if not worker.is_alive() or time.monotonic() > end:
            raise PageError(f"the server on {config.host}:{config.port} did not start: see above")
        time.sleep(0.02)
    return server, worker


def _listen(host: str, port: int) -> socket.socket:
    """A socket of our own: where the port is taken, uvicorn would end the process."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except OSError as error:
        raise PageError(
            f"cannot listen on {host}:{port} ({error.strerror}): choose another --port or --host"
        ) from error
    return listening


class _Tunnel:
    """The public address of a page, through Gradio's servers."""

    def __init__(self, port: int) -> None:
        import secrets

        from gradio.networking import setup_tunnel

        try:
            address = setup_tunnel("127.0.0.1", port, secrets.token_urlsafe(32), None, None)
        except Exception as error:  # a download, a program and a server of others
            raise PageError(f"no public address can be had ({error}): leave --share out") from error
        print(f"public for 72 hours: {address}")

    def close(self) -> None:
        from gradio.tunneling import CURRENT_TUNNELS

        for tunnel in CURRENT_TUNNELS:
            tunnel.kill()


def _show_in_cell(port: int, height: int) -> None:
    """The page in a frame below the cell."""
    if in_colab():
        from google.colab import output

        output.serve_kernel_port_as_iframe(port, height=str(height))
    else:
        from IPython.display import IFrame, display

        display(IFrame(f"http://127.0.0.1:{port}/", "100%", height))
