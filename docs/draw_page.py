"""Draw the picture of the web page in the README: the portraits of test_data, sorted, in Chromium.

    python docs/draw_page.py

It takes half a minute, most of it for loading and scoring.
"""

from pathlib import Path

from artifact_utils.console import read_arguments, run_cli

TEST_DATA = Path(__file__).parents[1] / "test_data"


def draw(out: Path = Path(__file__).parent / "page.png", chromium: Path = Path("/usr/bin/chromium")) -> None:
    """Serve a copy of the test portraits and take a screenshot once all are scored.

    Args:
        out: picture to write.
        chromium: the browser.
    """
    import shutil
    import tempfile

    from playwright.sync_api import sync_playwright

    from artifact_utils.page import PageConfig, launch

    with tempfile.TemporaryDirectory() as parent, sync_playwright() as playwright:
        folder = Path(parent) / "portraits"
        folder.mkdir()
        for file in sorted(TEST_DATA.glob("t*/*.jpg")):
            shutil.copy(file, folder / f"{file.parent.name}_{file.name}")
        page = launch(config=PageConfig(folder, port=0))
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        try:
            tab = browser.new_page(viewport={"width": 1120, "height": 900})
            tab.goto(page.url)
            tab.wait_for_function(
                "/: \\d+ pictures$/.test(document.querySelector('sort-view .say')?.textContent)", timeout=120_000
            )
            tab.keyboard.press("Home")
            tab.locator("sort-view .tile img").nth(11).wait_for()
            tab.wait_for_load_state("networkidle")
            tab.screenshot(path=out)
        finally:
            browser.close()
            page.close()
    print(f"{out}: the page with the portraits of {TEST_DATA.name}")


def main() -> None:
    read_arguments(draw, __doc__)


if __name__ == "__main__":
    run_cli(main)
