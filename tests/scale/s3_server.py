"""An S3 server of this machine, by moto, that can be told to fail."""

import threading
import urllib.request
from collections.abc import Callable, Iterable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"


class S3Server:
    """A server on a free port of 127.0.0.1, while the context is open."""

    def __init__(self) -> None:
        self.faults: Callable[[str, str], bool] | None = None
        """Asked with the method and the path of each request whether to answer 503."""
        self.n_refused = 0
        self._app = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True, request_handler=MotoRequestHandler)
        self.variables = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._server.server_port}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def __enter__(self) -> "S3Server":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()

    def reset(self) -> None:
        """Forget all buckets, and fail no more."""
        self.faults, self.n_refused = None, 0
        urllib.request.urlopen(f"{self.variables['AWS_ENDPOINT_URL']}/moto-api/reset", b"").close()

    def _answer(self, environment: dict[str, Any], start: Any) -> Iterable[bytes]:
        if self.faults is not None and self.faults(environment["REQUEST_METHOD"], environment["PATH_INFO"]):
            self.n_refused += 1
            start("503 Slow Down", [("Content-Type", "application/xml")])
            return [SLOW_DOWN]
        return self._app(environment, start)
