//! `cargo xtask cuda-api CUDARC NVML NEEDED…` writes the functions and layouts of the virtual GPU from maintained bindings.
//!
//! CUDARC and NVML are the source folders of the crates `cudarc` and `nvml-wrapper-sys`. NEEDED are lists of the symbols that
//! wheels import or that NVIDIA's wheels export (`nm -D`), for functions that no bindings have. Run `cargo fmt` afterwards.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// Folders of cudarc's bindings.
const LIBRARIES: [&str; 16] = [
    "cublas",
    "cublaslt",
    "cudnn",
    "cufft",
    "cufile",
    "cupti",
    "curand",
    "cusolver",
    "cusolvermg",
    "cusparse",
    "cutensor",
    "driver",
    "nccl",
    "nvrtc",
    "nvtx",
    "runtime",
];

/// Layouts that are written: library, name, the version of CUDA whose variant is written (empty if there is one), and the
/// name that it gets.
const STRUCTS: [(&str, &str, &str, &str); 6] = [
    ("runtime", "CUuuid_st", "", "cudaUUID_t"),
    ("runtime", "cudaDeviceProp", "cuda-12090", "cudaDeviceProp12"),
    ("runtime", "cudaDeviceProp", "cuda-13000", "cudaDeviceProp13"),
    ("runtime", "cudaPointerAttributes", "cuda-12090", "cudaPointerAttributes"),
    ("runtime", "cudaFuncAttributes", "cuda-12090", "cudaFuncAttributes"),
    ("cudnn", "cudnnConvolutionFwdAlgoPerfStruct", "", "cudnnConvolutionAlgoPerf"),
];
/// Layouts of NVML that are written.
const NVML_STRUCTS: [&str; 7] = [
    "nvmlMemory_st",
    "nvmlMemory_v2_st",
    "nvmlUtilization_st",
    "nvmlBAR1Memory_st",
    "nvmlPciInfo_st",
    "nvmlProcessInfo_v1_st",
    "nvmlProcessInfo_v2_st",
];
/// Enumerations whose numbers are written: library, name, version.
const ENUMS: [(&str, &str, &str); 5] = [
    ("runtime", "cudaError", "cuda-13000"),
    ("runtime", "cudaDeviceAttr", "cuda-13000"),
    ("runtime", "cudaMemPoolAttr", "cuda-13000"),
    ("driver", "CUpointer_attribute_enum", "cuda-13000"),
    ("driver", "CUfunction_attribute_enum", "cuda-13000"),
];

/// Writes `data/symbols.tsv` and `src/abi.rs` of the virtual GPU.
///
/// # Errors
/// Too few arguments, a file that cannot be read or written, or bindings without an item that is needed.
pub fn run(root: &Path, arguments: &[String]) -> Result<()> {
    let [cudarc, nvml, needed @ ..] = arguments else {
        anyhow::bail!("usage: cargo xtask cuda-api CUDARC_FOLDER NVML_FOLDER [NEEDED.txt …]");
    };
    let source = |library: &str| {
        let path = Path::new(cudarc).join("src").join(library).join("sys/mod.rs");
        fs::read_to_string(&path).with_context(|| path.display().to_string())
    };
    let nvml = fs::read_to_string(Path::new(nvml).join("src/bindings.rs")).context("bindings of NVML")?;
    let mut symbols = BTreeMap::new();
    for library in LIBRARIES {
        add_functions(&mut symbols, library, &source(library)?);
    }
    add_functions(&mut symbols, "nvml", &nvml);
    for file in needed {
        for name in fs::read_to_string(file).with_context(|| file.clone())?.split_whitespace() {
            let library = library_of(name).to_owned();
            symbols.entry(name.to_owned()).or_insert((library, String::new()));
        }
    }
    let home = root.join("crates/rehearse/virtual-gpu");
    fs::write(home.join("data/symbols.tsv"), table(&symbols))?;
    fs::write(home.join("src/abi.rs"), layouts(&source, &nvml)?)?;
    println!("{} functions", symbols.len());
    Ok(())
}

