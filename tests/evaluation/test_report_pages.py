from artifact_utils.evaluation.report_pages import audit_pages, list_runs, run_pages


def test_what_exists_of_runs_is_listed_and_nothing_else(tmp_path):
    run = tmp_path / "runs" / "mine"
    (run / "evaluation").mkdir(parents=True)
    for name in ("best.safetensors", "summary.png", "evaluation/index.html", "secret.png"):
        (run / name).write_bytes(b"1")
    (tmp_path / "runs" / "empty").mkdir()
    assert list_runs(tmp_path / "runs") == [run]
    assert list_runs(tmp_path / "none") == []
    assert {page.title: page.file for page in run_pages([run])} == {
        "mine: evaluation": run / "evaluation" / "index.html",
        "mine: summary": run / "summary.png",
    }
    assert audit_pages(tmp_path) == []
    (tmp_path / "report.html").write_text("1")
    assert [page.file for page in audit_pages(tmp_path)] == [tmp_path / "report.html"]
