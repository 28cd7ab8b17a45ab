//! Serving engines: their weights can be made up by a flag of theirs, and they never end by themselves.

use std::ffi::{OsStr, OsString};
use std::path::Path;

/// The flag that makes weights up; vLLM's and SGLang's have the same name.
const FLAG: &str = "--load-format";

/// How an engine is started: words of the command, each the end of a word there.
const STARTS: [(&str, &[&str]); 6] = [
    ("vLLM", &["vllm", "serve"]),
    ("vLLM", &["-m", "vllm.entrypoints.openai.api_server"]),
    ("vLLM", &["-m", "vllm.entrypoints.api_server"]),
    ("SGLang", &["sglang", "serve"]),
    ("SGLang", &["-m", "sglang.launch_server"]),
    ("SGLang", &["-m", "sglang.serve"]),
];

/// The engine that a command starts, by name.
pub(crate) fn engine(command: &[OsString]) -> Option<&'static str> {
    let is = |words: &[&str]| {
        command
            .windows(words.len())
            .take(6)
            .any(|window| window.iter().zip(words).all(|(word, wanted)| name(word) == Some(wanted)))
    };
    STARTS.iter().find(|(_, words)| is(words)).map(|(engine, _)| *engine)
}

fn name(word: &OsString) -> Option<&str> {
    Path::new(word).file_name().and_then(OsStr::to_str)
}

/// The command with dummy weights, unless it says itself how weights are loaded.
pub(crate) fn with_dummy_weights(command: &[OsString]) -> Option<Vec<OsString>> {
    let says = |word: &OsString| {
        word.to_str().is_some_and(|word| word == FLAG || word.starts_with(&format!("{FLAG}=")))
    };
    if command.iter().any(says) {
        return None;
    }
    let words = [FLAG, "dummy"].map(OsString::from);
    Some(command.iter().cloned().chain(words).collect())
}

/// Variables that an engine starts with, unless the caller has set them: DeepGEMM compiles with the CUDA toolkit and
/// times its kernels on the GPU.
pub(crate) fn variables(engine: &str) -> Vec<(OsString, OsString)> {
    let all: &[(&str, &str)] = match engine {
        "vLLM" => &[("VLLM_USE_DEEP_GEMM", "0"), ("VLLM_DEEP_GEMM_WARMUP", "skip")],
        _ => &[("SGLANG_ENABLE_JIT_DEEPGEMM", "0")],
    };
    let unset = all.iter().filter(|(name, _)| std::env::var_os(name).is_none());
    unset.map(|(name, value)| (name.into(), value.into())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn servers_are_known_by_their_start() {
        for (text, expected) in [
            ("vllm serve m --max-model-len 8192", Some("vLLM")),
            ("/env/bin/python /env/bin/vllm serve m", Some("vLLM")),
            ("python -m vllm.entrypoints.openai.api_server --model m", Some("vLLM")),
            ("python3 -m sglang.launch_server --model-path m", Some("SGLang")),
            ("python train.py vllm", None),
            ("vllm bench latency", None),
        ] {
            assert_eq!(engine(&words(text)), expected, "{text}");
        }
    }

    #[test]
    fn a_stated_format_is_kept() {
        assert_eq!(
            with_dummy_weights(&words("vllm serve m")),
            Some(words("vllm serve m --load-format dummy"))
        );
        assert_eq!(with_dummy_weights(&words("vllm serve m --load-format=auto")), None);
    }
}
