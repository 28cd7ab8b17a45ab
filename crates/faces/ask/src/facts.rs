//! What is known? Versions and data, each from the crate that holds it.

use brimful_devices::catalogue as gpus;
use brimful_explain::cause_pages;
use brimful_jobs::followed;
use brimful_logs::formats;
use brimful_models::{catalogue as models, simulated_families};
use brimful_rehearsal::REHEARSED;
use brimful_report::{DataFacts, FactsAnswer, Version, facts_json, facts_text};
use brimful_snapshot::KNOWN_RELEASES;
use brimful_virtual_gpu::{CUDA, DRIVER};

use crate::{Answer, Outcome};

/// The answer to what is known.
pub struct FactsReply(FactsAnswer);

/// The versions of programs whose behaviour is known, and the size of each data set.
pub fn facts() -> FactsReply {
    let one = |(name, version)| Version { name, oldest: version, newest: version };
    let (oldest, newest) = KNOWN_RELEASES;
    FactsReply(FactsAnswer {
        version: env!("CARGO_PKG_VERSION"),
        predicted: followed().map(one).collect(),
        rehearsed: REHEARSED.map(|(name, oldest, newest)| Version { name, oldest, newest }).to_vec(),
        virtual_gpu: [("driver", DRIVER), ("CUDA", CUDA)].map(one).to_vec(),
        architectures: simulated_families().collect(),
        snapshots: vec![Version { name: "torch", oldest, newest }],
        data: data(),
    })
}

fn data() -> DataFacts {
    DataFacts {
        gpus: gpus::ids().count(),
        gpus_with_cuda: gpus::ids_with_cuda().count(),
        models: models::names().count(),
        models_simulated: models::simulated().count(),
        log_formats: formats().count(),
        causes: cause_pages().count(),
    }
}

impl Answer for FactsReply {
    fn text(&self) -> String {
        facts_text(&self.0)
    }

    fn json(&self) -> String {
        facts_json(&self.0)
    }

    fn outcome(&self) -> Outcome {
        Outcome::Well
    }
}
