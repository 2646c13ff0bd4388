"""The page in a real browser: what a person sees and does, with nothing loaded from anywhere else.

Those marked slow run where PAGE_TESTS=all says so, as .ci/run does; PAGE_SCREENSHOTS names a folder that keeps what
they looked like.
"""

import base64
import csv
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from browser_tools import ARGUMENTS, CHROMIUM, keep_screenshot, make_scores, opened
from helpers import draw_portrait, files_below

from artifact_utils.detector import Detector
from artifact_utils.filtering.state import open_state
from artifact_utils.scale.scale_options import INSTALL

sync_api = pytest.importorskip("playwright.sync_api", reason="pip install -r requirements.txt brings Playwright")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: apt-get install chromium")
slow = pytest.mark.skipif(os.environ.get("PAGE_TESTS") != "all", reason="slow: PAGE_TESTS=all runs it")

ROOT = Path(__file__).parents[2]
TEST_DATA = ROOT / "test_data" / "test"
FAMILIES = ("hands", "text", "objects")
HOSTILE = "<img src=x onerror=alert(1)>.png"
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
"""Pixels that a page is wider than its window."""


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        sync_api.expect.set_options(timeout=30_000)  # on a machine that is busy
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def serve(page_config):
    """Open a page on a config; it is closed at the end."""
    from artifact_utils.page import launch

    pages = []

    def serve(config=page_config, **options):
        pages.append(launch(config=config, **options))
        return pages[-1]

    yield serve
    for page in pages:
        page.close()


@pytest.fixture
def many(page_config):
    """300 pictures with scores from 0 to 1, their families in turn."""
    shutil.rmtree(page_config.folder)
    for i in range(10):
        draw_portrait(page_config.folder / f"{i:03d}.png", seed=i, artifact=False)
    for i in range(10, 300):
        shutil.copy(page_config.folder / f"{i % 10:03d}.png", page_config.folder / f"{i:03d}.png")
    make_scores(page_config.filter_config(page_config.folder), FAMILIES)
    return page_config


def text(tab, selector: str) -> str:
    return tab.locator(selector).inner_text()


def wait_for(tab, selector: str, pattern: str, seconds: float = 30) -> str:
    locator = tab.locator(selector)
    sync_api.expect(locator).to_have_text(re.compile(pattern), timeout=1000 * seconds)
    return locator.inner_text()


def test_dropped_pictures_are_judged_the_right_one_is_flagged_and_its_map_shown(browser, serve, page_config, tmp_path):
    hostile = tmp_path / "<img src=x onerror=alert(1)>.jpg"
    shutil.copy(TEST_DATA / "image_00009_1.jpg", hostile)
    shutil.copy(TEST_DATA / "image_00001_0.jpg", tmp_path / "clean.jpg")
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as archive:
        archive.write(TEST_DATA / "image_00002_0.jpg", "../../zipped.jpg")
    page = serve(replace(page_config, folder=None, run=None), examples=[hostile])
    with opened(browser, page.url) as tab:
        dialogs = []
        tab.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
        tab.set_input_files("#pick", [hostile, tmp_path / "clean.jpg", tmp_path / "bomb.png", tmp_path / "more.zip"])
        wait_for(tab, "check-view .say >> nth=0", r"4 pictures checked: 1 with an artifact")
        verdicts = tab.locator("check-view .verdict:not(.viewer *)").all_inner_texts()
        assert verdicts == ["artifact", "clean", "unreadable", "clean"]
        cards = tab.locator("check-view .card").all_inner_texts()
        assert hostile.name in cards[0]
        assert "zipped.jpg" in cards[3]
        keep_screenshot(tab, "check")
        tab.locator("check-view .card").first.click()
        sync_api.expect(tab.locator("check-view h2")).to_have_text(hostile.name)
        tab.wait_for_function("document.querySelector('check-view img.map').style.opacity > 0.5")
        tab.locator("check-view .opacity").fill("10")
        assert tab.evaluate("document.querySelector('check-view img.map').style.opacity") == "0.1"
        keep_screenshot(tab, "check-large", full=False)
        tab.locator("check-view h2").focus()
        tab.keyboard.press("ArrowRight")
        sync_api.expect(tab.locator("check-view h2")).to_have_text("clean.jpg")
        tab.keyboard.press("Escape")
        tab.reload()  # what was checked is still there
        sync_api.expect(tab.locator("check-view .card")).to_have_count(4)
        tab.get_by_role("button", name="example 1").click()
        sync_api.expect(tab.locator("check-view .card")).to_have_count(5)
        tab.get_by_role("button", name="Clear").click()
        sync_api.expect(tab.locator("check-view .card")).to_have_count(0)
        assert dialogs == []


