//! transformers' key-value caches (cache_utils.py).

use brimful_trace::Category;
use brimful_units::Dtype;

use crate::StepError;
use crate::device::Device;
use crate::ops;
use crate::tensor::Tensor;

/// Keys and values of earlier tokens, per block.
pub(crate) struct Cache {
    layers: Vec<CachedLayer>,
    seen: u64,
    /// Tokens that a static cache holds; `None` for a dynamic one.
    capacity: Option<u64>,
}

#[derive(Default)]
struct CachedLayer {
    held: Option<(Tensor, Tensor)>,
    /// The number on the device that a windowed or a static layer keeps.
    number: Option<Tensor>,
    window: Option<u64>,
    /// Tokens so far.
    length: u64,
}

impl Cache {
    /// `DynamicCache`: grows by concatenation; a windowed block keeps the window's last tokens.
    pub fn dynamic(windows: &[Option<u64>]) -> Cache {
        Cache::new(windows, None)
    }

    /// `StaticCache`: allocated for `capacity` tokens at the first update.
    pub fn fixed(windows: &[Option<u64>], capacity: u64) -> Cache {
        Cache::new(windows, Some(capacity))
    }

    fn new(windows: &[Option<u64>], capacity: Option<u64>) -> Cache {
        let layer = |window: &Option<u64>| CachedLayer { window: *window, ..CachedLayer::default() };
        Cache { layers: windows.iter().map(layer).collect(), seen: 0, capacity }
    }

    /// How many tokens it holds (`get_seq_length`).
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// Whether no forward has ended yet.
    pub fn is_empty(&self) -> bool {
        self.seen == 0
    }

    /// A static cache keeps its length in a tensor.
    pub fn knows_its_length(&self) -> bool {
        self.capacity.is_none()
    }

    /// How many keys the mask covers (`get_mask_sizes`).
    pub fn mask_length(&self, queries: u64, window: Option<u64>) -> u64 {
        match (self.capacity, window) {
            (Some(capacity), Some(window)) => windowed_length(capacity.min(window), self.seen, queries),
            (Some(capacity), None) => capacity,
            (None, Some(window)) if self.seen >= window => window.saturating_sub(1).saturating_add(queries),
            (None, _) => self.seen.saturating_add(queries),
        }
    }

    /// Notes that a forward over `tokens` tokens has ended.
    pub fn advance(&mut self, tokens: u64) {
        self.seen = self.seen.saturating_add(tokens);
    }

    /// `update(keys, values, layer)`, each `[B, heads, S, D]`: the keys and values that the attention sees.
    pub fn update(&mut self, key: Tensor, value: Tensor, layer: usize) -> (Tensor, Tensor) {
        let layer = &mut self.layers[layer];
        match self.capacity {
            None => layer.append(key, value),
            Some(capacity) => layer.write(key, value, capacity),
        }
    }
}

impl Drop for Cache {
    /// CPython drops a list from its end.
    fn drop(&mut self) {
        while self.layers.pop().is_some() {}
    }
}

impl CachedLayer {
    /// `DynamicLayer.update`, or `DynamicSlidingWindowLayer.update` with a window.
    fn append(&mut self, key: Tensor, value: Tensor) -> (Tensor, Tensor) {
        if self.window.is_some() && self.number.is_none() {
            self.number = Some(ops::new_tensor(key.device(), "_to_copy", [], Dtype::I64));
        }
        let (old_key, old_value) = self.held.take().unzip();
        // An empty tensor of the keys' dtype is the first operand of both first concatenations.
        let dtype = old_key.as_ref().map_or(key.dtype(), Tensor::dtype);
        let joined_key = joined(old_key.as_ref(), &key, dtype);
        if self.window.is_none() {
            // `self.keys = torch.cat(…)` frees the old keys before the values are joined.
            drop(old_key);
            let joined_value = joined(old_value.as_ref(), &value, dtype);
            drop(old_value);
            self.held = Some((joined_key.clone(), joined_value.clone()));
            drop((key, value));
            return (joined_key, joined_value);
        }
        let joined_value = joined(old_value.as_ref(), &value, dtype);
        // A windowed layer joins both first and then binds `self.keys` and `self.values` to their ends.
        drop((old_key, old_value));
        // `[-window + 1:]` takes all where the window is 1: minus zero is the beginning (transformers/cache_utils.py, 5.23).
        let kept = self.window.filter(|window| *window > 1).map_or(u64::MAX, |window| window - 1);
        let last = |x: &Tensor| ops::slice(x, 2, x.dim(2).min(kept));
        self.held = Some((last(&joined_key), last(&joined_value)));
        drop((key, value));
        (joined_key, joined_value)
    }

