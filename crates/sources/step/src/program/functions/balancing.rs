//! The loss that balances experts (`load_balancing_loss_func` in transformers/models/mixtral/modeling_mixtral.py, 5.23, of
//! which every model has a copy).

use brimful_units::Dtype;

use super::super::arguments::Arguments;
use super::super::fault::Fault;
use super::super::value::{Items, Value};
use super::experts::largest;
use crate::ops;
use crate::tensor::Tensor;

/// The names of the function that live from one layer to the next. Python frees them in this order.
struct Sums {
    tokens_per_expert_sum: Tensor,
    router_prob_sum: Tensor,
    /// The weight of all tokens under a mask; without a mask it is a Python number.
    total_rows: Option<Tensor>,
    flat_mask: Option<Tensor>,
    routing_weights: Option<Tensor>,
    /// The name `_`: the largest weights, which nobody reads.
    unused: Option<Tensor>,
    selected_experts: Option<Tensor>,
}

/// `load_balancing_loss_func(router_logits, num_experts, top_k, attention_mask)`.
pub(in crate::program) fn balancing(given: &Arguments<'_>) -> Result<Tensor, Fault> {
    let Some(Value::Items(Items(logits))) = given.get(0, "gate_logits") else {
        return Err(given.fault("no logits"));
    };
    let layers = given.tensors(0, "gate_logits")?;
    let first = *layers.first().ok_or_else(|| given.fault("no layer with experts"))?;
    let natural = |at: usize, name: &str| {
        u64::try_from(given.integer(at, name)?).map_err(|_| given.fault(format!("a negative {name}")))
    };
    let (experts, top_k) = (natural(1, "num_experts")?, natural(2, "top_k")?);
    if layers.iter().any(|layer| layer.rank() != 2 || layer.last(0) != experts) {
        return Err(given.fault(format!("logits of other sizes than {experts} a token")));
    }
    let zeros = || ops::new_tensor(first.device(), "zeros", [experts], Dtype::F32);
    let (tokens_per_expert_sum, router_prob_sum) = (zeros(), zeros());
    let mask = given.optional_tensor(3, "attention_mask")?;
    let flat_mask = mask.map(|mask| {
        let flat = ops::reshape(mask, [mask.numel()]);
        ops::to(&flat, Dtype::F32)
    });
    let mut sums = Sums {
        tokens_per_expert_sum,
        router_prob_sum,
        total_rows: None,
        flat_mask,
        routing_weights: None,
        unused: None,
        selected_experts: None,
    };
    for layer in logits.iter().filter_map(Value::tensor) {
        sums.add(given, layer, experts, top_k)?;
    }
    Ok(sums.loss())
}

impl Sums {
    /// One turn of the loop. Each assignment frees the old object once the new one is there.
    fn add(&mut self, given: &Arguments<'_>, layer: &Tensor, experts: u64, top_k: u64) -> Result<(), Fault> {
        let weights = ops::softmax_autocast(layer);
        self.routing_weights = Some(weights.clone());
        let (values, selected) = largest(given, &weights, top_k)?;
        self.unused = Some(values);
        self.selected_experts = Some(selected.clone());
        match self.flat_mask.clone() {
            None => self.count(&weights, &selected, experts),
            Some(mask) => return self.count_masked(given, &mask, &weights, (experts, top_k)),
        }
        Ok(())
    }

    fn count(&mut self, weights: &Tensor, selected: &Tensor, experts: u64) {
        let counted = {
            let flat = ops::reshape(selected, [selected.numel()]);
            ops::histogram(&ops::to(&flat, Dtype::I32), experts)
        };
        self.tokens_per_expert_sum = ops::add(&self.tokens_per_expert_sum, &counted);
        drop(counted);
        let summed = ops::sum(&ops::to(weights, Dtype::F32), 0, false, Dtype::F32);
        self.router_prob_sum = ops::add(&self.router_prob_sum, &summed);
    }

    /// The same of the tokens that are no padding.
    fn count_masked(
        &mut self,
        given: &Arguments<'_>,
        mask: &Tensor,
        weights: &Tensor,
        (experts, top_k): (u64, u64),
    ) -> Result<(), Fault> {
        if mask.numel() != weights.dim(0) {
            return Err(given.fault(format!("a mask of {} for {}", mask.shape(), weights.shape())));
        }
        // `scatter_add_` writes into the zeros; its arguments go before the sum.
        let counted = ops::new_tensor(mask.device(), "zeros", [experts], Dtype::F32);
        drop(ops::repeat_interleave(mask, top_k, 0));
        self.tokens_per_expert_sum = ops::add(&self.tokens_per_expert_sum, &counted);
        drop(counted);
        let summed = {
            let product = {
                let weights = ops::to(weights, Dtype::F32);
                ops::mul(&weights, ops::unsqueeze(mask, 1))
            };
            ops::sum(&product, 0, false, Dtype::F32)
        };
        self.router_prob_sum = ops::add(&self.router_prob_sum, &summed);
        drop(summed);
        let rows = ops::sum_of_all(mask);
        // The first turn adds to the Python number 0.0.
        self.total_rows = Some(match &self.total_rows {
            None => ops::add_scalar(&rows),
            Some(total) => ops::add(total, &rows),
        });
        drop(rows);
        Ok(())
    }

    fn loss(self) -> Tensor {
        let share = |sum: &Tensor| match &self.total_rows {
            None => ops::div_scalar(sum),
            Some(total) => ops::divide(sum, total),
        };
        let tokens_per_expert = share(&self.tokens_per_expert_sum);
        let router_prob_per_expert = share(&self.router_prob_sum);
        let product = ops::mul(&tokens_per_expert, ops::unsqueeze(&router_prob_per_expert, 0));
        let overall_loss = ops::sum_of_all(&product);
        drop(product);
        let result = ops::mul_scalar(&overall_loss);
        // The function's frame frees its names in the order of their first assignment.
        drop(self);
        drop(tokens_per_expert);
        drop(router_prob_per_expert);
        drop(overall_loss);
        result
    }
}
