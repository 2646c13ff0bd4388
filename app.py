"""Look at portraits, sort a folder of them and correct the detector, in a browser.

    python app.py                                  # http://127.0.0.1:7860: drop pictures in
    python app.py FOLDER                           # and sort this folder
    python app.py FOLDER --run runs/mine --port 7861
    python app.py --select s3://bucket/scores      # look into what filter_images.py --engine ray has scored
    PAGE_AUTH=NAME:PASSWORD python app.py FOLDER --host 0.0.0.0   # for others on this network, too

The page and filter_images.py share FOLDER.scores.sqlite: one goes on where the other stopped.
"""

from artifact_utils.console import read_arguments, run_cli


def main() -> None:
    from pathlib import Path

    from artifact_utils.page import PageConfig

    config = read_arguments(PageConfig, __doc__)
    from artifact_utils.page import launch  # PyTorch and Gradio take seconds to load: --help does not wait for them

    test_data = Path(__file__).parent / "test_data" / "test"
    page = launch(config=config, examples=[test_data / f"image_{n}.jpg" for n in ("00009_1", "00013_1", "00001_0")])
    print(f"open {page.url} (Ctrl-C ends it)", flush=True)
    try:
        page.wait()
    finally:
        page.close()


if __name__ == "__main__":
    run_cli(main, interrupted="closed: what was scored, labelled and moved is kept")
