"""Settings and records, with the stand-in for torch that fixtures/rehearsal has."""

import json
import os
import pickle
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from brimful_rehearsal.fields import parse, row_count
from brimful_rehearsal.marks import Marks
from brimful_rehearsal.settings import VARIABLE, Settings

HOOK = Path(__file__).parent.parent
STAND_IN = HOOK.parents[3] / "fixtures" / "rehearsal" / "stand-in"


def rehearsed(program, **settings):
    """Runs a program with the hook and the stand-in; returns its exit status, its record, and its events."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(HOOK), str(STAND_IN)]),
            VARIABLE: json.dumps({"folder": folder, "history": 100, **settings}),
        }
        run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=False)
        [path] = Path(folder).glob("*.json")
        record = json.loads(path.read_text())
        events = None
        if record["snapshot"]:
            events = pickle.loads((Path(folder) / record["snapshot"]).read_bytes())["device_traces"][0]
        return run.returncode, record, events


class Records(unittest.TestCase):
    """What a process hands over."""

    def test_the_peak_is_of_the_whole_run_though_the_program_resets_it(self):
        """The program itself sees the reset."""
        program = (
            "import torch\nfirst = torch.allocate(64 << 20)\ntorch.free(first)\n"
            "torch.cuda.reset_peak_memory_stats()\ntorch.allocate(32 << 20)\n"
        )
        status, record, events = rehearsed(program)
        [device] = record["devices"]
        self.assertEqual((status, record["ended"]), (0, "exit"))
        self.assertEqual((device["peak"]["reserved"], device["end"]["reserved"]), (64 << 20, 32 << 20))
        self.assertEqual([event["action"] for event in events].count("alloc"), 2)

    def test_a_process_that_ends_itself_at_once_has_written_its_record(self):
        """`os._exit` calls no handlers."""
        status, record, _ = rehearsed("import os, torch\ntorch.allocate(16 << 20)\nos._exit(3)")
        self.assertEqual((status, record["ended"], len(record["devices"])), (3, "exit", 1))

    def test_the_error_that_ends_the_program_is_kept(self):
        """With its type and message."""
        status, record, _ = rehearsed("import torch\nraise ValueError('wrong')")
        self.assertEqual((status, record["error"]), (1, {"type": "ValueError", "message": "wrong"}))

    def test_the_run_ends_after_the_steps_that_were_asked_for(self):
        """The program would never end."""
        program = "import torch\nadam = torch.optim.Optimizer()\nwhile True:\n    adam.step()"
        status, record, _ = rehearsed(program, steps=3)
        self.assertEqual((status, record["steps"]), (0, 3))


class Inputs(unittest.TestCase):
    """What the launcher passes."""

    def test_a_setting_that_this_hook_does_not_know_is_an_error(self):
        """The launcher and the hook are of one version: a misspelt name must not be ignored."""
        text = json.dumps({"folder": "/tmp", "history": 1, "keep_servnig": True})
        with mock.patch.dict(os.environ, {VARIABLE: text}), self.assertRaises(TypeError):
            Settings.from_environment()

    def test_fields_of_rows_are_read_with_their_sizes(self):
        """The first size is that of a batch."""
        fields = parse("input_ids:int64[4,2048]; label:int64[4]")
        self.assertEqual([(field.name, field.dtype, field.shape) for field in fields][1], ("label", "int64", [4]))
        self.assertEqual(row_count(fields), 256)

    def test_marks_are_named_ranges_at_their_time(self):
        """A snapshot's reader finds the block by the address in hexadecimal."""
        marks = Marks()
        marks.numbers.extend((7, 2, 0xAB))
        self.assertEqual(
            marks.annotations(), [{"name": "brimful:optimizer:ab", "stage": "START", "device": 0, "time_us": 7}]
        )
