use std::collections::BTreeMap;

/// What a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Kind {
    Missing,
    File,
    Folder,
}

/// The files a model may be in, handed in by the caller: this crate opens nothing itself.
///
/// Errors are texts for people; the path is added by the caller.
pub trait Files {
    /// What the path names.
    fn kind(&self, path: &str) -> Kind;
    /// The names in a folder, in any order.
    fn list(&self, folder: &str) -> Result<Vec<String>, String>;
    /// The size of a file.
    fn size(&self, path: &str) -> Result<u64, String>;
    /// `length` bytes from `offset` on; fewer where the file ends.
    fn read(&self, path: &str, offset: u64, length: u64) -> Result<Vec<u8>, String>;
}

/// No files at all: names and tables still work.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFiles;

impl Files for NoFiles {
    fn kind(&self, _: &str) -> Kind {
        Kind::Missing
    }

    fn list(&self, _: &str) -> Result<Vec<String>, String> {
        Ok(Vec::new())
    }

    fn size(&self, _: &str) -> Result<u64, String> {
        Err("there is no such file".to_owned())
    }

    fn read(&self, _: &str, _: u64, _: u64) -> Result<Vec<u8>, String> {
        Err("there is no such file".to_owned())
    }
}

/// Files in memory, for tests and for faces without a disk; paths use `/`.
#[derive(Clone, Debug, Default)]
pub struct MemoryFiles(pub BTreeMap<String, Vec<u8>>);

impl MemoryFiles {
    /// The same files and one more.
    #[must_use]
    pub fn with(mut self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.0.insert(path.to_owned(), content.into());
        self
    }

    fn content(&self, path: &str) -> Result<&Vec<u8>, String> {
        self.0.get(path).ok_or_else(|| "there is no such file".to_owned())
    }
}

impl Files for MemoryFiles {
    fn kind(&self, path: &str) -> Kind {
        let folder = format!("{path}/");
        match () {
            () if self.0.contains_key(path) => Kind::File,
            () if self.0.keys().any(|known| known.starts_with(&folder)) => Kind::Folder,
            () => Kind::Missing,
        }
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, String> {
        let folder = format!("{folder}/");
        let inside = self.0.keys().filter_map(|path| path.strip_prefix(&folder));
        Ok(inside.filter(|name| !name.contains('/')).map(str::to_owned).collect())
    }

    fn size(&self, path: &str) -> Result<u64, String> {
        self.content(path).map(|content| content.len() as u64)
    }

    fn read(&self, path: &str, offset: u64, length: u64) -> Result<Vec<u8>, String> {
        let content = self.content(path)?;
        let clip = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).min(content.len());
        Ok(content[clip(offset)..clip(offset.saturating_add(length))].to_vec())
    }
}
