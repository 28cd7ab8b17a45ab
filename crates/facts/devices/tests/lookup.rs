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
}

#[test]
fn a_size_in_gb_or_without_a_unit_is_read_in_gib_and_the_answer_says_so() {
    for text in ["24", "24GB", "24 gb", "24G", "24.0"] {
        let gpu = Gpu::find(text).unwrap();
        assert_eq!(gpu.total, Bytes::gib(24), "{text}");
        assert!(gpu.assumed.unwrap().starts_with(&format!("{text} is read as 24.00 GiB")), "{text}");
    }
    for text in ["24GiB", "24 GiB", "25769803776"] {
        let gpu = Gpu::find(text).unwrap();
        assert_eq!(gpu.total, Bytes::gib(24), "{text}");
        assert!(!gpu.assumed.unwrap().contains("read as"), "{text}");
    }
}

#[test]
fn names_as_people_type_them() {
    for (asked, id) in [
        ("rtx4090", "rtx-4090"),
        ("RTX4090", "rtx-4090"),
        ("1080ti", "gtx-1080-ti"),
        ("3060 12gb", "rtx-3060-12gb"),
        ("3060-8G", "rtx-3060-8gb"),
        ("RTX 3090 24GB", "rtx-3090"),
        ("1080 8gb", "gtx-1080"),
        ("1660 6gb", "gtx-1660"),
        ("4060ti 16gb", "rtx-4060-ti-16gb"),
        ("rtx4060ti16gb", "rtx-4060-ti-16gb"),
        ("3080 12 GB", "rtx-3080-12gb"),
        ("3080 10gb", "rtx-3080"),
        ("A100-40G", "a100-sxm-40gb"),
        ("a100 80gb", "a100-sxm-80gb"),
        ("h100 sxm", "h100-sxm-80gb"),
        ("h100sxm5", "h100-sxm-80gb"),
        ("H100 80 GB PCIe", "h100-pcie-80gb"),
        ("NVIDIA GeForce RTX 4090", "rtx-4090"),
        ("4090 laptop", "rtx-4090-mobile"),
        ("T4 16GB", "t4"),
        ("l40s", "l40s"),
        ("1x4090", "rtx-4090"),
    ] {
        assert_eq!(Gpu::find(asked).map(|gpu| gpu.id), Ok(id.to_owned()), "{asked}");
    }
}

#[test]
fn a_memory_size_chooses_among_the_variants_or_contradicts_the_name() {
    let message = |text: &str| Gpu::find(text).unwrap_err().to_string();
    let ambiguous = message("4060ti");
    assert!(ambiguous.contains("rtx-4060-ti-8gb, rtx-4060-ti-16gb"), "{ambiguous}");
    for (asked, reported) in [
        ("4060 16gb", "rtx-4060 reports"),
        ("rtx 4090 48gb", "rtx-4090 reports 23.6"),
        ("2080 ti 12gb", "rtx-2080-ti reports"),
        ("3060 24gb", "rtx-3060-12gb reports"),
    ] {
        assert!(matches!(Gpu::find(asked), Err(GpuError::OtherMemory { .. })), "{asked}");
        assert!(message(asked).contains(reported), "{}", message(asked));
    }
    assert!(matches!(Gpu::find("970 4gb"), Err(GpuError::Unknown { .. })), "{}", message("970 4gb"));
}

#[test]
fn every_gpu_is_found_by_its_id_without_signs_and_beside_its_own_memory() {
    for id in catalogue::ids_with_cuda() {
        let glued = id.replace('-', "");
        assert_eq!(Gpu::find(&glued).map(|gpu| gpu.id).as_deref(), Ok(id), "{glued}");
        let spaced = id.replace('-', " ").to_uppercase();
        assert_eq!(Gpu::find(&spaced).map(|gpu| gpu.id).as_deref(), Ok(id), "{spaced}");
    }
}

#[test]
fn several_gpus_are_refused_with_the_command_that_runs_several() {
    for (asked, one, count) in
        [("2x4090", "rtx-4090", 2), ("8xH100", "h100-sxm-80gb", 8), ("4 x 24GB", "24GB", 4)]
    {
        let error = Gpu::find(asked).unwrap_err();
        assert_eq!(error, GpuError::Several { asked: asked.to_owned(), count, one: one.to_owned() });
        let command = format!("brimful rehearse --gpu {one:?} --gpus {count} -- torchrun");
        assert!(error.to_string().contains(&command), "{error}");
    }
}

#[test]
fn a_hint_leads_to_a_gpu_with_the_same_numbers() {
    for asked in ["rtx 6090", "5095", "h150", "970 4gb", "b400"] {
        let GpuError::Unknown { nearest, .. } = Gpu::find(asked).unwrap_err() else { panic!("{asked}") };
        assert_eq!(nearest, None, "{asked}");
    }
}

#[test]
fn the_list_is_filtered_by_words_and_memory() {
    use brimful_devices::catalogue::entries;
    assert_eq!(entries("").len(), catalogue::ids().count());
    let ids = |filter: &str| entries(filter).iter().map(|entry| entry.id).collect::<Vec<_>>();
    assert_eq!(ids("4060ti"), ["rtx-4060-ti-8gb", "rtx-4060-ti-16gb"]);
    assert!(ids("a100 80gb").iter().all(|id| id.contains("a100") && id.contains("80gb")));
    assert!(ids("nvidia").len() > 150 - 1 && ids("intel").iter().all(|id| !id.contains("rtx")));
    assert!(ids("no-such-gpu").is_empty());
    assert!(entries("mi300x").iter().all(|entry| entry.cuda.is_none()));
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
    assert!(message("9999").contains("not a known GPU"), "{}", message("9999"));
    assert!(message("1 KiB").contains("expected between 256 MiB and 16 TiB"), "{}", message("1 KiB"));
    assert!(message("mi300x").contains("CUDA"), "{}", message("mi300x"));
    assert!(message("").contains("not a known GPU"), "{}", message(""));
}

#[test]
fn the_gpus_that_run_cuda_are_those_that_can_be_found() {
    use brimful_devices::catalogue::{ids, ids_with_cuda};
    assert!(ids_with_cuda().eq(ids().filter(|id| brimful_devices::Gpu::find(id).is_ok())));
}
