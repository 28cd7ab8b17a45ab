//! How many blocks a KV cache has, how many a request takes, and what follows: tokens and requests at once
//! (v1/core/kv_cache_planning.py and kv_cache_utils.py, vLLM 0.33).

use super::defaults::Start;
use super::groups::{Group, GroupKind};
use super::rules::Counted;
use crate::weights::product;

/// A KV cache's groups under a start's settings.
pub(super) struct Plan<'a> {
    pub(super) groups: &'a [Group],
    pub(super) start: &'a Start,
}

impl Plan<'_> {
    /// Bytes of one block: a page for each layer of the largest group, since all groups draw from one pool.
    pub(super) fn bytes_per_block(&self) -> u64 {
        self.groups.iter().map(|group| product([group.layers, group.page_size])).max().unwrap_or(0).max(1)
    }

    /// Blocks in so many bytes.
    pub(super) fn blocks_in(&self, bytes: u64) -> u64 {
        bytes / self.bytes_per_block()
    }

    /// Blocks that a request of this length takes of all groups.
    pub(super) fn blocks_of_request(&self, length: u64) -> u64 {
        let of_group = |group: &Group| product([group.count, self.blocks_in_group(group, length)]);
        self.groups.iter().fold(0, |sum: u64, group| sum.saturating_add(of_group(group)))
    }

    /// Blocks of one group that a request of this length takes at most.
    fn blocks_in_group(&self, group: &Group, length: u64) -> u64 {
        let in_flight = self.start.tokens_in_flight();
        let blocks = |tokens: u64| tokens.min(length).div_ceil(group.block_size.max(1));
        match group.kind {
            GroupKind::Full | GroupKind::Latent => blocks(length),
            // A window need not begin at a block's first token, hence one block more.
            GroupKind::Sliding(window) => blocks(window.saturating_sub(1).saturating_add(in_flight)) + 1,
            GroupKind::Chunked(chunk) => blocks(chunk.saturating_add(in_flight)),
            GroupKind::State { pages } => pages,
        }
    }

    /// Bytes that must be there for one request of this length. One block is set aside and never handed out (the null block).
    pub(super) fn needed(&self, length: u64) -> u64 {
        product([self.blocks_of_request(length).saturating_add(1), self.bytes_per_block()])
    }

    /// The longest request, up to `most`, for which the bytes suffice; `None` if not even one token fits.
    pub(super) fn longest_in(&self, bytes: u64, most: u64) -> Option<u64> {
        let fits = |length: u64| self.needed(length) <= bytes;
        let (mut low, mut high) = (0, most);
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            if fits(middle) { low = middle } else { high = middle - 1 }
        }
        (low > 0).then_some(low)
    }

    /// Requests of this length that the blocks hold at once.
    pub(super) fn requests_in(&self, blocks: u64, length: u64) -> f64 {
        blocks as f64 / self.blocks_of_request(length).max(1) as f64
    }

    /// "GPU KV cache size: N tokens", where the longest request has this length.
    pub(super) fn tokens_in(&self, blocks: u64, length: u64) -> u64 {
        match self.start.rules.counts_tokens_by {
            Counted::Requests => (self.requests_in(blocks, length) * length as f64) as u64,
            Counted::Blocks => {
                let groups = self.groups.iter().map(|group| group.count).sum::<u64>().max(1);
                let block = self.groups.first().map_or(0, |group| group.block_size);
                product([blocks / groups, block])
            }
        }
    }
}
