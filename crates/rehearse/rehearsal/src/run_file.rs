//! The run file: a zip archive of `run.json` and one PyTorch memory snapshot for each process that used a GPU.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use crate::error::at;
use crate::{Device, Ended, ProcessRecord, RehearsalError};

/// The member that describes the run.
const ABOUT: &str = "run.json";
/// The schema of that member.
pub const SCHEMA: &str = "brimful.run/1";
/// How every zip archive begins.
pub const MAGIC: &[u8] = b"PK\x03\x04";

/// What is known of a rehearsal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RunRecord {
    /// `brimful.run/1`.
    pub schema: String,
    /// The command.
    pub command: Vec<String>,
    /// The GPUs that it was shown.
    pub device: Device,
    /// The allocator's settings, where they were given.
    pub conf: Option<String>,
    /// How it ended.
    pub ended: Ended,
    /// Its processes that imported torch.
    pub processes: Vec<ProcessRecord>,
    /// What the virtual GPU could not see.
    pub unseen: Vec<String>,
    /// What the user should know.
    pub notes: Vec<String>,
}

impl RunRecord {
    /// The process whose GPU was filled most.
    pub fn fullest(&self) -> Option<&ProcessRecord> {
        let with_memory = self.processes.iter().filter(|process| !process.devices.is_empty());
        with_memory.rev().max_by_key(|process| process.fullest().map(|device| device.peak.reserved))
    }

    /// The snapshots, by the names under which they can be asked for: a rank, or a process's number.
    pub fn snapshots(&self) -> Vec<String> {
        self.processes.iter().filter(|process| process.snapshot.is_some()).map(name).collect()
    }
}

/// A process's name within its run.
pub fn name(process: &ProcessRecord) -> String {
    match process.rank {
        Some(rank) => rank.to_string(),
        None => format!("pid{}", process.pid),
    }
}

/// Writes a run with the snapshots of a folder; the members take the names of their processes.
///
/// # Errors
/// As the system's, with the path.
#[cfg(target_os = "linux")]
pub(crate) fn write(path: &Path, run: &mut RunRecord, folder: &Path) -> Result<(), RehearsalError> {
    let mut file = BufWriter::new(File::create(path).map_err(at(path))?);
    let mut zip = ZipWriter::new(&mut file);
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(1))
        .large_file(true);
    for process in &mut run.processes {
        let Some(snapshot) = process.snapshot.take() else { continue };
        let from = folder.join(&snapshot);
        let member = format!("{}.pickle", name(process));
        let mut content = File::open(&from).map_err(at(&from))?;
        zip.start_file(&member, options).map_err(io::Error::from).map_err(at(path))?;
        io::copy(&mut content, &mut zip).map_err(at(path))?;
        process.snapshot = Some(member);
    }
    let about = serde_json::to_vec_pretty(run).map_err(io::Error::from).map_err(at(path))?;
    zip.start_file(ABOUT, options).map_err(io::Error::from).map_err(at(path))?;
    zip.write_all(&about).map_err(at(path))?;
    zip.finish().map_err(io::Error::from).map_err(at(path))?;
    file.flush().map_err(at(path))
}

/// A run file that was opened.
pub struct RunFile<R> {
    /// The description of the run.
    pub run: RunRecord,
    archive: ZipArchive<R>,
}

impl RunFile<BufReader<File>> {
    /// Opens a run file.
    ///
    /// # Errors
    /// What the file is instead.
    pub fn open(path: &Path) -> Result<Self, RehearsalError> {
        RunFile::new(BufReader::new(File::open(path).map_err(at(path))?))
    }
}

impl<R: Read + Seek> RunFile<R> {
    /// Reads the description of the run.
    ///
    /// # Errors
    /// What it is instead.
    pub fn new(reader: R) -> Result<Self, RehearsalError> {
        let not = |what: String| RehearsalError::NotARun { what };
        let mut archive =
            ZipArchive::new(reader).map_err(|error| not(format!("is no zip archive ({error})")))?;
        let member = archive.by_name(ABOUT).map_err(|_| not(format!("is a zip archive without {ABOUT}")))?;
        let run: RunRecord = serde_json::from_reader(BufReader::new(member))
            .map_err(|error| not(format!("its {ABOUT} cannot be read ({error})")))?;
        if run.schema != SCHEMA {
            return Err(not(format!("its {ABOUT} has the schema {:?} instead of {SCHEMA:?}", run.schema)));
        }
        Ok(RunFile { run, archive })
    }

    /// The snapshot of a rank, as `snapshots` names it; of the fullest where none is named.
    ///
    /// # Errors
    /// A rank that is not there, or a damaged member.
    pub fn snapshot(&mut self, rank: Option<&str>) -> Result<Vec<u8>, RehearsalError> {
        let of_rank = |asked: &str| self.run.processes.iter().find(|process| name(process) == asked);
        let process = match rank {
            Some(asked) => of_rank(asked),
            None => self.run.fullest(),
        };
        let member = process.and_then(|process| process.snapshot.clone()).ok_or_else(|| {
            let asked = rank.map_or("any process".to_owned(), |rank| format!("rank {rank:?}"));
            RehearsalError::NoSuchRank { asked, held: self.run.snapshots() }
        })?;
        let damaged = |what: String| RehearsalError::NotARun { what: format!("its {member}: {what}") };
        let mut content = Vec::new();
        let mut found = self.archive.by_name(&member).map_err(|error| damaged(error.to_string()))?;
        found.read_to_end(&mut content).map_err(|error| damaged(error.to_string()))?;
        Ok(content)
    }
}
