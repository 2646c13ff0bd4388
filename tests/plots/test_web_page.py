import base64
import os

from artifact_utils.plots.web_page import embedded, escape, html_page


def test_a_page_holds_its_pictures_and_lets_nothing_in_a_name_become_markup():
    page = html_page("<b>mine</b>", ["<p>one</p>", embedded(b"a picture", 'say "cheese"', "png")])
    assert page.startswith("<!doctype html>")
    assert page.count("&lt;b&gt;mine&lt;/b&gt;") == 2  # the title and the heading
    assert "<p>one</p>" in page
    assert (
        f'<img alt="say &quot;cheese&quot;" src="data:image/png;base64,{base64.b64encode(b"a picture").decode()}">'
        in page
    )


def test_a_name_that_is_no_text_can_be_written_down():
    assert escape(os.fsdecode(b"caf\xe9.png")).encode() == b"caf?.png"
