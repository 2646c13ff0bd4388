"""The page in a cell of a notebook."""

import re
import urllib.request

import pytest

nbclient = pytest.importorskip("nbclient", reason="pip install -r requirements.txt brings nbmake, which needs it")
pytest.importorskip("gradio", reason="the page is Gradio's: pip install -r requirements.txt")
import nbformat  # noqa: E402

CELL = """
from pathlib import Path
from artifact_utils.page import PageConfig, launch
page = launch({folder!r}, config=PageConfig(run=Path({run!r}), port=0, device="cpu"), height=700)
"""


def test_launch_shows_the_page_below_its_cell(page_config):
    cell = nbformat.v4.new_code_cell(CELL.format(folder=str(page_config.folder), run=str(page_config.run)))
    notebook = nbformat.v4.new_notebook(cells=[cell, nbformat.v4.new_code_cell("page.close()")])
    client = nbclient.NotebookClient(notebook, timeout=240)
    with client.setup_kernel():
        client.execute_cell(cell, 0)
        shown = [output["data"]["text/html"] for output in cell.outputs if "text/html" in output.get("data", {})]
        (frame,) = [html for html in shown if "<iframe" in html]
        url = re.search(r'src="(http://127\.0\.0\.1:\d+/)"', frame).group(1)
        assert 'height="700"' in frame
        with urllib.request.urlopen(url) as answer:
            assert answer.status == 200
            assert "x-frame-options" not in answer.headers  # the notebook is another origin
            assert "frame-ancestors" not in answer.headers["content-security-policy"]
        with urllib.request.urlopen(f"{url}page/sort/rows") as answer:
            assert b'"progress"' in answer.read()
        client.execute_cell(notebook.cells[1], 1)
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(url)
