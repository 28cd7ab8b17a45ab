"""Reads of values that only the GPU knows."""

import pathlib
import tempfile
import unittest

from brimful_rehearsal.values.decisions import decides
from brimful_rehearsal.values.reads import Reads

LOOP = """
loss = model(batch)
value = loss.item()
if not math.isfinite(value):
    raise SystemExit(value)
least = loss.item()
if least < 1e-3:
    stop()
if torch.isnan(loss) or not math.isfinite(loss.item()):
    raise SystemExit(loss.item())
while loss.item() > 1:
    step()
"""


class Decisions(unittest.TestCase):
    """Which reads of numbers decide anything."""

    def test_a_guard_against_numbers_that_are_none_decides_nothing_and_a_threshold_does(self):
        """Of the lines that read, 3 and 9 do it for `isfinite`, 5 and 10 to show it, 6 and 11 for a comparison."""
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "loop.py"
            file.write_text(LOOP)
            found = [line for line in (3, 5, 6, 9, 10, 11) if decides("number", "float", (str(file), line), False)]
        self.assertEqual(found, [6, 11])


class Rows(unittest.TestCase):
    """What a record says of reads."""

    def test_a_line_of_the_program_is_one_row_however_many_places_in_libraries_it_comes_through(self):
        """Two reads of one kind at one line add up; a read of another kind is a row of its own."""
        reads = Reads()
        line = ("train.py", 6)
        reads.lines = {
            ("number", "whole", "", line, ("library.py", 10), False): 1,
            ("number", "whole", "", line, ("library.py", 20), False): 2,
            ("number", "flag", "", line, ("library.py", 30), False): 4,
        }
        rows = [(row["type"], row["line"], row["count"]) for row in reads.content()["reads"]]
        self.assertEqual(rows, [("flag", "train.py:6", 4), ("whole", "train.py:6", 3)])


if __name__ == "__main__":
    unittest.main()
