"""The beginning of a rehearsal in a process that has imported torch."""
import json
import os

from . import deepspeed, exits, modules, objects, record, recording, serving, stops


# The record of this process, once it has one.
record_here = None


def begin(torch):
    global record_here
    with open(os.environ["BRIMFUL_REHEARSAL"]) as file:
        settings = json.load(file)
    here = record_here = record.Record(torch, settings)
    if not torch.version.cuda:
        here.refuse()
    recording.attach(torch, here, settings)
    stops.attach(torch, here, settings)
    modules.attach(torch)
    exits.attach(here)
    serving.attach(here, settings)
    deepspeed.attach(torch, here)
    objects.attach(torch, settings["imagined"])
    if settings["imagined"]:
        from . import imagined

        imagined.attach(torch, here)
    if settings["dummy_weights"] or settings["synthetic"]:
        from . import offline

        offline.attach(here)
    if settings["dummy_weights"]:
        from . import pretrained, weights

        weights.attach(torch, here)
        pretrained.attach(torch, here)
    if settings["synthetic"]:
        from . import synthetic

        synthetic.attach(here, settings["synthetic"])
    here.begin()
