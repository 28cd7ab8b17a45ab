"""Rows of a stated shape in place of data sets."""

import functools
from collections import defaultdict

from . import fields, imports, pictures


def attach(record):
    """Replaces the loaders of data sets and metrics."""
    text = record.settings.synthetic
    columns = fields.parse(text)
    imports.after("datasets", lambda datasets: replace(record, datasets, columns, text))
    imports.after("evaluate", lambda evaluate: replace_metrics(record, evaluate))
    imports.after("torchvision.datasets", lambda datasets: pictures.replace(record, datasets, columns, text))


def replace(record, datasets, columns, text):
    """Replaces `load_dataset` of Hugging Face's `datasets`."""

    @functools.wraps(datasets.load_dataset)
    def load_dataset(path=None, name=None, *args, split=None, streaming=False, **kwargs):
        record.note(f"synthetic data: load_dataset({path!r}) gives rows of {text}")
        rows = make_rows(datasets, columns)
        rows = rows.to_iterable_dataset() if streaming else rows
        if split is not None:
            return rows if isinstance(split, str) else [rows for _ in split]
        cls = datasets.IterableDatasetDict if streaming else datasets.DatasetDict
        return cls(dict.fromkeys(("train", "validation", "test"), rows))

    datasets.load_dataset = load_dataset
    datasets.load.load_dataset = load_dataset


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
