//! Models as people write them: a page of the hub, another owner's copy, `llama3-8b`, `mistral 7b`, a quantized copy.

/// A model's name in one spelling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spelling {
    /// The words without those that say how the weights are stored: `llama`, `3.1`, `8b`, `instruct`.
    pub words: Vec<String>,
    /// How the weights are quantized; `None` if the name does not say that they are.
    pub quantized: Option<&'static str>,
}

/// Words that say that a copy's weights are quantized, and what they say. What follows them says how.
const QUANTIZED: &[(&str, &str)] = &[
    ("bnb", "bitsandbytes"),
    ("4bit", "4-bit"),
    ("4bits", "4-bit"),
    ("8bit", "8-bit"),
    ("8bits", "8-bit"),
    ("nf4", "4-bit"),
    ("int4", "4-bit"),
    ("int8", "8-bit"),
    ("w4a16", "4-bit"),
    ("w8a8", "8-bit"),
    ("w8a16", "8-bit"),
    ("fp8", "FP8"),
    ("mxfp4", "MXFP4"),
    ("nvfp4", "NVFP4"),
    ("awq", "AWQ"),
    ("gptq", "GPTQ"),
    ("hqq", "HQQ"),
    ("aqlm", "AQLM"),
    ("autoround", "AutoRound"),
    ("exl2", "EXL2"),
    ("exl3", "EXL3"),
    ("gguf", "GGUF"),
    ("ggml", "GGML"),
    ("quantized", "quantized"),
    ("q2", "GGUF"),
    ("q3", "GGUF"),
    ("q4", "GGUF"),
    ("q5", "GGUF"),
    ("q6", "GGUF"),
    ("q8", "GGUF"),
];

/// Words that name the training of a model, not its architecture.
const VARIANTS: [&str; 9] = ["instruct", "chat", "it", "hf", "base", "bf16", "fp16", "unsloth", "dynamic"];

/// Words that some spellings of a name have and others lack.
const NOISE: [&str; 1] = ["meta"];

/// The hub's addresses.
const HOSTS: [&str; 4] = ["huggingface.co/", "www.huggingface.co/", "hf.co/", "hf://"];

/// First parts of a path that is no hub id.
const FOLDERS: [&str; 8] =
    ["models", "checkpoints", "checkpoint", "ckpt", "output", "outputs", "runs", "results"];

/// The hub id in the address of a page; any other text as it is.
pub(crate) fn hub_id(text: &str) -> &str {
    let text = text.trim();
    let bare = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or(text);
    let Some(path) = HOSTS.iter().find_map(|host| bare.strip_prefix(host)) else { return text };
    let path = path.split(['?', '#', '@']).next().unwrap_or(path).trim_matches('/');
    // `owner/name/tree/main` is a page of `owner/name`.
    match path.match_indices('/').nth(1) {
        Some((at, _)) => &path[..at],
        None => path,
    }
}

/// The name without its owner; `None` for what can only be a path.
pub(crate) fn without_owner(id: &str) -> Option<&str> {
    match id.split_once('/') {
        None => Some(id),
        Some((owner, name)) => {
            let is_path = owner.is_empty() || owner.starts_with(['.', '~']) || name.contains('/');
            (!is_path && !FOLDERS.contains(&owner)).then_some(name)
        }
    }
}

impl Spelling {
    /// The name without its owner, in words.
    pub(crate) fn of(name: &str) -> Spelling {
        let lower = name.to_ascii_lowercase();
        let tokens = tokens(&lower);
        let meaning = |token: &str| QUANTIZED.iter().find(|row| row.0 == token).map(|row| row.1);
        let marked: Vec<&'static str> = tokens.iter().filter_map(|token| meaning(token)).collect();
        let named = tokens.iter().take_while(|token| meaning(token).is_none());
        let words =
            named.flat_map(|token| apart(token)).filter(|word| !NOISE.contains(word)).map(str::to_owned);
        Spelling { words: words.collect(), quantized: marked.first().copied() }
    }

    /// The words that name the architecture.
    pub(crate) fn architecture(&self) -> Vec<&str> {
        self.words.iter().map(String::as_str).filter(|word| !VARIANTS.contains(word)).collect()
    }

    /// The words that have a digit: versions and sizes.
    pub(crate) fn numbers(&self) -> Vec<&str> {
        let has_digit = |word: &&str| word.bytes().any(|byte| byte.is_ascii_digit());
        self.words.iter().map(String::as_str).filter(has_digit).collect()
    }
}

/// The text cut at its signs; the point of `3.1` is none.
fn tokens(text: &str) -> Vec<&str> {
    let bytes = text.as_bytes();
    let is_digit = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
    let mut found = Vec::new();
    let mut start = 0;
    for (at, sign) in text.char_indices() {
        let is_point = sign == '.' && is_digit(at.checked_sub(1)) && is_digit(Some(at + 1));
        if !sign.is_alphanumeric() && !is_point {
            found.push(&text[start..at]);
            start = at + sign.len_utf8();
        }
    }
    found.push(&text[start..]);
    found.retain(|token| !token.is_empty());
    found
}

/// `llama3` as `llama` and `3`. One letter belongs to its number: `v0.1`, `a3b`.
fn apart(token: &str) -> impl Iterator<Item = &str> {
    let letters = token.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(token.len());
    let (word, rest) = if letters >= 2 { token.split_at(letters) } else { (token, "") };
    [word, rest].into_iter().filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_the_hub_is_its_id() {
        for (text, id) in [
            ("https://huggingface.co/meta-llama/Llama-3.1-8B-Instruct", "meta-llama/Llama-3.1-8B-Instruct"),
            ("https://huggingface.co/Qwen/Qwen3-8B/tree/main", "Qwen/Qwen3-8B"),
            ("hf.co/Qwen/Qwen3-8B/", "Qwen/Qwen3-8B"),
            ("https://huggingface.co/gpt2?library=transformers", "gpt2"),
            ("Qwen/Qwen3-8B", "Qwen/Qwen3-8B"),
            ("https://example.com/a/b", "https://example.com/a/b"),
        ] {
            assert_eq!(hub_id(text), id, "{text}");
        }
    }

    #[test]
    fn a_path_is_no_hub_id() {
        assert_eq!(without_owner("NousResearch/Llama-2-7b"), Some("Llama-2-7b"));
        for path in
            ["./llama-3-8b", "models/llama-3-8b", "/data/llama-3-8b", "a/b/llama-3-8b", "~/llama-3-8b"]
        {
            assert_eq!(without_owner(path), None, "{path}");
        }
    }

    #[test]
    fn words_and_weights_are_apart() {
        for (name, words, quantized) in [
            ("Meta-Llama-3.1-8B-bnb-4bit", vec!["llama", "3.1", "8b"], Some("bitsandbytes")),
            ("Llama-2-7B-AWQ", vec!["llama", "2", "7b"], Some("AWQ")),
            ("llama3:8b-instruct-q4_K_M", vec!["llama", "3", "8b", "instruct"], Some("GGUF")),
            ("mistral 7b", vec!["mistral", "7b"], None),
            ("Mistral-7B-Instruct-v0.2", vec!["mistral", "7b", "instruct", "v0.2"], None),
            ("qwen2.5-7b", vec!["qwen", "2.5", "7b"], None),
        ] {
            let spelling = Spelling::of(name);
            assert_eq!(
                (spelling.words, spelling.quantized),
                (words.iter().map(|w| (*w).to_owned()).collect(), quantized),
                "{name}"
            );
        }
    }
}
