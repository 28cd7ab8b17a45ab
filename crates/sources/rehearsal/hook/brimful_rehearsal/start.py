"""The beginning of a rehearsal in a process that has imported torch."""
import json
import os

from . import exits, record, recording, stops


def begin(torch):
    with open(os.environ["BRIMFUL_REHEARSAL"]) as file:
        settings = json.load(file)
    here = record.Record(torch, settings)
    if not torch.version.cuda:
        here.refuse()
    recording.attach(torch, here, settings)
    stops.attach(torch, here, settings)
    exits.attach(here)
    if settings.get("imagined"):
        from . import imagined

        imagined.attach(torch, here)
    if settings.get("dummy_weights"):
        from . import weights

        weights.attach(torch, here)
    if settings.get("synthetic"):
        from . import synthetic

        synthetic.attach(here, settings["synthetic"])
    here.begin()