fn table(symbols: &BTreeMap<String, (String, String)>) -> String {
    let mut text = String::from(
        "# Functions of the CUDA libraries: name, library, and what is written through which parameter when the function is\n\
         # not modelled: 4 and 8 = that many bytes of zero, h = a handle, f and d = a float parameter, . = any other.\n\
         # Written by `cargo xtask cuda-api` from the bindings of cudarc 0.19.10 and nvml-wrapper-sys 0.10.0 (MIT or Apache-2.0)\n\
         # and from the symbols that NVIDIA's wheels of CUDA 12 and 13 export and those of torch 2.0 to 2.15, bitsandbytes and\n\
         # vLLM import (`nm -D`).\n",
    );
    for (name, (library, parameters)) in symbols {
        let _ = writeln!(text, "{name}\t{library}\t{parameters}");
    }
    text
}

/// The library of a symbol that no bindings have, by its prefix.
fn library_of(name: &str) -> &'static str {
    let prefixes = [
        ("cublasLt", "cublaslt"),
        ("cublas", "cublas"),
        ("cudnn", "cudnn"),
        ("cufft", "cufft"),
        ("cuFile", "cufile"),
        ("cupti", "cupti"),
        ("curand", "curand"),
        ("cusolver", "cusolver"),
        ("cusparseLt", "cusparselt"),
        ("cusparse", "cusparse"),
        ("nccl", "nccl"),
        ("pnccl", "nccl"),
        ("nvrtc", "nvrtc"),
        ("nvshmem", "nvshmem"),
        ("nvJit", "nvjitlink"),
        ("__nvJit", "nvjitlink"),
        ("nvml", "nvml"),
        ("nvtx", "nvtx"),
        ("cuda", "runtime"),
        ("__cuda", "runtime"),
    ];
    prefixes.iter().find(|(prefix, _)| name.starts_with(prefix)).map_or("driver", |(_, library)| library)
}

fn add_functions(symbols: &mut BTreeMap<String, (String, String)>, library: &str, source: &str) {
    for (at, _) in source.match_indices("pub unsafe fn ") {
        let rest = &source[at + "pub unsafe fn ".len()..];
        let Some((name, rest)) = rest.split_once('(') else { continue };
        let Some((parameters, _)) = rest.split_once(')') else { continue };
        if !name.starts_with(['c', 'n', 'p']) || name.starts_with("new") {
            continue;
        }
        let written = written(name, parameters);
        symbols.entry(name.to_owned()).or_insert_with(|| (library.to_owned(), written));
    }
}

/// The codes of what an unmodelled function writes through its parameters, up to the last parameter that it writes.
fn written(name: &str, parameters: &str) -> String {
    let asks = [
        "Get",
        "Create",
        "Query",
        "bufferSize",
        "BufferSize",
        "Size",
        "Init",
        "Begin",
        "Alloc",
        "Register",
        "MakePlan",
    ];
    let asks = asks.iter().any(|word| name.contains(word));
    let types = parameters.split(',').filter_map(|parameter| parameter.split_once(':'));
    let types = types.filter(|(name, _)| name.trim() != "&self").map(|(_, kind)| kind.trim());
    let mut codes: String = types.map(|kind| code(kind, asks)).collect();
    if name.starts_with("cufft") {
        // cuFFT takes sizes through pointers that are not const. Only the last pointer is a result.
        let last = codes.len().saturating_sub(1);
        codes = codes
            .char_indices()
            .map(|(at, code)| if at < last && code != 'h' { '.' } else { code })
            .collect();
    }
    codes.truncate(codes.rfind(['4', '8', 'h']).map_or(0, |last| last + 1));
    codes
}

fn code(kind: &str, asks: bool) -> char {
    let kind = kind.replace("::core::ffi::", "").replace("raw::", "");
    let Some(pointee) = kind.strip_prefix("*mut ") else {
        return match kind.as_str() {
            "f32" => 'f',
            "f64" => 'd',
            _ => '.',
        };
    };
    match pointee {
        _ if !asks => '.',
        "c_int" | "c_uint" | "cufftHandle" => '4',
        "usize" | "i64" | "u64" | "c_ulonglong" | "c_longlong" => '8',
        _ if pointee.starts_with("*mut ") && !pointee.ends_with("c_char") => 'h',
        _ if is_handle(pointee) => 'h',
        _ => '.',
    }
}

