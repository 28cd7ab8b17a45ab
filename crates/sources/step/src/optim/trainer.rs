//! The optimizer as transformers' Trainer makes it (`create_optimizer` in transformers/trainer.py, 5.23): one group of parameters
//! whose weights decay, and one whose do not.

use brimful_jobs::{Optimizer as Choice, OptimizerKind, TrainingLoop};

use super::{Optimizer, Parameters, of_group};
use crate::nn::Parameter;

/// The optimizer over both groups.
pub(super) fn grouped(choice: &Choice, parameters: Parameters) -> Box<dyn Optimizer> {
    let (decaying, others): (Parameters, Parameters) = parameters.into_iter().partition(|p| decays(p));
    let recipe = TrainingLoop::Trainer;
    match choice.kind {
        // They visit one parameter after the other, and share their code maps.
        OptimizerKind::BitsAndBytes(_) | OptimizerKind::TorchAo(_) => {
            of_group(choice, decaying.into_iter().chain(others).collect(), recipe)
        }
        _ => Box::new(Groups([of_group(choice, decaying, recipe), of_group(choice, others, recipe)])),
    }
}

/// `get_decay_parameter_names`: neither a bias nor the weight of a norm, by the parameter's name; the weight of an
/// `nn.LayerNorm` has one dimension.
fn decays(parameter: &Parameter) -> bool {
    let path = parameter.path().to_lowercase();
    let named = ["bias", "layernorm", "rmsnorm"].iter().any(|word| path.contains(word));
    let norm = path.split('.').any(|part| part == "norm" || part.ends_with("_norm"));
    let of_layer_norm = path.ends_with(".weight") && parameter.tensor().shape().rank() == 1;
    !named && !norm && !of_layer_norm
}

/// Groups that step one after the other.
struct Groups([Box<dyn Optimizer>; 2]);

impl Optimizer for Groups {
    fn step(&mut self) {
        self.0.iter_mut().for_each(|group| group.step());
    }

    fn supports_amp_scaling(&self) -> bool {
        self.0.iter().all(|group| group.supports_amp_scaling())
    }
}
