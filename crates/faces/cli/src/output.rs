//! Files that commands write: never cut, never over an input, never through another user's link.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Seek, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use brimful_ask::{name_of, path_of};
use tempfile::{Builder, NamedTempFile};

/// Names of the standard output as a file.
const STDOUT: [&str; 4] = ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"];
/// Files of a folder that a model or a job is read from, by their endings.
const READ_FROM_FOLDERS: [&str; 8] = ["json", "toml", "yaml", "yml", "safetensors", "gguf", "pickle", "gz"];

/// A file that is written, and gets its name only when it is whole.
pub struct Output {
    flag: &'static str,
    path: PathBuf,
    place: Place,
}

enum Place {
    /// A file beside the named one, which is renamed at the end.
    Beside(NamedTempFile),
    /// A device or a pipe, which cannot be renamed over.
    Straight(File),
    /// The standard output; the file collects what a writer wants to seek in.
    Stdout(NamedTempFile),
}

/// Whether a name means the standard output.
pub fn is_stdout(path: &Path) -> bool {
    STDOUT.iter().any(|name| path == Path::new(name))
}

impl Output {
    /// Begins a file. `inputs` are the files that the command reads, which it never writes over; `flag` is the flag that
    /// named the file.
    ///
    /// # Errors
    /// A file that cannot be written, a folder, or one of the inputs.
    pub fn create<'i>(
        flag: &'static str,
        path: &Path,
        inputs: impl IntoIterator<Item = &'i str>,
    ) -> Result<Output> {
        let named = || format!("{flag} {}", name_of(path.as_os_str()));
        ensure!(
            !path.as_os_str().is_empty(),
            "{flag}: the name is empty; name a file, or - for the standard output"
        );
        if is_stdout(path) {
            let place = Place::Stdout(NamedTempFile::new().with_context(named)?);
            return Ok(Output { flag, path: path.to_owned(), place });
        }
        if let Some(input) = inputs.into_iter().find(|input| is_read(input, path)) {
            bail!("{}: would be written over {input}, which is read; name another file", named());
        }
        let (path, place) = open(path).with_context(named)?;
        Ok(Output { flag, path, place })
    }

    /// A file that can be written and read by its path until [`Output::finish`]; `None` for a device or a pipe.
    pub fn path(&self) -> Option<&Path> {
        match &self.place {
            Place::Beside(file) | Place::Stdout(file) => Some(file.path()),
            Place::Straight(_) => None,
        }
    }

    /// Gives the file its name, or prints it.
    ///
    /// # Errors
    /// As the system's, with the name. The file that was there before is then still there.
    pub fn finish(self) -> Result<()> {
        let named = || format!("{} {}", self.flag, name_of(self.path.as_os_str()));
        match self.place {
            Place::Straight(mut file) => file.flush().with_context(named),
            Place::Beside(file) => {
                // Some systems report a full disk only now.
                file.as_file().sync_all().with_context(named)?;
                file.persist(&self.path).map(|_| ()).map_err(|error| error.error).with_context(named)
            }
            Place::Stdout(mut file) => {
                let content = file.as_file_mut();
                content.rewind().with_context(named)?;
                match io::copy(content, &mut io::stdout().lock()).and_then(|_| io::stdout().flush()) {
                    Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).with_context(named),
                    _ => Ok(()),
                }
            }
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.place {
            Place::Beside(file) | Place::Stdout(file) => file.write(bytes),
            Place::Straight(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.place {
            Place::Beside(file) | Place::Stdout(file) => file.flush(),
            Place::Straight(file) => file.flush(),
        }
    }
}

/// Writes a whole file.
///
/// # Errors
/// As [`Output::create`] and [`Output::finish`].
pub fn write<'i>(
    flag: &'static str,
    path: &Path,
    inputs: impl IntoIterator<Item = &'i str>,
    content: &[u8],
) -> Result<()> {
    let mut output = Output::create(flag, path, inputs)?;
    output.write_all(content).with_context(|| format!("{flag} {}", name_of(path.as_os_str())))?;
    output.finish()
}

/// The first of `rehearsal.zip`, `rehearsal-2.zip`, … that is not there.
pub fn free_name(path: &Path) -> PathBuf {
    let numbered = |number: u64| {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let ending = path.extension().unwrap_or_default().to_string_lossy();
        path.with_file_name(format!("{stem}-{number}.{ending}"))
    };
    let is_free = |path: &PathBuf| fs::symlink_metadata(path).is_err();
    let names = std::iter::once(path.to_owned()).chain((2..).map(numbered));
    names.into_iter().find(is_free).unwrap_or_else(|| path.to_owned())
}

