//! GPU memory that a process uses outside of PyTorch's allocator: the CUDA context and the loaded kernels.

use brimful_units::Bytes;

use crate::{Basis, BasisKind};

/// Published figures: compute capability, MiB, source. Each is the device memory after the first allocation of torch in a process,
/// minus the allocator's first segment (2 MiB). All are measurements of AgileRL's memory estimator, except that the H100's is its
/// estimate.
const MEASURED: [(u8, u64, &str); 3] = [
    (80, 1266, "A100: 1268 MiB after the first torch allocation (AgileRL)"),
    (89, 692, "L4: 694 MiB after the first torch allocation (AgileRL)"),
    (90, 998, "H100: about 1000 MiB after the first torch allocation (AgileRL, estimated)"),
];

/// MiB by the other published source: a maintainer of PyTorch estimates a context with lazily loaded kernels (CUDA 11.7 and
/// later) at 300 to 400 MB (pytorch#107667). The margin is the difference between the two sources.
const LAZY: u64 = 350;

/// The context's bytes on a GPU of this compute capability, and their basis.
pub(crate) fn overhead(compute_capability: (u8, u8)) -> (Bytes, Basis) {
    let (major, minor) = compute_capability;
    let code = major.saturating_mul(10).saturating_add(minor);
    let (mib, source) = match MEASURED.iter().find(|row| row.0 == code) {
        Some((_, mib, source)) => (*mib, (*source).to_owned()),
        None => {
            let (nearest, mib, source) = nearest(code);
            (mib, format!("none published for sm_{code}; taken from sm_{nearest}: {source}"))
        }
    };
    (Bytes::mib(mib), Basis { kind: BasisKind::Calibrated, source, margin: Some(Bytes::mib(mib - LAZY)) })
}

/// The measured architecture nearest to this one.
fn nearest(code: u8) -> (u8, u64, &'static str) {
    let [first, others @ ..] = MEASURED;
    let is_nearer = |one: u8, other: u8| one.abs_diff(code) < other.abs_diff(code);
    others.into_iter().fold(first, |best, row| if is_nearer(row.0, best.0) { row } else { best })
}
