use std::io::{self, BufRead};
use std::ops::Deref;
use std::sync::Arc;

use brimful_models::MemoryFiles;
use memmap2::Mmap;

/// Files as a face has them: those of a disk, or some in memory. `-` is the standard input where there is one.
pub trait Files: brimful_models::Files + Sync {
    /// All bytes of a file, mapped where that is possible.
    ///
    /// # Errors
    /// As the system's.
    fn content(&self, path: &str) -> io::Result<Content>;

    /// A file from its beginning, read once.
    ///
    /// # Errors
    /// As the system's.
    fn stream(&self, path: &str) -> io::Result<Stream<'_>>;
}

/// The bytes of a file.
#[derive(Debug)]
pub enum Content {
    /// A file of a disk, mapped.
    Mapped(Mmap),
    /// What was in a run file or in memory; also an empty file, which cannot be mapped.
    Read(Vec<u8>),
    /// What came through a pipe.
    Piped(Arc<Vec<u8>>),
}

impl Deref for Content {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Content::Mapped(map) => map,
            Content::Read(bytes) => bytes,
            Content::Piped(bytes) => bytes,
        }
    }
}

/// A file that is read once, from its beginning.
pub struct Stream<'a> {
    /// The bytes.
    pub reader: Box<dyn BufRead + 'a>,
    /// How many there are; `None` for a pipe, which cannot be opened a second time either.
    pub size: Option<u64>,
}

impl Files for MemoryFiles {
    fn content(&self, path: &str) -> io::Result<Content> {
        self.0.get(path).cloned().map(Content::Read).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn stream(&self, path: &str) -> io::Result<Stream<'_>> {
        let content = self.0.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Stream { reader: Box::new(content.as_slice()), size: Some(content.len() as u64) })
    }
}
