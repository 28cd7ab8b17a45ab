//! Any text as a job, in each format: a job or an error that can be printed.
#![no_main]

use brimful_jobs::{Format, Overrides, load};
use brimful_models::NoFiles;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &str)| {
    let format = [Format::Toml, Format::Yaml, Format::Json][usize::from(input.0 % 3)];
    if let Err(error) = load("job", input.1, format, &NoFiles, &Overrides::default()) {
        assert!(!error.to_string().is_empty());
    }
});
