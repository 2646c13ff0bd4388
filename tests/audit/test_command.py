import subprocess
import sys

import pytest
from PIL import Image

from artifact_utils.audit import AuditError
from artifact_utils.audit.command import AuditConfig, run_audit
from artifact_utils.files.locks import output_lock
from artifact_utils.files.writing import FileError


def test_the_command_writes_one_page_that_holds_everything(own_copy, tmp_path, capsys):
    leak = next((own_copy / "train" / "artifacts").iterdir())
    (own_copy / "test" / "artifacts" / "<script>alert(1)<&.png").write_bytes(leak.read_bytes())
    (own_copy / "test" / "artifacts" / "broken.png").write_bytes(b"no")
    run_audit(AuditConfig(own_copy, tmp_path / "out"))
    printed = capsys.readouterr().out
    assert "pictures of one split lie in another" in printed
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;&amp;.png" in page
    assert str(tmp_path) not in page
    assert "not a PNG, JPEG, WebP or BMP picture" in page
    assert page.count("data:image/jpeg;base64,") > 20
    assert 'src="http' not in page
    assert {"table.parquet", "issues.csv", "duplicates.csv", "label_errors.csv", "report.html"} == {
        file.name for file in (tmp_path / "out").iterdir()
    }


def test_pictures_without_labels_are_audited_too(tmp_path, capsys):
    Image.new("RGB", (40, 40), "black").save(tmp_path / "portrait.png")
    run_audit(AuditConfig(tmp_path, tmp_path / "out"))
    assert "dark: look at 1 pictures" in capsys.readouterr().out
    assert not (tmp_path / "out" / "label_errors.csv").exists()


def test_of_very_many_pictures_the_table_is_left_in_parts(own_copy, tmp_path, capsys):
    leak = next((own_copy / "train" / "artifacts").iterdir())
    (own_copy / "test" / "artifacts" / "again_1.png").write_bytes(leak.read_bytes())
    (own_copy / "test" / "artifacts" / "broken_1.png").write_bytes(b"no")
    config = AuditConfig(own_copy, tmp_path / "out", parts_from=10)
    run_audit(config)
    printed = capsys.readouterr().out
    assert "1 cannot be read" in printed
    assert "1 pictures of one split lie in another, too" in printed
    assert "left out, since these are 10 pictures or more (--parts-from): issues" in printed
    assert "again_1.png" in (tmp_path / "out" / "duplicates.csv").read_text()
    assert {"table", "duplicates.csv"} == {file.name for file in (tmp_path / "out").iterdir()}
    run_audit(config)
    assert capsys.readouterr().out == printed


def test_what_the_user_can_put_right_is_an_error_of_the_package(tmp_path):
    with pytest.raises(AuditError, match="nowhere"):
        run_audit(AuditConfig(tmp_path / "nowhere", tmp_path / "out"))
    with pytest.raises(AuditError, match="at most 0"):
        run_audit(AuditConfig(tmp_path, tmp_path / "out", at_most=0))


def test_two_audits_do_not_write_into_one_folder(tmp_path):
    (tmp_path / "out").mkdir()
    with output_lock(tmp_path / "out", tmp_path / "out" / ".lock"), pytest.raises(FileError, match="another run is at"):
        run_audit(AuditConfig(tmp_path, tmp_path / "out"))


def python(*arguments):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=120)


def test_errors_of_the_command_are_one_line(tmp_path):
    done = python("-m", "artifact_utils.audit", str(tmp_path / "nowhere"), "--out", str(tmp_path / "out"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: no folder {str(tmp_path / 'nowhere')!r} to audit\n"
    assert not (tmp_path / "out").exists()


def loaded_by(code):
    done = python("-c", f"import sys\n{code}\nprint(*sys.modules)")
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_the_duplicate_search_and_the_arguments_load_only_what_they_need():
    heavy = {"cleanlab", "matplotlib", "seaborn", "sklearn", "torch"}
    search = loaded_by("from artifact_utils.audit import find_duplicates, near_duplicate_groups, outline_pixels, scan")
    assert "artifact_utils.audit.duplicates" in search
    assert not heavy & search
    arguments = loaded_by("from artifact_utils.audit.command import AuditConfig")
    assert not (heavy | {"pandas", "cv2", "faiss", "imagehash"}) & arguments


def test_every_name_of_the_package_can_be_had():
    names = loaded_by(
        "from artifact_utils.audit import *\nimport artifact_utils.audit as audit\n"
        "assert set(audit.__all__) == set(audit._MODULES) and all(hasattr(audit, n) for n in audit.__all__)"
    )
    assert "artifact_utils.audit.findings" in names
