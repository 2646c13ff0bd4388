"""Any order of scoring, labelling, moving, kills, undoing and what users do meanwhile: every content stays, and stays
once; every label stays with its content."""

import os
import tempfile
from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

from faults.killing import Moment, run_child
from helpers import files_below
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from quick_filter import quick_filter, score_and_move

from artifact_utils.files.writing import FileError
from artifact_utils.filtering import move_flagged, score_folder, undo
from artifact_utils.filtering.labelled import labelled_pictures
from artifact_utils.filtering.options import Outputs
from artifact_utils.filtering.state import open_state

NAMES = st.sampled_from(
    ["a.png", "b.jpg", "part/a.png", "part/deep/c.png", "\r.png", "=1.png", os.fsdecode(b"\xff.png")]
)
THRESHOLDS = st.sampled_from([0.0, 0.3, 0.6, 1.0])


def silently_undo(config):
    with suppress(FileError):  # nothing was moved, or something is in the way
        undo(config)


class UserAndFilter(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.stack = ExitStack()
        folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        self.config = self.stack.enter_context(quick_filter(folder))
        self.contents: Counter[bytes] = Counter()
        self.labels: dict[bytes, int] = {}
        self.n = 0

    def teardown(self):
        self.stack.close()

    def files(self):
        folders = (self.config.folder, self.config.move_flagged)
        return sorted(path for folder in folders for path in folder.rglob("*") if path.is_file())

    def write(self, path, probability):
        self.n += 1  # so that no two files are alike
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file():
            self.contents[path.read_bytes()] -= 1
        path.write_bytes(f"{probability} {self.n}".encode())
        self.contents[path.read_bytes()] += 1

    @rule(name=NAMES, probability=st.sampled_from([0.1, 0.5, 0.9]))
    def add(self, name, probability):
        self.write(self.config.folder / name, probability)

    @precondition(lambda self: self.files())
    @rule(data=st.data())
    def edit(self, data):
        self.write(data.draw(st.sampled_from(self.files())), 0.7)

    @precondition(lambda self: self.files())
    @rule(data=st.data())
    def delete(self, data):
        path = data.draw(st.sampled_from(self.files()))
        self.contents[path.read_bytes()] -= 1
        path.unlink()

    @precondition(lambda self: self.files())
    @rule(data=st.data(), name=NAMES)
    def rename(self, data, name):
        new = self.config.folder / name
        if not new.exists():
            new.parent.mkdir(parents=True, exist_ok=True)
            data.draw(st.sampled_from(self.files())).rename(new)

    @rule()
    def edit_the_table(self):
        Outputs.of(self.config).table.write_text('"path","probability","flagged","reason"\n"../x.png",1.0,1,""\n')

    @rule(threshold=THRESHOLDS)
    def score(self, threshold):
        if not Outputs.of(self.config).state.exists():
            Outputs.of(self.config).table.unlink(missing_ok=True)  # a table of unknown origin is not replaced
        scored = score_folder(replace(self.config, threshold=threshold))
        assert scored.n == len(files_below(self.config.folder))
        self.check_labels()

    def check_labels(self):
        """A picture is found by its name or, once it was scored under another one, by its content."""
        there = {path.read_bytes() for path in self.files()}
        with open_state(self.config) as state:
            found = {picture.file.read_bytes(): picture.label for picture in labelled_pictures(state)}
        assert found == {content: verdict for content, verdict in self.labels.items() if content in there}

    def scored_pictures(self):
        """Of those that are where they were scored: the path in the state, and the content."""
        if not Outputs.of(self.config).state.exists():
            return []
        with open_state(self.config) as state:
            known = {score.path for score in state.scores()}
        here = {os.fsencode(name): content for name, content in files_below(self.config.folder).items()}
        return sorted((path, here[path]) for path in known & here.keys())

    @precondition(scored_pictures)
    @rule(data=st.data(), verdict=st.integers(0, 1))
    def label(self, data, verdict):
        path, content = data.draw(st.sampled_from(self.scored_pictures()))
        with open_state(self.config) as state:
            assert state.corrections.add(path, verdict).verdict == verdict
        self.labels[content] = verdict

    @precondition(scored_pictures)
    @rule(data=st.data())
    def unlabel(self, data):
        path, content = data.draw(st.sampled_from(self.scored_pictures()))
        with open_state(self.config) as state:
            assert state.corrections.remove(path) == (content in self.labels)
        self.labels.pop(content, None)

    @precondition(lambda self: files_below(self.config.folder))
    @rule(name=st.sampled_from(["portraits", "called otherwise", os.fsdecode(b"\xfe")]))
    def rename_the_folder(self, name):
        new = self.config.folder.with_name(name)
        if not new.exists():
            self.score(0.5)
            self.config = replace(self.config, folder=self.config.folder.rename(new))
            self.score(0.5)

    @precondition(lambda self: (self.config.folder / "part").is_dir())
    @rule(name=st.sampled_from(["other part", "deep/part"]))
    def rename_a_subfolder(self, name):
        new = self.config.folder / name
        if not new.exists():
            new.parent.mkdir(exist_ok=True)
            (self.config.folder / "part").rename(new)

    @rule(threshold=THRESHOLDS)
    def move(self, threshold):
        self.score(threshold)
        before = files_below(self.config.folder)
        judged = {name: float(content.split()[0]) >= threshold for name, content in before.items()}
        flagged = {name for name, content in before.items() if self.labels.get(content, judged[name])}
        try:
            assert move_flagged(replace(self.config, threshold=threshold)) == len(flagged)
        except FileError as error:
            assert "exists already" in str(error)
        else:
            assert set(files_below(self.config.folder)) == set(before) - flagged

    @rule()
    def undo(self):
        silently_undo(self.config)

    @rule(what=st.sampled_from([score_and_move, silently_undo]), threshold=THRESHOLDS, kill_at=st.integers(1, 80))
    def be_killed(self, what, threshold, kill_at):
        def run():
            with suppress(FileError):
                what(replace(self.config, threshold=threshold))

        run_child(run, self.config.folder.parent, Moment(operation=kill_at))

    @invariant()
    def every_content_is_there_once(self):
        assert Counter(path.read_bytes() for path in self.files()) == +self.contents


TestUserAndFilter = UserAndFilter.TestCase
TestUserAndFilter.settings = settings(
    max_examples=20, stateful_step_count=20, deadline=None, derandomize=True, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
