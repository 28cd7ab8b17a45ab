"""The beginning of a rehearsal in a process that has imported torch."""

from . import deepspeed, exits, modules, objects, recording, serving, stops, values
from .record import Record
from .settings import Settings


def begin(torch):
    """Attaches everything that the settings ask for, and writes the first record."""
    settings = Settings.from_environment()
    record = Record(torch, settings)
    if not torch.version.cuda:
        record.refuse()
    recording.attach(torch, record)
    stops.attach(record)
    modules.attach(torch, record.marks)
    exits.attach(record)
    serving.attach(record)
    deepspeed.attach(torch, record)
    objects.attach(torch, settings.imagined)
    values.attach(torch, record)
    if settings.imagined:
        from . import imagined

        imagined.attach(torch)
    if settings.dummy_weights or settings.synthetic:
        from . import offline

        offline.attach(record)
    if settings.dummy_weights:
        from . import pretrained, weights

        weights.attach(torch, record)
        pretrained.attach(torch, record)
    if settings.synthetic:
        from . import synthetic

        synthetic.attach(record)
    record.begin()