def test_a_folder_is_sorted_corrected_by_keys_moved_and_brought_back(browser, serve, many):
    before = files_below(many.folder)
    page = serve(many)
    with opened(browser, page.url) as tab:
        wait_for(
            tab, "sort-view .counts", r"150 pictures flagged of 300, about 38 of them clean .*; 300 shown; 0 labels"
        )
        tab.locator("sort-view .plot input").fill("0.9")
        wait_for(tab, "sort-view .counts", r"30 pictures flagged of 300, about 2 of them clean")
        tab.get_by_label("Show").select_option("flagged")
        tab.get_by_label("Family").select_option("text")
        wait_for(tab, "sort-view .counts", r"; 10 shown;")
        tiles = tab.locator("sort-view .tile")
        sync_api.expect(tiles).to_have_count(10)
        assert tiles.first.get_attribute("aria-label") == "298.png: flagged, >99% text"
        tab.locator("sort-view .grid").focus()
        tab.keyboard.press("a")  # agrees, and the next one is there
        tab.keyboard.press("ArrowRight")
        tab.keyboard.press("c")
        wait_for(tab, "sort-view .counts", r"2 labels of yours \(1 artifact, 1 clean\)")
        assert tiles.nth(2).get_attribute("aria-label").endswith("you say clean")
        tab.keyboard.press("u")
        wait_for(tab, "sort-view .counts", r"1 label of yours \(1 artifact, 0 clean\)")
        tab.keyboard.press("c")
        wait_for(tab, "sort-view .counts", r"2 labels of yours")
        tab.keyboard.press(" ")
        tab.wait_for_function("document.querySelector('sort-view img.map').style.opacity > 0.5")
        keep_screenshot(tab, "sort-large", full=False)
        tab.keyboard.press("Escape")
        tab.on("dialog", lambda dialog: dialog.accept())
        tab.get_by_role("button", name="Move flagged away").click()
        wait_for(tab, "sort-view .say >> nth=0", "29 pictures moved to")
        assert len(list(many.folder.iterdir())) == 271
        keep_screenshot(tab, "sort")
        with tab.expect_download() as download:
            tab.get_by_role("link", name="Table").click()
        rows = list(csv.DictReader(io.StringIO(download.value.path().read_text())))
        assert sum(row["flagged"] == "1" for row in rows) == 30
        tab.get_by_role("button", name="Export labels").click()
        wait_for(tab, "sort-view .say >> nth=0", "2 labelled pictures in .*portraits.labels, 1 with an artifact")
        tab.get_by_role("button", name="Bring 29 back").click()
        wait_for(tab, "sort-view .counts", r"of 300")
        assert files_below(many.folder) == before
    page.close()
    with open_state(many.filter_config(many.folder)) as state:
        kept = [(c.path, c.verdict, c.old_verdict) for c in state.corrections.list()]
    assert kept == [(b"298.png", 1, 1), (b"292.png", 0, 1)]


@pytest.fixture
def twins(page_config):
    """40 pictures, every other with a torn block, with scores that say nothing of it."""
    shutil.rmtree(page_config.folder)
    for i in range(40):
        draw_portrait(page_config.folder / f"{i:02d}.png", seed=i, artifact=i % 2 == 1, size=128)
    make_scores(page_config.filter_config(page_config.folder), FAMILIES)
    return page_config


