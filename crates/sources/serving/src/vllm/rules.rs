//! What differs by version of vLLM, as data. A new version is a new row.

/// A vLLM whose rules are known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VllmRules {
    /// The version, as the first two numbers.
    pub version: &'static str,
    /// `gpu_memory_utilization` if it is not given (config/cache.py).
    pub utilization: f64,
    /// Whether the sampler's top-k kernel has a row of fp32 logits for each multiprocessor (topk_topp_triton.py), in place of a block
    /// of logits that stays after the profile run.
    pub first_runner: bool,
    /// What is kept from the KV cache for CUDA graphs (v1/worker/gpu_worker.py).
    pub graphs: Graphs,
    /// Batches that can be scheduled and not settled (`max_concurrent_batches` in config/vllm.py).
    pub batches_in_flight: u64,
    /// Whether GPUs of 160 GiB have larger batches, and a GB10 smaller ones (engine/arg_utils.py).
    pub newest_batches: bool,
    /// How "GPU KV cache size: N tokens" is counted (v1/core/kv_cache_utils.py).
    pub counts_tokens_by: Counted,
}

/// What is kept for CUDA graphs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Graphs {
    /// An estimate, which is subtracted.
    Estimated,
    /// Nothing: the estimate is printed and not subtracted, or is 0 by a fault.
    Nothing,
}

/// How tokens are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Requests of full length that run at once, times their length.
    Requests,
    /// Blocks over the number of groups, times their size.
    Blocks,
}

/// vLLM 0.33.0, read in its wheel.
const NEWEST: VllmRules = VllmRules {
    version: "0.33",
    utilization: 0.92,
    first_runner: false,
    graphs: Graphs::Estimated,
    batches_in_flight: 2,
    newest_batches: true,
    counts_tokens_by: Counted::Requests,
};

/// The known versions, oldest first. 0.20.0 is read in its wheel; those between are known by start-up logs.
const KNOWN: [VllmRules; 10] = [
    VllmRules { version: "0.19", utilization: 0.9, ..V0_20 },
    V0_20,
    VllmRules { version: "0.26", graphs: Graphs::Nothing, ..NEWEST },
    // The V2 runner's estimate is 0 (issue 49224, seen in logs of 0.27.1).
    VllmRules { version: "0.27", graphs: Graphs::Nothing, ..NEWEST },
    VllmRules { version: "0.28", ..NEWEST },
    VllmRules { version: "0.29", ..NEWEST },
    VllmRules { version: "0.30", ..NEWEST },
    VllmRules { version: "0.31", ..NEWEST },
    VllmRules { version: "0.32", ..NEWEST },
    NEWEST,
];

const V0_20: VllmRules = VllmRules {
    version: "0.20",
    first_runner: true,
    graphs: Graphs::Nothing,
    batches_in_flight: 1,
    newest_batches: false,
    counts_tokens_by: Counted::Blocks,
    ..NEWEST
};

impl VllmRules {
    /// The rules of a version, and whether they are its own: else they are those of the nearest known version before it, or of
    /// the oldest one. `None` if the text is no version.
    ///
    /// ```
    /// use brimful_serving::VllmRules;
    /// let (rules, own) = VllmRules::of("0.33.0").unwrap();
    /// assert!(own && rules.utilization == 0.92);
    /// assert!(!VllmRules::of("0.24").unwrap().1);
    /// ```
    pub fn of(version: &str) -> Option<(VllmRules, bool)> {
        let asked = number(version)?;
        let before = |rules: &&VllmRules| number(rules.version).is_some_and(|known| known <= asked);
        let rules = KNOWN.iter().rev().find(before).unwrap_or(&KNOWN[0]);
        Some((*rules, number(rules.version) == Some(asked)))
    }

    /// Whether the engine schedules the next batch while one runs, if the job does not say.
    pub(crate) fn is_asynchronous(&self) -> bool {
        self.batches_in_flight > 1
    }
}

/// The first two numbers of a version.
fn number(version: &str) -> Option<(u64, u64)> {
    let mut parts = version.trim().trim_start_matches('v').split('.');
    let major = parts.next()?.parse().ok()?;
    let minor = parts.next()?.parse().ok()?;
    Some((major, minor))
}
