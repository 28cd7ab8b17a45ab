//! The files of a machine, pipes included.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use brimful_models::Kind;
use memmap2::Mmap;

use crate::{Content, Files, Stream, name_of, path_of};

/// The name of the standard input.
const STDIN: &str = "-";
/// Other names of it, which share its bytes.
const ALSO_STDIN: [&str; 3] = ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"];
/// A stream is read in pieces of this size.
const PIECE: usize = 256 << 10;
/// What a pipe may hold at most where all of it is needed: it is kept in memory, and may have no end.
const MOST_OF_A_PIPE: u64 = 4 << 30;
/// A pipe's size is looked for up to here. The largest text that anybody reads as a whole is 16 MiB, so that a longer pipe
/// is refused by its reader.
const MOST_MEASURED: u64 = 32 << 20;

/// The files of this machine, and its standard input as `-`.
///
/// A pipe can be read only once. Its bytes are kept as far as they were asked for, so that a pipe can be recognised by its
/// beginning first, and asked for twice.
#[derive(Default)]
pub struct DiskFiles {
    pipes: Mutex<BTreeMap<String, Arc<Mutex<Pipe>>>>,
}

/// A pipe, a terminal, or a device.
struct Pipe {
    bytes: Arc<Vec<u8>>,
    /// What was not read yet; `None` at the end, or after somebody took it as a stream.
    rest: Option<Box<dyn Read + Send>>,
    /// Whether a stream took bytes that are not kept.
    is_spent: bool,
}

impl Pipe {
    fn open(path: &str) -> io::Result<Pipe> {
        let rest: Box<dyn Read + Send> =
            if path == STDIN { Box::new(io::stdin()) } else { Box::new(File::open(path_of(path))?) };
        Ok(Pipe { bytes: Arc::default(), rest: Some(rest), is_spent: false })
    }

    /// Reads on until so many bytes are kept, or the end.
    fn read_to(&mut self, wanted: u64) -> io::Result<()> {
        if self.is_spent {
            return Err(io::Error::other("the pipe was read already; name it once"));
        }
        let missing = wanted.saturating_sub(self.bytes.len() as u64);
        let Some(rest) = self.rest.as_mut().filter(|_| missing > 0) else { return Ok(()) };
        let read = rest.by_ref().take(missing).read_to_end(Arc::make_mut(&mut self.bytes))?;
        if (read as u64) < missing {
            self.rest = None;
        }
        Ok(())
    }

    fn whole(&mut self) -> io::Result<Arc<Vec<u8>>> {
        self.read_to(MOST_OF_A_PIPE + 1)?;
        if self.bytes.len() as u64 > MOST_OF_A_PIPE {
            self.bytes = Arc::default();
            self.is_spent = true;
            return Err(io::Error::other(
                "more than 4 GiB came through the pipe; write them to a file and name it, since a file is not held in memory",
            ));
        }
        Ok(Arc::clone(&self.bytes))
    }

    /// The kept bytes and then the others, which are not kept.
    fn take_stream(&mut self) -> io::Result<Box<dyn Read>> {
        self.read_to(0)?;
        let begun = Cursor::new(self.bytes.to_vec());
        Ok(match self.rest.take() {
            Some(rest) => {
                self.is_spent = true;
                Box::new(begun.chain(rest))
            }
            None => Box::new(begun),
        })
    }
}

/// What a name leads to.
enum Place {
    File(File, u64),
    Pipe(Arc<Mutex<Pipe>>),
}

impl DiskFiles {
    /// The files of this machine; nothing is opened yet.
    pub const fn new() -> DiskFiles {
        DiskFiles { pipes: Mutex::new(BTreeMap::new()) }
    }