/// A page's place if none was named: a new folder that only this user can enter.
///
/// # Errors
/// As the system's.
pub fn private_place(input: &str) -> Result<PathBuf> {
    let input = path_of(input);
    let is_pipe = input.as_os_str() == "-" || input.starts_with("/dev") || input.starts_with("/proc");
    let name = input.file_name().filter(|_| !is_pipe).map_or("run".to_owned(), name_of);
    // A name that is shown in a browser's address holds no characters that a name could not be typed with.
    let name: String =
        name.chars().filter(|c| !c.is_control() && u32::from(*c) < 0x10_ff00).take(80).collect();
    let mut folder = Builder::new();
    folder.prefix("brimful-");
    #[cfg(unix)]
    folder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
    let folder = folder.tempdir().context("the folder for temporary files")?.keep();
    Ok(folder.join(format!("{name}.html")))
}

fn open(path: &Path) -> io::Result<(PathBuf, Place)> {
    let path = followed(path);
    let permissions = match fs::metadata(&path) {
        Ok(about) if about.is_dir() => return Err(io::Error::other("is a folder; name a file in it")),
        Ok(about) if !about.is_file() || is_descriptor(&path) => {
            let file = OpenOptions::new().write(true).open(&path)?;
            return Ok((path, Place::Straight(file)));
        }
        Ok(about) if about.permissions().readonly() => {
            return Err(io::Error::new(ErrorKind::PermissionDenied, "may only be read; name another file"));
        }
        Ok(about) => Some(about.permissions()),
        Err(_) => None,
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = beside(&path, folder, permissions).map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            io::Error::new(ErrorKind::NotFound, "there is no such folder; make it first: mkdir -p")
        }
        _ => error,
    })?;
    Ok((path, Place::Beside(file)))
}

/// A new file in the folder, which another process cannot guess, with the permissions of the old one.
fn beside(path: &Path, folder: &Path, permissions: Option<Permissions>) -> io::Result<NamedTempFile> {
    let mut prefix = std::ffi::OsString::from(".");
    prefix.push(path.file_name().unwrap_or_default());
    prefix.push(".");
    let mut builder = Builder::new();
    builder.prefix(&prefix);
    // As any new file: the user's umask takes away from it.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let file = builder.tempfile_in(folder)?;
    if let Some(permissions) = permissions {
        file.as_file().set_permissions(permissions)?;
    }
    Ok(file)
}

/// The file that a link leads to. A link in a folder where everybody may write can be another user's: it is replaced, and
/// not followed.
fn followed(path: &Path) -> PathBuf {
    let is_link = fs::symlink_metadata(path).is_ok_and(|about| about.is_symlink());
    let is_shared = path
        .parent()
        .and_then(|folder| {
            fs::metadata(if folder.as_os_str().is_empty() { Path::new(".") } else { folder }).ok()
        })
        .is_some_and(|about| is_shared(&about));
    match fs::canonicalize(path) {
        Ok(target) if is_link && !is_shared => target,
        _ => path.to_owned(),
    }
}

/// Whether a path is a descriptor of this process, which may lead to a file that the shell opened.
fn is_descriptor(path: &Path) -> bool {
    path.starts_with("/dev/fd") || path.starts_with("/proc/self/fd") || path == Path::new("/dev/stderr")
}

#[cfg(unix)]
fn is_shared(about: &Metadata) -> bool {
    std::os::unix::fs::MetadataExt::mode(about) & 0o002 != 0
}

#[cfg(not(unix))]
fn is_shared(_: &Metadata) -> bool {
    false
}

/// Whether writing the output would destroy what an input is read from.
fn is_read(input: &str, output: &Path) -> bool {
    let named = path_of(input);
    // `rehearsal.zip#63` is read from `rehearsal.zip`.
    let whole = input.rsplit_once('#').map(|(file, _)| path_of(file));
    let is_in_folder = named.is_dir()
        && output.extension().is_some_and(|ending| READ_FROM_FOLDERS.iter().any(|read| ending == *read))
        && output.exists()
        && output.parent().is_some_and(|folder| {
            is_same(&named, if folder.as_os_str().is_empty() { Path::new(".") } else { folder })
        });
    is_in_folder || is_same(&named, output) || whole.is_some_and(|file| is_same(&file, output))
}

/// Whether two names lead to one regular file or folder, also through links.
#[cfg(unix)]
fn is_same(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (fs::metadata(one), fs::metadata(other)) {
        (Ok(one), Ok(other)) => {
            let can_be_destroyed = one.is_file() || one.is_dir();
            can_be_destroyed && (one.dev(), one.ino()) == (other.dev(), other.ino())
        }
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_same(one: &Path, other: &Path) -> bool {
    matches!((fs::canonicalize(one), fs::canonicalize(other)), (Ok(one), Ok(other)) if one == other)
}
