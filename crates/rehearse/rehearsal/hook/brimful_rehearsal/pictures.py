"""torchvision's data sets if their files are missing: black pictures of the stated size, all of one class."""

import functools
import io

from .fields import choose, row_count


def encoded(height, width):
    """A picture as a PNG file."""
    buffer = io.BytesIO()
    picture(height, width).save(buffer, "PNG")
    return buffer.getvalue()


def picture(height, width, mode="RGB"):
    """A black picture of Pillow's."""
    from PIL import Image

    return Image.new(mode, (width, height))


def replace(record, datasets, stated):
    """Replaces every data set of torchvision for which one of the stated fields is a picture."""
    for name in datasets.__all__:
        cls = getattr(datasets, name)
        if isinstance(cls, type) and "__init__" in vars(cls) and name not in ("VisionDataset", "FakeData"):
            rows = choose(stated, (name,))
            shapes = [field.shape for field in rows.columns if field.dtype == "image"] if rows else ()
            if shapes:
                replace_one(record, cls, shapes[0][1:], row_count(rows.columns), rows.text)


def replace_one(record, cls, size, rows, text):
    """Replaces a data set whose files cannot be read; one that can be read stays."""
    build, item, length = cls.__init__, cls.__getitem__, cls.__len__

    @functools.wraps(build)
    def __init__(self, *args, **kwargs):
        try:
            build(self, *args, **kwargs)
        except (OSError, RuntimeError, AttributeError):
            record.note(f"synthetic data: {cls.__name__} is not here; it gives pictures of {text}")
            self.is_stand_in, self.classes = True, ["0", "1"]
            self.transform = kwargs.get("transform") or getattr(self, "transform", None)
            self.target_transform = kwargs.get("target_transform")

    def __getitem__(self, number):
        if not getattr(self, "is_stand_in", False):
            return item(self, number)
        if not 0 <= number < rows:
            raise IndexError(number)
        # The pictures of handwriting have one channel.
        shown = picture(*size, mode="L" if "MNIST" in cls.__name__ else "RGB")
        shown = self.transform(shown) if self.transform else shown
        return shown, self.target_transform(0) if self.target_transform else 0

    def __len__(self):
        return rows if getattr(self, "is_stand_in", False) else length(self)

    cls.__init__, cls.__getitem__, cls.__len__ = __init__, __getitem__, __len__
