"""Rows of a stated shape in place of data sets."""

import functools
import os
import re
from collections import defaultdict

from . import fields, imports, pictures
from .settings import Settings


class Notes:
    """Takes notes for the record, which begins only when the program imports torch."""

    def __init__(self):
        self.settings = Settings.from_environment()
        self.record, self.before = None, []
        # The modules whose loaders are replaced.
        self.replaced = set()

    def note(self, text):
        """Adds a note, now or once there is a record."""
        if self.record is None:
            self.before.append(text)
        else:
            self.record.note(text)

    def take(self, record):
        """The record begins."""
        self.record = record
        for text in self.before:
            record.note(text)


@functools.lru_cache(maxsize=None)
def notes():
    """The notes of this process."""
    return Notes()


def attach(record):
    """Replaces the loaders of data sets and metrics in a process that has imported torch."""
    notes().take(record)
    imports.after("datasets", begin)
    imports.after("evaluate", begin)
    rows = fields.stated(record.settings)
    imports.after("torchvision.datasets", lambda datasets: pictures.replace(record, datasets, rows))


def begin(module):
    """Replaces the loaders of a module, once. A program that imports it before torch binds its functions at once."""
    sink, name = notes(), module.__name__
    if sink.settings.synthetic and name not in sink.replaced:
        sink.replaced.add(name)
        replace(sink, module) if name == "datasets" else replace_metrics(sink, module)


def replace(record, datasets):
    """Replaces `load_dataset` of Hugging Face's `datasets`."""
    load, stated = datasets.load_dataset, fields.stated(record.settings)

    @functools.wraps(load)
    def load_dataset(
        path=None, name=None, data_dir=None, data_files=None, split=None, *args, streaming=False, **kwargs
    ):
        parts = {part: fields.choose(stated, names(path, name, files)) for part, files in splits(data_files)}
        if None in parts.values():
            return load(path, name, data_dir, data_files, split, *args, streaming=streaming, **kwargs)
        # Parts with the same fields are one table.
        made = {id(rows): make_rows(datasets, rows.columns) for rows in parts.values()}
        for text in dict.fromkeys(rows.text for rows in parts.values()):
            record.note(f"synthetic data: load_dataset({path!r}) gives rows of {text}")
        found = {part: made[id(rows)] for part, rows in parts.items()}
        if streaming:
            found = {part: rows.to_iterable_dataset() for part, rows in found.items()}
        if split is not None:
            return part_of(found, split) if isinstance(split, str) else [part_of(found, one) for one in split]
        return (datasets.IterableDatasetDict if streaming else datasets.DatasetDict)(found)

    datasets.load_dataset = load_dataset
    datasets.load.load_dataset = load_dataset


def splits(data_files):
    """The parts that a data set has, and the files of each: a data set without files has the usual parts."""
    if data_files is None:
        return [(part, ()) for part in ("train", "validation", "test")]
    # Files without the name of a part are for training.
    by_part = data_files if isinstance(data_files, dict) else {"train": data_files}
    return [(part, (files,) if isinstance(files, str) else tuple(files)) for part, files in by_part.items()]


def part_of(found, split):
    """The part that a split such as `train[:10%]` begins with; any part if there is none of that name."""
    part = re.match(r"\w*", str(split)).group()
    return found.get(part, next(iter(found.values())))


def names(path, name, files):
    """The names by which the user may mean a data set: its path, the path with the configuration, and its files."""
    found = {str(path), f"{path}/{name}", os.path.basename(str(path))}
    for file in map(str, files):
        found.update((file, os.path.basename(file), os.path.basename(file).partition(".")[0]))
    return found


def make_rows(datasets, columns):
    """A data set with these columns."""
    count = fields.row_count(columns)
    rows = datasets.Dataset.from_dict({field.name: column(field.dtype, field.shape[1:], count) for field in columns})
    for field in columns:
        if field.dtype == "image":
            rows = rows.cast_column(field.name, datasets.Image())
    return rows


def column(dtype, shape, count):
    """The values of a column: zeros, words, or black pictures."""
    if dtype == "string":
        return ["word " * (shape[0] if shape else 1)] * count
    if dtype == "image":
        return [{"bytes": pictures.encoded(*shape), "path": None}] * count
    import numpy

    return list(numpy.zeros([count, *shape], dtype=dtype))


class ZeroMetric:
    """A metric that is 0, whatever is added."""

    def add(self, *args, **kwargs):
        """Takes a prediction, and ignores it."""

    add_batch = add

    def compute(self, *args, **kwargs):
        """0 under every name."""
        return defaultdict(float)


def replace_metrics(record, evaluate):
    """Metrics of such rows mean nothing: they are 0 if the metric's own program is missing."""
    load = evaluate.load

    @functools.wraps(load)
    def load_metric(path, *args, **kwargs):
        try:
            return load(path, *args, **kwargs)
        except OSError:
            record.note(f"synthetic data: the metric {path!r} is not here; it is 0")
            return ZeroMetric()

    evaluate.load = load_metric
