import os
import signal
import subprocess
import sys
from textwrap import dedent

import pytest
import tqdm.auto
import tqdm.std

from artifact_utils.console import os_error_text, progress_bar

BROKEN_IMPORT = """
import sys

class Interrupted:
    def find_spec(self, name, path=None, target=None):
        if name == "late":
            {event}

sys.meta_path.insert(0, Interrupted())
"""
CTRL_C = "import os, signal; os.kill(os.getpid(), signal.SIGINT)"
SIGTERM = "import os, signal; os.kill(os.getpid(), signal.SIGTERM)"
WRAPPED = f"""try:
                {CTRL_C}
            except KeyboardInterrupt as error:
                raise ImportError("failed to import") from error"""


def run_main(body, *, setup="", options="", python=(), **settings):
    """Run a command whose ``main`` is ``body`` in a process of its own."""
    lines = "\n".join(f"    {line}" for line in dedent(body).strip().splitlines())
    code = f"{setup}\nfrom artifact_utils.console import *\ndef main():\n{lines}\nrun_cli(main{options})"
    command = [sys.executable, *python, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, errors="surrogateescape", timeout=60, **settings)


@pytest.mark.parametrize(
    ("body", "code", "stdout", "stderr"),
    [
        ("print('done')", 0, "done\n", ""),
        ("return 1", 1, "", ""),
        ("import os\ntry: os.kill(os.getpid(), 15)\nfinally: print('tidied up')", 143, "tidied up\n", "stopped\n"),
        (
            f"with held_back():\n    exec({SIGTERM!r})\n    print('made')\nprint('not reached')",
            143,
            "made\n",
            "stopped\n",
        ),
        ("raise ArtifactUtilsError('no label')", 2, "", "error: no label\n"),
        ("open('nowhere')", 2, "", "error: 'nowhere': No such file or directory\n"),
        ("raise OSError('odd')", 2, "", "error: odd\n"),
        ("raise MemoryError", 2, "", "error: out of memory: try less\n"),
        ("import torch\nraise torch.OutOfMemoryError('CUDA')", 2, "", "error: out of memory: try less\n"),
        (CTRL_C, 130, "", "stopped\n"),
        (f"try: exec({CTRL_C!r})\nexcept BaseException: pass", 130, "", "stopped\n"),  # a library swallows it
        (f"try: exec({SIGTERM!r})\nexcept BaseException: pass", 143, "", "stopped\n"),
        (f"import atexit\natexit.register(lambda: exec({SIGTERM!r}))", 143, "", "stopped\n"),
        ("print('kept')\n" + CTRL_C, 130, "kept\n", "stopped\n"),
        (f"import atexit\natexit.register(lambda: exec({CTRL_C!r}))", 130, "", "stopped\n"),
        ("class Stopped(ArtifactUtilsError):\n    exit_code = 130\nraise Stopped('saved')", 130, "", "saved\n"),
        ("print('a\\udcffb\\n\\udc80')", 0, "a\\udcffb\n\\udc80\n", ""),
        ("raise ArtifactUtilsError('a\\udcffb')", 2, "", "error: a\\udcffb\n"),
        ("import sys\nsys.exit(7)", 7, "", ""),
        ("import sys\nsys.exit('why')", 1, "", "why\n"),
        ("import logging\nlogging.getLogger('artifact_utils.x').info('epoch 1')", 0, "", "epoch 1\n"),
        ("import logging\nlogging.getLogger('artifact_utils.x').warning('full')", 0, "", "warning: full\n"),
    ],
)
def test_a_command_ends_with_one_line_and_its_exit_code(body, code, stdout, stderr):
    shown = run_main(body, options=", interrupted='stopped', out_of_memory='try less'")
    assert (shown.returncode, shown.stdout, shown.stderr) == (code, stdout, stderr)


def test_a_bug_keeps_its_traceback():
    shown = run_main("raise ValueError('bug')")
    assert shown.returncode == 1
    assert shown.stderr.startswith("Traceback") and "ValueError: bug" in shown.stderr


@pytest.mark.parametrize("event", [CTRL_C, WRAPPED, "raise KeyboardInterrupt"])
@pytest.mark.parametrize("body", ["import late", "exec('import late', {'__name__': 'artifact_utils.training'})"])
def test_ctrl_c_in_an_import_is_one_line(event, body):
    shown = run_main(body, setup=BROKEN_IMPORT.format(event=event))
    assert (shown.returncode, shown.stdout, shown.stderr) == (130, "", "interrupted\n")


def test_ctrl_c_that_is_ignored_when_the_command_starts_stays_ignored():
    ignored = lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)  # noqa: E731
    shown = run_main(f"{CTRL_C}\nprint('went on')", preexec_fn=ignored)
    assert (shown.returncode, shown.stdout, shown.stderr) == (0, "went on\n", "")


