"""Counts optimizer steps, and ends the run after the number that was asked for."""

import functools
import os
import sys
import weakref

from . import imports, marks

# Once the optimizers that step have made so many times the steps that were asked for, the run no longer waits for the
# others.
PATIENCE = 5
# Optimizers that a note names.
NAMED = 4


def attach(record):
    """Counts the steps of every optimizer."""
    from torch.optim import optimizer

    steps = Steps(record)
    record.before_end(steps.say_unstepped)
    watch_new(steps, optimizer.Optimizer)
    optimizer.register_optimizer_step_post_hook(steps.stepped)
    imports.after("deepspeed.runtime.engine", lambda module: count_engine_steps(steps, module.DeepSpeedEngine))


def watch_new(steps, base):
    """Notes every optimizer that is made."""
    build = base.__init__

    @functools.wraps(build)
    def __init__(self, *args, **kwargs):
        build(self, *args, **kwargs)
        steps.made(self)

    base.__init__ = __init__


class Steps:
    """The steps of each optimizer, or of each DeepSpeed engine."""

    def __init__(self, record):
        self.record, self.last = record, record.settings.steps
        self.counts = weakref.WeakKeyDictionary()
        # Optimizers that have not stepped yet, with their number.
        self.waiting = weakref.WeakKeyDictionary()
        # Their names and places in the program, by their number: an optimizer may be gone at the end.
        self.places, self.process = {}, os.getpid()
        # Whether an engine is making a step, of which the steps of optimizers are parts.
        self.are_parts = False

    def made(self, optimizer):
        """An optimizer was made."""
        number = len(self.places)
        self.waiting[optimizer] = number
        self.places[number] = f"{type(optimizer).__name__} of {place()}"

    def stepped(self, optimizer, args, kwargs):
        """Torch's hook after each step of an optimizer."""
        name = type(optimizer).__name__
        if name not in self.record.optimizers:
            self.record.optimizers.append(name)
        self.has_stepped(optimizer)
        done = self.record.steps + 1 if self.are_parts else self.count(optimizer)
        if done <= marks.STEPS:
            self.record.marks.add(optimizer)
        if not self.are_parts:
            self.end_if_done()

    def has_stepped(self, optimizer):
        """Waits for this optimizer no longer."""
        number = self.waiting.pop(optimizer, None)
        self.places.pop(number, None)

    def count(self, optimizer):
        """Counts a step; returns how many this optimizer has made."""
        done = self.counts[optimizer] = self.counts.get(optimizer, 0) + 1
        if done > self.record.steps:
            self.record.steps = done
            self.record.show_steps()
        return done

    def end_if_done(self):
        """Ends the run once every optimizer, also one that begins late, has made the steps that were asked for."""
        done = min(self.counts.values(), default=0)
        if self.last is None or done < self.last:
            return
        if done < self.last * PATIENCE and self.is_waiting():
            return
        end_run(self.record)

    def is_waiting(self):
        """Whether an optimizer has not stepped, and is no wrapper: others change every parameter of a wrapper."""
        self.forget_wrappers()
        return bool(self.waiting)

    def forget_wrappers(self):
        """Forgets optimizers of which others change every parameter."""
        if not self.waiting:
            return
        changed = {number for optimizer in list(self.counts) for number in parameters(optimizer)}
        for optimizer in list(self.waiting):
            if parameters(optimizer) <= changed:
                self.has_stepped(optimizer)

    def say_unstepped(self):
        """Notes the optimizers that never stepped: their states were never made."""
        # The fork of a process has copies of its optimizers, and one that failed may have been about to step.
        if os.getpid() != self.process or self.record.error is not None:
            return
        self.forget_wrappers()
        # A program repeats itself: one optimizer for each parameter is made in one line.
        names = list(dict.fromkeys(self.places.values()))
        if names:
            more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            self.record.note(f"{', '.join(names[:NAMED])}{more} never stepped: no optimizer states were made for it")


def parameters(optimizer):
    """The numbers of an optimizer's parameters; none of a DeepSpeed engine's."""
    groups = getattr(optimizer, "param_groups", None) or ()
    return {id(parameter) for group in groups for parameter in group["params"]}


def place():
    """The line of the program that is outside of torch and of this hook."""
    frame = sys._getframe(1)
    while frame is not None:
        module = frame.f_globals.get("__name__", "").partition(".")[0]
        if module not in ("torch", "brimful_rehearsal"):
            return f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"
        frame = frame.f_back
    return "an unknown line"


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


def end_run(record):
    """Ends the process as a program that is done. A program that catches even that is ended at its next step."""
    if record.reached:
        record.finish("steps")
        os._exit(0)
    # Whatever the program makes of its end, and however it is killed: its memory is known by now.
    record.reached = True
    record.hand_over_now()
    raise SystemExit(0)
