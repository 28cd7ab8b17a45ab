"""Counts optimizer steps, and ends the run after the number that was asked for."""

import functools
import os
import weakref

from . import imports, marks


def attach(record):
    """Counts the steps of every optimizer."""
    from torch.optim import optimizer

    steps = Steps(record)
    optimizer.register_optimizer_step_post_hook(steps.stepped)
    imports.after("deepspeed.runtime.engine", lambda module: count_engine_steps(steps, module.DeepSpeedEngine))


class Steps:
    """The steps of each optimizer, or of each DeepSpeed engine."""

    def __init__(self, record):
        self.record, self.last = record, record.settings.steps
        self.counts = weakref.WeakKeyDictionary()
        # Whether an engine is making a step, of which the steps of optimizers are parts.
        self.are_parts = False

    def stepped(self, optimizer, args, kwargs):
        """Torch's hook after each step of an optimizer."""
        name = type(optimizer).__name__
        if name not in self.record.optimizers:
            self.record.optimizers.append(name)
        done = self.record.steps + 1 if self.are_parts else self.count(optimizer)
        if done <= marks.STEPS:
            self.record.marks.add(optimizer)
        if not self.are_parts:
            self.end_if_done()

    def count(self, optimizer):
        """Counts a step; returns how many this optimizer has made."""
        done = self.counts[optimizer] = self.counts.get(optimizer, 0) + 1
        if done > self.record.steps:
            self.record.steps = done
            self.record.show_steps()
        return done

    def end_if_done(self):
        """Ends the run once every optimizer has made the steps that were asked for."""
        done = min(self.counts.values(), default=0)
        if self.last is not None and done >= self.last:
            end_run(self.record, done > self.last)


def count_engine_steps(steps, engine):
    """DeepSpeed's ZeRO calls its optimizer for each group of parameters, and once more to make the states."""
    count_as_one(steps, engine, "__init__", lambda self: None)
    count_as_one(steps, engine, "_take_model_step", lambda self: getattr(self, "skipped_steps", 0))


def count_as_one(steps, engine, name, skipped):
    """Counts whatever the optimizer does within this method as one step. A step that the engine skips, since gradients
    overflow, is none: `skipped` returns how many it has skipped, or `None` if the method is no step at all.
    """
    call = getattr(engine, name, None)
    if call is None:
        return

    @functools.wraps(call)
    def method(self, *args, **kwargs):
        before, outside = skipped(self), steps.are_parts
        steps.are_parts = True
        try:
            result = call(self, *args, **kwargs)
        finally:
            steps.are_parts = outside
        if before is not None and skipped(self) == before:
            steps.count(self)
            steps.end_if_done()
        return result

    setattr(engine, name, method)


def end_run(record, asked_before):
    """Ends the process as a program that is done. A program that catches even that is ended at its next step."""
    if asked_before:
        record.finish("steps")
        os._exit(0)
    raise SystemExit(0)
