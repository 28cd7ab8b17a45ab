use std::str::FromStr;

use crate::driver::Driver;
use crate::ties::Ties;

/// What decides where memory goes: the settings of `PYTORCH_CUDA_ALLOC_CONF`, and beside them the version of PyTorch and
/// the system, which a parsed text leaves open.
///
/// ```
/// use brimful_replay::AllocatorConfig;
/// let conf: AllocatorConfig = "expandable_segments:True,max_split_size_mb:128".parse().unwrap();
/// assert!(conf.expandable_segments);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct AllocatorConfig {
    /// Blocks of this many bytes and more are not split; unlimited by default.
    pub max_split_size: u64,
    /// How much larger than the request an unsplittable block may be, in bytes; as a segment for requests
    /// between 1 and 10 MiB where it is not set.
    pub max_non_split_rounding: u64,
    /// Rounding of requests by interval of size; 0 is off.
    pub roundup_power2_divisions: [u64; 16],
    /// Share of the limit above which unused blocks are returned; 0 is off.
    pub garbage_collection_threshold: f64,
    /// Whether segments grow by mapping pages instead of being allocated whole.
    pub expandable_segments: bool,
    /// Segment for requests between 1 and 10 MiB, in bytes.
    pub large_segment_size: u64,
    /// Share of the device that the process may reserve; `None` where no limit is set.
    pub per_process_memory_fraction: Option<f64>,
    /// Whether a request beyond that share fails at once, before cached memory is given back.
    pub throw_on_cudamalloc_oom: bool,
    /// What decides between free blocks of equal size. `None` if the version is not known: then a recording is followed
    /// under the order that its placements show, and everything else under that of the newest version.
    pub ties: Option<Ties>,
    /// The system whose driver places segments. `None` if it is not known: then it is the one that a recording's
    /// addresses show, and Linux for everything else.
    pub driver: Option<Driver>,
}

impl Default for AllocatorConfig {
    fn default() -> Self {
        AllocatorConfig {
            max_split_size: u64::MAX,
            max_non_split_rounding: 20 << 20,
            roundup_power2_divisions: [0; 16],
            garbage_collection_threshold: 0.0,
            expandable_segments: false,
            large_segment_size: 20 << 20,
            per_process_memory_fraction: None,
            throw_on_cudamalloc_oom: false,
            ties: None,
            driver: None,
        }
    }
}

/// A setting of the allocator is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A part is not `name:value`.
    #[error("allocator.conf: {0:?} is not name:value, as in \"expandable_segments:True\"")]
    Malformed(String),
    /// No version of PyTorch has this setting.
    #[error("allocator.conf: unknown setting {0:?}; known are {known}", known = KNOWN.join(", "))]
    Unknown(String),
    /// The value does not fit the setting.
    #[error("allocator.conf: {name} = {value:?}; expected {expected}")]
    Value {
        /// The setting.
        name: String,
        /// What was given.
        value: String,
        /// What it takes.
        expected: &'static str,
    },
}

/// The keys of torch 2.15 (`c10/core/AllocatorConfig.h`, `c10/cuda/CUDAAllocatorConfig.h`).
const KNOWN: [&str; 23] = [
    "backend",
    "expandable_segments",
    "expandable_segments_handle_type",
    "expandable_segments_reserve",
    "expandable_segments_reserve_by_class",
    "garbage_collection_threshold",
    "graph_capture_record_stream_reuse",
    "large_segment_size_mb",
    "max_non_split_rounding_mb",
    "max_split_size_mb",
    "per_process_memory_fraction",
    "pinned_free_catch_all",
    "pinned_max_cached_size_mb",
    "pinned_max_round_threshold_mb",
    "pinned_num_register_threads",
    "pinned_reserve_segment_size_mb",
    "pinned_use_background_threads",
    "pinned_use_cuda_host_register",
    "pinned_use_hip_host_register",
    "release_lock_on_cudamalloc",
    "release_lock_on_hipmalloc",
    "roundup_power2_divisions",
    "throw_on_cudamalloc_oom",
];

impl FromStr for AllocatorConfig {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let mut config = AllocatorConfig::default();
        // What the smallest values of others depend on comes first, as in `parseArgs`.
        let is_segment = |setting: &(&str, &str)| setting.0 == "large_segment_size_mb";
        let (first, then): (Vec<_>, Vec<_>) = settings(text)?.into_iter().partition(is_segment);
        for (name, value) in first.into_iter().chain(then) {
            config.set(name, value)?;
        }
        Ok(config)
    }
}

/// Names and values.
fn settings(text: &str) -> Result<Vec<(&str, &str)>, ConfigError> {
    let pair = |part| {
        let (name, value) =
            str::split_once(part, ':').ok_or_else(|| ConfigError::Malformed(part.to_owned()))?;
        Ok((name.trim(), value.trim()))
    };
    split_outside_brackets(text).into_iter().map(pair).collect()
}

/// Parts between commas; `[256:1,512:2]` is one value.
fn split_outside_brackets(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0i32);
    for (at, c) in text.char_indices() {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            ',' if depth <= 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts.into_iter().map(str::trim).filter(|part| !part.is_empty()).collect()
}

