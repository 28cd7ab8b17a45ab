//! The virtual GPU as a command sees it.

use std::borrow::Cow;

use crate::RehearsalError;

/// The names under which PyTorch asks for the CUDA libraries.
pub const SONAMES: &[&str] = &[
    "libcudart.so.13",
    "libcublas.so.13",
    "libcublasLt.so.13",
    "libcudnn.so.9",
    "libcufft.so.12",
    "libcufile.so.0",
    "libcupti.so.13",
    "libcurand.so.10",
    "libcusolver.so.12",
    "libcusparse.so.12",
    "libcusparseLt.so.0",
    "libnccl.so.2",
    "libnvrtc.so.13",
    "libnvshmem_host.so.3",
    "libcuda.so.1",
];

/// The library that answers as all of them.
pub fn library() -> Result<Cow<'static, [u8]>, RehearsalError> {
    let name = "BRIMFUL_VGPU_LIBRARY";
    let path = std::env::var_os(name).ok_or_else(|| RehearsalError::Library(format!("{name} is not set")))?;
    std::fs::read(&path)
        .map(Cow::Owned)
        .map_err(|error| RehearsalError::Library(format!("{}: {error}", path.display())))
}
