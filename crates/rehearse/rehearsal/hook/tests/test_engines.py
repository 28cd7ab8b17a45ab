"""Serving engines, by objects that look like theirs."""

import os
import tempfile
import unittest
from types import SimpleNamespace
from unittest import mock

from brimful_rehearsal import engines
from brimful_rehearsal.engines import registry, sglang, startup, vllm

from .support import FakeRecord


class Engines(unittest.TestCase):
    """`engines`."""

    def test_every_engine_has_registered_itself(self):
        """Whatever the order in which the modules are imported."""
        with mock.patch.object(registry, "attach_all") as attach_all:
            engines.attach(FakeRecord())
        attach_all.assert_called_once()
        self.assertEqual({attach.__module__ for attach in registry._attachers}, {vllm.__name__, sglang.__name__})

    def test_missing_weights_and_tokenizer_are_left_out_with_a_note(self):
        """The engine would stop without them."""
        record = FakeRecord()
        with tempfile.TemporaryDirectory() as folder:
            arguments = SimpleNamespace(load_format="auto", skip_tokenizer_init=False)
            startup.prepare(record, arguments, folder, None)
            self.assertEqual((arguments.load_format, arguments.skip_tokenizer_init), ("dummy", True))
            self.assertEqual(len(record.notes), 2)
            with open(os.path.join(folder, "tokenizer.json"), "w"):
                arguments.skip_tokenizer_init = False
            startup.prepare(record, arguments, folder, None)
            self.assertFalse(arguments.skip_tokenizer_init)

    def test_a_process_is_ready_unless_the_server_continues(self):
        """`--keep-serving` has the record written at the server's own end."""
        with mock.patch.dict(os.environ, {startup.SERVES: "1"}):
            for keep_serving, ends in ((False, ["ready"]), (True, [])):
                record = FakeRecord(keep_serving=keep_serving)
                startup.ready(record)
                self.assertEqual(record.ends, ends)

    def test_an_error_of_a_method_is_kept_and_raised(self):
        """Engines catch it in another process, and print something else."""
        record = FakeRecord()

        class Worker:
            """A worker without memory."""

            def load_model(self):
                """Fails."""
                raise MemoryError("no room")

        startup.around(record, Worker, "load_model")
        startup.around(record, Worker, "not_in_this_version")
        with self.assertRaises(MemoryError):
            Worker().load_model()
        self.assertEqual([str(error) for error in record.errors], ["no room"])
        self.assertFalse(hasattr(Worker, "not_in_this_version"))

    def test_the_cache_is_read_from_the_log_of_vllm(self):
        """One line of both figures, or a line for each."""
        record = FakeRecord()
        text = "GPU KV cache size: 1,234,560 tokens. Maximum concurrency for 4,096 tokens per request: 301.41x"
        self.assertTrue(vllm.read_log(record, SimpleNamespace(getMessage=lambda: text)))
        self.assertEqual(record.figures, {"kv_tokens": 1234560, "max_concurrency": 301.41})

    def test_a_kv_pool_of_sglang_reports_one_size_or_two(self):
        """K and V, or both at once for latent attention."""
        pool = SimpleNamespace(get_kv_size_bytes=lambda: (3, 4))
        self.assertEqual((sglang.size_of(pool), sglang.size_of(None)), (7, None))
        self.assertEqual((sglang.in_bytes(0.5), sglang.in_bytes(None), sglang.positive(-1)), (1 << 29, None, None))
