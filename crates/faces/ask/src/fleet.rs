//! Which of several GPUs hold a job?

use anyhow::{Context, Result, bail, ensure};
use brimful_devices::{Gpu, catalogue};
use brimful_jobs::{LoadedJob, Overrides, open_served};
use brimful_plan::{Fit, FitVerdict, fit as fit_job};
use brimful_report::{FitAnswer, FleetAnswer, fit_json, fleet_text};
use brimful_units::Bytes;

use crate::fit::{ShowTechniques, open_job, runnable};
use crate::{Answer, FitRequest, Host, Outcome};

/// The word that stands for every GPU of the catalogue.
pub const ANY_GPU: &str = "any";

/// `--gpu any` names at most this many GPUs.
const SMALLEST: usize = 5;

/// A job on several GPUs.
pub struct FleetReply {
    job: String,
    call: String,
    smallest: bool,
    strict: bool,
    rows: Vec<(LoadedJob, Fit)>,
}

/// Answers a question about one job on each of these GPUs; [`ANY_GPU`] stands for the smallest ones that hold it. `call` is
/// how it can be asked for again, without a GPU.
///
/// # Errors
/// As [`crate::fit()`]; also where no GPU of the catalogue holds the job, and where the request needs one GPU.
pub fn fit_on(
    host: Host<'_>,
    job: &str,
    call: &str,
    request: &FitRequest,
    gpus: &[String],
) -> Result<FleetReply> {
    let of_one = [
        ("--max", request.max.is_some()),
        ("--techniques", request.techniques == ShowTechniques::Always),
        ("--why", request.why),
    ];
    if let Some((flag, _)) = of_one.iter().find(|(_, is_asked)| *is_asked) {
        bail!("{flag} asks about one GPU, and several are named; name one with --gpu");
    }
    if open_served(job, host.files, &request.changes)?.is_some() {
        bail!("{job}: several GPUs are named, and a served job is answered for one; name one with --gpu");
    }
    let smallest = gpus.iter().any(|gpu| gpu.trim().eq_ignore_ascii_case(ANY_GPU));
    let rows = if smallest {
        let bare = runnable(open_job(host, job, &request.changes)?)?;
        smallest_that_hold(&bare).with_context(|| job.to_owned())?
    } else {
        let on = |gpu: &String| {
            let loaded = runnable(open_job(host, job, &request.changes.clone().set("gpu", gpu))?)?;
            let fit = fit_job(&loaded.job).with_context(|| job.to_owned())?;
            Ok((loaded, fit))
        };
        gpus.iter().map(on).collect::<Result<_>>()?
    };
    Ok(FleetReply { job: job.to_owned(), call: call.to_owned(), smallest, strict: request.strict, rows })
}

/// The job on the smallest GPUs that hold it. A GPU with less than the job needs beside the CUDA context is not simulated.
fn smallest_that_hold(bare: &LoadedJob) -> Result<Vec<(LoadedJob, Fit)>> {
    // The ledger is that of a device without an end, whatever GPU the job file names.
    let least = fit_job(&bare.job)?.ledger.requested;
    let mut gpus: Vec<Gpu> = catalogue::ids_with_cuda().filter_map(|id| Gpu::find(id).ok()).collect();
    gpus.sort_by_key(|gpu| gpu.total);
    let largest = gpus.last().map_or(Bytes::ZERO, |gpu| gpu.total);
    let mut held = Vec::new();
    for gpu in gpus.iter().filter(|gpu| gpu.total > least) {
        let loaded = bare.with_changes(&Overrides::default().set("gpu", &gpu.id))?;
        let fit = fit_job(&loaded.job)?;
        if fit.verdict == FitVerdict::Fits {
            held.push((loaded, fit));
        }
        if held.len() == SMALLEST {
            break;
        }
    }
    ensure!(
        !held.is_empty(),
        "no GPU of the catalogue holds it: it requests {least}, and the largest GPU reports {largest}; \
         brimful fit --techniques lists what would save memory"
    );
    Ok(held)
}

impl FleetReply {
    fn view(&self) -> FleetAnswer<'_> {
        let gpu = self.rows.first().and_then(|(loaded, _)| loaded.job.gpu.as_ref());
        let named = gpu.map_or_else(String::new, |gpu| {
            if gpu.id.contains(' ') { format!(" --gpu '{}'", gpu.id) } else { format!(" --gpu {}", gpu.id) }
        });
        FleetAnswer {
            rows: self.rows.iter().map(|(loaded, fit)| (loaded, fit)).collect(),
            smallest: self.smallest,
            next: format!("brimful fit {}{named}", self.call),
        }
    }
}

impl Answer for FleetReply {
    fn text(&self) -> String {
        fleet_text(&self.view())
    }

    /// A line for each GPU, each the answer of `brimful fit` for that GPU.
    fn json(&self) -> String {
        let of_one = |(loaded, fit): &(LoadedJob, Fit)| {
            fit_json(&FitAnswer {
                job: &self.job,
                call: &self.call,
                loaded,
                fit,
                largest: None,
                techniques: &[],
                techniques_were_asked_for: false,
            })
        };
        self.rows.iter().map(of_one).collect::<Vec<_>>().join("\n")
    }

    fn outcome(&self) -> Outcome {
        let fails = |row: &(LoadedJob, Fit)| match row.1.verdict {
            FitVerdict::DoesNotFit => true,
            FitVerdict::TooClose => self.strict,
            FitVerdict::Fits | FitVerdict::NoDevice => false,
        };
        if self.rows.iter().any(fails) { Outcome::Found } else { Outcome::Well }
    }
}
