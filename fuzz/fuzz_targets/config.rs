//! Any text as a config.json: an answer or an error; what is accepted can be counted.
#![no_main]

use brimful_models::ConfigFile;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(file) = ConfigFile::from_json(text) {
        assert!(file.config.parameter_count() > 0);
    }
});
