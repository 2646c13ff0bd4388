"""One HTML page that holds everything an audit found, pictures included: it can be mailed, and opened anywhere."""

import contextlib
import io
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
from PIL import Image

from artifact_utils.audit.findings import Findings
from artifact_utils.images import ImageError, load_image
from artifact_utils.plots.web_page import embedded, escape, html_page

_SIDE, _SHOWN = 160, 24  # pixels of a picture in the page, pictures of an issue


def render_html(folder: Path, findings: Findings) -> str:
    """The page: what to fix first, then a section for each kind of finding.

    Args:
        folder: the pictures' folder; of its own path nothing but the last name is told.
        findings: from ``audit_folder``.
    """
    parts = [
        f"<p>{len(findings.table):,} pictures</p>",
        "<h2>What to fix</h2>",
        _list(findings.to_fix()),
        "<h2>Balance</h2>",
        _table(findings.balance()),
        "<h2>Issues</h2>",
        _table(findings.summary()),
        *_issues(folder, findings),
        "<h2>Leaks between splits</h2>",
        _pairs(folder, findings.leaks),
        "<h2>Groups of duplicates</h2>",
        *_groups(folder, findings.duplicates),
        "<h2>Shortcuts</h2>",
        *_shortcuts(findings),
        "<h2>Suspicious labels</h2>",
        _labels(folder, findings),
    ]
    return html_page(f"Audit of {folder.resolve().name}", parts)


def _issues(folder: Path, findings: Findings) -> Iterable[str]:
    unreadable = findings.table[~findings.table["readable"]]
    if len(unreadable):
        yield "<h3>unreadable</h3>" + _table(unreadable[["path", "reason"]])
    for row in findings.summary().itertuples():
        if row.issue in ("unreadable", "exact_duplicate", "near_duplicate") or not row.flagged:
            continue
        flagged = findings.issues[findings.issues[f"is_{row.issue}"]].nsmallest(_SHOWN, f"{row.issue}_score")
        shown = [
            _figure(folder, path, f"{score:.2f}") for path, score in flagged[["path", f"{row.issue}_score"]].to_numpy()
        ]
        yield f"<h3>{row.issue}</h3>" + "".join(shown)


def _pairs(folder: Path, leaks: pd.DataFrame) -> str:
    pairs = [
        "<div class=pair>"
        + _figure(folder, str(row.path), str(row.split))
        + _figure(folder, str(row.other), f"{row.other_split}, similarity {row.similarity:.3f}")
        + "</div>"
        for row in leaks.head(_SHOWN).itertuples()
    ]
    return f"<p>{len(leaks)} pairs</p>" + "".join(pairs)


def _groups(folder: Path, duplicates: pd.DataFrame) -> Iterable[str]:
    yield f"<p>{duplicates['group'].nunique()} groups, {len(duplicates)} pictures</p>"
    for _, members in list(duplicates.groupby("group"))[:_SHOWN]:
        figures = (
            _figure(folder, str(row.path), f"{row.kind} {row.similarity:.3f}") for row in members.head(8).itertuples()
        )
        yield "<div class=pair>" + "".join(figures) + "</div>"


def _shortcuts(findings: Findings) -> Iterable[str]:
    verdict = findings.shortcuts
    if verdict is None:
        yield "<p>not looked for: too few pictures of two classes</p>"
        return
    yield f"<p class={'warning' if verdict.found else 'fine'}>{escape(str(verdict))}</p>"
    yield _table(verdict.columns.head(8).round(3))


def _labels(folder: Path, findings: Findings) -> str:
    errors = findings.label_errors
    if errors is None:
        return "<p>not looked for: too few pictures of two classes</p>"
    suspicious = errors.sort_values("rank").head(_SHOWN)
    figures = (
        _figure(folder, str(row.path), f"labelled {row.class_name}, probability of an artifact {row.probability:.2f}")
        for row in suspicious.itertuples()
    )
    return f"<p>{errors['is_label_error'].sum()} labels look wrong; the most suspicious first</p>" + "".join(figures)


def _figure(folder: Path, path: str, caption: str) -> str:
    picture = ""
    with contextlib.suppress(ImageError):  # it may have gone since it was measured; its name is still told
        picture = embedded(_thumbnail(folder / path), path, "jpeg")
    return f"<figure>{picture}<figcaption>{escape(path)}<br>{escape(caption)}</figcaption></figure>"


def _thumbnail(path: Path) -> bytes:
    image = load_image(path, min_side=_SIDE)
    image.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def _list(lines: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


def _table(frame: pd.DataFrame) -> str:
    head = "".join(f"<th>{escape(str(column))}</th>" for column in frame.columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(str(value))}</td>" for value in row) + "</tr>"
        for row in frame.to_numpy(dtype=object).tolist()
    )
    return f"<table><tr>{head}</tr>{body}</table>"
