//! Which products with 4-bit weights have a kernel of their own (`_gemm_4bit_use_custom_cuda` in
//! bitsandbytes/backends/cuda/ops.py, 0.50). The thresholds are bitsandbytes' own measurements.

use brimful_devices::Processor;
use brimful_units::{Dtype, Shape};

/// Beyond so many rows no kernel is used.
const MOST_ROWS: u64 = 1536;
/// Up to so many rows there is always one.
const ALWAYS: u64 = 4;
/// Columns of the output that one thread block computes.
const COLUMNS: u64 = 64;
/// A weight with fewer elements is a small one.
const SMALL: u64 = 4 * 1024 * 1024;

/// A product of `m` rows with a weight `[n, k]`, on so many multiprocessors.
#[derive(Clone, Copy)]
struct Product {
    m: u64,
    n: u64,
    k: u64,
    /// Thread blocks of the output's columns.
    blocks: u64,
    multiprocessors: u64,
}

/// Whether the packed weight is read by a kernel, so that nothing is dequantized.
pub(super) fn has_kernel(processor: Processor, dtype: Dtype, rows: u64, weight: &Shape) -> bool {
    if rows > MOST_ROWS {
        return false;
    }
    let (n, k) = (weight[0], weight[1]);
    let blocks = n.div_ceil(COLUMNS);
    let product = Product { m: rows, n, k, blocks, multiprocessors: processor.multiprocessors };
    if rows <= ALWAYS {
        return true;
    }
    let capability = processor.compute_capability;
    match capability {
        // fp32 has no kernel of the matrix units, nor has anything before 7.5, and 7.5 has one for fp16 only.
        _ if dtype == Dtype::F32 => rows < 8,
        (7, 5..) if dtype == Dtype::F16 => product.tiers(capability),
        (..=7, _) => rows < 8,
        (8, 7) | (11, _) => false,
        (10, _) => product.on_blackwell(),
        _ => product.tiers(capability),
    }
}

impl Product {
    /// Whether the output has at least `parts / of` times as many blocks as there are multiprocessors.
    fn waves(&self, parts: u64, of: u64) -> bool {
        self.blocks * of >= self.multiprocessors * parts
    }

    /// Whether the output has at least half as many blocks, rounded down as in Python.
    fn half(&self) -> bool {
        self.blocks >= self.multiprocessors / 2
    }

    fn on_blackwell(&self) -> bool {
        match () {
            () if self.waves(3, 1) => self.m <= 32,
            () if self.waves(1, 1) => self.k < self.n && self.m <= 8,
            () => false,
        }
    }

    fn tiers(&self, capability: (u8, u8)) -> bool {
        if self.n * self.k < SMALL {
            return self.small(capability);
        }
        if self.m > 512 {
            return false;
        }
        if self.m < 8 {
            return self.few_rows(capability);
        }
        match capability {
            (7, _) => self.on_turing(),
            (8, 0) => self.on_a100(),
            (8, 6) => self.on_a10(),
            (9, _) => self.on_hopper(),
            (12, 1) if self.waves(1, 1) => self.m <= 256,
            (12, 0) => self.on_rtx_50(),
            _ => self.on_others(),
        }
    }

    fn small(&self, capability: (u8, u8)) -> bool {
        let has_hbm = matches!(capability, (8, 0) | (9, _));
        if self.k * 2 < self.n {
            return self.small_and_wide(capability);
        }
        let quarter = self.blocks * 4 <= self.multiprocessors;
        if capability == (8, 0) && quarter {
            let eighth = self.blocks * 8 <= self.multiprocessors;
            return match () {
                () if self.k < self.n => self.m <= 384,
                () if eighth => self.m <= 32,
                () => self.m <= 128,
            };
        }
        if capability.0 == 7 && self.blocks < self.multiprocessors && self.m > 8 {
            return self.m <= 64;
        }
        match () {
            () if quarter => self.m <= if self.k < self.n || has_hbm { 32 } else { 23 },
            () if self.blocks * 2 <= self.multiprocessors => self.m <= 16,
            () => false,
        }
    }

