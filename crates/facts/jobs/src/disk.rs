use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};

use brimful_models::{Files, Kind};

/// The files of the machine. Only with the feature `disk`: the library itself opens nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct DiskFiles;

impl Files for DiskFiles {
    fn kind(&self, path: &str) -> Kind {
        match fs::metadata(path) {
            Ok(about) if about.is_dir() => Kind::Folder,
            Ok(_) => Kind::File,
            Err(_) => Kind::Missing,
        }
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, String> {
        let entries = fs::read_dir(folder).map_err(|error| error.to_string())?;
        let name = |entry: std::io::Result<fs::DirEntry>| {
            entry.map(|entry| entry.file_name().to_string_lossy().into_owned())
        };
        entries.map(name).collect::<Result<_, _>>().map_err(|error| error.to_string())
    }

    fn size(&self, path: &str) -> Result<u64, String> {
        fs::metadata(path).map(|about| about.len()).map_err(|error| error.to_string())
    }

    fn read(&self, path: &str, offset: u64, length: u64) -> Result<Vec<u8>, String> {
        read(path, offset, length).map_err(|error| error.to_string())
    }
}

/// Reads as much as is there: the buffer grows with what comes, not with what was asked for.
fn read(path: &str, offset: u64, length: u64) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}
