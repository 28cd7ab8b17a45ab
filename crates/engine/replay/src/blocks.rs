//! The blocks of every segment, and the pools that keep the free ones in order.

use std::collections::BTreeSet;

use brimful_trace::LaneId;

use crate::free::{FreeKey, FreeList};

/// A block's place in the arena.
pub(crate) type BlockId = u32;

/// Stands for "no neighbour".
pub(crate) const NONE: BlockId = BlockId::MAX;

/// A range of a segment.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub address: u64,
    pub size: u64,
    pub requested: u64,
    pub lane: LaneId,
    pub small: bool,
    /// Handed out, or waiting for another stream.
    pub allocated: bool,
    /// Given back, but another stream may still use it.
    pub pending: bool,
    /// False for a range of an expandable segment without memory behind it.
    pub mapped: bool,
    pub expandable: bool,
    pub previous: BlockId,
    pub next: BlockId,
    /// The pool's number of requests when it became free, for garbage collection.
    pub freed_at: u64,
    /// What orders it among free blocks of its size ([`crate::Ties`]).
    pub counter: u32,
    /// Distinguishes this use of the id from earlier ones.
    pub serial: u32,
}

/// Blocks by id; ids are used again.
#[derive(Default)]
pub(crate) struct Blocks {
    all: Vec<Block>,
    unused: Vec<BlockId>,
    serial: u32,
}

impl Blocks {
    /// Adds a block, which has no neighbours yet unless it names them.
    pub fn insert(&mut self, block: Block) -> BlockId {
        self.serial = self.serial.wrapping_add(1);
        let block = Block { serial: self.serial, ..block };
        if let Some(id) = self.unused.pop() {
            self.all[id as usize] = block;
            return id;
        }
        self.all.push(block);
        self.all.len() as BlockId - 1
    }

    /// Removes a block; its id may be given to another one.
    pub fn remove(&mut self, id: BlockId) {
        self.unused.push(id);
    }

    /// The block of an id.
    pub fn get(&self, id: BlockId) -> &Block {
        &self.all[id as usize]
    }

    /// The block of an id, to be changed.
    pub fn get_mut(&mut self, id: BlockId) -> &mut Block {
        &mut self.all[id as usize]
    }

    /// Whether the block is a segment of its own.
    pub fn is_whole_segment(&self, id: BlockId) -> bool {
        let block = self.get(id);
        block.previous == NONE && block.next == NONE
    }

    /// Whether a neighbour is free, with memory behind it.
    pub fn is_free_mapped(&self, id: BlockId) -> bool {
        id != NONE && !self.get(id).allocated && self.get(id).mapped
    }

    /// The block's place among the free ones.
    pub fn key(&self, id: BlockId) -> FreeKey {
        let block = self.get(id);
        let Block { lane, size, counter, address, .. } = *block;
        FreeKey { lane, size, counter, address, id }
    }

    /// Puts a new block directly in front of another one.
    pub fn link_before(&mut self, new: BlockId, id: BlockId) {
        let previous = self.get(id).previous;
        self.get_mut(new).previous = previous;
        self.get_mut(new).next = id;
        self.get_mut(id).previous = new;
        if previous != NONE {
            self.get_mut(previous).next = new;
        }
    }

    /// Puts a new block directly behind another one.
    pub fn link_after(&mut self, new: BlockId, id: BlockId) {
        let next = self.get(id).next;
        self.get_mut(new).next = next;
        self.get_mut(new).previous = id;
        self.get_mut(id).next = new;
        if next != NONE {
            self.get_mut(next).previous = new;
        }
    }

    /// Merges a block's neighbour into it; the neighbour is gone afterwards.
    pub fn absorb(&mut self, id: BlockId, neighbour: BlockId) {
        let gone = self.get(neighbour).clone();
        let block = self.get_mut(id);
        block.size += gone.size;
        if gone.next == id {
            block.address = gone.address;
            block.previous = gone.previous;
            if gone.previous != NONE {
                self.get_mut(gone.previous).next = id;
            }
        } else {
            block.next = gone.next;
            if gone.next != NONE {
                self.get_mut(gone.next).previous = id;
            }
        }
        self.remove(neighbour);
    }
}

/// The free blocks of one kind.
#[derive(Default)]
pub(crate) struct Pool {
    pub free: FreeList,
    /// Ranges of expandable segments without memory, by lane and address.
    pub unmapped: BTreeSet<(LaneId, u64, BlockId)>,
    /// Requests so far, for garbage collection.
    pub requests: u64,
}