/// Whether a type is an opaque pointer, by the names that the libraries give to theirs.
fn is_handle(kind: &str) -> bool {
    let endings =
        ["Handle_t", "Descriptor_t", "Descr_t", "Info_t", "Layout_t", "Desc_t", "Preference_t", "Plan_t"];
    endings.iter().any(|ending| kind.ends_with(ending))
        || ["cudaStream_t", "cudaEvent_t", "cudaGraph_t", "cudaGraphExec_t", "CUstream", "CUevent"]
            .contains(&kind)
        || ["curandGenerator_t", "ncclComm_t", "nvrtcProgram", "CUmodule", "CUfunction", "CUcontext"]
            .contains(&kind)
        || ["csrqrInfo_t", "syevjInfo_t", "gesvdjInfo_t", "CUlinkState", "CUlibrary", "CUkernel"]
            .contains(&kind)
}

fn layouts(source: &dyn Fn(&str) -> Result<String>, nvml: &str) -> Result<String> {
    let mut text = String::from(
        "//! Layouts and numbers of the CUDA interfaces, as cudarc 0.19.10 and nvml-wrapper-sys 0.10.0 generate them from\n\
         //! NVIDIA's headers. Written by `cargo xtask cuda-api`.\n\n\
         #![allow(non_camel_case_types, non_snake_case, non_upper_case_globals, dead_code)]\n",
    );
    for (library, name, version, here) in STRUCTS {
        let fields = body(&source(library)?, "struct", name, version)?;
        let origin = format!("`{name}` in the headers of CUDA's {library}{}", of_version(version));
        push_struct(&mut text, here, &origin, &fields);
    }
    for name in NVML_STRUCTS {
        let origin = format!("`{name}` in nvml.h");
        push_struct(&mut text, name.trim_end_matches("_st"), &origin, &body(nvml, "struct", name, "")?);
    }
    for (library, name, version) in ENUMS {
        let version_text = of_version(version);
        let _ =
            writeln!(text, "\n/// The numbers of `{name}` in the headers of CUDA's {library}{version_text}.");
        let _ = writeln!(text, "pub mod {name} {{");
        for line in body(&source(library)?, "enum", name, version)?.lines() {
            let line = line.trim().trim_end_matches(',');
            if line.contains(" = ") {
                let _ = writeln!(text, "    pub const {};", line.replace(" = ", ": i32 = "));
            }
        }
        text.push_str("}\n");
    }
    Ok(text)
}

/// The words for a version such as `cuda-12090`, which is 12.9.
fn of_version(version: &str) -> String {
    let number = version.strip_prefix("cuda-").and_then(|number| number.parse::<u32>().ok());
    number.map_or(String::new(), |number| format!(", version {}.{}", number / 1000, number % 1000 / 10))
}

fn push_struct(text: &mut String, name: &str, origin: &str, fields: &str) {
    let fields = fields.replace("::core::ffi::", "core::ffi::").replace("raw::", "core::ffi::");
    // C enumerations are ints.
    let enums = [
        "cudaMemoryType",
        "cudnnConvolutionFwdAlgo_t",
        "cudnnStatus_t",
        "cudnnDeterminism_t",
        "cudnnMathType_t",
    ];
    let fields = enums
        .iter()
        .fold(fields, |fields, kind| fields.replace(&format!(": {kind},"), ": core::ffi::c_int,"));
    let _ = write!(
        text,
        "\n/// {origin}.\n#[repr(C)]\n#[derive(Clone, Copy)]\npub struct {name} {{\n{fields}}}\n"
    );
}

/// The lines within an item's braces. Of several variants it is the one for that version of CUDA.
fn body(source: &str, kind: &str, name: &str, version: &str) -> Result<String> {
    let head = format!("pub {kind} {name} {{\n");
    let variants = source.match_indices(&head).filter(|(at, _)| {
        let attributes = source[..*at].rsplit("}\n").next().unwrap_or("");
        !attributes.contains("cfg(") || attributes.contains(&format!("\"{version}\""))
    });
    let (at, _) = variants.last().with_context(|| format!("no {kind} {name} for {version}"))?;
    let rest = &source[at + head.len()..];
    Ok(rest[..rest.find("\n}").context("an item without an end")? + 1].to_owned())
}