    fn small_and_wide(&self, capability: (u8, u8)) -> bool {
        let low = self.blocks * 3 < self.multiprocessors;
        let most = match capability {
            (8, 0) if low => 1536,
            (8, 0) | (9, _) if low || capability == (8, 0) => 512,
            (9, _) => 320,
            (7, _) if self.waves(3, 1) => 320,
            (7, _) if self.k >= 1024 => 64,
            (7, _) if self.k >= 704 => 96,
            (7, _) => 320,
            _ if self.waves(1, 1) => 320,
            _ if self.blocks * self.k > self.multiprocessors * 320 => 192,
            _ => 320,
        };
        self.m <= most
    }

    /// 5 to 7 rows.
    fn few_rows(&self, capability: (u8, u8)) -> bool {
        let is_hopper = capability.0 == 9;
        let has_hbm = is_hopper || capability == (8, 0);
        let from = if is_hopper { 36 } else { 48 };
        if !has_hbm || self.m < 6 || self.blocks < from {
            return true;
        }
        let (below_75, below_60) = (!self.waves(3, 4), !self.waves(3, 5));
        if self.k > self.n && below_75 {
            return false;
        }
        let loses = if is_hopper { below_75 && !below_60 } else { below_60 };
        !(self.k == self.n && loses)
    }

    fn on_turing(&self) -> bool {
        let most = match () {
            () if self.waves(3, 1) && self.k < self.n => 128,
            () if self.waves(3, 1) || self.half() => 64,
            () => 32,
        };
        self.m <= most
    }

    fn on_a100(&self) -> bool {
        let most = match () {
            () if self.waves(3, 1) => 128,
            () if self.waves(1, 1) && self.k < self.n => 64,
            () if self.waves(1, 1) => 32,
            () if self.k >= self.n * 3 && self.blocks * 4 > self.multiprocessors => 0,
            () if self.k == self.n && self.blocks >= 48 && !self.waves(3, 5) => 0,
            () if self.blocks * 2 < self.multiprocessors && self.k <= self.n => 128,
            () if self.blocks * 2 < self.multiprocessors && self.waves(1, 3) => 0,
            () if self.half() && self.k < self.n => 128,
            () => 16,
        };
        self.m <= most
    }

    fn on_a10(&self) -> bool {
        let most = match () {
            () if self.waves(1, 1) => 128,
            () if self.half() => 64,
            () => 16,
        };
        self.m <= most
    }

    fn on_hopper(&self) -> bool {
        let most = match () {
            () if self.waves(3, 1) => 64,
            () if self.waves(2, 1) => 48,
            () if self.waves(1, 1) => 32,
            () if self.half() && (self.k < self.n || self.waves(3, 4)) => 16,
            () => 0,
        };
        self.m <= most
    }

    fn on_rtx_50(&self) -> bool {
        let most = match () {
            () if self.waves(3, 1) => 256,
            () if self.waves(2, 1) => 128,
            () if self.waves(4, 5) && self.k >= self.n => 96,
            () if self.waves(4, 5) || self.waves(1, 1) => 64,
            () if self.half() && self.k * 2 >= self.n && self.blocks >= 128 => 64,
            () if self.half() => 8,
            () if self.k > self.n * 2 && self.blocks > 64 => 16,
            () => 8,
        };
        self.m <= most
    }

    fn on_others(&self) -> bool {
        let tall = self.k > self.n * 2;
        let most = match () {
            () if self.waves(3, 1) => 256,
            () if self.waves(2, 1) => 128,
            () if self.waves(4, 5) && (tall || self.blocks >= 200) => 128,
            () if self.waves(4, 5) && self.k >= self.n && self.multiprocessors >= 60 => 128,
            () if self.waves(4, 5) && self.k >= self.n => 32,
            () if self.waves(4, 5) => 64,
            () if self.half() && tall => 64,
            () if self.half() && self.blocks >= 64 => 8,
            () if self.half() => 32,
            () if self.k > self.n && self.blocks <= 48 && self.k >= self.n * 3 => 12,
            () if self.k > self.n && self.blocks <= 48 => 10,
            () if tall || self.blocks < 48 => 16,
            () => 8,
        };
        self.m <= most
    }
}