def test_labels_by_keys_are_learned_from_looked_at_used_and_taken_back(browser, serve, twins, few_folds):
    from axe_playwright_python.sync_playwright import Axe

    page = serve(twins)
    with opened(browser, page.url) as tab:
        wait_for(tab, "sort-view .counts", "of 40")
        teach = tab.get_by_role("tab", name="Teach")
        teach.click()
        wait_for(tab, "teach-view .labels", "0 labels of yours")
        learn = tab.get_by_role("button", name="Learn from my corrections")
        sync_api.expect(learn).to_be_disabled()
        sync_api.expect(tab.locator("teach-view .soft").first).to_have_text(
            "It needs 30 labels, at least 5 of each: 30 more, at least 5 artifact and 5 clean."
        )
        tab.get_by_role("tab", name="Sort and correct").click()
        tab.locator("sort-view .grid").focus()
        for i in range(39, 7, -1):  # the worst first: 39.png down to 08.png
            tab.keyboard.press("a" if i % 2 else "c")
        wait_for(tab, "sort-view .counts", r"32 labels of yours \(16 artifact, 16 clean\)")
        teach.click()
        sync_api.expect(learn).to_be_enabled()
        learn.click()
        wait_for(tab, "teach-view h2 >> nth=2", "What portraits.learned would change", 180)
        lesson = tab.locator("teach-view .lesson")
        for expected in ("32 pictures, 16 with an artifact", "AUC", "Artifacts found", "of 16", "95%:", "would turn"):
            sync_api.expect(lesson).to_contain_text(expected)
        assert re.search("better|BETTER", text(tab, "teach-view .conclusion"))
        assert twins.folder.with_name("portraits.learned").is_dir()
        for width in (390, 820, 1280):
            tab.set_viewport_size({"width": width, "height": 900})
            keep_screenshot(tab, f"teach-lesson-{width}")
            assert tab.evaluate(OVERFLOW) <= 0, width
            assert serious_faults(Axe().run(tab)) == [], width
        tab.reload()
        teach.click()
        wait_for(tab, "teach-view h2 >> nth=2", "What portraits.learned would change")
        tab.get_by_role("button", name="Use it").click()
        wait_for(tab, "teach-view h2 >> nth=2", "portraits.learned is in use", 60)
        tab.get_by_role("tab", name="Sort and correct").click()
        wait_for(tab, "sort-view .say >> nth=0", "portraits: 40 pictures$", 60)
        wait_for(tab, "sort-view .counts", "32 labels of yours")
        sync_api.expect(tab.locator("sort-view .model")).to_have_text("Model: portraits.learned")
        tab.locator("sort-view .grid").focus()
        tab.keyboard.press("u")
        wait_for(tab, "sort-view .counts", "31 labels of yours")
        teach.click()
        tab.get_by_role("button", name="Back to families").click()
        wait_for(tab, "teach-view h2 >> nth=2", "What portraits.learned would change", 60)
        tab.get_by_role("button", name="Discard").click()
        sync_api.expect(lesson).to_be_hidden()
        assert not twins.folder.with_name("portraits.learned").exists()


@slow
def test_a_lesson_is_stopped_and_its_errors_are_sentences(browser, serve, twins, monkeypatch):
    from artifact_utils.filtering import teaching

    def slowly(config, material, *, on_progress):
        for step in range(200):
            time.sleep(0.05)
            on_progress(step, 200)
        raise teaching.FilterError("30 clean portraits are needed: there are fewer")

    monkeypatch.setitem(teaching.LESSONS, "generator", slowly)
    page = serve(twins)
    with opened(browser, page.url) as tab:
        tab.get_by_role("tab", name="Teach").click()
        tab.on("dialog", lambda dialog: dialog.accept())
        fit = tab.get_by_role("button", name="Fit to my generator")
        fit.click()
        wait_for(tab, "teach-view .progress", r"Learning: step [1-9]\d* of 200")
        tab.reload()
        tab.get_by_role("tab", name="Teach").click()
        wait_for(tab, "teach-view .progress", r"Learning: step [1-9]\d* of 200")
        keep_screenshot(tab, "teach-busy")
        tab.get_by_role("button", name="Stop", exact=True).locator("visible=true").click()
        sync_api.expect(tab.locator("teach-view .progress")).to_have_text("")
        fit.click()
        wait_for(tab, "teach-view .bad", "30 clean portraits are needed", 60)


