//! The jobs of `examples/` load, each with its GPU and nothing left to guess about the precision.

use brimful_jobs::{Format, Overrides, load};
use brimful_models::NoFiles;

#[test]
fn every_example_loads() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../examples");
    let mut loaded = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let Some(format) = Format::of_path(&path.to_string_lossy()) else { continue };
        let text = std::fs::read_to_string(&path).unwrap();
        let job = load(&path.to_string_lossy(), &text, format, &NoFiles, &Overrides::default());
        let job = job.unwrap_or_else(|error| panic!("{error}"));
        assert!(job.job.gpu.is_some(), "{}", path.display());
        assert!(job.recipe.notes.is_empty(), "{}: {:?}", path.display(), job.recipe.notes);
        loaded += 1;
    }
    assert!(loaded >= 7, "{loaded}");
}
