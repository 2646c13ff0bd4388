"""An S3 server of this machine, by moto, that can be told to fail or to be slow."""

import logging
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import fsspec
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"


class S3Server:
    """A server on a free port of 127.0.0.1, while the context is open."""

    def __init__(self) -> None:
        self.faults: Callable[[str, str, str], bool] | None = None
        """Asked with the method, the path and the query of each request whether to answer 503."""
        self.n_refused = 0
        self.delay: Callable[[str], float] | None = None
        """Asked with the path of each request how many seconds later to answer."""
        self._app = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True, request_handler=MotoRequestHandler)
        self.variables = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._server.server_port}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def __enter__(self) -> "S3Server":
        logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line a request
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()

    def reset(self) -> None:
        """Forget all buckets, and answer at once and without fail."""
        self.faults, self.n_refused, self.delay = None, 0, None
        urllib.request.urlopen(f"{self.variables['AWS_ENDPOINT_URL']}/moto-api/reset", b"").close()

    def fill(self, folder: Path, url: str) -> set[str]:
        """Put the files of a folder where ``bucket/prefix`` says; returns their names below it."""
        system = fsspec.filesystem("s3", skip_instance_cache=True)
        system.mkdir(url.partition("/")[0])
        system.put(f"{folder}/", f"{url}/", recursive=True)
        return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}

    def _answer(self, environment: dict[str, Any], start: Any) -> Iterable[bytes]:
        method, path, query = (environment[name] for name in ("REQUEST_METHOD", "PATH_INFO", "QUERY_STRING"))
        if self.delay is not None:
            time.sleep(self.delay(path))
        if self.faults is not None and self.faults(method, path, query):
            self.n_refused += 1
            start("503 Slow Down", [("Content-Type", "application/xml")])
            return [SLOW_DOWN]
        return self._app(environment, start)
