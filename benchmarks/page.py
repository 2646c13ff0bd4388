"""How the page bears many visitors at once: each sends pictures and must get all of its own answers, in order.

    python benchmarks/page.py                               # 20 visitors for two minutes
    taskset -c 0,1 python benchmarks/page.py --seconds 30   # on two cores

The server is a process of its own, with the packaged detector; the pictures are those of test_data. A visitor sends up
to five, asks until all are judged, and sends the next.
"""

import json
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from artifact_utils.console import read_arguments, run_cli

ROOT = Path(__file__).parents[1]
ASK_SECONDS = 0.35  # the page's own


@dataclass(frozen=True)
class Arguments:
    clients: int = 20
    seconds: float = 120.0
    run: Path | None = None
    """Default: the packaged detector."""


@dataclass
class Visitor:
    """One visitor, and what went wrong."""

    number: int
    url: str
    pictures: list[Path]
    requests: list[float] = field(default_factory=list)
    """Seconds until each request was answered."""
    waits: list[float] = field(default_factory=list)
    """Seconds from sending a picture until its verdict was there."""
    sent: list[tuple[str, Path]] = field(default_factory=list)
    answers: list[dict] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def ask(self, path: str, body: bytes | None = None) -> dict:
        headers = {"X-Page": "1", "X-Visitor": getattr(self, "key", "")}
        request = urllib.request.Request(f"{self.url}page/check/{path}", body, headers)
        started = time.monotonic()
        with urllib.request.urlopen(request, timeout=120) as answer:
            said = json.load(answer)
        self.requests.append(time.monotonic() - started)
        return said

    def stay(self, until: float) -> None:
        rng = np.random.default_rng(self.number)
        try:
            self.key = self.ask("begin", b"")["visitor"]
            while time.monotonic() < until and len(self.sent) < 490:
                when = {}
                for _ in range(rng.integers(1, 6)):
                    file = self.pictures[rng.integers(len(self.pictures))]
                    name = f"{self.number:02d}-{len(self.sent):04d}.jpg"
                    when[len(self.sent)] = time.monotonic()
                    self.sent.append((name, file))
                    self.ask(f"pictures?name={name}", file.read_bytes())
                while len(self.answers) < len(self.sent):
                    for said in self.ask(f"results?since={len(self.answers)}")["results"]:
                        self.waits.append(time.monotonic() - when[len(self.answers)])
                        self.answers.append(said)
                    time.sleep(ASK_SECONDS)
        except (OSError, urllib.error.URLError, KeyError) as error:
            self.errors.append(f"visitor {self.number}: {error}")


def main(arguments: Arguments) -> None:
    pictures = sorted((ROOT / "test_data").glob("t*/*.jpg"))[:30]
    command = [sys.executable, str(ROOT / "app.py"), "--port", "0", "--device", "cpu"]
    command += ["--run", str(arguments.run)] if arguments.run else []
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TQDM_DISABLE": "1"}
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert server.stdout is not None
        url = server.stdout.readline().split()[1]  # "open http://127.0.0.1:7860/ (Ctrl-C ends it)"
        started = time.monotonic()
        visitors = [Visitor(i, url, pictures) for i in range(arguments.clients)]
        threads = [threading.Thread(target=v.stay, args=(started + arguments.seconds,)) for v in visitors]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        tell(visitors, time.monotonic() - started)
    finally:
        server.terminate()
        server.wait(30)


def tell(visitors: list[Visitor], seconds: float) -> None:
    requests = np.concatenate([visitor.requests for visitor in visitors])
    waits = np.concatenate([visitor.waits for visitor in visitors])
    n = sum(len(visitor.sent) for visitor in visitors)
    print(
        f"{len(visitors)} visitors, {seconds:.0f} s, {os.cpu_count()} cores: {len(requests)} requests, {n} pictures, "
        f"{n / seconds:.1f} a second"
    )
    for title, values in (("a request is answered", requests), ("a picture is judged", waits)):
        p50, p95 = np.percentile(values, [50, 95])
        print(f"  {title} after {p50:.3f} s (median), {p95:.3f} s (95%), {values.max():.3f} s (most)")
    lost = sum(len(visitor.sent) - len(visitor.answers) for visitor in visitors)
    others = out_of_order = 0
    said: dict[Path, set[str]] = {}
    for visitor in visitors:
        names = [answer["name"] for answer in visitor.answers]
        out_of_order += names != [name for name, _ in visitor.sent[: len(names)]]
        others += sum(not name.startswith(f"{visitor.number:02d}-") for name in names)
        for answer, (_, file) in zip(visitor.answers, visitor.sent, strict=False):
            said.setdefault(file, set()).add(f"{answer.get('probability', -1):.2f}")
    differing = sum(len(answers) > 1 for answers in said.values())
    print(
        f"  lost {lost}, of others {others}, visitors whose answers were out of order {out_of_order}, "
        f"pictures that were judged in two ways {differing} of {len(said)}"
    )
    for error in [error for visitor in visitors for error in visitor.errors]:
        print(f"  {error}")


if __name__ == "__main__":
    run_cli(lambda: main(read_arguments(Arguments, __doc__)))
