"""Command lines and what a person at a terminal sees: exit codes, errors in one line, messages, progress bars.

Every script and every ``python -m artifact_utils.X`` has this shape. The module imports `run_cli` first and nothing
heavy at its top; `main` reads the arguments and then imports what does the work:

    from artifact_utils.console import read_arguments, run_cli

    def main() -> None:
        from artifact_utils.config import TrainConfig

        config = read_arguments(TrainConfig, __doc__)
        from artifact_utils.training import train  # PyTorch takes seconds to load: --help does not wait for it

        print(train(config))

    if __name__ == "__main__":
        run_cli(main)

Results go to stdout by ``print``; progress and warnings through ``logging.getLogger(__name__)``. ``TQDM_DISABLE=1``
hides the progress bars.
"""

from __future__ import annotations

import os
import signal
import sys

TYPE_CHECKING = False  # until this module is loaded, Ctrl-C shows a traceback: the import of typing would take longest
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FrameType
    from typing import Any, NoReturn, TypeVar

    T = TypeVar("T")

FAILED, INTERRUPTED, CLOSED_PIPE, TERMINATED = 2, 130, 141, 143
"""Exit codes: an error, Ctrl-C (128 + SIGINT), a closed stdout (128 + SIGPIPE), SIGTERM."""


class ArtifactUtilsError(Exception):
    """An error that the user can put right: the message names the file or value and the way out."""

    exit_code: int = FAILED
    """Of a command that ends with it."""


def read_arguments(config_type: Callable[..., T], description: str | None) -> T:
    """Read the command line into ``config_type``, a dataclass or a function, which is called.

    Raises:
        SystemExit: ``--help`` was asked for (0), or an argument cannot be read (2); tyro has said so.
    """
    import dataclasses
    from typing import Annotated

    import tyro

    groups = _option_groups(config_type) if dataclasses.is_dataclass(config_type) else {}
    if not groups:
        return tyro.cli(config_type, description=description)
    flat = tyro.conf.OmitArgPrefixes if len(groups) > 1 else tyro.conf.arg(name="")
    fields = [(title, Annotated[group, flat]) for title, group in groups.items()]
    read: Any = tyro.cli(dataclasses.make_dataclass("Arguments", fields), description=description)
    values = {name: value for title in groups for name, value in vars(getattr(read, title)).items()}
    return config_type(**values)


def _option_groups(config_type: Any) -> dict[str, Any]:
    """The dataclasses that a config is made of, by the title of their box in ``--help``: ``DataOptions`` is ``data``.

    The text of each field is one paragraph: tyro would break its lines where the source does.
    """
    import dataclasses
    import inspect
    from typing import Annotated, get_type_hints

    import tyro
    from docstring_parser import parse_from_object

    groups = {}
    bases: list[Any] = [base for base in reversed(config_type.__mro__) if dataclasses.is_dataclass(base)]
    for base in bases:
        texts = {text.arg_name: text.description or "" for text in parse_from_object(base).params}
        hints = get_type_hints(base, include_extras=True)
        fields = []
        for field in dataclasses.fields(base):
            if field.name in inspect.get_annotations(base):
                text = tyro.conf.arg(help=" ".join(texts.get(field.name, "").split()) or None)
                default = dataclasses.field(default=field.default, default_factory=field.default_factory)
                fields.append((field.name, Annotated[hints[field.name], text], default))
        if fields:
            title = base.__name__.removesuffix("Options").lower()
            groups[title] = dataclasses.make_dataclass(base.__name__, fields, kw_only=True)
    return groups


