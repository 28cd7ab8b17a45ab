//! How a stack calls its blocks.

use std::rc::Rc;

use super::cache::Cache;
use crate::nn::Module;
use crate::tensor::Tensor;

/// A block of a stack (`…DecoderLayer`): hidden states in, hidden states out.
pub(super) trait Block: 'static {
    /// The arguments of one call beside the hidden states, held by names of the stack's loop.
    type Given<'a>: Copy;
    /// The same, held by the call itself where it may run again. Its fields are in the order in which Python drops them:
    /// that of `**kwargs`, and of a tuple the last item first.
    type Kept: 'static;

    /// The block's identity, and what the job puts around it.
    fn module(&self) -> &Module;

    /// The block's forward.
    fn forward(&self, hidden: &Tensor, given: &Self::Given<'_>, cache: Option<&mut Cache>) -> Tensor;

    /// Takes hold of the arguments: the tensor that is passed by position, if there is one, and the keyword arguments.
    fn keep(&self, given: &Self::Given<'_>) -> (Option<Tensor>, Self::Kept);

    /// The forward with the arguments that were kept. A call that may run again is given no cache.
    fn forward_kept(&self, hidden: &Tensor, other: Option<&Tensor>, kept: &Self::Kept) -> Tensor;
}

/// Calls a block, through what the job puts around it.
pub(super) fn call<B: Block>(
    block: &Rc<B>,
    hidden: Tensor,
    given: &B::Given<'_>,
    cache: Option<&mut Cache>,
) -> Tensor {
    let module = block.module();
    if !module.is_wrapped() {
        let _module = module.scope(hidden.device());
        return block.forward(&hidden, given, cache);
    }
    let (other, kept) = block.keep(given);
    let again = block.clone();
    module.call_wrapped(hidden, other, Rc::new(move |x, other| again.forward_kept(x, other, &kept)))
}
