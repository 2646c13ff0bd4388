"""The layout: Gradio's frame, theme and tabs, with a view of our own in each."""

import os

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # before Gradio is imported: it asks then

import gradio as gr

TITLE = "Artifacts in portraits"
FONT = ("system-ui", "sans-serif")
THEME = gr.themes.Soft(primary_hue="blue", neutral_hue="slate", font=FONT, font_mono=("ui-monospace", "monospace"))
"""With the fonts of the machine: Gradio's would come from another server."""
HEAD = """<link rel="stylesheet" href="page/static/page.css">
<script type="module" src="page/static/page.js"></script>"""
CSS = """footer {display: none !important} .gradio-container {max-width: 1500px !important}
@media (max-width: 480px) {.tab-container button {padding: 0 .3rem !important; font-size: .8rem !important}}"""
"""On phones all tabs in one row: Gradio's menu for those that do not fit has to be found first."""


def build_layout(*, has_folder: bool, has_scores: bool = False) -> gr.Blocks:
    """The tabs, each holding an element that ``static/`` defines.

    Args:
        has_folder: whether there is a folder to sort.
        has_scores: whether there are scores to look into.
    """
    with gr.Blocks(title=TITLE, analytics_enabled=False) as layout:
        gr.HTML(f"<h1 class='title'>{TITLE}</h1>", padding=False, apply_default_css=False)
        with gr.Tabs(selected="sort" if has_folder else "scores" if has_scores else "check"):
            with gr.Tab("Check", id="check"):
                gr.HTML("<check-view></check-view>", padding=False, apply_default_css=False)
            if has_folder:
                with gr.Tab("Sort and correct", id="sort"):
                    gr.HTML("<sort-view></sort-view>", padding=False, apply_default_css=False)
                with gr.Tab("Teach", id="teach"):
                    gr.HTML("<teach-view></teach-view>", padding=False, apply_default_css=False)
            if has_scores:
                with gr.Tab("Scores", id="scores"):
                    gr.HTML("<scores-view></scores-view>", padding=False, apply_default_css=False)
            with gr.Tab("Evaluation", id="reports"):
                gr.HTML("<reports-view></reports-view>", padding=False, apply_default_css=False)
    return layout
