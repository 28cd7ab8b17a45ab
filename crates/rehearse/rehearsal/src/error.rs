use std::io;
use std::path::PathBuf;

/// A rehearsal that could not be run, or whose run file cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RehearsalError {
    /// The command is not there.
    #[error("{command} cannot be started (expected a program, such as: brimful rehearse -- python train.py)")]
    Command {
        /// Its first word.
        command: String,
        /// What the system says.
        source: io::Error,
    },
    /// A file or folder of the rehearsal.
    #[error("{}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The environment has no PyTorch.
    #[error(
        "{python} has no PyTorch. Install it, without the NVIDIA packages if there is no GPU:\n  \
         {python} -m pip install --no-deps torch\n  \
         {python} -m pip install filelock typing-extensions sympy networkx jinja2 fsspec setuptools numpy"
    )]
    NoTorch {
        /// The interpreter.
        python: String,
    },
    /// PyTorch is there, but not for CUDA.
    #[error(
        "{python} has torch {version}, which is built for {built_for}; a rehearsal needs the CUDA build (it needs no \
         GPU):\n  {python} -m pip install --no-deps --force-reinstall --index-url https://pypi.org/simple torch"
    )]
    NotForCuda {
        /// The interpreter.
        python: String,
        /// Its version of torch.
        version: String,
        /// `the CPU` or `AMD GPUs`.
        built_for: &'static str,
    },
    /// The command ended, and no process of it had imported torch.
    #[error(
        "no process of the command imported torch, so nothing was rehearsed (it ended with {ended}); {instead}"
    )]
    NothingSeen {
        /// How the command ended.
        ended: String,
        /// What it imported instead, or what else may be the cause.
        instead: String,
    },
    /// A file that is no run file.
    #[error(
        "{what}; expected a run file of `brimful rehearse --output`; unzip any other archive, and name the file in it"
    )]
    NotARun {
        /// What it is instead.
        what: String,
    },
    /// A rank that the run file does not hold.
    #[error("the run holds no snapshot of {asked}; it holds {}", held.join(", "))]
    NoSuchRank {
        /// What was asked for.
        asked: String,
        /// What there is.
        held: Vec<String>,
    },
    /// There is no virtual GPU for this platform.
    #[error("a rehearsal needs Linux; on other systems run it in a container or a virtual machine")]
    OnlyLinux,
}

/// Names the file in an error of the system.
pub(crate) fn at(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> RehearsalError {
    move |source| RehearsalError::File { path: path.into(), source }
}
