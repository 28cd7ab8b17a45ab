"""Counts optimizer steps, and ends the run after those that were asked for."""
import os
import weakref

from . import marks


def attach(torch, here, settings):
    from torch.optim import optimizer

    last = settings.get("steps")
    counts = weakref.WeakKeyDictionary()

    def stepped(which, arguments, named):
        done = counts[which] = counts.get(which, 0) + 1
        name = type(which).__name__
        if name not in here.optimizers:
            here.optimizers.append(name)
        here.steps = max(here.steps, done)
        if done <= marks.STEPS:
            here.marks.add(which)
        if last is not None and min(counts.values()) >= last:
            enough(here, done > last)

    optimizer.register_optimizer_step_post_hook(stepped)


def enough(here, asked_before):
    """Ends as a program that is done. One that catches even that is ended at its next step."""
    if asked_before:
        here.finish("steps")
        os._exit(0)
    raise SystemExit(0)