    /// `StaticLayer.update`, or `StaticSlidingWindowLayer.update` with a window: copies into the buffers at the next
    /// positions.
    fn write(&mut self, key: Tensor, value: Tensor, capacity: u64) -> (Tensor, Tensor) {
        let capacity = self.window.map_or(capacity, |window| window.min(capacity));
        let (keys, values) = self.buffers(&key, &value, capacity);
        let before = self.length;
        self.length = before.saturating_add(key.dim(2));
        if self.window.is_some() && before < capacity && self.length > capacity {
            // A prompt longer than the window is attended to as a whole; the buffers take its end, whatever its dtype.
            return (key, value);
        }
        if value.dtype() != values.dtype() {
            refuse_mixed_dtypes(key.device());
        }
        if self.window.is_some() && before >= capacity {
            roll((&keys, &values), key, value);
        } else {
            let positions = ops::new_tensor(key.device(), "arange", [key.dim(2)], Dtype::I64);
            drop(ops::add_scalar(positions));
            drop((key, value));
        }
        (keys, values)
    }

    /// `lazy_initialization`: the first update makes both buffers in the dtype of the keys, and the layer's number.
    fn buffers(&mut self, key: &Tensor, value: &Tensor, capacity: u64) -> (Tensor, Tensor) {
        if let Some(held) = &self.held {
            return held.clone();
        }
        let device = key.device();
        let whole = |x: &Tensor| {
            let held =
                ops::new_tensor(device, "zeros", [x.dim(0), x.dim(1), capacity, x.dim(3)], key.dtype());
            held.categorize(Category::KvCache);
            held
        };
        let keys = whole(key);
        let held = (keys, whole(value));
        self.held = Some(held.clone());
        self.number = Some(ops::new_tensor(device, "_to_copy", [], Dtype::I64));
        held
    }
}

/// A full window moves on by one token: rolled copies, written back.
fn roll((keys, values): (&Tensor, &Tensor), key: Tensor, value: Tensor) {
    let rolled = |x: &Tensor| ops::like(x, "roll", x.dtype());
    let new_keys = rolled(keys);
    let new_values = rolled(values);
    let last = ops::new_tensor(key.device(), "_to_copy", [1], Dtype::I64);
    // The function's locals go in the order in which they were bound; its arguments were bound before.
    drop(new_keys);
    drop(new_values);
    drop(last);
    drop(key);
    drop(value);
}

/// Rotary embeddings in fp32 make fp32 keys under autocast, whose values are in half precision: `index_copy_` and
/// `index_put_` take no other dtype than the buffer's.
fn refuse_mixed_dtypes(device: &Device) {
    device.fail(StepError::Unsupported {
        key: "infer.cache",
        value: "static with autocast over fp32 weights".to_owned(),
        cure: "transformers 5.23 itself fails here (index_copy_ of half-precision values into the fp32 buffers of the \
               rotated keys): take cache = \"dynamic\", or precision = \"bf16\" or \"bf16-autocast\"",
    });
}

/// `StaticSlidingWindowLayer.get_mask_sizes`: a full window shows itself and the new tokens but one.
fn windowed_length(window: u64, seen: u64, queries: u64) -> u64 {
    if seen >= window {
        window.saturating_sub(1).saturating_add(queries)
    } else {
        window.max(seen.saturating_add(queries))
    }
}

/// `torch.cat([old, new], dim=-2)`.
fn joined(old: Option<&Tensor>, new: &Tensor, dtype: Dtype) -> Tensor {
    let joined = match old {
        Some(old) => ops::cat_as(&[old, new], 2, dtype),
        None => ops::cat_as(&[new], 2, dtype),
    };
    // In training it is kept for the backward as any activation is, even below a frozen layer, where it wants no gradient.
    if !joined.device().grad_enabled() {
        joined.categorize(Category::KvCache);
    }
    joined
}
