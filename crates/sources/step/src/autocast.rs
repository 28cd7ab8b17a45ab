//! `torch.autocast`: which ops run in lower precision, and the cache of converted weights
//! (aten/src/ATen/autocast_mode.cpp).

use brimful_trace::Category;
use brimful_units::Dtype;
use rustc_hash::FxHashMap;

use crate::device::Device;
use crate::ops;
use crate::tensor::{Tensor, WeakTensor};

/// The state of an autocast region.
pub(crate) struct Autocast {
    /// The lower precision of the region.
    pub dtype: Dtype,
    /// Converted leaves by identity. The weak reference shows whether the leaf is still alive: its address may be reused.
    cache: FxHashMap<*const (), (WeakTensor, Tensor)>,
    order: Vec<*const ()>,
}

/// Ends the region when dropped: the cache is cleared.
pub(crate) struct AutocastGuard {
    device: Device,
    before: Option<Autocast>,
}

impl Drop for AutocastGuard {
    fn drop(&mut self) {
        let ended = self.device.autocast().replace(self.before.take());
        if let Some(mut ended) = ended {
            for key in std::mem::take(&mut ended.order) {
                ended.cache.remove(&key);
            }
        }
    }
}

/// Opens a region; `None` turns autocast off inside.
pub(crate) fn autocast(device: &Device, dtype: Option<Dtype>) -> AutocastGuard {
    let region = dtype.map(|dtype| Autocast { dtype, cache: FxHashMap::default(), order: Vec::new() });
    let before = device.autocast().replace(region);
    AutocastGuard { device: device.clone(), before }
}

/// The lower precision of the open region.
pub(crate) fn active_dtype(device: &Device) -> Option<Dtype> {
    device.autocast().borrow().as_ref().map(|region| region.dtype)
}

/// An argument of an op that runs in lower precision.
pub(crate) fn to_lower(x: &Tensor) -> Tensor {
    let device = x.device().clone();
    match active_dtype(&device) {
        Some(dtype) if x.dtype().is_floating() && x.dtype() != dtype => cached(x, dtype, &device),
        _ => x.clone(),
    }
}

fn cached(x: &Tensor, dtype: Dtype, device: &Device) -> Tensor {
    let cacheable = x.dtype() == Dtype::F32 && x.requires_grad() && x.is_leaf() && !x.is_view();
    if !cacheable {
        return converted(x, dtype);
    }
    let found = device.autocast().borrow().as_ref().and_then(|region| {
        let (source, converted) = region.cache.get(&x.key())?;
        source.upgrade().map(|_| converted.clone())
    });
    found.unwrap_or_else(|| {
        let converted = converted(x, dtype);
        if let Some(region) = device.autocast().borrow_mut().as_mut() {
            region.cache.insert(x.key(), (x.downgrade(), converted.clone()));
            region.order.push(x.key());
        }
        converted
    })
}

fn converted(x: &Tensor, dtype: Dtype) -> Tensor {
    let converted = ops::to(x, dtype);
    if x.category() == Category::Parameter {
        converted.categorize(Category::WeightCast);
    }
    converted
}

/// An argument of an op that autocast runs in fp32.
pub(crate) fn to_float(x: &Tensor) -> Tensor {
    match active_dtype(x.device()) {
        Some(_) if matches!(x.dtype(), Dtype::F16 | Dtype::Bf16) => converted(x, Dtype::F32),
        _ => x.clone(),
    }
}
