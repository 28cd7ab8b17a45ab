//! The header of a GGUF file, which may be split into parts.

use anyhow::{Context, Result, bail};
use brimful_gguf::{Header, part_names};
use brimful_models::Kind;

use crate::Host;

/// The header of a model whose file has this name, and what else to say about its files. The parts of a split file lie beside
/// each other.
///
/// # Errors
/// A file that is missing, is cut off inside its header, or is of another format: the message names it and the offset.
pub(crate) fn header(host: Host<'_>, file: &str) -> Result<(Header, Option<String>)> {
    let parts = part_names(file).unwrap_or_else(|| vec![file.to_owned()]);
    if let Some(missing) = parts.iter().find(|part| host.files.kind(part) != Kind::File) {
        match parts.len() {
            1 => bail!("{missing}: there is no such file"),
            all => bail!(
                "{missing}: this part of the model is missing; llama.cpp needs all {all} parts beside each other"
            ),
        }
    }
    let mut note = None;
    let mut headers = Vec::new();
    for part in &parts {
        let read = read(host, part).with_context(|| part.clone())?;
        note = note.or(read.1);
        headers.push(read.0);
    }
    Ok((Header::join(headers).with_context(|| file.to_owned())?, note))
}

fn read(host: Host<'_>, part: &str) -> Result<(Header, Option<String>)> {
    let stream = host.files.stream(part)?;
    let header = Header::read(stream.reader)?;
    // The answer needs no data, but a server does.
    let short = stream.size.and_then(|size| header.check_length(size).err());
    let note = short.map(|error| format!("{part} cannot be served as it is: {error}"));
    Ok((header, note))
}
