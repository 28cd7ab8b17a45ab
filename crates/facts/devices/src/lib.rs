//! The figures of GPUs on which kernels' buffers and the verdict depend, each with its source.

mod basis;
pub mod catalogue;
mod context;
pub mod servers;
mod spelling;

use brimful_units::{Bytes, ParseBytesError};

pub use basis::{Basis, BasisKind};

/// A GPU as the CUDA runtime describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Gpu {
    /// Catalogue name, such as `h100-sxm-80gb`; the size's text for an anonymous one.
    pub id: String,
    /// The name shown to people, such as "NVIDIA H100 80GB HBM3".
    pub name: String,
    /// The total that `cudaMemGetInfo` reports, which is less than the marketing figure.
    pub total: Bytes,
    /// Compute capability, major and minor: (8, 0).
    pub compute_capability: (u8, u8),
    /// Streaming multiprocessors.
    pub multiprocessors: u64,
    /// What one process uses outside of PyTorch's allocator: the CUDA context and loaded kernels.
    pub context: Bytes,
    /// The source of `total`.
    pub total_source: String,
    /// The source of `context`.
    pub context_source: String,
    /// The basis of `total`.
    pub total_basis: Basis,
    /// The basis of `context`.
    pub context_basis: Basis,
    /// What was assumed about a GPU that was given by its size only; `None` for one of the catalogue.
    pub assumed: Option<String>,
}

/// The text names no GPU that can be simulated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GpuError {
    /// No such GPU.
    #[error("{asked:?} is not a known GPU; {}", cure(nearest))]
    Unknown {
        /// The text that was given.
        asked: String,
        /// The nearest name.
        nearest: Option<String>,
    },
    /// The names of several GPUs contain that text.
    #[error("{asked:?} can be several GPUs: {}", candidates.join(", "))]
    Ambiguous {
        /// The text that was given.
        asked: String,
        /// Some of these GPUs.
        candidates: Vec<String>,
    },
    /// A known name beside a memory size that no GPU of that name has.
    #[error("{asked:?} does not exist: {}; leave the memory size out, or write the one that is meant", variants.join(", "))]
    OtherMemory {
        /// The text that was given.
        asked: String,
        /// The memory size in it, in GB.
        gigabytes: u64,
        /// The GPUs of that name, each with its memory.
        variants: Vec<String>,
    },
    /// Several GPUs at once.
    #[error(
        "{asked:?} is {count} GPUs, and a prediction is for one; write {one:?} for one of them, or rehearse your own \
         script on all: brimful rehearse --gpu {one:?} --gpus {count} -- torchrun --nproc-per-node {count} train.py"
    )]
    Several {
        /// The text that was given.
        asked: String,
        /// How many.
        count: u64,
        /// One of them.
        one: String,
    },
    /// A GPU that runs no CUDA kernels.
    #[error(
        "{name} is known, but only CUDA kernels are simulated, and {vendor} GPUs run others; give its size instead (\"24 GiB\") to compare with CUDA's memory"
    )]
    NotCuda {
        /// The GPU.
        name: String,
        /// Its vendor.
        vendor: String,
    },
    /// A size that is malformed.
    #[error(transparent)]
    Size(#[from] ParseBytesError),
    /// A size that no GPU has.
    #[error("no GPU has {0}; expected between 256 MiB and 16 TiB")]
    Implausible(Bytes),
}

fn cure(nearest: &Option<String>) -> String {
    match nearest {
        Some(name) => format!("did you mean {name:?}? `brimful gpus` lists all names"),
        None => {
            "write a name such as \"h100-sxm-80gb\" (`brimful gpus` lists them) or a size such as \"24 GiB\""
                .to_owned()
        }
    }
}

/// What decides which kernels PyTorch takes on a GPU, and how large their buffers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Processor {
    /// CUDA compute capability.
    pub compute_capability: (u8, u8),
    /// Streaming multiprocessors.
    pub multiprocessors: u64,
}

impl Processor {
    /// What a job is predicted for that names no GPU, or one by its size only: an A100's.
    pub const ASSUMED: Processor = Processor { compute_capability: (8, 0), multiprocessors: 108 };

    /// The most threads that a multiprocessor holds at once (`cudaDevAttrMaxThreadsPerMultiProcessor`; CUDA C++ Programming
    /// Guide 13, "Technical Specifications per Compute Capability").
    pub const fn threads_per_multiprocessor(&self) -> u64 {
        match self.compute_capability {
            (7, 5) => 1024,
            (8, 6..=9) | (12, _) => 1536,
            _ => 2048,
        }
    }

