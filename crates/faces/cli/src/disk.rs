//! The files of the machine; the libraries open none.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};

use brimful_models::{Files, Kind};

/// The files of the machine, for the libraries that read what they are handed.
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
