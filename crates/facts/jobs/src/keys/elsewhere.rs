//! Flags that other programs have and that are said otherwise here, or that no prediction follows.

/// A flag that is refused, and the command or the flag to type instead.
#[derive(Clone, Copy, Debug)]
pub struct Elsewhere {
    /// The flags, without their dashes.
    pub flags: &'static [&'static str],
    /// What to type instead, as a sentence.
    pub instead: &'static str,
}

/// What to do with several GPUs in a way that is not simulated.
pub(super) const SEVERAL_GPUS: &str = "DDP and FSDP2 are: parallel.data = 8 with parallel.shard = \"ddp\" or \"fsdp2\"; for another way, \
     rehearse your own script on several virtual GPUs: brimful rehearse --gpus 2 -- torchrun --nproc-per-node 2 train.py";

/// What to do with a way of sharding that is not simulated.
pub(super) const OTHER_SHARDS: &str = "\"ddp\" and \"fsdp2\" are; for FSDP1 and ZeRO, rehearse your own script on several virtual GPUs: \
     brimful rehearse --gpus 2 -- torchrun --nproc-per-node 2 train.py";

/// How DDP and FSDP2 are asked for on a command line.
const DATA_PARALLEL: &str = "write --set parallel.data=8 for the GPUs that share the batch, and --set parallel.shard=ddp or \
     --set parallel.shard=fsdp2; for another way, rehearse your own script on several virtual GPUs: brimful rehearse --gpus 2 -- \
     torchrun --nproc-per-node 2 train.py";

/// What to do with other quantized weights than those that are simulated.
pub(super) const UNQUANTIZED: &str = "bitsandbytes' weights are simulated, 4 bits and 8 bits on the GPU: \
     quantization = {load_in_4bit = true}; others are measured with your own script: brimful rehearse -- python train.py";

/// What to do with another serving engine than those that are predicted.
pub(super) const ENGINE: &str = "vLLM and llama.cpp are: engine = \"vllm\" or \"llama.cpp\"; plain transformers generation is, too: write [infer]; to measure \
     the server itself: brimful rehearse --gpu l4 -- vllm serve MODEL --max-model-len 32768";

/// How a serving engine's flags are given.
const SERVER: &str = "a server's own command is answered: brimful fit --gpu l4 -- vllm serve MODEL --max-model-len 32768; or \
     write --set serve.max_model_len=32768";

const ROWS: &[Elsewhere] = &[
    Elsewhere {
        flags: &[
            "gpus",
            "num-gpus",
            "n-gpus",
            "ngpus",
            "devices",
            "nproc-per-node",
            "nnodes",
            "world-size",
            "ddp",
            "fsdp",
            "fsdp1",
            "fsdp2",
            "zero",
            "zero1",
            "zero2",
            "zero3",
            "zero-stage",
            "deepspeed",
            "shard",
            "tp",
            "tensor-parallel",
            "tensor-parallel-size",
            "pipeline-parallel-size",
            "data-parallel-size",
        ],
        instead: DATA_PARALLEL,
    },
    Elsewhere {
        flags: &["qlora", "quantize", "bnb"],
        instead: "write --load-in-4bit true --lora 16 for QLoRA, or \
             --quantization load_in_4bit=true,bnb_4bit_quant_type=nf4,bnb_4bit_compute_dtype=bf16 --lora 16",
    },
    Elsewhere {
        flags: &["bf16", "fp16", "fp32", "amp"],
        instead: "write --precision bf16 for weights and computation in bf16, or --precision amp-bf16 for autocast over \
             fp32 weights, as transformers' Trainer means --bf16; fp32, fp16 and amp-fp16 likewise",
    },
    Elsewhere {
        flags: &["max-batch", "max-batch-size", "largest-batch", "find-batch", "auto-find-batch-size"],
        instead: "write --max batch for the largest batch that fits the GPU",
    },
    Elsewhere {
        flags: &["max-seq", "max-sequence", "max-context"],
        instead: "write --max sequence for the longest sequence that fits the GPU, or --sequence for a given one",
    },
    Elsewhere {
        flags: &["infer", "inference", "generate", "generation"],
        instead: "write --set infer.batch=1 for generation with plain transformers",
    },
    Elsewhere {
        flags: &[
            "serve",
            "engine",
            "vllm",
            "max-model-len",
            "gpu-memory-utilization",
            "max-num-seqs",
            "kv-cache-dtype",
        ],
        instead: SERVER,
    },
];

/// Every row, for a command line.
pub fn elsewhere() -> impl Iterator<Item = &'static Elsewhere> {
    ROWS.iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_flag_that_is_said_otherwise_is_a_flag_of_a_key() {
        let of_keys: Vec<String> = crate::flags()
            .flat_map(|(name, key)| [name].into_iter().chain(key.also.iter().copied()))
            .map(|name| name.replace('_', "-"))
            .collect();
        for flag in elsewhere().flat_map(|row| row.flags) {
            assert!(!of_keys.iter().any(|known| known == flag), "{flag}");
        }
    }
}
