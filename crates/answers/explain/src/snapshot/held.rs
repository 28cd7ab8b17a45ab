//! What was in memory at an instant: by purpose, by place in the program, by block.

use brimful_replay::LayoutBlock;
use brimful_trace::{AllocationId, BlockState, Category, ContextId, Trace};
use brimful_units::Bytes;
use rustc_hash::FxHashMap;

use super::Named;
use super::purpose::Purpose;
use super::sites::{module, owner, stack_text};

/// Memory of one purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// What it is for.
    pub category: Category,
    /// How much (ledger: requested).
    pub bytes: Bytes,
    /// How much of it could be for something else.
    pub uncertain: Bytes,
    /// How much of it are parameters that get no gradient.
    pub frozen: Bytes,
}

/// Memory that one place in the program holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// How much (ledger: requested).
    pub bytes: Bytes,
    /// In how many blocks.
    pub blocks: u64,
    /// What it is for.
    pub category: Category,
    /// The module, any layer of it, and the innermost line outside of PyTorch.
    pub owner: String,
    /// The stack, innermost first.
    pub stack: Vec<String>,
}

/// Memory of one purpose that one line of the program holds, whatever called it, in any layer of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// How much (ledger: requested).
    pub bytes: Bytes,
    /// In how many blocks.
    pub blocks: u64,
    /// What it is for.
    pub category: Category,
    /// The module, any layer of it, and the innermost line outside of PyTorch.
    pub owner: String,
}

/// One block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its size (ledger: requested).
    pub bytes: Bytes,
    /// Its address.
    pub address: u64,
    /// What it is for.
    pub purpose: Purpose,
    /// The module that asked; empty where the recording does not tell.
    pub module: String,
    /// The module, any layer of it, and the innermost line outside of PyTorch.
    pub owner: String,
    /// The stack, innermost first.
    pub stack: Vec<String>,
}

/// What was in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// By purpose, largest first.
    pub shares: Vec<Share>,
    /// By line and purpose, largest first.
    pub owners: Vec<Owner>,
    /// By stack, largest first.
    pub sites: Vec<Site>,
    /// The largest blocks.
    pub blocks: Vec<Held>,
}

/// The memory of an instant.
pub fn contents(trace: &Trace, blocks: &[LayoutBlock], purposes: &[Purpose], named: Named) -> Contents {
    let active = blocks.iter().filter(|block| block.state != BlockState::Inactive);
    let mut ids: Vec<AllocationId> = active.filter_map(|block| block.allocation).collect();
    let mut shares: Vec<Share> = Category::ALL
        .iter()
        .map(|c| Share { category: *c, bytes: Bytes::ZERO, uncertain: Bytes::ZERO, frozen: Bytes::ZERO })
        .collect();
    let mut sites: FxHashMap<(ContextId, Category), (Bytes, u64)> = FxHashMap::default();
    for id in &ids {
        let (row, purpose) = (trace.allocations.get(*id), purposes[id.index()]);
        let share = &mut shares[purpose.category as usize];
        share.bytes += row.bytes;
        share.uncertain += if purpose.uncertain { row.bytes } else { Bytes::ZERO };
        share.frozen += if purpose.frozen { row.bytes } else { Bytes::ZERO };
        let site = sites.entry((row.context, purpose.category)).or_default();
        site.0 += row.bytes;
        site.1 += 1;
    }
    shares.retain(|share| share.bytes > Bytes::ZERO);
    shares.sort_by_key(|share| (std::cmp::Reverse(share.bytes), share.category));
    let mut by_size: Vec<_> = sites.into_iter().collect();
    by_size.sort_by_key(|(key, site)| (std::cmp::Reverse(site.0), *key));
    ids.sort_by_key(|id| (std::cmp::Reverse(trace.allocations.bytes(*id)), id.0));
    Contents {
        shares,
        owners: owners(trace, &by_size, named.owners),
        sites: by_size.into_iter().take(named.sites).map(|(key, sum)| site(trace, key, sum)).collect(),
        blocks: ids.into_iter().take(named.blocks).map(|id| held(trace, id, purposes)).collect(),
    }
}

type Summed = ((ContextId, Category), (Bytes, u64));

fn owners(trace: &Trace, sites: &[Summed], most: usize) -> Vec<Owner> {
    let mut sums: FxHashMap<(String, Category), (Bytes, u64)> = FxHashMap::default();
    for ((context, category), (bytes, blocks)) in sites {
        let sum = sums.entry((owner(trace, *context), *category)).or_default();
        sum.0 += *bytes;
        sum.1 += blocks;
    }
    let row = |((owner, category), (bytes, blocks))| Owner { bytes, blocks, category, owner };
    let mut owners: Vec<Owner> = sums.into_iter().map(row).collect();
    owners.sort_by(|a, b| {
        b.bytes.cmp(&a.bytes).then_with(|| (a.category, &a.owner).cmp(&(b.category, &b.owner)))
    });
    owners.truncate(most);
    owners
}

fn site(trace: &Trace, (context, category): (ContextId, Category), (bytes, blocks): (Bytes, u64)) -> Site {
    Site { bytes, blocks, category, owner: owner(trace, context), stack: stack_text(trace, context) }
}

/// A block with its names.
pub fn held(trace: &Trace, id: AllocationId, purposes: &[Purpose]) -> Held {
    let row = trace.allocations.get(id);
    Held {
        bytes: row.bytes,
        address: row.address.unwrap_or(0),
        purpose: purposes[id.index()],
        module: module(trace, row.context).to_owned(),
        owner: owner(trace, row.context),
        stack: stack_text(trace, row.context),
    }
}
