"""Checkpoints, tables and databases from strangers: nothing is executed or touched outside, refusals are ours."""

import json
import os
import pickle
import random
import shutil
import sqlite3
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from helpers import draw_noise
from quick_filter import quick_filter

from artifact_utils.checkpoints import ModelInfo, save_checkpoint
from artifact_utils.console import ArtifactUtilsError
from artifact_utils.detector import Detector
from artifact_utils.filtering import FilterConfig, move_flagged, score_folder, undo
from artifact_utils.models import ArtifactClassifier
from artifact_utils.organize import OrganizeConfig, organize
from artifact_utils.organize import undo as take_back

EXECUTING = (
    "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "subprocess.Popen", "pickle.find_class",
    "socket.connect", "socket.getaddrinfo", "ctypes.dlopen", "sqlite3.load_extension",
)  # fmt: skip
CHANGING = (
    "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod", "os.utime",
)  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """What came of one input."""

    kind: str
    refusal: str
    """Name of the error; empty where the input was taken."""


class Watch:
    """Sees what this process executes, and what it changes outside of a folder, while it looks."""

    def __init__(self, folder: Path) -> None:
        self.root, self.looks, self.seen = os.fsencode(folder), False, list[str]()
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[object, ...]) -> None:
        if not self.looks:
            return
        if event in EXECUTING and (event, arguments[0]) != ("ctypes.dlopen", None):  # the C library, for renameat2
            self.seen.append(f"{event} {arguments}")
        elif event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                self._changes(event, path)
        elif event in CHANGING:
            for path in arguments[: 2 if event in ("os.rename", "os.link") else 1]:
                self._changes(event, path)

    def _changes(self, event: str, path: object) -> None:
        if not isinstance(path, str | bytes | os.PathLike):
            return
        name = os.fsencode(path)
        is_outside = name.startswith(b"/") and not os.path.realpath(os.path.dirname(name)).startswith(self.root)  # noqa: PTH120
        if (is_outside and name != b"/dev/null" and b"__pycache__" not in name) or b".." in name.split(b"/"):
            self.seen.append(f"{event} {name!r}")


def fuzz(folder: Path, n: int, seed: int) -> Iterator[Answer]:
    """Give ``n`` inputs to those who read them.

    Raises:
        AssertionError: something was executed, lost, or touched outside, or refused by an error that is none of ours.
    """
    torch.set_num_threads(1)
    folder = Path(os.path.realpath(folder))
    (folder / "checkpoints").mkdir()
    with ExitStack() as stack:
        stack.enter_context(patch.dict(os.environ, TQDM_DISABLE="1"))
        stack.enter_context(patch("artifact_utils.filtering.scoring.draw_contact_sheet"))
        stack.enter_context(patch("artifact_utils.filtering.scoring.write_bytes", lambda *_: None))
        world = Tampered(folder / "world", stack)
        checkpoint = Checkpoints(folder / "checkpoints")
        readers: tuple[Callable[[random.Random], None], ...] = (
            checkpoint.read, world.read_tables, world.read_state, world.read_tables, world.read_record,
        )  # fmt: skip
        for reader in readers:  # what they import is not what the input does
            with suppress(ArtifactUtilsError):
                reader(random.Random(0))
        watch = Watch(folder)
        for number in range(n):
            rng = random.Random(f"{seed} {number}")
            reader, refusal = readers[number % len(readers)], ""
            watch.looks = True
            try:
                reader(rng)
            except ArtifactUtilsError as error:
                refusal = type(error).__name__
            except Exception as error:
                raise AssertionError(f"input {number} of seed {seed}, {reader.__name__}: {error!r}") from error
            finally:
                watch.looks = False
            assert not watch.seen, f"input {number} of seed {seed}, {reader.__name__}: {watch.seen}"
            yield Answer(reader.__name__.replace("read", type(reader.__self__).__name__.lower()), refusal)  # type: ignore[attr-defined]


VALUES: tuple[object, ...] = (
    None, True, -1, 0, 1, 0.5, 2**63, -(2**70), 1e308, float("nan"), float("inf"), -0.0, 1e-300, "", "x" * 9000, [], {},
    [[]], [32] * 9, [10**9], {"a": {}}, "../../etc/passwd", "__import__('os').system('touch executed')", [None], "1",
    "hf-hub:stranger/model", "local-dir:/tmp", "timm/vit_base_patch16_224", "resnet18", "vgg19", "vit_b_16",
    "\0", "\ud800",
    ["no_artifacts", "artifacts"], ["artifacts", "no_artifacts"], 1024, 33, 31, [64], [64, 64],
)  # fmt: skip


