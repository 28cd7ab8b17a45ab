//! Names, aliases, sizes, and what is refused.

use brimful_devices::{BasisKind, Gpu, GpuError, catalogue};
use brimful_units::Bytes;

#[test]
fn names_in_the_spellings_people_use() {
    for (asked, id) in [
        ("h100-sxm-80gb", "h100-sxm-80gb"),
        ("H100", "h100-sxm-80gb"),
        ("NVIDIA H100 80GB HBM3", "h100-sxm-80gb"),
        ("NVIDIA A100-SXM4-80GB", "a100-sxm-80gb"),
        ("NVIDIA A100-PCIE-40GB", "a100-pcie-40gb"),
        ("NVIDIA A100 80GB PCIe", "a100-pcie-80gb"),
        ("Tesla T4", "t4"),
        ("Tesla V100-SXM2-16GB", "v100-sxm-16gb"),
        ("rtx-4090", "rtx-4090"),
        ("4090", "rtx-4090"),
        ("NVIDIA GeForce RTX 3060", "rtx-3060-12gb"),
        ("NVIDIA RTX 6000 Ada Generation", "rtx-6000-ada"),
        ("NVIDIA RTX A6000", "rtx-a6000"),
        ("NVIDIA A10G", "a10g"),
        ("h200", "h200-sxm-141gb"),
    ] {
        assert_eq!(Gpu::find(asked).map(|gpu| gpu.id), Ok(id.to_owned()), "{asked}");
    }
}

#[test]
fn every_cuda_gpu_of_the_catalogue_is_found_by_its_id_and_its_name() {
    let mut found = 0;
    for id in catalogue::ids() {
        match Gpu::find(id) {
            Ok(gpu) => {
                assert_eq!(gpu.id, id);
                assert_eq!(Gpu::find(&gpu.name).map(|gpu| gpu.id).as_deref(), Ok(id));
                assert!(gpu.multiprocessors > 0 && gpu.total > Bytes::gib(2), "{id}");
                assert!(gpu.total_basis.margin.is_some_and(|margin| margin < gpu.total), "{id}");
                found += 1;
            }
            Err(error) => assert!(matches!(error, GpuError::NotCuda { .. }), "{id}: {error}"),
        }
    }
    assert!(found >= 150, "{found}");
}

#[test]
fn a_size_is_an_anonymous_gpu() {
    let gpu = Gpu::find("24 GiB").unwrap();
    assert_eq!((gpu.total, gpu.compute_capability, gpu.multiprocessors), (Bytes::gib(24), (8, 0), 108));
    assert_eq!(gpu.total_basis.kind, BasisKind::Exact);
    assert!(gpu.assumed.is_some_and(|text| text.contains("108")));
    assert_eq!(Gpu::find("80GB").unwrap().total, Bytes::new(80_000_000_000));
}

#[test]
fn usable_bytes_are_less_than_the_marketing_figure() {
    let gpu = Gpu::find("a100-sxm-80gb").unwrap();
    assert!(gpu.total < Bytes::gib(80) && gpu.total > Bytes::gib(79));
    assert_eq!(gpu.total_basis.kind, BasisKind::Calibrated);
}

#[test]
fn what_is_refused_says_why() {
    let message = |text: &str| Gpu::find(text).unwrap_err().to_string();
    assert!(message("a100").contains("a100-sxm-40gb"), "{}", message("a100"));
    assert!(
        message("h100-smx-80gb").contains("did you mean \"h100-sxm-80gb\""),
        "{}",
        message("h100-smx-80gb")
    );
    assert!(message("24").contains("no unit"), "{}", message("24"));
    assert!(message("1 KiB").contains("expected between 256 MiB and 16 TiB"), "{}", message("1 KiB"));
    assert!(message("mi300x").contains("CUDA"), "{}", message("mi300x"));
    assert!(message("").contains("not a known GPU"), "{}", message(""));
}

#[test]
fn the_gpus_that_run_cuda_are_those_that_can_be_found() {
    use brimful_devices::catalogue::{ids, ids_with_cuda};
    assert!(ids_with_cuda().eq(ids().filter(|id| brimful_devices::Gpu::find(id).is_ok())));
}
