"""A folder of 200,000 pictures: seconds to the first rows, seconds to go through it once it is scored, and memory.

    python benchmarks/large_folder.py [--n 200000] [--folder large]

The script is run as people run it, from the start of the interpreter. Scores are made up for the second part, as the
packaged detector would write them: to score all takes hours. Memory is the peak of the process; that of a folder with
one picture is shown beside it.
"""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing, suppress
from pathlib import Path

import numpy as np

from artifact_utils.console import read_arguments, run_cli
from artifact_utils.demo.openpeople import bases, cut_portrait
from artifact_utils.files.model_files import pretrained_file
from artifact_utils.files.writing import file_digest
from artifact_utils.filtering.listing import list_pictures
from artifact_utils.filtering.options import FilterConfig, Outputs
from artifact_utils.filtering.state import Score, open_state

ROOT = Path(__file__).parents[1]
A_FOLDER = 1000  # pictures


def fill(folder: Path, n: int) -> None:
    """Write a portrait ``n`` times, no two files alike."""
    import cv2

    image, _ = cut_portrait(next(iter(bases().values()))[0], np.random.default_rng(0), 160)
    content = cv2.imencode(".jpg", image[:, :, ::-1])[1].tobytes()
    for number in range(n):
        file = folder / f"{number // A_FOLDER:03d}" / f"portrait_{number:06d}.jpg"
        if number % A_FOLDER == 0:
            file.parent.mkdir(parents=True)
        file.write_bytes(content + str(number).encode())


def watch(folder: Path, *, until_first_rows: bool = False) -> tuple[float, float]:
    """Run the script over a folder; returns seconds, and the peak of its memory in MB."""
    state = Outputs.of(FilterConfig(folder)).state
    started, peak = time.perf_counter(), 0.0
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TQDM_DISABLE": "1"}
    command = [sys.executable, str(ROOT / "filter_images.py"), str(folder)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    while process.poll() is None and not (until_first_rows and n_rows(state)):
        with suppress(OSError, StopIteration):  # it has just ended
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            peak = max(peak, int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024)
        time.sleep(0.02)
    seconds = time.perf_counter() - started
    process.send_signal(signal.SIGINT)
    assert process.wait() == (130 if until_first_rows else 0)
    return seconds, peak


def n_rows(state: Path) -> int:
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"{state.as_uri()}?mode=ro", uri=True, timeout=0.01)) as file:
        return int(file.execute("SELECT count(*) FROM scores").fetchone()[0])
    return 0


def make_up_scores(folder: Path, example: Path) -> None:
    """Give every picture the score of the one in the example, with other probabilities."""
    with open_state(FilterConfig(example)) as state:
        (like,) = state.scores()
        threshold, counted, (families, sharpness) = state.threshold, state.counted, state.families
    sha256, rng = str(file_digest(pretrained_file())), np.random.default_rng(0)
    assert threshold is not None
    with open_state(FilterConfig(folder)) as state:
        about = {"counted": counted, "families": families, "sharpness": sharpness}
        state.use_model(sha256, threshold, own_threshold=threshold, **about)  # type: ignore[arg-type]
        rows = []
        for path, status in list_pictures(folder, None):
            said = {name: [round(rng.random() ** 4, 17), *row[1:]] for name, row in json.loads(like.details).items()}
            details = json.dumps(said, separators=(",", ":"))
            times = status.st_size, status.st_mtime_ns, status.st_ctime_ns
            rows.append(Score(path, like.probability, "", *times, details))
        state.add_scores(rows)


def main(n: int = 200_000, folder: Path | None = None) -> None:
    """Print the three figures; the folder is made, and removed again."""
    home = Path(tempfile.mkdtemp(dir=folder))
    try:
        fill(home / "one", 1)
        _, alone = watch(home / "one")
        fill(home / "many", n)
        first, peak_first = watch(home / "many", until_first_rows=True)
        make_up_scores(home / "many", home / "one")
        again, peak_again = watch(home / "many")
    finally:
        shutil.rmtree(home)
    print(f"{n:,} pictures, {os.cpu_count()} cores; one picture takes {alone:.0f} MB")
    print(f"first rows after {first:.1f} s, {peak_first - alone:+.0f} MB beside one picture")
    print(f"all of them, scored before, in {again:.1f} s, {peak_again - alone:+.0f} MB beside one picture")


if __name__ == "__main__":
    run_cli(lambda: read_arguments(main, __doc__))
