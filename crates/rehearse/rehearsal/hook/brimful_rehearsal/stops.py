"""Counts optimizer steps, and ends the run after those that were asked for."""
import functools
import os
import weakref

from . import imports, marks


def attach(torch, here, settings):
    from torch.optim import optimizer

    steps = Steps(here, settings.get("steps"))
    optimizer.register_optimizer_step_post_hook(steps.stepped)
    imports.after("deepspeed.runtime.engine", lambda module: of_engines(steps, module.DeepSpeedEngine))


class Steps:
    def __init__(self, here, last):
        self.here, self.last = here, last
        self.counts = weakref.WeakKeyDictionary()
        # Whether an engine is at work, of whose step an optimizer's is a part.
        self.are_parts = False

    def stepped(self, which, arguments, named):
        name = type(which).__name__
        if name not in self.here.optimizers:
            self.here.optimizers.append(name)
        done = self.here.steps + 1 if self.are_parts else self.count(which)
        if done <= marks.STEPS:
            self.here.marks.add(which)
        if not self.are_parts:
            self.look()

    def count(self, which):
        done = self.counts[which] = self.counts.get(which, 0) + 1
        self.here.steps = max(self.here.steps, done)
        return done

    def look(self):
        done = min(self.counts.values(), default=0)
        if self.last is not None and done >= self.last:
            enough(self.here, done > self.last)


def of_engines(steps, engine):
    """DeepSpeed's ZeRO makes a step of its optimizer for each group of parameters, and when it makes the states."""
    whole(steps, engine, "__init__", lambda self: None)
    whole(steps, engine, "_take_model_step", lambda self: getattr(self, "skipped_steps", 0))


def whole(steps, engine, name, skipped):
    """What the optimizer does within this method is one step, unless the engine finds that its numbers overflow."""
    call = getattr(engine, name, None)
    if call is None:
        return

    @functools.wraps(call)
    def method(self, *place, **named):
        before, outside = skipped(self), steps.are_parts
        steps.are_parts = True
        try:
            result = call(self, *place, **named)
        finally:
            steps.are_parts = outside
        if before is not None and skipped(self) == before:
            steps.count(self)
            steps.look()
        return result

    setattr(engine, name, method)


def enough(here, asked_before):
    """Ends as a program that is done. One that catches even that is ended at its next step."""
    if asked_before:
        here.finish("steps")
        os._exit(0)
    raise SystemExit(0)