def run_cli(
    main: Callable[[], int | None],
    *,
    interrupted: str = "interrupted",
    out_of_memory: str = "close other programs, or choose smaller sizes",
) -> NoReturn:
    """Run a command and exit with its code.

    ============================================  ===============================================  =========
    what ``main`` does                            on stderr                                        exit code
    ============================================  ===============================================  =========
    returns                                       nothing                                          the number it
                                                                                                   returns, or 0
    raises `ArtifactUtilsError`, ``OSError``      ``error: ...``                                   the error's, or 2
    runs out of memory, of the GPU's too          ``error: out of memory: ...``                    2
    is stopped by Ctrl-C, in imports too          ``interrupted``                                  130
    is stopped by SIGTERM                         ``interrupted``                                  143
    writes to a closed pipe (``| head -1``)       nothing                                          141
    raises anything else, which is a bug          its traceback                                    1
    ============================================  ===============================================  =========

    So it is, too, where a library has swallowed what Ctrl-C raises: nobody can say what it has left out. Under
    ``torchrun`` the first process speaks for all that fail alike.

    Args:
        main: the whole command: it reads the arguments, imports what it needs, works.
        interrupted: what Ctrl-C and SIGTERM print: how to go on.
        out_of_memory: what to choose smaller.
    """
    interrupt = _Interrupt(interrupted)
    try:
        try:
            for stream in (sys.stdout, sys.stderr):
                if stream is not None and hasattr(stream, "reconfigure"):
                    stream.reconfigure(errors="backslashreplace")  # file names may hold bytes that are not UTF-8
            show_messages()
            code = main()
        finally:
            interrupt.ends_at_once = True
        if interrupt.came:
            raise KeyboardInterrupt
    except BaseException as error:  # bugs are raised again
        code = _explain(error, interrupt, out_of_memory)
    sys.exit(_flush(code or 0))


class held_back:  # noqa: N801 (reads like the context managers of contextlib, whose import would take too long)
    """Inside of it Ctrl-C and SIGTERM wait until its end: where something is made that is not yet known by a name."""

    depth = 0
    came: int | None = None

    def __enter__(self) -> None:
        import threading

        self.counts = threading.current_thread() is threading.main_thread()  # no other one is interrupted
        held_back.depth += self.counts

    def __exit__(self, *_: object) -> None:
        held_back.depth -= self.counts
        number, held_back.came = held_back.came, None
        if number is not None:
            signal.raise_signal(number)


class _Interrupt:
    """Ctrl-C or SIGTERM of a command: an exception while it works, an exit at once before and after.

    Before the work begins there is nothing to tidy up, and an exception in the import of an extension module may come
    out as an ImportError, as a traceback on stderr, or not at all.
    """

    def __init__(self, message: str) -> None:
        self.message = message
        self.came = 0
        """Exit code of the signal that came last, if one did."""
        self.ends_at_once = False
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # ignored in the background of a script
            signal.signal(signal.SIGINT, self._handle)
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL and "RANK" not in os.environ:
            signal.signal(signal.SIGTERM, self._handle)  # half-written files are removed

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if held_back.depth:
            held_back.came = number
            return
        self.came = 128 + number
        if self.ends_at_once or _imports_for_main(frame):
            self.say()
            os._exit(self.came)
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(TERMINATED)

    def say(self, message: str | None = None) -> None:
        if is_first_process():
            newline = "\n" if sys.stderr is not None and sys.stderr.isatty() else ""  # the terminal has written ^C
            os.write(2, f"{newline}{message or self.message}\n".encode(errors="backslashreplace"))


def _imports_for_main(frame: FrameType | None) -> bool:
    """Whether the interpreter is in an import statement of the command itself, not in one of the work it calls."""
    importing = None
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            importing = frame
        frame = frame.f_back
    if importing is None or importing.f_back is None:
        return False
    return importing.f_back.f_globals.get("__name__") in ("__main__", __name__)


def _explain(error: BaseException, interrupt: _Interrupt, out_of_memory: str) -> int | None:
    """Say in one line what ended a command; returns its exit code.

    Raises:
        BaseException: the error itself, if it is a bug, or an exit that somebody asked for by ``sys.exit("why")``.
    """
    torch = sys.modules.get("torch")
    torch_out_of_memory: tuple[type[BaseException], ...] = (torch.OutOfMemoryError,) if torch else ()
    if interrupt.came or isinstance(error, KeyboardInterrupt):  # some imports wrap it in an error of their own
        interrupt.say()
        return interrupt.came or INTERRUPTED
    if isinstance(error, SystemExit) and (error.code is None or isinstance(error.code, int)):
        return error.code
    if isinstance(error, BrokenPipeError) and _reader_is_gone():
        return CLOSED_PIPE
    if isinstance(error, ArtifactUtilsError):
        if error.exit_code in (INTERRUPTED, TERMINATED):  # agreed on by all processes
            interrupt.say(str(error))
        else:
            _say_error(f"error: {error}")
        return error.exit_code
    if isinstance(error, (MemoryError, *torch_out_of_memory)):
        _say_error(f"error: out of memory: {out_of_memory}")
        return FAILED
    if isinstance(error, OSError):
        _say_error(f"error: {os_error_text(error)}")
        return FAILED
    raise error