class Executes:
    """Pickled, it runs a command where it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return (os.system, ("touch executed",))


class Checkpoints:
    """A good checkpoint, and what is made of it."""

    def __init__(self, folder: Path) -> None:
        torch.manual_seed(0)
        self.good, self.file = folder / "good.safetensors", folder / "stranger.safetensors"
        save_checkpoint(self.good, ArtifactClassifier("test_resnet", 32), ModelInfo("test_resnet", 32, 0.5))
        data = self.good.read_bytes()
        n_header = struct.unpack("<Q", data[:8])[0]
        self.header, self.body = json.loads(data[8 : 8 + n_header]), data[8 + n_header :]
        self.picture = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)

    def read(self, rng: random.Random) -> None:
        self.file.write_bytes(self.tampered(rng))
        prediction = Detector.load(self.file, device="cpu").predict(self.picture)
        assert 0 <= prediction.probability <= 1, prediction

    def tampered(self, rng: random.Random) -> bytes:
        header, body = json.loads(json.dumps(self.header)), bytearray(self.body)
        about = json.loads(header["__metadata__"]["artifact_utils"])
        names = [name for name in header if name != "__metadata__"]
        what = rng.randrange(8)
        if what <= 2:
            for field in rng.sample(sorted(about), rng.choice([1, 1, 2])):
                about[field] = rng.choice(VALUES)
            if rng.random() < 0.1:
                about[rng.choice(["stranger", "mean", "__class__"])] = rng.choice(VALUES)
            header["__metadata__"]["artifact_utils"] = json.dumps(about)
        elif what == 3:  # weights that are absurd
            for name in rng.sample(names, rng.randrange(1, 6)):
                start, end = header[name]["data_offsets"]
                value = rng.choice([float("nan"), float("inf"), 1e30, -1e30, -1.0, 3e38, 1e-40, 0.0])
                body[start:end] = np.full((end - start) // 4, value, np.float32).tobytes().ljust(end - start, b"\0")
        elif what == 4:  # tensors of other names, types, shapes and places
            entry = header[rng.choice(names)]
            key = rng.choice(["dtype", "shape", "data_offsets"])
            sizes = ([], [0], [2**62, 4], [-1], [1] * 9, [10**6, 10**6], [0, 2**63], [5, 1])
            entry[key] = rng.choice(["F64", "F16", "BOOL", "X", 7]) if key == "dtype" else rng.choice(sizes)
            header[rng.choice(["x", "backbone.network.pos_embed", "__proto__"])] = header.pop(rng.choice(names))
        text = json.dumps(header).encode()
        if what == 5:
            text = _flip(text, rng)
        data = struct.pack("<Q", len(text)) + text + bytes(body)
        if what == 6:
            data = rng.choice(
                [
                    data[: rng.randrange(len(data))], pickle.dumps(Executes()), b"",
                    struct.pack("<Q", rng.getrandbits(64)) + text, b"[" * 100_000,
                    struct.pack("<Q", 200_000) + b"[" * 200_000,
                    _flip(data[:4000], rng) + data[4000:],
                ]
            )  # fmt: skip
        if what == 7:
            deep = rng.choice(["[" * 50_000, '{"a":' * 50_000, "1" * 5000, "NaN", "null", '"x"', "[]", "{}"])
            header["__metadata__"]["artifact_utils"] = deep
            text = json.dumps(header).encode()
            data = struct.pack("<Q", len(text)) + text + bytes(body)
        return data


def _flip(data: bytes, rng: random.Random) -> bytes:
    flipped = bytearray(data)
    for _ in range(rng.choice([1, 1, 3, 30])):
        if flipped:
            flipped[rng.randrange(len(flipped))] = rng.choice([rng.randrange(256), *b'",\n\r\0/.\\'])
    return bytes(flipped)


class Tampered:
    """A scored and an organised folder, tables and databases of which somebody else has written, and bystanders."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        folder.mkdir()
        self.folder, self.origin = folder, folder.with_name("origin")
        self.config = stack.enter_context(quick_filter(folder))
        for i, name in enumerate(["a.png", "b.png", "part/c.png", "d.png"]):
            file = self.config.folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(f"{0.9 if i % 2 else 0.1} {name}".encode())
        (folder / "outside").mkdir()
        (folder / "outside/bystander.png").write_bytes(b"0.1 a.png")  # as a.png, so that it might pass for its copy
        (folder / "outside/empty.png").write_bytes(b"")
        for i in range(3):
            draw_noise(folder / f"raw/train/{i}_{i % 2}.png", i)
        organize(OrganizeConfig(folder / "raw", folder / "dataset", "move"))
        score_folder(self.config)
        move_flagged(self.config)
        shutil.copytree(folder, self.origin)
        self.pictures = {path.read_bytes() for path in folder.rglob("*.png")}
        self.elsewhere = folder.with_name("elsewhere")
        self.elsewhere.mkdir()
        os.chdir(self.elsewhere)

    def start(self) -> None:
        shutil.rmtree(self.folder)
        shutil.copytree(self.origin, self.folder)

    def contents(self) -> set[bytes]:
        return {path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}

    def use(self, *jobs: Callable[[], object]) -> None:
        """Do jobs as far as they can be done; whatever comes of it, every picture is there and bystanders stay."""
        refusal = None
        outside = {path.name: path.read_bytes() for path in (self.folder / "outside").iterdir()}
        for job in jobs:
            try:
                job()
            except ArtifactUtilsError as error:
                refusal = error
        lost = self.pictures - self.contents()
        assert not lost, f"lost {lost}"
        assert not list(self.elsewhere.iterdir()), "relative paths of strangers lead to the working directory"
        assert {path.name: path.read_bytes() for path in (self.folder / "outside").iterdir()} == outside, "outside"
        assert not (self.folder.parent / "evil.png").exists()
        if refusal is not None:
            raise refusal

    def filter(self) -> tuple[Callable[[], object], ...]:
        config: FilterConfig = self.config
        jobs = [
            lambda: score_folder(replace(config, threshold=0.5)), lambda: move_flagged(config), lambda: undo(config),
        ]  # fmt: skip
        return tuple(jobs)

    def organize(self) -> tuple[Callable[[], object], ...]:
        raw, dataset = self.folder / "raw", self.folder / "dataset"
        return (
            lambda: organize(OrganizeConfig(raw, dataset, "move")), lambda: take_back(dataset),
            lambda: take_back(dataset, raw),
        )  # fmt: skip

    def paths(self) -> list[str]:
        up = f"{self.folder}/outside"
        return [
            "a.png", "part/c.png", "b.png", "../outside/bystander.png", f"{up}/bystander.png", f"{up}/empty.png",
            f"{self.folder.parent}/evil.png", "../evil.png", "../../evil.png", "", ".", "..", "/", "part", "part/",
            "\0", "a.png\0b", "x" * 300, "y/" * 3000, "\udcff.png", "=cmd()", "-x", "\r\n", '"',
            "train/artifacts/1_1.png",
            f"{self.folder}/portraits/b.png", f"{self.folder}/raw/train/0_0.png", "train/../../outside/bystander.png",
            f"{self.folder}/portraits/../outside/x.png", "/proc/self/mem", "/dev/null",
        ]  # fmt: skip

    def read_tables(self, rng: random.Random) -> None:
        """Tables as earlier versions have left them, without a database that knows better."""
        self.start()
        if rng.random() < 0.5:
            (self.folder / "portraits.scores.sqlite").unlink()
            rows = [("path", "probability", "flagged", "reason")]
            numbers = ["0.5", "1", "", "nan", "-1", "1e999", "x", "0x1p-2", "\u0661"]
            rows += [(rng.choice(self.paths()), rng.choice(numbers), "1", "x") for _ in range(3)]
            sha256 = "9" * 64 if rng.random() < 0.2 else _sha256(self.folder / "model.safetensors")
            about = {"folder": str(self.config.folder), "model": sha256, "started": rng.choice([1e12, *VALUES[:15]])}
            self.write("portraits.scores.csv", rows, rng)
            (self.folder / "portraits.scores.json").write_text(json.dumps(about))
            sources = [str(self.config.folder / "b.png"), str(self.config.folder / "d.png"), *self.paths()]
            rows = [("source", "destination")]
            rows += [(rng.choice(sources), rng.choice(["b.png", "d.png", *self.paths()])) for _ in range(3)]
            self.write("bad/moved.csv", rows, rng)
            self.use(*self.filter())
        else:
            (self.folder / "dataset/.manifest.sqlite").unlink()
            rows = [("path", "split", "label", "class", "source", "sha256", "group")]
            for _ in range(3):
                path = rng.choice(["train/artifacts/1_1.png", "train/no_artifacts/0_0.png", *self.paths()])
                file = self.folder / "dataset/train/no_artifacts/0_0.png"
                source = rng.choice([str(self.folder / "raw/train/0_0.png"), *self.paths()])
                label = "1" if "/artifacts" in path else "0"
                sha256 = rng.choice([_sha256(file), "", "x", "not a regular file"])
                rows.append((path, "train", label, ("no_artifacts", "artifacts")[int(label)], source, sha256, "g"))
            self.write("dataset/manifest.csv", rows, rng)
            self.use(*self.organize())

    def write(self, name: str, rows: list[tuple[str, ...]], rng: random.Random) -> None:
        text = "".join(",".join(f'"{cell}"' if rng.random() < 0.9 else cell for cell in row) + "\n" for row in rows)
        data = text.encode("utf-8", "surrogateescape")
        (self.folder / name).write_bytes(_flip(data, rng) if rng.random() < 0.3 else data)

    def read_state(self, rng: random.Random) -> None:
        self.start()
        steps = ["'moving'", "'moved'", "'returning'", "'returned'", "'x'", "NULL", "7"]
        tables = {
            "moves": {"source": None, "target": None, "destination": None, "step": steps, "size": None, "sha256": None,
                      "part": ["'.artifact_utils.x.part'", "'../x'", "'.artifact_utils./../../outside/x.part'"]},
            "scores": {"path": None, "probability": ["9", "-1", "'x'", "1e999", "NULL", "x'00'"],
                       "model": ["77", "NULL"], "size": ["-1", "'x'"],
                       "reason": ["x'ff'", "1", "'=cmd()'"], "mtime_ns": ["'x'", "1.5"]},
            "about": {"folder": None, "threshold": ["9", "-1", "'x'", "1e999", "NULL", "x'00'"]},
        }  # fmt: skip
        self.tamper(self.folder / "portraits.scores.sqlite", tables, rng)
        self.use(*self.filter())

    def read_record(self, rng: random.Random) -> None:
        self.start()
        own = [f"{(self.folder / 'dataset/.manifest.sqlite').stat().st_ino}"]
        tables = {
            "entries": {"path": None, "source": None, "sha256": None, "person": None, "confirmed": ["1", "0", "'x'"]},
            "about": {"inode": [*own, "0", "'x'"]},
        }  # fmt: skip
        self.tamper(self.folder / "dataset/.manifest.sqlite", tables, rng)
        self.use(*self.organize())

    def tamper(self, file: Path, tables: dict[str, dict[str, list[str] | None]], rng: random.Random) -> None:
        """Flip bits of a database, or change its cells and its schema by statements."""
        if rng.random() < 0.4:
            data = _flip(file.read_bytes(), rng)
            file.write_bytes(data[: rng.randrange(len(data))] if rng.random() < 0.2 else data)
            return
        paths = [value for path in self.paths() for value in (_blob(path), _quoted(path))]
        table = rng.choice(sorted(tables))
        with suppress(sqlite3.Error):
            connection = sqlite3.connect(file, isolation_level=None)
            for _ in range(rng.choice([1, 1, 2, 4])):
                column = rng.choice(sorted(tables[table]))
                value = rng.choice(tables[table][column] or [*paths, "NULL", "7", "x'00ff'", "zeroblob(100000)"])
                row = rng.choice(["", f" WHERE rowid = {rng.randrange(1, 4)}"])
                with suppress(sqlite3.Error):
                    connection.execute(f"UPDATE {table} SET {column} = {value}{row}")
            if rng.random() < 0.3:
                connection.execute(
                    rng.choice(
                        [
                            f"CREATE TRIGGER t AFTER INSERT ON {table} BEGIN DELETE FROM {table}; END",
                            f"CREATE TRIGGER t BEFORE UPDATE ON {table} BEGIN SELECT load_extension('x'); END",
                            f"ALTER TABLE {table} ADD COLUMN more", f"DROP TABLE {table}", f"DELETE FROM {table}",
                            f"ALTER TABLE {table} RENAME TO other", f"CREATE INDEX i ON {table} (rowid)",
                            f"CREATE VIEW v AS SELECT writefile('x', 'y') FROM {table}", "PRAGMA user_version = 9",
                            "PRAGMA journal_mode = WAL", "PRAGMA encoding = 'UTF-16'", "CREATE TABLE more (x)",
                        ]
                    )
                )  # fmt: skip
            connection.close()


def _blob(path: str) -> str:
    return f"x'{os.fsencode(path).hex()}'"


def _quoted(path: str) -> str:
    return "'" + path.replace("\0", "").encode("utf-8", "replace").decode().replace("'", "''") + "'"


def _sha256(file: Path) -> str:
    import hashlib

    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""
