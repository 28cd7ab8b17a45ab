"""Reads of values that only the GPU knows."""

import unittest

from brimful_rehearsal.values.reads import Reads


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
