//! Temporary storage that CUB's device-wide algorithms ask for.
//!
//! CUB rounds every part to 256 bytes and adds 255 for alignment, once per nesting
//! (`AliasTemporaries` in cub/util_device.cuh). Tile sizes are properties of compiled kernels: those
//! here were read off torch 2.15 (CUDA 13.2) at lengths from 3 073 to 1 000 000.

use crate::device::Device;

const ALIGNMENT: u64 = 256;
const SLACK: u64 = ALIGNMENT - 1;
/// A tile's state, and the tiles of one warp in front of the first (`ScanTileState`).
const TILE_STATE: u64 = 16;
const PADDING_TILES: u64 = 32;

/// The states of a decoupled look-back over `length` items, nested twice.
fn look_back(length: u64, tile: u64) -> u64 {
    look_back_of(length, tile, TILE_STATE)
}

fn look_back_of(length: u64, tile: u64, state: u64) -> u64 {
    let states = (length.div_ceil(tile) + PADDING_TILES) * state;
    (states.next_multiple_of(ALIGNMENT) + SLACK).next_multiple_of(ALIGNMENT) + SLACK
}

/// `cub::DeviceScan` over 64-bit integers.
pub(super) fn scan_scratch(length: u64) -> u64 {
    const TILE: u64 = 896;
    look_back(length, TILE)
}

/// `cub::DeviceScan` over 32-bit integers, whose tiles' states are half as large. Read off up to 1 000 numbers, which are
/// fewer than the tiles that one rounding holds.
pub(super) fn scan_scratch_of_four_bytes(length: u64) -> u64 {
    const TILE: u64 = 896;
    look_back_of(length, TILE, TILE_STATE / 2)
}

/// `thrust::unique_by_key` over 64-bit keys and values, its look-back part.
pub(super) fn unique_scratch(device: &Device, length: u64) -> u64 {
    let tile = if device.properties().compute_capability.0 >= 9 { 4864 } else { 1344 };
    look_back(length, tile)
}

/// `cub::DeviceRadixSort::SortPairs` of 64-bit keys and values over `bits` bits: a second pair of
/// buffers where it takes more than one pass, histograms per pass, counters, and a look-back per tile.
pub(super) fn sort_scratch(device: &Device, length: u64, bits: u64) -> u64 {
    /// Up to this many pairs are sorted by one thread block, which needs nothing but a byte to stand for it.
    const SINGLE_TILE: u64 = 2304;
    if length <= SINGLE_TILE {
        return 1;
    }
    const DIGIT_BITS: u64 = 8;
    const DIGITS: u64 = 1 << DIGIT_BITS;
    let tile = if device.properties().compute_capability.0 >= 9 { 4608 } else { 3840 };
    let passes = bits.div_ceil(DIGIT_BITS);
    let buffer = length.saturating_mul(8).next_multiple_of(ALIGNMENT);
    let buffers = if passes > 1 { 2 * buffer } else { 0 };
    let histograms = DIGITS * 8 * passes;
    buffers + histograms + ALIGNMENT + DIGITS * 4 * length.div_ceil(tile) + SLACK
}
