"""Temporary folders that nobody else may look into, and that a killed process leaves for the next one to remove."""

import contextlib
import os
import shutil
import tempfile
from pathlib import Path


def make_private_folder(purpose: str) -> Path:
    """A new one of this process; those of the same purpose that killed processes of this user have left are removed.

    Args:
        purpose: a word that becomes part of the name.
    """
    prefix = f"artifact_utils.{purpose}."
    for folder in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        number = folder.name.removeprefix(prefix).partition(".")[0]
        with contextlib.suppress(OSError, ValueError):
            if folder.lstat().st_uid == os.getuid() and not _is_running(int(number)):
                shutil.rmtree(folder, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}."))


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
