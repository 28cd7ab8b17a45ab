"""Parameters that have no gradient when their optimizer steps: those that the program's data did not reach."""

# Optimizers whose parameters are looked at in their first steps only.
STEPS = 2


def attach(record):
    """Looks at parameters after each of the first steps of an optimizer."""
    from torch.optim import optimizer

    seen = {}

    def stepped(stepping, args, kwargs):
        done = seen[id(stepping)] = seen.get(id(stepping), 0) + 1
        if done <= STEPS:
            record.values.missing = missing(stepping)

    optimizer.register_optimizer_step_post_hook(stepped)


def missing(optimizer):
    """How many parameters have no gradient, their bytes, and what their gradients and states would take by the measure
    of the others; `None` if all have one.
    """
    parameters = [
        one for group in optimizer.param_groups for one in group["params"] if one.requires_grad and one.is_cuda
    ]
    without = [one for one in parameters if one.grad is None and not optimizer.state.get(one)]
    if not without or len(without) == len(parameters):
        return None
    states = held = 0
    for parameter in parameters:
        state = optimizer.state.get(parameter)
        if state:
            held += size(parameter)
            states += sum(size(one) for one in state.values() if getattr(one, "is_cuda", False) and one.dim())
    bytes_without = sum(size(one) for one in without)
    of_states = bytes_without * states // held if held else 0
    return {"parameters": len(without), "bytes": bytes_without, "states": of_states}


def size(tensor):
    """The bytes of a tensor's elements."""
    return tensor.numel() * tensor.element_size()
