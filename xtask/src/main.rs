//! Chores of the project: `cargo xtask tidy`, `accuracy` and `cuda-api`.

mod accuracy;
mod cuda_api;
mod tidy;
mod truth;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

fn main() -> Result<()> {
    let root = root();
    match std::env::args().nth(1).as_deref() {
        Some("tidy") => tidy::run(&root),
        Some("accuracy") => accuracy::run(&root),
        Some("cuda-api") => cuda_api::run(&root, &std::env::args().skip(2).collect::<Vec<_>>()),
        _ => bail!("usage: cargo xtask tidy | accuracy | cuda-api"),
    }
}

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}
