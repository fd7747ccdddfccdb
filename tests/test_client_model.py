"""One client against a dict: any sequence of calls, with crashes and reopening in between.

A crash is what `kill -9` leaves: the file as the system has it, without `close`. The lock is
the only other thing that a dead process gives back.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from softadastra import Client, ClientOptions

KEYS = st.sampled_from(["a", "b", "ab", "a/1", "a/2", "é", "x" * 100])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3) | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=4,
)


class ClientModel(RuleBasedStateMachine):
    @initialize(durable=st.booleans())
    def open_first(self, durable):
        self.directory = Path(tempfile.mkdtemp())
        self.wal = self.directory / "0.wal"
        self.lives = 0
        self.options = ClientOptions.durable if durable else ClientOptions.fast
        self.client = Client(self.options("node-a", self.wal)).open()
        self.model = {}
        self.writes = 0

    def teardown(self):
        if hasattr(self, "client"):
            self.client.close()
            shutil.rmtree(self.directory)

    @rule(key=KEYS, value=VALUES)
    def put(self, key, value):
        result = self.client.put(key, value)
        if result.status != "unchanged":
            self.writes += 1
            assert result.sync_id == f"node-a-{self.writes}"
        assert (result.status == "created") == (key not in self.model)
        self.model[key] = value

    @rule(key=KEYS)
    def remove(self, key):
        removed = self.client.remove(key)
        assert removed == (key in self.model)
        self.writes += removed
        self.model.pop(key, None)

    @rule(writes=st.lists(st.tuples(KEYS, st.none() | st.integers(0, 9)), max_size=5))
    def batch(self, writes):
        with self.client.batch() as batch:
            for key, value in writes:
                if value is None:
                    batch.remove(key)
                else:
                    batch.put(key, value)
        for key, value in writes:
            self.model.pop(key, None) if value is None else self.model.update({key: value})
        self.writes += sum(1 for r in batch.results if r is not None and r.status != "unchanged")

    @rule(prefix=st.sampled_from(["", "a", "a/", "zz"]))
    def scan(self, prefix):
        expected = {k: v for k, v in self.model.items() if k.startswith(prefix)}
        assert list(self.client.items(prefix)) == sorted(expected.items(), key=lambda i: i[0])

    @rule()
    def reopen(self):
        self.client.close()
        self.client = Client(self.options("node-a", self.wal)).open()

    @rule()
    def crash(self):
        self.lives += 1
        left = self.directory / f"{self.lives}.wal"
        shutil.copyfile(self.wal, left)
        self.client.close()
        self.wal = left
        self.client = Client(self.options("node-a", self.wal)).open()

    @invariant()
    def is_the_model(self):
        if not hasattr(self, "client"):
            return
        assert dict(self.client) == self.model
        assert len(self.client) == len(self.model)
        state = self.client.sync_state()
        assert state.outbox_size == state.queued_count == self.writes


ClientModel.TestCase.settings = settings(max_examples=60, stateful_step_count=25)
test_a_client_is_a_dict_that_survives = ClientModel.TestCase