def os_error_text(error: OSError) -> str:
    """``'portrait.png': Permission denied``, without the number and with the name in front."""
    reason = error.strerror or str(error) or type(error).__name__
    return reason if error.filename is None else f"{str(error.filename)!r}: {reason}"


def _say_error(text: str) -> None:
    if not is_first_process():
        import time

        time.sleep(3)  # if the first process fails, too, torchrun ends this one meanwhile, unheard
    bars = getattr(sys.modules.get("tqdm"), "tqdm", None)
    try:
        if bars is not None:
            bars.write(text, file=sys.stderr)  # on a line of its own, whatever bar stands there
        else:
            print(text, file=sys.stderr, flush=True)
    except OSError:  # nobody reads it: the exit code has to do
        _discard(sys.stderr)


def _flush(code: int) -> int:
    """Write out what is left, so that the interpreter finds nothing to complain about when it ends."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except BrokenPipeError:
            _discard(stream)
            code = CLOSED_PIPE
        except OSError as error:  # a full disk
            _discard(stream)
            _say_error(f"error: {os_error_text(error)}")
            code = FAILED
    return code


def _discard(stream: Any) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _reader_is_gone() -> bool:
    """Whether a broken pipe is that of stdout or stderr, not one between processes."""
    import select

    if not hasattr(select, "poll"):  # Windows
        return True
    poll = select.poll()
    for descriptor in (1, 2):
        poll.register(descriptor, 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def is_first_process() -> bool:
    """Whether this process speaks for those that ``torchrun`` started; true where it started none."""
    return os.environ.get("RANK", "0") == "0"


def show_messages() -> None:
    """Let the package's messages from INFO on be seen; a second call does nothing. Notebooks need no call.

    They are written above the progress bars, to stderr; in a notebook to stdout, where they get no red box.
    """
    import logging  # here, so that less is imported before Ctrl-C is one line

    class MessageHandler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            from tqdm import tqdm

            text = record.getMessage() if record.levelno <= logging.INFO else f"warning: {record.getMessage()}"
            text = text.encode(errors="backslashreplace").decode()  # a notebook takes no name that is not UTF-8
            tqdm.write(text, file=sys.stdout if in_notebook() else sys.stderr)

    logger = logging.getLogger("artifact_utils")
    if not logger.handlers:
        logger.addHandler(MessageHandler())
        logger.setLevel(logging.INFO if is_first_process() else logging.WARNING)
        logger.propagate = not in_notebook()  # Colab has a handler of its own, which would repeat each message


def in_notebook() -> bool:
    """Whether this process is a kernel; others may have imported ipykernel, too."""
    kernel = sys.modules.get("ipykernel.kernelapp")
    return kernel is not None and bool(kernel.IPKernelApp.initialized())


if in_notebook():
    show_messages()


def progress_bar(
    items: Iterable[Any] | None = None,
    label: str | None = None,
    *,
    shown: bool = True,
    only_in_terminal: bool = False,
    **options: Any,
) -> Any:
    """A bar of tqdm over ``items``, or one to ``update`` by hand.

    tqdm itself reads ``TQDM_DISABLE`` only where its argument ``disable`` is left out, and in notebooks never.

    Args:
        items: what is counted.
        label: in front of the bar.
        shown: whether there is a bar at all.
        only_in_terminal: whether logs and notebooks are spared.
        options: of tqdm, such as ``total`` and ``unit``.
    """
    import tqdm
    import tqdm.auto

    if not shown or os.environ.get("TQDM_DISABLE"):
        return tqdm.tqdm(items, label, disable=True, **options)
    if only_in_terminal:
        return tqdm.tqdm(items, label, disable=None, **options)
    return tqdm.auto.tqdm(items, label, disable=False, **options)
