"""transformers' `generate`: sequences end by their length alone, which is the most that they can take."""

import functools

from .. import imports


def attach(torch, record):
    """Watches the imports of transformers."""
    imports.after("transformers.generation.stopping_criteria", lambda module: never_end(module))
    imports.after("transformers.generation.utils", lambda module: change(torch, record, module.GenerationMixin))


def change(torch, record, mixin):
    """Changes the methods of `generate`."""
    keep_beams(torch, record, mixin)
    count_tokens(torch, record, mixin)


def never_end(module):
    """Has no sequence end by a token, since no token is known. What the criterion allocates, it allocates."""
    for name in ("EosTokenCriteria", "StopStringCriteria", "ConfidenceCriteria"):
        criterion = getattr(module, name, None)
        if criterion is not None:
            criterion.__call__ = ending_nothing(criterion.__call__)


def keep_beams(torch, record, mixin):
    """Has beam search go on to the length that was asked for: no score is known, and neither is how many tokens the
    beams hold that were chosen by it.
    """
    if not all(hasattr(mixin, name) for name in ("_beam_search_has_unfinished_sequences", "_flatten_beam_dim")):
        return
    unfinished, flatten = mixin._beam_search_has_unfinished_sequences, mixin._flatten_beam_dim

    @functools.wraps(unfinished)
    def has_unfinished(improvable, finished, hits, *args, **kwargs):
        result = unfinished(improvable, finished, hits, *args, **kwargs)
        known = record.values.find(hits) if record.values.find and hits.is_cuda else None
        if known is not None:
            record.values.know(result, not known.all())
        return result

    @functools.wraps(flatten)
    def flattened(tensor):
        # The only whole numbers of 32 bits are the beams of each token, -1 where there is none: all tokens have one.
        result = flatten(tensor)
        if tensor.is_cuda and tensor.dtype == torch.int32 and tensor.dim() == 3 and record.values.know:
            record.values.know(result, 0)
        return result

    mixin._beam_search_has_unfinished_sequences = staticmethod(has_unfinished)
    mixin._flatten_beam_dim = staticmethod(flattened)


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
            # A search whose length only the GPU knows is among the reads.
            if tokens > 0:
                record.note(f"generated {tokens} tokens: no end-of-sequence was taken")
        return result

    mixin.generate = counted
