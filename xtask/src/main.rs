//! Chores of the project: `cargo xtask test`, `tidy`, `accuracy`, `truth`, `cuda-api`, `sbom` and `schema`.

mod accuracy;
mod cuda_api;
mod sbom;
mod schema;
mod test;
mod tidy;
mod truth;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

fn main() -> Result<()> {
    let root = root();
    let arguments: Vec<String> = std::env::args().skip(2).collect();
    match std::env::args().nth(1).as_deref() {
        Some("test") => test::run(&root, &arguments),
        Some("tidy") => tidy::run(&root, &arguments),
        Some("accuracy") => accuracy::run(&root),
        Some("cuda-api") => cuda_api::run(&root, &arguments),
        Some("sbom") => sbom::run(&root, &arguments),
        Some("truth") => truth::run(&root, &arguments),
        Some("schema") => schema::run(&root),
        _ => bail!(
            "usage: cargo xtask test [--torch] | tidy [--list] | accuracy | truth … | cuda-api | sbom TARGET | schema"
        ),
    }
}

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}
