"""What stands before every request: who may ask, for what, and what the browser may load."""

import base64
import hmac
import re

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from artifact_utils.page.settings import is_loopback

POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",  # Gradio's own
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
    )
)
"""Nothing comes from another server, whatever a file is called."""
SANDBOXED = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data: 'self'"
"""For reports: they hold names of files, and need no script."""
_GRADIO = re.compile(
    r"/(config/?|theme\.css|assets/.*|static/.*|svelte/.*|favicon\.ico|manifest\.json|robots\.txt|pwa_icon.*"
    r"|gradio_api/(startup-events|heartbeat/[\w-]+|queue/(join|data)|reset/?|info/?|app_id/?))?$"
)
"""What the layout needs of Gradio. It has much more, from uploads to proxies, none of which this page uses."""
MAX_BODY = 1 << 16
"""Of any request but an upload."""


class Guard:
    """Middleware that turns away whoever must not be let in.

    Args:
        app: behind it.
        credentials: NAME:PASSWORD, or nothing.
        local: whether only this machine is to be answered, under a name of its own: a page elsewhere may have pointed
            its name at 127.0.0.1 (DNS rebinding).
        framed: whether another page may show this one in a frame, as notebooks and Spaces do.
    """

    def __init__(self, app: ASGIApp, credentials: str, *, local: bool, framed: bool = False) -> None:
        self.app, self.local = app, local
        self.policy = (POLICY if framed else f"{POLICY}; frame-ancestors 'self'").encode()
        self.expected = b"Basic " + base64.b64encode(credentials.encode()) if credentials else b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        request = Request(scope)
        refused = self._refuse(request)
        if refused is not None:
            await refused(scope, receive, send)
            return
        own = request.url.path.startswith("/page/")

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                names = {name.lower() for name, _ in message["headers"]}
                headers = {
                    b"content-security-policy": self.policy,
                    b"x-content-type-options": b"nosniff",
                    b"referrer-policy": b"no-referrer",
                    **({b"cache-control": b"no-store"} if own else {}),
                }
                message["headers"] = [*message["headers"], *((k, v) for k, v in headers.items() if k not in names)]
            await send(message)

        await self.app(scope, receive, send_guarded)

    def _refuse(self, request: Request) -> Response | None:
        path, method = request.url.path, request.method
        host = request.headers.get("host", "").rpartition(":")[0] or request.headers.get("host", "")
        if self.local and not is_loopback(host):
            return Response("open this page by its own address, http://127.0.0.1\n", 421)
        if self.expected:
            given = request.headers.get("authorization", "").encode()
            if not hmac.compare_digest(given, self.expected):
                return Response("name and password, please\n", 401, {"www-authenticate": 'Basic realm="portraits"'})
        if not path.startswith("/page/") and not _GRADIO.match(path):
            return Response("there is nothing here\n", 404)
        if method not in ("GET", "HEAD"):
            if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
                return JSONResponse({"error": "another page has asked for this: use the page itself"}, 403)
            is_upload = path == "/page/check/pictures"
            if path.startswith("/page/") and path != "/page/check/leave" and "x-page" not in request.headers:
                return JSONResponse({"error": "use the page itself, or send the header X-Page"}, 403)
            length = request.headers.get("content-length", "")
            pieces = "transfer-encoding" in request.headers  # which count instead of the length
            if not is_upload and (pieces or not length.isdecimal() or int(length) > MAX_BODY):
                return JSONResponse({"error": "this request is too long"}, 413)
        return None
