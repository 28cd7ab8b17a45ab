use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use brimful_models::Kind;
use memmap2::Mmap;

use crate::{Content, Files, Stream};

/// The name of the standard input.
const STDIN: &str = "-";
/// A stream is read in pieces of this size.
const PIECE: usize = 256 << 10;

/// The files of this machine, and its standard input as `-`.
#[derive(Clone, Copy, Debug, Default)]
pub struct DiskFiles;

impl brimful_models::Files for DiskFiles {
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

impl Files for DiskFiles {
    fn content(&self, path: &str) -> io::Result<Content> {
        if path == STDIN {
            return read_to_end(io::stdin().lock());
        }
        let file = File::open(path)?;
        let about = file.metadata()?;
        if !about.is_file() || about.len() == 0 {
            return read_to_end(&file);
        }
        // SAFETY: the map is only read, and lives no longer than the answer. Should another program shorten the file
        // meanwhile, the system ends this one (SIGBUS); nothing is written in any case.
        unsafe { Mmap::map(&file) }.map(Content::Mapped)
    }

    fn stream(&self, path: &str) -> io::Result<Stream<'_>> {
        if path == STDIN {
            return Ok(Stream { reader: Box::new(io::stdin().lock()), size: None });
        }
        let file = File::open(path)?;
        let size = file.metadata().ok().filter(fs::Metadata::is_file).map(|about| about.len());
        Ok(Stream { reader: Box::new(BufReader::with_capacity(PIECE, file)), size })
    }
}

fn read_to_end(mut reader: impl Read) -> io::Result<Content> {
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes)?;
    Ok(Content::Read(bytes))
}

/// Reads as much as is there: the buffer grows with what comes, not with what was asked for.
fn read(path: &str, offset: u64, length: u64) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use brimful_jobs::{Format, Overrides, load};

    use super::*;

    /// A folder of this test's own, removed at the end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let path = std::env::temp_dir().join(format!("brimful-disk-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Folder(path)
        }

        fn with(self, name: &str, content: &[u8]) -> Folder {
            fs::write(self.0.join(name), content).unwrap();
            self
        }

        fn load(&self) -> Result<brimful_jobs::LoadedJob, String> {
            let text = format!("model = '{}'", self.0.display());
            let loaded = load("job.toml", &text, Format::Toml, &DiskFiles, &Overrides::default());
            loaded.map_err(|error| error.to_string())
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    const CONFIG: &[u8] =
        br#"{"model_type": "gpt2", "n_layer": 1, "n_embd": 8, "n_head": 2, "vocab_size": 5}"#;

    #[test]
    fn a_folder_with_weights() {
        let json = br#"{"wte.weight": {"dtype": "F16", "shape": [5, 8], "data_offsets": [0, 80]}}"#;
        let mut file = (json.len() as u64).to_le_bytes().to_vec();
        file.extend(json);
        file.resize(file.len() + 80, 0);
        let folder = Folder::new("weights").with("config.json", CONFIG).with("model.safetensors", &file);
        let loaded = folder.load().unwrap();
        assert_eq!(loaded.model.checkpoint.as_ref().map(|weights| weights.bytes().get()), Some(80));
        assert_eq!(
            loaded.recipe.assumed.iter().find(|a| a.key == "train.precision").map(|a| a.value.as_str()),
            Some("fp16")
        );
    }

    #[test]
    fn faults_name_the_file() {
        let folder = Folder::new("lying").with("config.json", CONFIG).with("model.safetensors", &[0xff; 64]);
        let error = folder.load().unwrap_err();
        assert!(
            error.contains("model.safetensors: the header says it is 18446744073709551615 bytes long"),
            "{error}"
        );
        let empty = Folder::new("empty").load().unwrap_err();
        assert!(empty.contains("the folder holds no config.json"), "{empty}");
    }
}
