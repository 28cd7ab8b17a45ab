//! The versions of programs that were rehearsed.

/// A program with the oldest and the newest of its versions whose rehearsal is known to be right: `fixtures/serving/README.md`
/// for the servers; for torch the releases whose kernels and allocator the virtual GPU follows.
pub const REHEARSED: [(&str, &str, &str); 3] =
    [("torch", "2.4", "2.15"), ("vLLM", "0.19.0", "0.33.0"), ("SGLang", "0.5.23", "0.5.23")];