@pytest.mark.parametrize("python", [(), ("-u",)], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize("n_lines", [1, 100_000])  # in the buffer until the end, and more than a pipe holds
def test_a_closed_stdout_is_silent(python, n_lines):
    read, write = os.pipe()
    os.close(read)
    code = f"from artifact_utils.console import *\nrun_cli(lambda: [print('line') for _ in range({n_lines})] and None)"
    shown = subprocess.run([sys.executable, *python, "-c", code], stdout=write, stderr=subprocess.PIPE, timeout=60)
    os.close(write)
    assert (shown.returncode, shown.stderr) == (141, b"")


def test_a_broken_pipe_between_processes_is_an_error():
    shown = run_main("import os\nread, write = os.pipe()\nos.close(read)\nos.write(write, b'x')")
    assert (shown.returncode, shown.stderr) == (2, "error: Broken pipe\n")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")  # noqa: PTH110
def test_a_full_disk_under_stdout_is_an_error():
    with open("/dev/full", "w") as full:  # noqa: PTH123
        code = "from artifact_utils.console import *\nrun_cli(lambda: print('line'))"
        shown = subprocess.run([sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, timeout=60)
    assert (shown.returncode, shown.stderr) == (2, b"error: No space left on device\n")


def test_only_the_first_process_speaks_where_all_are_stopped():
    other = {**os.environ, "RANK": "1"}
    assert run_main(CTRL_C, env=other).stderr == ""
    alone = run_main("raise ArtifactUtilsError('only here')", env=other)
    assert (alone.returncode, alone.stderr) == (2, "error: only here\n")
    informed = run_main("import logging\nlogging.getLogger('artifact_utils').info('epoch 1')", env=other)
    assert informed.stderr == ""


def test_arguments_are_read_before_anything_heavy_is_imported():
    body = """
    from dataclasses import dataclass
    @dataclass
    class Config:
        n: int = 1
    config = read_arguments(Config, "What it does.")
    import sys
    print(config.n, "torch" in sys.modules)
    """
    shown = run_main(body)
    assert (shown.returncode, shown.stdout) == (0, "1 False\n")


A_KERNEL = """import sys, types
sys.modules["ipykernel.kernelapp"] = kernelapp = types.ModuleType("ipykernel.kernelapp")
kernelapp.IPKernelApp = types.SimpleNamespace(initialized=lambda: True)"""


def test_who_imports_ipykernel_is_no_notebook():
    code = "import ipykernel.kernelapp; from artifact_utils.console import in_notebook; print(in_notebook())"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert shown.stdout == "False\n", shown.stderr


def test_messages_of_a_notebook_go_to_stdout():
    body = "import logging\nlogging.getLogger('artifact_utils.x').warning('full')"
    shown = run_main(body, setup=A_KERNEL)
    assert (shown.stdout, shown.stderr) == ("warning: full\n", "")


def test_a_notebook_shows_a_name_that_is_not_utf8():
    code = f"{A_KERNEL}\nimport logging; from artifact_utils.console import show_messages; show_messages(); "
    code += "logging.getLogger('artifact_utils').info('b%s.png', chr(0xDCFE))"
    environment = os.environ | {"PYTHONIOENCODING": "utf-8:strict"}  # as a notebook's stdout is
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60)
    assert (shown.returncode, shown.stdout) == (0, "b\\udcfe.png\n"), shown.stderr


def test_importing_the_package_leaves_logging_alone():
    code = "import logging, artifact_utils.detector; print(logging.getLogger('artifact_utils').handlers)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_text_of_an_os_error_names_the_file_first():
    assert os_error_text(OSError(28, "No space left on device")) == "No space left on device"
    assert os_error_text(OSError(13, "Permission denied", "x.png")) == "'x.png': Permission denied"
    assert os_error_text(TimeoutError()) == "TimeoutError"


@pytest.mark.parametrize("options", [{}, {"only_in_terminal": True}, {"shown": True}])
@pytest.mark.parametrize("bar_class", [tqdm.auto.tqdm, tqdm.std.tqdm])
def test_the_environment_hides_every_bar(monkeypatch, capsys, options, bar_class):
    monkeypatch.setenv("TQDM_DISABLE", "1")
    monkeypatch.setattr(tqdm.auto, "tqdm", bar_class)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert list(progress_bar(range(3), "count", **options)) == [0, 1, 2]
    assert capsys.readouterr() == ("", "")


def test_a_bar_counts_unless_it_is_not_shown_or_for_terminals_only(monkeypatch, capsys):
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    for options, is_seen in (({}, True), ({"shown": False}, False), ({"only_in_terminal": True}, False)):
        with progress_bar(label="count", total=3, unit="img", **options) as bar:
            bar.update(3)
        assert ("3/3" in capsys.readouterr().err) == is_seen
