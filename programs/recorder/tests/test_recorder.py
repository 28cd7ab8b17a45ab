"""The recorder on toy modules."""

import unittest

import torch
from torch import nn

from brimful_recorder import loops, modules
from brimful_recorder.build import BuildTracer, finished, watched
from brimful_recorder.loops import renumbered
from brimful_recorder.symbols import GUARDS, Integer, Number, Shape
from brimful_recorder.tracer import Refusal, Tracer


def traced(function, *inputs):
    """The lines of a call of `function` with tensors named `a`, `b` …."""
    tracer = Tracer()
    for name, value in zip("abcdef", inputs):
        tracer.fix(value, name)
    with tracer:
        result = function(*inputs)
        tracer.emit("return")
        lines = list(tracer.lines)
        tracer.paused = 1
    del result
    return lines


class Lifetimes(unittest.TestCase):
    def test_a_temporary_is_dropped_behind_the_call_that_takes_it(self):
        lines = traced(lambda a: (a + 1).exp() * 2, torch.ones(2))
        self.assertEqual(
            lines, ["%0 = .add(a, 1)", "%1 = .exp(%0)", "drop %0", "%2 = .mul(%1, 2)", "drop %1", "return"]
        )

    def test_a_local_lives_until_its_function_returns(self):
        def function(a):
            kept = a + 1
            return kept.exp().sin()

        self.assertEqual(traced(function, torch.ones(2))[-2:], ["drop %0", "return"])

    def test_a_base_is_dropped_where_python_frees_it_though_a_view_keeps_it(self):
        def function(a):
            view = (a + 1).view(4)
            return view.exp()

        lines = traced(function, torch.ones(2, 2))
        self.assertEqual(lines[:4], ["%0 = .add(a, 1)", "%1 = .view(%0, 4)", "drop %0", "%2 = .exp(%1)"])

    def test_a_call_that_returns_its_argument_gives_a_name_of_its_own(self):
        def function(a):
            same = (a + 1).contiguous()
            return same.exp()

        lines = traced(function, torch.ones(2))
        self.assertEqual(lines[:3], ["%0 = .add(a, 1)", "%1 = .contiguous(%0)", "drop %0"])

    def test_a_move_to_a_device_is_no_call(self):
        self.assertEqual(traced(lambda a: a.to(a.device).exp(), torch.ones(2))[0], "%0 = .exp(a)")

    def test_an_in_place_call_has_no_result(self):
        lines = traced(lambda a: (a + 1).mul_(3), torch.ones(2))
        self.assertEqual(lines, ["%0 = .add(a, 1)", ".mul_(%0, 3)", "return"])


