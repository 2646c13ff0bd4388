"""A picture that was scored as a file of this machine, in the version that was scored."""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from artifact_utils.files.writing import real_path
from artifact_utils.filtering.options import FilterError
from artifact_utils.images import ImageError
from artifact_utils.scale.stores import Entry, LocalStore, Store, error_text


def leads_out(path: str) -> bool:
    """Whether a path of a table is none below the folder of pictures, so that somebody else has written it."""
    return ".." in PurePosixPath(path).parts or path.startswith("/") or "\0" in path


@contextmanager
def local_picture(pictures: Store, entry: Entry, home: Path) -> Iterator[Path]:
    """The file of a picture while the context is open: its own in a local folder, else a copy.

    Args:
        pictures: the scored folder.
        entry: what the scores say of the picture.
        home: private folder for the copy.

    Raises:
        FilterError: it has gone or changed, cannot be fetched now, or is none of the folder.
    """
    if leads_out(entry.path):
        raise FilterError("the path of this picture leads out of the scored folder: it is not opened")
    if isinstance(pictures, LocalStore):
        yield _own_file(pictures, entry)
        return
    name = PurePosixPath(entry.path).name
    try:
        content = pictures.read(entry)
    except ImageError as error:
        raise FilterError(f"{name} cannot be had any more ({error.reason}): score it anew") from error
    except Exception as error:  # botocore has a class for every way in which a store does not answer
        raise FilterError(f"{name} cannot be fetched ({error_text(error)}): try again later") from error
    if content is None:
        raise FilterError(f"{name} has changed since it was scored: score it anew")
    with tempfile.NamedTemporaryFile(dir=home) as file:
        file.write(content)
        file.flush()
        yield Path(file.name)


def _own_file(pictures: LocalStore, entry: Entry) -> Path:
    name = PurePosixPath(entry.path).name
    raw = re.sub(r"\\u(dc[89a-f][0-9a-f])", lambda found: chr(int(found[1], 16)), entry.path)  # bytes that are no text
    for path in dict.fromkeys((entry.path, raw)):
        file = pictures.folder / path
        if not real_path(file.parent).is_relative_to(pictures.folder):  # a scoring follows no links to folders
            raise FilterError(f"{name} lies behind a link to another folder: it is not opened")
        try:
            now = pictures.entry(path)
        except ImageError:
            continue
        if (now.size, now.mtime_ns) != (entry.size, entry.mtime_ns):
            raise FilterError(f"{name} has changed since it was scored: score it anew")
        return file
    raise FilterError(f"{name} has gone since it was scored: bring it back, or score the folder anew")
