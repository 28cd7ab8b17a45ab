"""transformers' `generate`: sequences end by their length alone, which is the most that they can take."""

import functools

from .. import imports


def attach(torch, record):
    """Watches the imports of transformers."""
    imports.after("transformers.generation.stopping_criteria", lambda module: never_end(module))
    imports.after("transformers.generation.utils", lambda module: count_tokens(torch, record, module.GenerationMixin))


def never_end(module):
    """Has no sequence end by a token, since no token is known. What the criterion allocates, it allocates."""
    for name in ("EosTokenCriteria", "StopStringCriteria", "ConfidenceCriteria"):
        criterion = getattr(module, name, None)
        if criterion is not None:
            criterion.__call__ = ending_nothing(criterion.__call__)


def ending_nothing(call):
    """A criterion that is never fulfilled."""

    @functools.wraps(call)
    def criterion(self, input_ids, *args, **kwargs):
        ended = call(self, input_ids, *args, **kwargs)
        return ended.fill_(False) if getattr(ended, "is_cuda", False) else ended

    return criterion


def count_tokens(torch, record, mixin):
    """Notes how many tokens were generated."""
    generate = mixin.generate

    @functools.wraps(generate)
    def counted(self, *args, **kwargs):
        result = generate(self, *args, **kwargs)
        sequences = getattr(result, "sequences", result)
        if isinstance(sequences, torch.Tensor) and sequences.is_cuda:
            given = kwargs.get("input_ids", args[0] if args else None)
            before = given.shape[-1] if isinstance(given, torch.Tensor) and not self.config.is_encoder_decoder else 0
            tokens = sequences.shape[-1] - before
            record.note(f"generated {tokens} tokens: no end-of-sequence was taken")
        return result

    mixin.generate = counted