class Origins(unittest.TestCase):
    def test_a_size_is_written_as_the_tensor_it_was_read_from(self):
        lines = traced(lambda a: a.view(a.shape[0] * a.shape[1] // 2, -1), torch.ones(2, 4))
        self.assertEqual(lines[0], "%0 = .view(a, a.0 * a.1 // 2, -1)")

    def test_brackets_stand_only_where_they_change_the_value(self):
        one, two = Integer(7, "one"), Integer(2, "two")
        self.assertEqual((one - (two - 1)).text, "one - (two - 1)")
        self.assertEqual((one - two - 1).text, "one - two - 1")
        self.assertEqual(((one + two) * 3).text, "(one + two) * 3")
        self.assertEqual((one + two * 3).text, "one + two * 3")

    def test_a_type_is_written_as_the_tensor_it_was_read_from(self):
        def function(a, b):
            return a.to(b.dtype), a.to(torch.float32), a.to(torch.bfloat16)

        lines = traced(function, torch.ones(2, dtype=torch.float16), torch.ones(1, dtype=torch.bfloat16))
        self.assertEqual(lines[:3], ["%0 = .to(a, b.dtype)", "%1 = .to(a, f32)", "%2 = .to(a, bf16)"])

    def test_a_type_that_was_read_compares_equal_to_torchs_own(self):
        def function(a):
            read = a.dtype
            self.assertTrue(read == torch.float32 and torch.float32 == read)
            self.assertTrue(read != torch.float16 and read in {torch.float32})
            self.assertTrue(torch.finfo(read).max > 1e30)
            return a + 1

        traced(function, torch.ones(2))

    def test_a_float_that_scales_is_only_a_number(self):
        scale = Number(0.5, "head_dim ** -0.5", 4)
        self.assertEqual(traced(lambda a: a * scale, torch.ones(2))[0], "%0 = .mul(a, float(0))")
        self.assertEqual(traced(lambda a: a + Number(1e-6, "eps"), torch.ones(2))[0], "%0 = .add(a, eps)")

    def test_a_slice_of_a_shape_is_a_shape(self):
        shape = Shape((Integer(2, "a.0"), Integer(3, "a.1")))
        self.assertEqual(shape[:1].numel().text, "a.0")


class Guarded(unittest.TestCase):
    def test_a_comparison_of_a_size_is_told_with_its_result(self):
        seen = []
        GUARDS.on_check = lambda text, result: seen.append((text, result))
        try:
            self.assertFalse(Integer(3, "a.1") > Integer(9, "window"))
        finally:
            GUARDS.on_check = None
        self.assertEqual(seen, [("(a.1 > window)", False)])

    def test_a_size_of_what_the_caller_passes_is_no_condition_of_the_config(self):
        tracer = Tracer()
        tracer.check("(pixel_values.2 != image_size)", False)
        tracer.check("(num_labels > 0)", True)
        self.assertEqual(tracer.lines, ["check (pixel_values.2 != image_size) false"])
        self.assertEqual(tracer.conditions, {"(num_labels > 0)": True})

    def test_a_tensors_value_that_decides_is_a_check(self):
        lines = traced(lambda a: a + 1 if a.sum() > 0 else a, torch.ones(2))
        self.assertIn("check bool(%1) true", lines)

    def test_a_region_without_gradients_is_written(self):
        def function(a):
            with torch.no_grad():
                return a + 1

        self.assertEqual(traced(function, torch.ones(2)), ["grad off", "%0 = .add(a, 1)", "grad restore", "return"])


class Block(nn.Module):
    """A block with a residual."""

    def __init__(self, width, deep):
        super().__init__()
        self.proj = nn.Linear(width, width, bias=False)
        self.scale = nn.Parameter(torch.ones(width))
        self.deep = deep

    def forward(self, x):
        """Adds a projection."""
        y = self.proj(x) * self.scale
        return x + (y.exp() if self.deep else y)


class Stack(nn.Module):
    """Blocks one after the other."""

    def __init__(self, deep):
        super().__init__()
        width = Integer(4, "width")
        self.layers = nn.ModuleList([Block(width, one) for one in deep])
        self.register_buffer("table", torch.arange(width) * 2)

    def forward(self, a):
        """Keeps what it was given to the end."""
        hidden = first = a + self.table
        for layer in self.layers:
            hidden = layer(hidden)
        return hidden + first


def forward_of(deep):
    """The lines of a stack's forward."""
    model = Stack(deep)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    tracer, a = Tracer(), torch.ones(2, 4)
    for path, value in [*model.named_parameters(), *model.named_buffers(), ("a", a)]:
        tracer.fix(value, path)
    modules.watch(tracer, model, Block)
    with tracer:
        output = model(a)
        tracer.emit(f"return {tracer.name(output)}")
        lines = list(tracer.lines)
        tracer.paused = 1
    return lines


def folded(lines):
    """The lines with the layers written once."""
    numbers = iter(range(1000, 9999))
    return loops.fold(lines, "layers", lambda: f"%{next(numbers)}")


class Loops(unittest.TestCase):
    def test_alike_layers_are_one_body_that_moves_its_result_to_the_next(self):
        before, bodies, chosen, after = folded(forward_of([False] * 3))
        self.assertEqual(chosen, [0, 0, 0])
        lines = renumbered(before + bodies[0] + after)
        self.assertEqual(
            lines,
            [
                "%0 = .add(a, table)",
                "copy %1 %0",
                "enter layers.{i} Block (%1)",
                "%2 = linear layers.{i}.proj(%1)",
                "%3 = .mul(%2, layers.{i}.scale)",
                "drop %2",
                "%4 = .add(%1, %3)",
                "drop %3",
                "leave %4",
                "move %1 %4",
                "%5 = .add(%1, %0)",
                "drop %1",
                "drop %0",
                "return %5",
            ],
        )

    def test_layers_that_differ_are_of_two_kinds(self):
        _, bodies, chosen, _ = folded(forward_of([False, True, False, True]))
        self.assertEqual(chosen, [0, 1, 0, 1])
        self.assertEqual([sum(".exp(" in line for line in body) for body in bodies], [0, 1])

    def test_a_first_layer_unlike_all_others_is_refused(self):
        with self.assertRaisesRegex(Refusal, "of a kind of its own"):
            folded(forward_of([True, False, False]))


class Constructors(unittest.TestCase):
    def test_a_tie_and_another_data_are_written_where_they_happen(self):
        tracer = BuildTracer(orders_ties=True)
        with watched(tracer), tracer:
            model = nn.Module()
            model.table = nn.Embedding(6, 4)
            model.head = nn.Linear(4, 6)
            model.head.weight = model.table.weight
            model.head.bias.data = model.head.bias.data + 1
            tracer.poll()
        lines = finished(tracer, model)
        tie = lines.index("tie head.weight table.weight")
        self.assertEqual(lines[tie + 1], "%0 = .data(head.bias)")
        self.assertIn(".data.__set__(head.bias, %1)", lines[tie + 2 :])

    def test_parameters_and_buffers_are_written_in_the_order_in_which_they_are_made(self):
        tracer = BuildTracer()
        with watched(tracer), tracer:
            model = Stack([False, False])
            tracer.poll()
        lines = finished(tracer, model)
        before, bodies, chosen, after = loops.fold_build(lines, "layers", lambda: "%9")
        self.assertEqual((before, chosen), ([], [0, 0]))
        self.assertEqual(
            bodies[0],
            [
                "linear layers.{i}.proj in=width out=width bias=false",
                "parameter layers.{i}.scale [width]",
            ],
        )
        self.assertEqual(
            renumbered(after), ["%0 = torch.arange(width)", "%1 = .mul(%0, 2)", "drop %0", "buffer table %1"]
        )

    def test_layers_that_are_initialised_after_all_were_made_come_in_a_loop_of_their_own(self):
        made = [f"linear layers.{index}.proj in=width out=width bias=false" for index in (0, 1)]
        begun = [["%0 = torch.arange(width)", "write layers.0.table", "drop %0"]]
        begun += [["%1 = torch.arange(width)", "write layers.1.table", "drop %1"]]
        lines = [*made, "parameter norm [width]", "grad off", *begun[0], *begun[1], "grad restore"]
        names = iter(range(8, 99))
        _, bodies, chosen, after = loops.fold_build(lines, "layers", lambda: f"%{next(names)}")
        self.assertEqual((bodies, chosen), ([["linear layers.{i}.proj in=width out=width bias=false"]], [0, 0]))
        before, bodies, chosen, after = loops.fold_build(after, "layers", lambda: f"%{next(names)}")
        self.assertEqual((before, chosen, after), (["parameter norm [width]", "grad off"], [0, 0], ["grad restore"]))
        self.assertEqual(renumbered(bodies[0]), ["%0 = torch.arange(width)", "write layers.{i}.table", "drop %0"])


class Shared(unittest.TestCase):
    def test_a_module_that_layers_share_is_called_at_its_place_in_each(self):
        layers = nn.Sequential(nn.Sequential(nn.ReLU()), nn.Sequential())
        layers[1].append(layers[0][0])
        model = nn.Module()
        model.layers, model.forward = layers, layers.forward
        tracer = Tracer()
        tracer.fix(given := torch.ones(2), "a")
        modules.watch(tracer, model)
        with tracer:
            model.layers(given)
            lines = [line for line in tracer.lines if line.startswith("enter ")]
            tracer.paused = 1
        self.assertIn("enter layers.0.0 ReLU", lines)
        self.assertIn("enter layers.1.0 ReLU", lines)


if __name__ == "__main__":
    unittest.main()
