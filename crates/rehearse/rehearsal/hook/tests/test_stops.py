"""Counting optimizer steps."""

import unittest

from brimful_rehearsal.stops import Steps, count_as_one

from .support import FakeRecord


class Optimizer:
    """An optimizer by its name."""


class Engine:
    """An engine that calls its optimizer three times in a step, as ZeRO does for groups of parameters."""

    def __init__(self, steps):
        self.steps, self.optimizer, self.skipped = steps, Optimizer(), 0

    def step(self, overflows):
        """One step, or one that is skipped."""
        self.skipped += overflows
        for _ in range(3):
            self.steps.stepped(self.optimizer, (), {})


class Stops(unittest.TestCase):
    """`stops`."""

    def test_a_run_ends_once_the_slowest_optimizer_has_made_its_steps(self):
        """A GAN has two optimizers."""
        record = FakeRecord(steps=2)
        steps, first, second = Steps(record), Optimizer(), Optimizer()
        for optimizer in (first, second, first):
            steps.stepped(optimizer, (), {})
        with self.assertRaises(SystemExit):
            steps.stepped(second, (), {})
        self.assertEqual((record.steps, record.optimizers), (2, ["Optimizer"]))

    def test_an_engine_step_is_one_step_and_a_skipped_one_is_none(self):
        """DeepSpeed skips a step whose gradients overflow."""
        record = FakeRecord()
        steps = Steps(record)

        class Watched(Engine):
            """A class of its own, since its method is replaced."""

        count_as_one(steps, Watched, "step", lambda engine: engine.skipped)
        engine = Watched(steps)
        for overflows in (False, True, False):
            engine.step(overflows)
        self.assertEqual(record.steps, 2)