def start_app(folder: Path, run: Path) -> tuple[subprocess.Popen, str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TQDM_DISABLE": "1"}
    command = [sys.executable, str(ROOT / "app.py"), str(folder), "--run", str(run), "--port", "0", "--device", "cpu"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    line = process.stdout.readline()  # "open http://127.0.0.1:7860/ (Ctrl-C ends it)"
    return process, line.split()[1]


@slow
def test_a_reload_or_a_kill_in_mid_scoring_loses_nothing(browser, page_config):
    draw_portrait(page_config.folder / "more.png", seed=0, artifact=False)
    for i in range(2485):  # so many that scoring goes on when the page is loaded again
        shutil.copy(page_config.folder / "more.png", page_config.folder / f"more_{i:04d}.png")
    process, url = start_app(page_config.folder, page_config.run)
    try:
        with opened(browser, url) as tab:
            wait_for(tab, "sort-view .say >> nth=0", r"[1-9]\d* of 2,500 pictures scored")
            tab.reload()
            wait_for(tab, "sort-view .say >> nth=0", r"[1-9]\d* of 2,500 pictures scored")
            tab.locator("sort-view .grid").focus()
            tab.keyboard.press("a")
            wait_for(tab, "sort-view .counts", "1 label of yours")
            process.send_signal(signal.SIGKILL)
            process.wait()
            wait_for(tab, "sort-view > .bad", "the server does not answer: is it still running in its terminal?")
            keep_screenshot(tab, "no-server")
        process, url = start_app(page_config.folder, page_config.run)
        with opened(browser, url) as tab:
            wait_for(tab, "sort-view .say >> nth=0", r"portraits: 2,500 pictures$", 120)
            wait_for(tab, "sort-view .counts", "1 label of yours")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    finally:
        process.kill()
    assert len(list(csv.DictReader(page_config.folder.with_name("portraits.scores.csv").open()))) == 2500


@slow
def test_scoring_is_stopped_and_goes_on(browser, serve, page_config, monkeypatch):
    for i in range(300):
        draw_portrait(page_config.folder / f"more_{i:03d}.png", seed=i, artifact=False)
    real = Detector.predict_files

    def slowly(self, paths, **options):
        for item in real(self, paths, **options):
            time.sleep(0.02)
            yield item

    monkeypatch.setattr(Detector, "predict_files", slowly)
    page = serve(page_config)
    with opened(browser, page.url) as tab:
        wait_for(tab, "sort-view .say >> nth=0", r"[1-9]\d* of 314 pictures scored")
        keep_screenshot(tab, "scoring")
        tab.get_by_role("button", name="Stop").click()
        wait_for(tab, "sort-view .say >> nth=0", r"stopped at \d+ of 314 pictures")
        tab.get_by_role("button", name="Score what is new").click()
        wait_for(tab, "sort-view .say >> nth=0", r"portraits: 314 pictures$", 120)
        sync_api.expect(tab.locator("#tile-0")).to_have_class(re.compile("here"))  # keys begin with the worst


@slow
def test_two_people_at_once_do_not_see_each_other(browser, serve, page_config):
    page = serve(replace(page_config, folder=None))
    with opened(browser, page.url) as one, opened(browser, page.url) as other:
        one.set_input_files("#pick", sorted(TEST_DATA.glob("*.jpg")))
        other.set_input_files("#pick", [TEST_DATA / "image_00001_0.jpg"])
        wait_for(other, "check-view .say >> nth=0", "^1 picture checked")
        wait_for(one, "check-view .say >> nth=0", "^15 pictures checked")
        assert one.locator("check-view .card").count() == 15
        assert other.locator("check-view .card").count() == 1
        assert text(other, "check-view .card .name") == "image_00001_0.jpg"
        folders = {visit.folder for visit in page.visits._visits.values()}
        assert sum(len(list(folder.iterdir())) for folder in folders) == 16
    end = time.monotonic() + 20  # both are gone: their beacons said so
    while any(folder.exists() for folder in folders) and time.monotonic() < end:
        page.visits.sweep()
        time.sleep(0.5)
    assert not any(folder.exists() for folder in folders)


MAKE_TRANSFER = """files => {
    const transfer = new DataTransfer();
    for (const [name, content] of files)
        transfer.items.add(new File([Uint8Array.from(atob(content), c => c.charCodeAt(0))], name));
    return transfer; }"""


def test_pictures_and_zips_are_dropped_and_pasted(browser, serve, page_config, tmp_path):
    def transfer(tab, *files: Path):
        content = [[file.name, base64.b64encode(file.read_bytes()).decode()] for file in files]
        return tab.evaluate_handle(MAKE_TRANSFER, content)

    first, second = TEST_DATA / "image_00001_0.jpg", TEST_DATA / "image_00002_0.jpg"
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        for file in (first, second):
            archive.write(file, f"below/{file.name}")
    page = serve(replace(page_config, folder=None))
    with opened(browser, page.url) as tab:
        drop = tab.locator("check-view .drop")
        drop.dispatch_event("dragover", {"dataTransfer": transfer(tab, first)})
        assert "over" in drop.get_attribute("class")
        drop.dispatch_event("drop", {"dataTransfer": transfer(tab, first, second)})
        wait_for(tab, "check-view .say >> nth=0", "^2 pictures checked")
        assert "over" not in drop.get_attribute("class")
        tab.dispatch_event("h1", "drop", {"dataTransfer": transfer(tab, tmp_path / "two.zip")})  # beside
        wait_for(tab, "check-view .say >> nth=0", "^4 pictures checked")
        paste = "t => document.body.dispatchEvent(new ClipboardEvent('paste', {clipboardData: t, bubbles: true}))"
        tab.evaluate(paste, transfer(tab, second))
        wait_for(tab, "check-view .say >> nth=0", "^5 pictures checked")
        names = tab.locator("check-view .card .name").all_inner_texts()
        assert [name.rpartition("/")[2] for name in names] == [f.name for f in (first, second, first, second, second)]


@slow
def test_two_hundred_pictures_at_once_come_as_they_are_done(browser, serve, page_config):
    for i in range(200):
        draw_portrait(page_config.folder / f"more_{i:03d}.png", seed=i, artifact=False)
    page = serve(replace(page_config, folder=None))
    with opened(browser, page.url) as tab:
        tab.set_input_files("#pick", sorted(page_config.folder.glob("more_*.png")))
        wait_for(tab, "check-view .say >> nth=0", r"[1-9]\d* of 200 pictures checked")
        keep_screenshot(tab, "check-busy", full=False)
        wait_for(tab, "check-view .say >> nth=0", "^200 pictures checked:", 120)
        names = tab.locator("check-view .card .name").all_inner_texts()
        assert sorted(names) == [f"more_{i:03d}.png" for i in range(200)]


@slow
def test_twenty_thousand_pictures_scroll_and_follow_the_threshold_at_once(browser, serve, page_config):
    first = page_config.folder / "00.png"
    for file in list(page_config.folder.iterdir()):
        if file != first:
            file.unlink()
    for i in range(1, 20_000):
        os.link(first, page_config.folder / f"{i:05d}.png")
    make_scores(page_config.filter_config(page_config.folder), FAMILIES)
    page = serve(page_config)
    with opened(browser, page.url) as tab:
        wait_for(tab, "sort-view .counts", "10,000 pictures flagged of 20,000", 60)
        moved = """() => {
            const slider = document.querySelector('sort-view .plot input');
            const start = performance.now();
            slider.value = 0.75;
            slider.dispatchEvent(new Event('input'));
            return performance.now() - start; }"""
        assert tab.evaluate(moved) < 500  # milliseconds
        wait_for(tab, "sort-view .counts", "5,000 pictures flagged of 20,000")
        tab.locator("sort-view .grid").focus()
        tab.keyboard.press("End")
        tab.wait_for_function("[...document.querySelectorAll('sort-view .tile')].at(-1).ariaPosInSet === '20000'")
        assert tab.locator("sort-view .tile").count() < 150
        sync_api.expect(tab.locator("sort-view .tile.here img")).to_be_visible()


@slow
def test_every_view_at_every_width_by_day_and_by_night_without_serious_faults(browser, serve, many):
    from axe_playwright_python.sync_playwright import Axe

    page = serve(many)
    for scheme in ("light", "dark"):
        for width in (1400, 820, 390):
            with opened(browser, page.url, color_scheme=scheme) as tab:
                tab.set_viewport_size({"width": width, "height": 900})
                for name in ("Check", "Sort and correct", "Teach", "Evaluation"):
                    tab.get_by_role("tab", name=name).click()
                    if name == "Check":
                        tab.set_input_files("#pick", sorted(TEST_DATA.glob("*.jpg"))[:6])
                        wait_for(tab, "check-view .say >> nth=0", "^6 pictures checked")
                    else:
                        tab.wait_for_timeout(500)
                    keep_screenshot(tab, f"{name.split()[0].lower()}-{scheme}-{width}")
                    assert tab.evaluate(OVERFLOW) <= 0, (name, width)
                    if width != 820:
                        assert serious_faults(Axe().run(tab)) == [], (name, scheme, width)


def test_parquet_scores_are_looked_through(browser, serve, scores_config, portraits):
    pytest.importorskip("duckdb", reason=f"needs DuckDB: {INSTALL}")
    from axe_playwright_python.sync_playwright import Axe

    page = serve(scores_config)
    with opened(browser, page.url) as tab:
        wait_for(
            tab, "scores-view .counts", "^6 pictures flagged of 14, about 2 of them clean .*, 1 unreadable; 13 shown"
        )
        wait_for(tab, "scores-view .say >> nth=0", "^Scores of portraits, by the model [0-9a-f]{8}$")
        tiles = tab.locator("scores-view .tile")
        sync_api.expect(tiles).to_have_count(13)
        assert tiles.first.get_attribute("aria-label") == f"{HOSTILE}: flagged, 89% hands"
        tab.locator("scores-view .plot input").fill("0.25")
        wait_for(tab, "scores-view .counts", "^10 pictures flagged of 14, about 4 of them clean")
        tab.get_by_label("Show").select_option("borderline")
        wait_for(tab, "scores-view .counts", "; 3 shown")
        tab.locator("scores-view .plot input").fill("0.5")
        wait_for(tab, "scores-view .counts", "; 7 shown")
        assert tiles.first.get_attribute("aria-label") == "06.png: 46% hands"
        tab.get_by_label("Family").select_option("text")
        wait_for(tab, "scores-view .counts", "^2 pictures flagged of 4, .*; 2 shown")
        tab.get_by_label("Show").select_option("unreadable")
        wait_for(tab, "scores-view .counts", "; 1 shown")
        tab.get_by_label("Show").select_option("worst")
        wait_for(tab, "scores-view .counts", "; 4 shown")
        keep_screenshot(tab, "scores")
        tab.locator("scores-view .grid").focus()
        tab.keyboard.press(" ")
        tab.wait_for_function("document.querySelector('scores-view img.map').style.opacity > 0.5")
        wait_for(tab, "scores-view .bars", "text75%")
        keep_screenshot(tab, "scores-large", full=False)
        (portraits / "07.png").unlink()
        tab.keyboard.press("ArrowRight")
        wait_for(tab, "scores-view .viewer .bad", "07.png has gone since it was scored")
        tab.keyboard.press("Escape")
        with tab.expect_download() as download:
            tab.get_by_role("link", name="All flagged").click()
        assert len(list(csv.DictReader(io.StringIO(download.value.path().read_text())))) == 6
        tab.get_by_role("button", name="Read anew").click()
        wait_for(tab, "scores-view .counts", "^2 pictures flagged of 4")
        for width in (390, 820, 1280):
            tab.set_viewport_size({"width": width, "height": 900})
            assert tab.evaluate(OVERFLOW) <= 0, width
            assert serious_faults(Axe().run(tab)) == [], width


GRADIOS_OWN = {"landmark-one-main", "page-has-heading-one", "region", "aria-allowed-attr", "aria-valid-attr-value"}
"""Rules that Gradio's frame breaks, whatever is in it."""


def serious_faults(results) -> list[str]:
    """What axe-core finds serious in our own elements, and in Gradio's by rules that it is not known to break."""
    found = []
    for fault in results.response["violations"]:
        nodes = [node["html"][:200] for node in fault["nodes"]]
        if fault["impact"] in ("serious", "critical") and fault["id"] not in GRADIOS_OWN:
            found.append(f"{fault['id']}: {nodes[:3]}")
    return found
