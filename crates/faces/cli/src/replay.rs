//! `brimful replay`: would other settings or another GPU have held it?

use anyhow::Result;
use brimful_ask::{Outcome, ReplayRequest, replay};

use crate::args::ReplayArguments;
use crate::out::{HOST, To, show_all};

/// Replays every input; a bad one is reported, and the rest still answered.
///
/// # Errors
/// A call that is wrong as a whole, or a closed stream.
pub fn run(arguments: &ReplayArguments) -> Result<Outcome> {
    let ReplayArguments { inputs, conf, capacity, gpu, torch, device, json } = arguments;
    // People compare with the run as it was; programs ask `explain` for that.
    let request = ReplayRequest::new(conf.as_deref(), *capacity, gpu.as_deref(), *device, !json)?;
    let request = request.with_torch(torch.as_deref());
    show_all(To::Stdout, inputs.iter().map(|input| replay(HOST, input, &request)), *json)
}
