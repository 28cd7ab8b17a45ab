//! The optimizers: what their state and their temporaries take (torch/optim, transformers, bitsandbytes,
//! torchao).

mod adadelta;
mod adafactor;
mod adagrad;
mod adam;
mod adamax;
mod averages;
mod bitsandbytes;
mod nadam;
mod radam;
mod rmsprop;
mod sgd;
mod torchao;
mod trainer;
mod transformers_adafactor;

use std::rc::Rc;

use brimful_jobs::{Optimizer as Choice, OptimizerKind, TrainingLoop};
use brimful_trace::Category;

use self::averages::TwoAverages;
use crate::nn::Parameter;
use crate::ops;
use crate::tensor::Tensor;

/// The parameters of an optimizer, in the order in which it visits them.
pub(crate) type Parameters = Vec<Rc<Parameter>>;

/// How torch walks over the parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Implementation {
    /// One kernel for many tensors, with lists of temporaries.
    Foreach,
    /// One kernel for everything, without temporaries.
    Fused,
    /// A Python loop over the parameters.
    ForLoop,
}

impl Implementation {
    /// `_default_to_fused_or_foreach` in torch/optim/optimizer.py: CUDA parameters get foreach
    /// where nothing was asked for.
    fn of(choice: &Choice) -> Implementation {
        match (choice.fused, choice.foreach) {
            (Some(true), _) => Implementation::Fused,
            (_, Some(false)) | (Some(false), None) => Implementation::ForLoop,
            _ => Implementation::Foreach,
        }
    }
}

/// An optimizer between its steps.
pub(crate) trait Optimizer {
    /// `optimizer.step()` over the parameters that have a gradient.
    fn step(&mut self);

    /// Whether it unscales gradients inside its own kernel (`_step_supports_amp_scaling`).
    fn supports_amp_scaling(&self) -> bool {
        false
    }
}

/// Makes the optimizer for these parameters, in the groups of the loop that trains.
pub(crate) fn make(choice: &Choice, parameters: Parameters, recipe: TrainingLoop) -> Box<dyn Optimizer> {
    match recipe {
        TrainingLoop::Plain => of_group(choice, parameters, recipe),
        TrainingLoop::Trainer => trainer::grouped(choice, parameters),
    }
}

/// The optimizer for one group of parameters.
fn of_group(choice: &Choice, parameters: Parameters, recipe: TrainingLoop) -> Box<dyn Optimizer> {
    let implementation = Implementation::of(choice);
    match choice.kind {
        OptimizerKind::Sgd { momentum, nesterov, weight_decay, .. } => {
            Box::new(sgd::Sgd::new(parameters, implementation, momentum, nesterov, weight_decay))
        }
        OptimizerKind::Adam { amsgrad, weight_decay } => {
            Box::new(adam::Adam::new(parameters, implementation, amsgrad, weight_decay))
        }
        OptimizerKind::AdamW { amsgrad } => {
            Box::new(adam::Adam::new(parameters, implementation, amsgrad, false))
        }
        OptimizerKind::Adagrad { weight_decay } => {
            Box::new(adagrad::Adagrad::new(parameters, implementation, weight_decay, recipe))
        }
        OptimizerKind::RmsProp { momentum, centered, weight_decay } => {
            Box::new(rmsprop::RmsProp::new(parameters, implementation, momentum, centered, weight_decay))
        }
        OptimizerKind::Adafactor => Box::new(adafactor::Adafactor::new(parameters, choice.foreach)),
        OptimizerKind::TransformersAdafactor { beta1, .. } => {
            Box::new(transformers_adafactor::Adafactor::new(parameters, beta1))
        }
        OptimizerKind::NAdam { weight_decay } => {
            Box::new(TwoAverages::<nadam::NAdam>::new(parameters, implementation, weight_decay))
        }
        OptimizerKind::RAdam { weight_decay } => {
            Box::new(TwoAverages::<radam::RAdam>::new(parameters, implementation, weight_decay))
        }
        OptimizerKind::Adamax { weight_decay } => {
            Box::new(TwoAverages::<adamax::Adamax>::new(parameters, implementation, weight_decay))
        }
        OptimizerKind::Adadelta { weight_decay } => {
            Box::new(TwoAverages::<adadelta::Adadelta>::new(parameters, implementation, weight_decay))
        }
        OptimizerKind::TorchAo(choice) => Box::new(torchao::TorchAo::new(parameters, choice)),
        OptimizerKind::BitsAndBytes(choice) => {
            Box::new(bitsandbytes::BitsAndBytes::new(parameters, choice, recipe))
        }
    }
}

/// The tensors of the parameters that have a gradient, and the gradients.
fn with_gradients(parameters: &[Rc<Parameter>]) -> (Vec<Tensor>, Vec<Tensor>) {
    parameters.iter().filter_map(|p| p.grad().map(|grad| (p.tensor(), grad))).unzip()
}

/// `torch.zeros_like(p)` as state.
fn zeros_like_state(p: &Tensor) -> Tensor {
    state(ops::zeros_like(p))
}

fn state(x: Tensor) -> Tensor {
    x.categorize(Category::Optimizer);
    x
}
