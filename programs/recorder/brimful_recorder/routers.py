"""The logits of routers, which transformers collects with hooks, and the loss that balances experts over them."""

import ast
import functools
import inspect
import textwrap

import torch
import transformers.models.mixtral.modeling_mixtral as mixtral
import transformers.utils.output_capturing as output_capturing

from .tracer import Refusal

_LOSS = "load_balancing_loss_func"
_CURRENT = []


def patched(undo, tracer, modeling):
    """Writes what hooks collect as `router collect`, and the loss of the modules `modeling` as `router balancing`."""
    _CURRENT.append(tracer)
    undo.callback(_CURRENT.pop)
    for module in modeling:
        original = vars(module).get(_LOSS)
        if original is not None:
            undo.callback(vars(module).__setitem__, _LOSS, original)
            vars(module)[_LOSS] = _balancing(tracer, original)


def _install(module, key, index, capture_initial_hidden_state=True):
    def hook(_, args, output):
        collected = output_capturing._active_collector.get()
        if collected is None or key not in collected:
            return
        value = output[index] if isinstance(output, tuple) else output
        if value is None:
            return
        tracer = _CURRENT[-1] if _CURRENT else None
        if tracer is None or tracer.paused:
            collected[key].append(value)
            return
        if key != "router_logits":
            raise Refusal(f"{key} are collected")
        tracer.emit(f"router collect({tracer.name(value)})")
        # The list has an object of its own, so that the end of the router's names shows; it has no name.
        with tracer.pause():
            collected[key].append(torch.Tensor.detach(value))

    module.register_forward_hook(hook)


# Hooks stay on a model for its next calls, which have other tracers; the first call may have none.
output_capturing.install_output_capuring_hook = _install


def _balancing(tracer, original):
    @functools.wraps(original)
    def balance(gate_logits, num_experts=None, top_k=2, attention_mask=None):
        if tracer.paused:
            return original(gate_logits, num_experts, top_k, attention_mask)
        if not isinstance(gate_logits, tuple) or not gate_logits or any(id(one) in tracer.names for one in gate_logits):
            raise Refusal(f"{_LOSS} of other logits than the collected ones")
        if _code(original) != _code(mixtral.load_balancing_loss_func):
            raise Refusal(f"{_LOSS} is another function than Mixtral's")
        # The name stands for `None` where the caller passed no mask, and both calls are written alike.
        mask = "attention_mask" if attention_mask is None and tracer.unmasked else tracer.text(attention_mask)
        text = f"router balancing(router_logits, {tracer.text(num_experts)}, {tracer.text(top_k)}, {mask})"
        with tracer.pause():
            loss = torch.zeros(())
        return tracer.bound(text, loss)

    return balance


@functools.cache
def _code(function):
    """The function's code without its documentation and its comments."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function))))
    body = tree.body[0].body
    return "\n".join(ast.unparse(line) for line in body[ast.get_docstring(tree.body[0]) is not None :])


__all__ = ["patched"]
