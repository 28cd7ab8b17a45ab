//! GPU memory that a serving engine uses outside of PyTorch and the CUDA context: kernels that libraries load, and NCCL's
//! connections. No virtual device can measure it.
//!
//! All figures are from one sweep of vLLM 0.19.0 on H100s: its own "non-torch memory", which it measures from a point at which
//! the context exists already (llm-d-planner, `accuracy/accuracy_report.md` at 875a4fd6, 2026-04-27).

use brimful_units::Bytes;

use crate::{Basis, BasisKind, Gpu};

const SWEEP: &str = "vLLM 0.19.0's non-torch memory on H100 80GB (llm-d-planner accuracy report, 875a4fd6)";

/// The architecture of the sweep.
const MEASURED_ON: (u8, u8) = (9, 0);

/// Figures are printed with two decimals of a GiB, and one GPU's was printed as 0.24 and as 0.25.
const PRINTED: Bytes = Bytes::mib(10);

/// Non-torch memory of one GPU: 0.25 GiB.
const ALONE: Bytes = Bytes::mib(256);

/// Non-torch memory of each GPU under tensor parallelism, by ranks, in hundredths of a GiB. Under pipeline parallelism,
/// whose ranks only send and receive, it is 0.07.
const TOGETHER: [(u32, u64); 2] = [(2, 206), (4, 213)];

/// A figure and its basis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Bytes on each GPU.
    pub bytes: Bytes,
    /// Their basis.
    pub basis: Basis,
}

/// The memory that the kernels of libraries use with the first cuBLAS handle.
pub fn libraries(gpu: &Gpu) -> Known {
    known(gpu, ALONE, PRINTED, "0.24 and 0.25 GiB with one GPU".to_owned())
}

/// The memory that NCCL uses once this many ranks reduce large messages; 0 for one rank.
pub fn nccl(gpu: &Gpu, ranks: u32) -> Known {
    if ranks < 2 {
        let basis = Basis { kind: BasisKind::Exact, source: "one rank".to_owned(), margin: None };
        return Known { bytes: Bytes::ZERO, basis };
    }
    let (measured, hundredths) =
        *TOGETHER.iter().min_by_key(|row| row.0.abs_diff(ranks)).unwrap_or(&TOGETHER[0]);
    let bytes = Bytes::new(hundredths * Bytes::gib(1).get() / 100).saturating_sub(ALONE);
    let margin = if measured == ranks { PRINTED } else { bytes };
    let what =
        format!("{}.{:02} GiB with {measured} GPUs, less the libraries'", hundredths / 100, hundredths % 100);
    known(gpu, bytes, margin, what)
}

/// The figure with its basis. On another architecture than the sweep's, the margin is the whole figure.
fn known(gpu: &Gpu, bytes: Bytes, margin: Bytes, what: String) -> Known {
    let same = gpu.compute_capability == MEASURED_ON;
    let (margin, source) = if same {
        (margin, format!("{what}: {SWEEP}"))
    } else {
        let (major, minor) = gpu.compute_capability;
        (bytes, format!("none published for sm_{major}{minor}; taken from sm_90: {what}: {SWEEP}"))
    };
    Known { bytes, basis: Basis { kind: BasisKind::Calibrated, source, margin: Some(margin) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hundredths(bytes: Bytes) -> u64 {
        (bytes.get() * 100 + (1 << 29)) >> 30
    }

    #[test]
    fn the_sweep_is_told_again() {
        let h100 = Gpu::find("h100-sxm-80gb").unwrap();
        let alone = libraries(&h100).bytes;
        assert_eq!(nccl(&h100, 1).bytes, Bytes::ZERO);
        for (ranks, total) in TOGETHER {
            let nccl = nccl(&h100, ranks);
            assert_eq!(hundredths(alone.checked_add(nccl.bytes).unwrap()), total);
            assert_eq!(nccl.basis.margin, Some(PRINTED));
        }
    }

    #[test]
    fn what_was_not_measured_is_as_uncertain_as_it_is_large() {
        let l4 = Gpu::find("l4").unwrap();
        let known = libraries(&l4);
        assert_eq!(known.basis.margin, Some(known.bytes));
        assert!(known.basis.source.starts_with("none published for sm_89"));
        let eight = nccl(&Gpu::find("h100").unwrap(), 8);
        assert_eq!(eight.basis.margin, Some(eight.bytes));
    }
}
