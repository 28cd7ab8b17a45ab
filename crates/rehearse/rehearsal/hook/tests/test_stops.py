"""Counting optimizer steps."""

import unittest

from brimful_rehearsal.stops import PATIENCE, Steps, count_as_one

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

    def test_an_optimizer_that_begins_late_is_waited_for(self):
        """The discriminator of a VQ-GAN begins after some steps."""
        record = FakeRecord(steps=2)
        steps, early, late = Steps(record), Optimizer(), Optimizer()
        early.param_groups, late.param_groups = [{"params": [1]}], [{"params": [2]}]
        steps.made(early)
        steps.made(late)
        for optimizer in (early, early, early, late):
            steps.stepped(optimizer, (), {})
        with self.assertRaises(SystemExit):
            steps.stepped(late, (), {})
        steps.say_unstepped()
        self.assertEqual((record.steps, record.notes, record.reached), (3, [], True))

    def test_an_optimizer_that_never_steps_is_named_and_not_waited_for_without_end(self):
        """A wrapper whose parameters another optimizer changes is neither."""
        record = FakeRecord(steps=2)
        steps, one, never, wrapper = Steps(record), Optimizer(), Optimizer(), Optimizer()
        one.param_groups, never.param_groups, wrapper.param_groups = ([{"params": [n]}] for n in (1, 2, 1))
        for optimizer in (one, never, wrapper):
            steps.made(optimizer)
        with self.assertRaises(SystemExit):
            for _ in range(100):
                steps.stepped(one, (), {})
        steps.say_unstepped()
        self.assertEqual(record.steps, 2 * PATIENCE)
        [note] = record.notes
        self.assertRegex(note, r"^Optimizer of test_stops\.py:\d+ never stepped")

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
