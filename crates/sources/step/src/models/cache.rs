//! transformers' key-value caches (cache_utils.py).

use brimful_trace::Category;

use crate::ops;
use crate::tensor::Tensor;

/// Keys and values of earlier tokens, per block.
pub(crate) struct Cache {
    layers: Vec<Option<(Tensor, Tensor)>>,
    seen: u64,
    /// Tokens that a static cache holds; `None` for a dynamic one.
    capacity: Option<u64>,
}

impl Cache {
    /// `DynamicCache`: grows by concatenation.
    pub fn dynamic(layers: usize) -> Cache {
        Cache { layers: vec![None; layers], seen: 0, capacity: None }
    }

    /// `StaticCache`: allocated for so many tokens at the first update.
    pub fn fixed(layers: usize, capacity: u64) -> Cache {
        Cache { layers: vec![None; layers], seen: 0, capacity: Some(capacity) }
    }

    pub fn is_empty(&self) -> bool {
        self.seen == 0
    }

    /// A static cache keeps its length in a tensor.
    pub fn knows_its_length(&self) -> bool {
        self.capacity.is_none()
    }

    /// How many keys the mask covers (`get_mask_sizes`).
    pub fn mask_length(&self, queries: u64, _window: Option<u64>) -> u64 {
        self.capacity.unwrap_or(self.seen.saturating_add(queries))
    }

    /// Tells the cache that a forward over so many tokens has ended.
    pub fn advance(&mut self, tokens: u64) {
        self.seen = self.seen.saturating_add(tokens);
    }

    /// `update(keys, values, layer)`: what the attention sees.
    pub fn update(&mut self, key: Tensor, value: Tensor, layer: usize) -> (Tensor, Tensor) {
        match self.capacity {
            None => self.append(key, value, layer),
            Some(capacity) => self.write(key, value, layer, capacity),
        }
    }

    fn append(&mut self, key: Tensor, value: Tensor, layer: usize) -> (Tensor, Tensor) {
        let before = self.layers[layer].take();
        let join = |old: Option<&Tensor>, new: &Tensor| {
            let joined = match old {
                Some(old) => ops::cat(&[old, new], 2),
                None => ops::cat(&[new], 2),
            };
            joined.categorize(Category::KvCache);
            joined
        };
        let (old_key, old_value) = before.unzip();
        let joined_key = join(old_key.as_ref(), &key);
        drop(old_key);
        let joined_value = join(old_value.as_ref(), &value);
        drop(old_value);
        drop(key);
        drop(value);
        self.layers[layer] = Some((joined_key.clone(), joined_value.clone()));
        (joined_key, joined_value)
    }

    fn write(&mut self, key: Tensor, value: Tensor, layer: usize, capacity: u64) -> (Tensor, Tensor) {
        let held = self.layers[layer].get_or_insert_with(|| {
            let whole = |x: &Tensor| {
                let shape = [x.dim(0), x.dim(1), capacity, x.dim(3)];
                let held = ops::new_tensor(x.device(), "zeros", shape, x.dtype());
                held.categorize(Category::KvCache);
                held
            };
            let key = whole(&key);
            (key, whole(&value))
        });
        let held = held.clone();
        drop(key);
        drop(value);
        held
    }
}