    /// [`Processor::ASSUMED`] in words.
    pub fn assumed_in_words() -> String {
        let Processor { compute_capability: (major, minor), multiprocessors } = Processor::ASSUMED;
        format!("compute capability {major}.{minor} and {multiprocessors} multiprocessors, as an A100")
    }
}

/// A bare number up to this one is a size in GiB; no larger number of GiB is the memory of one GPU.
const MOST_BARE_GIB: f64 = 1024.0;

impl Gpu {
    /// The GPU of a name ("h100-sxm-80gb", "NVIDIA H100 80GB HBM3", "rtx4090", "3060 12gb") or of a size ("24 GiB", "24GB",
    /// "24"). A size without a unit is in GiB, and GB is read as GiB: a card that is sold as 24 GB has 24 GiB.
    ///
    /// ```
    /// use brimful_devices::Gpu;
    /// assert_eq!(Gpu::find("NVIDIA A100-SXM4-80GB").unwrap().id, "a100-sxm-80gb");
    /// assert_eq!(Gpu::find("24 GiB").unwrap().total.get(), 24 << 30);
    /// assert_eq!(Gpu::find("24GB").unwrap().total.get(), 24 << 30);
    /// ```
    ///
    /// # Errors
    /// [`GpuError`], with the nearest names.
    pub fn find(text: &str) -> Result<Gpu, GpuError> {
        let text = text.trim();
        let (count, one) = spelling::counted(text);
        let gpu = Gpu::one(one)?;
        if count > 1 {
            return Err(GpuError::Several { asked: text.to_owned(), count, one: gpu.id });
        }
        Ok(gpu)
    }

    fn one(text: &str) -> Result<Gpu, GpuError> {
        match binary(text).parse::<Bytes>() {
            Ok(size) => Gpu::of_size(text, size),
            // "4090" is a GPU and "24" is a size, so a number without a unit is looked up first.
            Err(ParseBytesError::NoUnit(_)) => {
                catalogue::find(text).or_else(|error| match text.parse::<f64>() {
                    Ok(number) if number <= MOST_BARE_GIB => {
                        Gpu::of_size(text, format!("{text} GiB").parse()?)
                    }
                    _ => Err(error),
                })
            }
            Err(ParseBytesError::Malformed(_)) => catalogue::find(text),
            Err(error) => catalogue::find(text).map_err(|_| error.into()),
        }
    }

    /// A GPU with that much usable memory, and the compute capability and multiprocessors of an A100.
    fn of_size(text: &str, total: Bytes) -> Result<Gpu, GpuError> {
        if total < Bytes::mib(256) || total > Bytes::gib(16 << 10) {
            return Err(GpuError::Implausible(total));
        }
        let Processor { compute_capability, multiprocessors } = Processor::ASSUMED;
        let (context, context_basis) = context::overhead(compute_capability);
        let source = "the size given, taken as usable bytes".to_owned();
        let total_basis = Basis { kind: BasisKind::Exact, source: source.clone(), margin: None };
        let read_as = match text.to_ascii_lowercase().contains("ib")
            || text.parse::<u64>().is_ok_and(|n| n > 1024)
        {
            true => String::new(),
            false => format!(
                "{text} is read as {total}, all of it usable (a card that is sold with it reports less: name the card); "
            ),
        };
        Ok(Gpu {
            id: text.to_owned(),
            // A number alone has no unit that could be shown.
            name: match text.parse::<f64>() {
                Ok(_) => format!("a GPU with {total}"),
                Err(_) => format!("a GPU with {text}"),
            },
            total,
            compute_capability,
            multiprocessors,
            context,
            total_source: source,
            context_source: context_basis.source.clone(),
            total_basis,
            context_basis,
            assumed: Some(format!("{read_as}{}", Processor::assumed_in_words())),
        })
    }
}

/// A size with GB, MB or TB written as GiB, MiB or TiB.
fn binary(text: &str) -> String {
    let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len()));
    let unit = match unit.to_ascii_lowercase().as_str() {
        "gb" => "GiB",
        "mb" => "MiB",
        "tb" => "TiB",
        _ => unit,
    };
    format!("{number}{unit}")
}