impl AllocatorConfig {
    fn set(&mut self, name: &str, value: &str) -> Result<(), ConfigError> {
        let wrong =
            |expected| ConfigError::Value { name: name.to_owned(), value: value.to_owned(), expected };
        match name {
            "expandable_segments" => {
                self.expandable_segments = boolean(value).ok_or_else(|| wrong("True or False"))?;
            }
            "max_split_size_mb" => {
                self.max_split_size =
                    mebibytes(value, self.large_segment_size).ok_or_else(|| wrong(AT_LEAST_A_SEGMENT))?;
            }
            "max_non_split_rounding_mb" => {
                self.max_non_split_rounding =
                    mebibytes(value, self.large_segment_size).ok_or_else(|| wrong(AT_LEAST_A_SEGMENT))?;
            }
            "large_segment_size_mb" => {
                self.large_segment_size =
                    mebibytes(value, 11 << 20).ok_or_else(|| wrong("a number of MiB of more than 10"))?;
                self.max_non_split_rounding = self.large_segment_size;
            }
            "garbage_collection_threshold" => {
                let below_one = share(value).filter(|share| *share < 1.0);
                self.garbage_collection_threshold =
                    below_one.ok_or_else(|| wrong("a number above 0 and below 1"))?;
            }
            "throw_on_cudamalloc_oom" => {
                self.throw_on_cudamalloc_oom = boolean(value).ok_or_else(|| wrong("True or False"))?;
            }
            "per_process_memory_fraction" => {
                self.per_process_memory_fraction =
                    Some(share(value).ok_or_else(|| wrong("a number between 0 and 1"))?);
            }
            "roundup_power2_divisions" => {
                self.roundup_power2_divisions = divisions(value)
                    .ok_or_else(|| wrong("a power of two, or a list such as [256:1,512:2,>:4]"))?;
            }
            "backend" if value == "native" => {}
            "expandable_segments_reserve" | "expandable_segments_reserve_by_class" => {
                return Err(wrong(
                    "no such setting (address space below 9/8 of the device is not simulated)",
                ));
            }
            "backend" => return Err(wrong("native (cudaMallocAsync's pool is the driver's, not simulated)")),
            other if KNOWN.contains(&other) => {}
            other => return Err(ConfigError::Unknown(other.to_owned())),
        }
        Ok(())
    }
}

fn boolean(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

const AT_LEAST_A_SEGMENT: &str =
    "a number of MiB of at least large_segment_size_mb, which is 20 where it is not set";

fn mebibytes(value: &str, least: u64) -> Option<u64> {
    value.parse::<u64>().ok()?.checked_mul(1 << 20).filter(|bytes| *bytes >= least)
}

fn share(value: &str) -> Option<f64> {
    value.parse::<f64>().ok().filter(|n| *n > 0.0 && *n <= 1.0)
}

/// `parseRoundUpPower2Divisions`: one number for all, or by interval.
fn divisions(value: &str) -> Option<[u64; 16]> {
    let number = |text: &str| text.trim().parse::<u64>().ok().filter(|n| *n == 0 || n.is_power_of_two());
    let Some(list) = value.strip_prefix('[') else {
        return Some([number(value).filter(|divisions| *divisions > 0)?; 16]);
    };
    let mut all = [0; 16];
    let (mut last_index, mut first) = (0, true);
    for pair in list.strip_suffix(']')?.split(',') {
        let (key, value) = pair.split_once(':')?;
        let divisions = number(value)?;
        if key.trim() == ">" {
            // Also without a key before it: `[>:4]` leaves the first interval at 0 (seen in torch 2.15).
            all[last_index + 1..].fill(divisions);
            continue;
        }
        let size = key.trim().parse::<u64>().ok().filter(|n| n.is_power_of_two())?;
        last_index = (size.ilog2() as usize).min(15);
        if first {
            all[..last_index].fill(divisions);
        }
        all[last_index] = divisions;
        first = false;
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_as_pytorch_reads_them() {
        let config: AllocatorConfig =
            "max_split_size_mb:64, garbage_collection_threshold:0.8".parse().unwrap();
        assert_eq!(config.max_split_size, 64 << 20);
        assert_eq!(config.garbage_collection_threshold, 0.8);
        let config: AllocatorConfig = "roundup_power2_divisions:[256:1,512:2,1024:4,>:8]".parse().unwrap();
        assert_eq!(config.roundup_power2_divisions, [1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 4, 8, 8, 8, 8, 8]);
    }

    #[test]
    fn mistakes_are_named() {
        let error = "expandable_segment:True".parse::<AllocatorConfig>().unwrap_err();
        assert_eq!(error, ConfigError::Unknown("expandable_segment".into()));
        assert!("max_split_size_mb:5".parse::<AllocatorConfig>().is_err());
        assert!("garbage".parse::<AllocatorConfig>().is_err());
        assert!("roundup_power2_divisions:3".parse::<AllocatorConfig>().is_err());
        assert!("roundup_power2_divisions:0".parse::<AllocatorConfig>().is_err());
        assert!("garbage_collection_threshold:1.0".parse::<AllocatorConfig>().is_err());
        assert!("large_segment_size_mb:10".parse::<AllocatorConfig>().is_err());
    }

    /// As torch 2.15 answers, whichever comes first.
    #[test]
    fn the_segment_size_moves_what_depends_on_it() {
        let config: AllocatorConfig = "large_segment_size_mb:64".parse().unwrap();
        assert_eq!(config.max_non_split_rounding, 64 << 20);
        let config: AllocatorConfig =
            "max_non_split_rounding_mb:128,large_segment_size_mb:64".parse().unwrap();
        assert_eq!(config.max_non_split_rounding, 128 << 20);
        assert!("max_split_size_mb:32,large_segment_size_mb:64".parse::<AllocatorConfig>().is_err());
        assert!("large_segment_size_mb:11,max_split_size_mb:11".parse::<AllocatorConfig>().is_ok());
    }
}
