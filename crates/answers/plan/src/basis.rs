use brimful_devices::{Basis, BasisKind};
use brimful_jobs::{AttentionKernel, Job, OptimizerKind, Train, Workload};
use brimful_units::Bytes;

/// A number of an answer, and what it rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grounds {
    /// Which number.
    pub what: String,
    /// How it is known, from where, and how far it may be off.
    pub basis: Basis,
}

impl Grounds {
    fn rule(what: &str, source: &str) -> Grounds {
        let basis = Basis { kind: BasisKind::Rule, source: source.to_owned(), margin: Some(Bytes::ZERO) };
        Grounds { what: what.to_owned(), basis }
    }
}

/// What the answer about this job rests on.
pub fn grounds(job: &Job) -> Vec<Grounds> {
    // The versions whose rules were followed, which are the nearest known ones of those that the job names.
    let (torch, transformers) = job.versions.followed();
    let mut all = vec![
        Grounds::rule(
            "tensors and their lifetimes",
            &format!(
                "ATen, autograd and the model code of torch {torch} and transformers {transformers}, equal to recorded \
                 runs of them allocation by allocation (ACCURACY.md)"
            ),
        ),
        Grounds::rule("allocated and reserved", &format!("c10/cuda/CUDACachingAllocator.cpp, torch {torch}")),
        Grounds::rule(
            "GEMM workspaces",
            &format!("aten/src/ATen/cuda/CublasHandlePool.cpp and CUDABlas.cpp, torch {torch}"),
        ),
        Grounds {
            what: "scan and sort buffers".to_owned(),
            basis: Basis {
                kind: BasisKind::Calibrated,
                source: "tile sizes read off torch 2.15.0 (CUDA 13.2) on compute capabilities 8.0 and 9.0"
                    .to_owned(),
                margin: None,
            },
        },
    ];
    all.push(Grounds::rule(
        "loading",
        "taken as a model that is built on the GPU (`with torch.device(\"cuda\")`), whose tied weights exist twice until \
         they are tied; built on the host and moved with `.to(\"cuda\")` they exist once",
    ));
    if let Workload::Train(_) = &job.workload {
        all.push(Grounds::rule(
            "the loss",
            "logits are cast to fp32 (ForCausalLMLoss in transformers/loss/loss_utils.py, 5.23)",
        ));
    }
    device_basis(job, &mut all);
    attention_basis(job, &mut all);
    if let Workload::Train(Train { optimizer: Some(optimizer), .. }) = &job.workload
        && matches!(optimizer.kind, OptimizerKind::BitsAndBytes(_))
    {
        all.push(Grounds::rule("the optimizer's states", "bitsandbytes/optim/optimizer.py, 0.50.2"));
    }
    all
}

fn device_basis(job: &Job, all: &mut Vec<Grounds>) {
    let Some(gpu) = &job.gpu else { return };
    all.push(Grounds { what: "the GPU's total".to_owned(), basis: gpu.total_basis.clone() });
    all.push(Grounds { what: "CUDA context and kernels".to_owned(), basis: gpu.context_basis.clone() });
}

/// Which attention kernel runs is PyTorch's choice; two of them are less well known than the rest.
fn attention_basis(job: &Job, all: &mut Vec<Grounds>) {
    // Of one token there is no attention that cuDNN takes; an image has a place for each of its patches, and speech one for
    // each two steps of its spectrogram.
    let (attention, sequence, task) = match &job.workload {
        Workload::Train(run) => (run.attention, run.sequence, run.task),
        Workload::Infer(run) => (run.attention, run.sequence, run.task),
    };
    let several = sequence > 1 || task.reads_images() || task.reads_speech();
    if attention == AttentionKernel::Flash {
        all.push(Grounds::rule(
            "attention = flash",
            "taken as PyTorch's own flash kernel; the flash-attn package was not compared",
        ));
    }
    if job.prefers_cudnn_attention() == Some(true) && several {
        let cudnn = job.versions.followed_cudnn();
        all.push(Grounds {
            what: "cuDNN's attention".to_owned(),
            basis: Basis {
                kind: BasisKind::Rule,
                source: format!(
                    "aten/src/ATen/native/transformers/cuda/sdp_utils.cpp beside cuDNN {cudnn}, and the workspace of \
                     cudnn-frontend; what cuDNN's own engines ask for beside it was not measured"
                ),
                margin: None,
            },
        });
    }
}
