use brimful_jobs::{AttentionKernel, Job, OptimizerKind, Run, Train};
use brimful_units::Bytes;

/// How a number is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BasisKind {
    /// Read from a file.
    Exact,
    /// Follows a rule of the upstream source.
    Rule,
    /// Measured.
    Calibrated,
}

impl BasisKind {
    /// The word in answers.
    pub const fn name(self) -> &'static str {
        match self {
            BasisKind::Exact => "exact",
            BasisKind::Rule => "rule",
            BasisKind::Calibrated => "calibrated",
        }
    }
}

/// What a number of an answer rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Basis {
    /// Which number.
    pub what: String,
    /// How it is known.
    pub kind: BasisKind,
    /// From where.
    pub source: String,
    /// By how much it may be off, in bytes.
    pub margin: Bytes,
}

impl Basis {
    fn rule(what: &str, source: &str) -> Basis {
        Basis { what: what.into(), kind: BasisKind::Rule, source: source.into(), margin: Bytes::ZERO }
    }

    fn calibrated(what: &str, source: &str, margin: Bytes) -> Basis {
        Basis { what: what.into(), kind: BasisKind::Calibrated, source: source.into(), margin }
    }
}

/// What the answer about this job rests on.
pub fn basis_of(job: &Job) -> Vec<Basis> {
    let mut all = vec![
        Basis::rule(
            "tensors and their lifetimes",
            "ATen, autograd and the model code of torch 2.15.0 and transformers 5.23.0, equal to recorded \
             runs of them allocation by allocation (ACCURACY.md)",
        ),
        Basis::rule("allocated and reserved", "c10/cuda/CUDACachingAllocator.cpp, torch 2.15.0"),
        Basis::rule(
            "GEMM workspaces",
            "aten/src/ATen/cuda/CublasHandlePool.cpp and CUDABlas.cpp, torch 2.15.0",
        ),
        Basis::calibrated(
            "scan and sort buffers",
            "tile sizes read off torch 2.15.0 (CUDA 13.2) on compute capabilities 8.0 and 9.0",
            Bytes::ZERO,
        ),
    ];
    device_basis(job, &mut all);
    attention_basis(job, &mut all);
    if let Run::Train(Train { optimizer: Some(optimizer), .. }) = &job.run
        && optimizer.kind == OptimizerKind::AdamW8bit
    {
        all.push(Basis::rule("8-bit optimizer state", "bitsandbytes/optim/optimizer.py, 0.50.2"));
    }
    all
}

fn device_basis(job: &Job, all: &mut Vec<Basis>) {
    let Some(gpu) = &job.gpu else { return };
    all.push(Basis::calibrated("the GPU's total", &gpu.total_source, Bytes::ZERO));
    // Published contexts of one GPU differ by driver and by how many kernels were loaded.
    all.push(Basis::calibrated("CUDA context and kernels", &gpu.context_source, Bytes::mib(256)));
}

/// On Hopper and later, PyTorch prefers cuDNN's attention to its own flash kernel.
fn attention_basis(job: &Job, all: &mut Vec<Basis>) {
    let (attention, sequence) = match &job.run {
        Run::Train(run) => (run.attention, run.sequence),
        Run::Infer(run) => (run.attention, run.sequence),
    };
    if attention == AttentionKernel::Flash {
        all.push(Basis::rule(
            "attention = flash",
            "taken as PyTorch's own flash kernel; the flash-attn package was not compared",
        ));
    }
    let hopper = job.gpu.as_ref().is_some_and(|gpu| gpu.compute_capability >= (9, 0));
    if hopper && attention == AttentionKernel::Sdpa && sequence > 1 && prefers_cudnn(&job.versions.cudnn) {
        all.push(Basis::rule(
            "attention kernel",
            "torch 2.15 prefers cuDNN attention here; taken as its flash kernel, whose workspace in the \
             backward may differ",
        ));
    }
}

/// cuDNN attention is preferred from 9.15 on (aten/src/ATen/native/transformers/cuda/sdp_utils.cpp).
fn prefers_cudnn(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) > (9, 15)
}