    fn open(&self, path: &str) -> io::Result<Place> {
        if path != STDIN {
            let about = fs::metadata(path_of(path))?;
            if about.is_dir() {
                return Err(io::Error::other("is a folder"));
            }
            // Files of /proc say that they are empty and are not: they are read as a pipe is.
            if about.is_file() && about.len() > 0 {
                return Ok(Place::File(File::open(path_of(path))?, about.len()));
            }
        }
        let name = if ALSO_STDIN.contains(&path) { STDIN } else { path };
        let mut pipes = lock(&self.pipes);
        if let Some(pipe) = pipes.get(name) {
            return Ok(Place::Pipe(Arc::clone(pipe)));
        }
        let pipe = Arc::new(Mutex::new(Pipe::open(name)?));
        pipes.insert(name.to_owned(), Arc::clone(&pipe));
        Ok(Place::Pipe(pipe))
    }

    fn read(&self, path: &str, offset: u64, length: u64) -> io::Result<Vec<u8>> {
        match self.open(path)? {
            Place::File(mut file, _) => {
                file.seek(SeekFrom::Start(offset))?;
                // The buffer grows with what comes, not with what was asked for.
                let mut bytes = Vec::new();
                file.take(length).read_to_end(&mut bytes)?;
                Ok(bytes)
            }
            Place::Pipe(pipe) => {
                let mut pipe = lock(&pipe);
                let end = offset.saturating_add(length).min(MOST_OF_A_PIPE);
                pipe.read_to(end)?;
                let kept = pipe.bytes.len();
                let at = |place: u64| usize::try_from(place).unwrap_or(kept).min(kept);
                Ok(pipe.bytes[at(offset.min(end))..at(end)].to_vec())
            }
        }
    }
}

/// A thread that panicked while it held the lock left whole bytes behind.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The system's error in words; its number helps nobody.
fn in_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "this user may not read it".to_owned(),
        _ => error.to_string(),
    }
}

impl brimful_models::Files for DiskFiles {
    fn kind(&self, path: &str) -> Kind {
        if path == STDIN {
            return Kind::File;
        }
        match fs::metadata(path_of(path)) {
            Ok(about) if about.is_dir() => Kind::Folder,
            Ok(_) => Kind::File,
            Err(_) => Kind::Missing,
        }
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, String> {
        let entries = fs::read_dir(path_of(folder)).map_err(|error| in_words(&error))?;
        let name = |entry: io::Result<fs::DirEntry>| entry.map(|entry| name_of(&entry.file_name()));
        entries.map(name).collect::<Result<_, _>>().map_err(|error| in_words(&error))
    }

    /// Of a pipe that is longer than 32 MiB, a size that it has at least.
    fn size(&self, path: &str) -> Result<u64, String> {
        let size = || match self.open(path)? {
            Place::File(_, size) => Ok(size),
            Place::Pipe(pipe) => {
                let mut pipe = lock(&pipe);
                pipe.read_to(MOST_MEASURED)?;
                Ok(pipe.bytes.len() as u64)
            }
        };
        size().map_err(|error: io::Error| in_words(&error))
    }

    fn read(&self, path: &str, offset: u64, length: u64) -> Result<Vec<u8>, String> {
        self.read(path, offset, length).map_err(|error| in_words(&error))
    }
}

impl Files for DiskFiles {
    fn content(&self, path: &str) -> io::Result<Content> {
        match self.open(path)? {
            // SAFETY: the map is only read, and lives no longer than the answer. Should another program shorten the file
            // meanwhile, the system ends this one (SIGBUS); nothing is written in any case.
            Place::File(file, _) => unsafe { Mmap::map(&file) }.map(Content::Mapped),
            Place::Pipe(pipe) => lock(&pipe).whole().map(Content::Piped),
        }
    }

    fn stream(&self, path: &str) -> io::Result<Stream<'_>> {
        let (reader, size): (Box<dyn Read>, _) = match self.open(path)? {
            Place::File(file, size) => (Box::new(file), Some(size)),
            Place::Pipe(pipe) => (lock(&pipe).take_stream()?, None),
        };
        Ok(Stream { reader: Box::new(BufReader::with_capacity(PIECE, reader)), size })
    }
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
            let loaded = load("job.toml", &text, Format::Toml, &DiskFiles::new(), &Overrides::default());
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
