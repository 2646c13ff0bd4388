"""Pictures that visitors of a page have checked: each visitor's in a private folder that goes when the visitor does."""

import contextlib
import logging
import secrets
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from artifact_utils.console import ArtifactUtilsError
from artifact_utils.detector import Detector
from artifact_utils.files.archives import ArchiveError, copy_bounded, unpack_pictures
from artifact_utils.files.private_folders import make_private_folder
from artifact_utils.images import PICTURE_SUFFIXES, ImageError
from artifact_utils.predictions import Prediction

logger = logging.getLogger(__name__)

MAX_PICTURES = 500
"""Of one visitor at a time."""
MAX_PICTURE_BYTES, MAX_ZIP_BYTES = 50_000_000, 500_000_000
MAX_VISIT_BYTES, MAX_BYTES = 1_000_000_000, 8_000_000_000
"""Of the pictures of one visitor, and of all."""
MAX_VISITS = 200
SILENT_SECONDS = 300.0
"""After which a visitor is gone: hidden tabs of a browser ask once a minute."""


class VisitError(ArtifactUtilsError):
    """Pictures that are not taken; the message says what to do."""


@dataclass(eq=False)
class Checked:
    """A picture of a visitor."""

    name: str
    """As the visitor calls it; nothing is ever opened by this name."""
    file: Path
    outcome: Prediction | ImageError | None = None
    """None while it waits."""
    token: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    """Nobody who was not told it can ask for the picture."""


@dataclass(eq=False)
class Visit:
    """A visitor's pictures, in the order in which they came."""

    folder: Path
    pictures: list[Checked] = field(default_factory=list)
    n_bytes: int = 0
    seen: float = field(default_factory=time.monotonic)
    lock: threading.Lock = field(default_factory=threading.Lock)
    """Held while pictures come in."""


