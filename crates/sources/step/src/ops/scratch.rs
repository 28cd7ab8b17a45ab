//! Temporary storage that CUB's device-wide algorithms ask for.
//!
//! CUB rounds every part to 256 bytes and adds 255 for alignment, once per nesting
//! (`AliasTemporaries` in cub/util_device.cuh). Tile sizes are properties of compiled kernels: those
//! here were read off torch 2.15 (CUDA 13.2) at lengths from 3 073 to 1 000 000.

use crate::device::Device;

const ALIGNMENT: u64 = 256;
const SLACK: u64 = ALIGNMENT - 1;
/// A tile's state of 64-bit sums, and the tiles of one warp in front of the first (`ScanTileState`).
const TILE_STATE: u64 = 16;
/// A tile's state of 32-bit sums: sum and status share a word of 64 bits.
const NARROW_TILE_STATE: u64 = 8;
const PADDING_TILES: u64 = 32;

/// The states of a decoupled look-back over `length` items, nested twice.
fn look_back(length: u64, tile: u64, tile_state: u64) -> u64 {
    let states = (length.div_ceil(tile) + PADDING_TILES) * tile_state;
    (states.next_multiple_of(ALIGNMENT) + SLACK).next_multiple_of(ALIGNMENT) + SLACK
}

/// `cub::DeviceScan` over 64-bit integers.
pub(super) fn scan_scratch(length: u64) -> u64 {
    const TILE: u64 = 896;
    look_back(length, TILE, TILE_STATE)
}

/// `cub::DeviceScan` over 32-bit numbers. The tile is read off torch 2.15 at lengths from 100 to 1 000 000.
pub(super) fn narrow_scan_scratch(length: u64) -> u64 {
    const TILE: u64 = 1920;
    look_back(length, TILE, NARROW_TILE_STATE)
}

/// `thrust::unique_by_key` over 64-bit keys and values, its look-back part.
pub(super) fn unique_scratch(device: &Device, length: u64) -> u64 {
    let tile = if device.properties().compute_capability.0 >= 9 { 4864 } else { 1344 };
    look_back(length, tile, TILE_STATE)
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
