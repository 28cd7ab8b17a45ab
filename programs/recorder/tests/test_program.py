"""Tests of what is done with recorded lines: unions, closedness, and what a config's class makes of its keys."""

import tempfile
import unittest
from pathlib import Path

from brimful_recorder import classes, closed, unions
from brimful_recorder.__main__ import _known, _table
from brimful_recorder.tasks import TASKS
from brimful_recorder.tracer import Refusal


class Unions(unittest.TestCase):
    """Two sections as one."""

    def test_lines_that_differ_stand_under_their_conditions(self):
        one = ["%0 = torch.ones(4)", "%1 = .add(%0, 1)", "drop %0", "return logits=%1"]
        other = ["%0 = torch.ones(4)", "%1 = .neg(%0)", "drop %0", "%2 = .add(%1, 1)", "drop %1", "return logits=%2"]
        made = unions.union(one, other, "key == null", "key != null")
        ways = ["when key == null", one[1], "end", "when key != null", "%2 = .neg(%0)", "end", "drop %0"]
        ways += ["when key != null", "%1 = .add(%2, 1)", "drop %2", "end", "return logits=%1"]
        self.assertEqual(made, one[:1] + ways)
        other = ["%0 = torch.ones(4)", "%1 = .neg(%0)", "drop %1", "%2 = .add(%0, 1)", "drop %0", "return logits=%2"]
        made = unions.union(one, other, "key == null", "key != null")
        block = ["when key != null", "%1 = .neg(%0)", "drop %1", "end"]
        expected = [one[0], *block, "%2 = .add(%0, 1)", "drop %0", "return logits=%2"]
        self.assertEqual(made, expected)

    def test_a_block_is_not_cut(self):
        one = ["%0 = torch.ones(4)", "%1 = .add(%0, 1)", "%2 = .add(%1, 1)", "return logits=%2"]
        other = [one[0], "enter a A", one[1], "leave", *one[2:]]
        self.assertIsNone(unions.union(one, other, "a", "not a"))

    def test_sections_that_share_little_stay_apart(self):
        self.assertIsNone(unions.union(["a", "b", "c"], ["a", "d", "e"], "x", "not x"))


class Closed(unittest.TestCase):
    """Names from nowhere."""

    def test_a_name_that_was_dropped_is_refused(self):
        with self.assertRaises(Refusal):
            closed.check(["%0 = torch.ones(4)", "drop %0", "%1 = .neg(%0)"])

    def test_the_size_of_a_name_that_was_dropped_is_none(self):
        closed.check(["%0 = torch.ones(4)", "drop %0", "%1 = torch.ones(%0.0)"])

    def test_a_checkpointed_layer_sees_its_arguments_alone(self):
        lines = ["%0 = torch.ones(4)", "%1 = torch.ones(4)", "enter layer Layer (%0)", "%2 = .add(%0, %1)", "leave %2"]
        with self.assertRaises(Refusal):
            closed.check(lines)
        lines[2] = "enter layer Layer (%0; mask=%1)"
        closed.check(lines)

    def test_both_ways_of_a_condition_may_end_a_name(self):
        closed.check(["%0 = a()", "when x", "drop %0", "end", "when not x", "%1 = .neg(%0)", "drop %0", "end"])


class Keys(unittest.TestCase):
    """What classes make of keys."""

    def test_a_list_of_kinds_follows_the_class(self):
        from transformers import Qwen2Config

        rules = classes.Rules(Qwen2Config())
        self.assertEqual(rules.replaced, {"sliding_window": "sliding_window if use_sliding_window else null"})
        kinds = '"sliding_attention" if (sliding_window != null and i >= max_window_layers) else "full_attention"'
        self.assertEqual(rules.missing["layer_types"], f"[{kinds} for i in num_hidden_layers]")
        self.assertEqual(rules.missing["num_key_value_heads"], "num_attention_heads")

    def test_a_list_that_a_loop_fills_follows_the_class(self):
        from transformers import SmolLM3Config

        rules = classes.Rules(SmolLM3Config())
        ropes = "1 if ((i + 1) % no_rope_layer_interval) != 0 else 0"
        self.assertEqual(rules.missing["no_rope_layers"], f"[{ropes} for i in num_hidden_layers]")
        windows = "use_sliding_window and sliding_window != null and not (no_rope_layers[i])"
        kinds = f'"sliding_attention" if ({windows}) else "full_attention"'
        self.assertEqual(rules.missing["layer_types"], f"[{kinds} for i in num_hidden_layers]")

    def test_a_key_that_the_class_does_not_keep_has_the_classs_default(self):
        from transformers import Gemma3TextConfig

        rules = classes.Rules(Gemma3TextConfig())
        self.assertIn("(i + 1) % sliding_window_pattern", rules.missing["layer_types"])
        self.assertEqual(rules.defaults["sliding_window_pattern"], 6)


class Tables(unittest.TestCase):
    """The table of types."""

    def test_a_row_that_is_no_type_does_not_come_back(self):
        with tempfile.TemporaryDirectory() as folder:
            table = Path(folder, "table.md")
            outcomes = {"llama": "recorded", "GiB": "not tried yet", "rwkv": "refused: a | b"}
            table.write_text(_table(outcomes, TASKS["causal-lm"], "5.23.0"))
            known = _known(table, ["llama", "rwkv", "xlm"], Path(folder))
        self.assertEqual(known, {"llama": "recorded", "rwkv": "refused: a | b", "xlm": "not tried yet"})

    def test_a_type_that_has_a_program_was_recorded(self):
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "llama.program").write_text("recorded torch 2.15.0 python 3.11 recorder 2\n")
            known = _known(None, ["llama", "xlm"], Path(folder))
        self.assertEqual(known, {"llama": "recorded by version 2 of the recorder", "xlm": "not tried yet"})