class Visits:
    """All visitors, and one thread that scores their pictures in the order in which these came.

    Args:
        detector: to score with.
        clock: seconds, for tests.
    """

    def __init__(self, detector: Detector, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.detector, self._clock = detector, clock
        self._root = make_private_folder("visits")
        self._visits: dict[str, Visit] = {}
        self._tokens: dict[str, Checked] = {}
        self._changed = threading.Condition()
        self._waiting: list[Checked] = []
        self._closed = False
        self._worker = threading.Thread(target=self._score, name="check", daemon=True)
        self._worker.start()

    def close(self) -> None:
        """End all visits."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._worker.join()
        shutil.rmtree(self._root, ignore_errors=True)

    def begin(self) -> str:
        """A new visitor; returns the secret that stands for them.

        Raises:
            VisitError: there are too many.
        """
        self.sweep()
        with self._changed:
            if len(self._visits) >= MAX_VISITS:
                raise VisitError("too many people are here at the moment: try again in a few minutes")
            key = secrets.token_urlsafe(24)
            folder = self._root / secrets.token_hex(16)
            folder.mkdir(mode=0o700)
            self._visits[key] = Visit(folder, seen=self._clock())
            return key

    def visit(self, key: str) -> Visit:
        """The visit of a visitor, who is here now.

        Raises:
            VisitError: there is none, or not any more.
        """
        with self._changed:
            visit = self._visits.get(key)
            if visit is None:
                raise VisitError("your pictures were removed because the page was closed or silent: send them again")
            visit.seen = self._clock()
            return visit

    def leave(self, key: str) -> None:
        """Remove a visitor's pictures."""
        with self._changed:
            visit = self._visits.pop(key, None)
            if visit is None:
                return
            gone = {checked.token for checked in visit.pictures}
            self._waiting = [checked for checked in self._waiting if checked.token not in gone]
            for token in gone:
                self._tokens.pop(token, None)
        shutil.rmtree(visit.folder, ignore_errors=True)

    def leave_soon(self, key: str, seconds: float = 10.0) -> None:
        """The page was closed or is loaded anew: the visitor is gone if nothing is heard of them so soon."""
        with self._changed, contextlib.suppress(KeyError):
            self._visits[key].seen = self._clock() - SILENT_SECONDS + seconds

    def sweep(self) -> None:
        """End the visits of those who are gone."""
        now = self._clock()
        for key in [key for key, visit in list(self._visits.items()) if now > visit.seen + SILENT_SECONDS]:
            self.leave(key)

    def add(self, key: str, name: str, content: IO[bytes]) -> int:
        """Take a picture, or those in a zip; returns how many. They are scored when it is their turn.

        Raises:
            VisitError: they are too large or too many, or the zip is hostile or damaged.
        """
        visit = self.visit(key)
        with visit.lock:
            arrived = visit.folder / secrets.token_hex(8)
            is_zip = name.lower().endswith(".zip")
            most = min(self._bytes_left(visit), MAX_ZIP_BYTES if is_zip else MAX_PICTURE_BYTES)
            try:
                n_bytes = copy_bounded(content, arrived, most, name)
            except ArchiveError as error:
                raise VisitError(str(error)) from error
            if not is_zip:
                return self._take(visit, [Checked(name, arrived)], n_bytes)
            try:
                return self._unpack(visit, name, arrived)
            finally:
                arrived.unlink(missing_ok=True)

    def _bytes_left(self, visit: Visit) -> int:
        with self._changed:
            all_bytes = sum(other.n_bytes for other in self._visits.values())
        return max(0, min(MAX_VISIT_BYTES - visit.n_bytes, MAX_BYTES - all_bytes))

    def _unpack(self, visit: Visit, name: str, archive: Path) -> int:
        def max_bytes() -> int:
            return min(self._bytes_left(visit), MAX_PICTURE_BYTES)

        n = 0
        try:
            for inner, file, n_bytes in unpack_pictures(archive, visit.folder, PICTURE_SUFFIXES, max_bytes):
                n += self._take(visit, [Checked(inner, file)], n_bytes)
        except ArchiveError as error:
            taken = f" ({n} pictures before that were taken)" if n else ""
            raise VisitError(f"{name}: {error}{taken}") from error
        if not n:
            raise VisitError(f"{name} holds no pictures: put .png, .jpg, .webp or .bmp files into it")
        return n

    def _take(self, visit: Visit, pictures: list[Checked], n_bytes: int) -> int:
        with self._changed:
            has_left = visit not in self._visits.values()
            if has_left or len(visit.pictures) + len(pictures) > MAX_PICTURES:
                for checked in pictures:
                    checked.file.unlink(missing_ok=True)
                if has_left:
                    raise VisitError("the page was closed while pictures came in: send them again")
                raise VisitError(f"{MAX_PICTURES} pictures at a time: clear these first, or sort a folder instead")
            visit.pictures += pictures
            visit.n_bytes += n_bytes
            visit.seen = self._clock()
            self._waiting += pictures
            self._tokens |= {checked.token: checked for checked in pictures}
            self._changed.notify_all()
        return len(pictures)

    def picture(self, token: str) -> Checked:
        """A picture by its token.

        Raises:
            VisitError: there is none, or not any more.
        """
        with self._changed:
            checked = self._tokens.get(token)
        if checked is None:
            raise VisitError("this picture was removed: send it again")
        return checked

    def queued(self, visit: Visit) -> int:
        """How many pictures of anybody will be scored before the last one of this visitor."""
        with self._changed:
            own = {checked.token for checked in visit.pictures}
            places = [i for i, checked in enumerate(self._waiting, 1) if checked.token in own]
            return max(places, default=0)

    def _score(self) -> None:
        """Score batch by batch, so that a picture that has just come waits for no more than one."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._waiting, timeout=30)
                if self._closed:
                    return
                batch = self._waiting[:8]
            if not batch:
                self.sweep()
                continue
            self._score_batch(batch)
            with self._changed:
                done = {checked.token for checked in batch}
                self._waiting = [checked for checked in self._waiting if checked.token not in done]

    def _score_batch(self, batch: list[Checked]) -> None:
        try:
            outcomes = self.detector.predict_files([checked.file for checked in batch])
            for checked, (_, outcome) in zip(batch, outcomes, strict=True):
                checked.outcome = outcome
        except Exception as error:  # whatever one picture sets off, the others wait for this thread
            logger.exception("a batch of pictures could not be scored")
            for checked in batch:
                checked.outcome = checked.outcome or ImageError(checked.name, f"could not be scored: {error}")
