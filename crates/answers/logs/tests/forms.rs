//! A message reads the same in whatever form it reaches the reader: wrapped at any width, quoted, behind the prefixes of ranks and
//! times, with decimal commas, other ends of lines and colours.

use brimful_logs::{Facts, scan};

/// Messages of the shapes that programs print, each with what must be read from it.
const MESSAGES: [(&str, &[(&str, i64)]); 9] = [
    (
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.50 GiB. GPU 0 has a total capacity of 23.50 GiB of which \
         412.00 MiB is free. Including non-PyTorch memory, this process has 23.00 GiB memory in use. Of the allocated memory \
         21.25 GiB is allocated by PyTorch, and 1.25 GiB is reserved by PyTorch but unallocated.",
        &[
            ("tried_bytes", 1536 << 20),
            ("total_bytes", 24_064 << 20),
            ("free_bytes", 412 << 20),
            ("process_in_use_bytes", 23 << 30),
            ("allocated_bytes", 21_760 << 20),
            ("reserved_unallocated_bytes", 1280 << 20),
        ],
    ),
    (
        "RuntimeError: CUDA out of memory. Tried to allocate 12.50 MiB (GPU 1; 7.50 GiB total capacity; 6.25 GiB already \
         allocated; 2.50 MiB free; 6.75 GiB reserved in total by PyTorch)",
        &[
            ("tried_bytes", 12_800 << 10),
            ("total_bytes", 7680 << 20),
            ("allocated_bytes", 6400 << 20),
            ("free_bytes", 2560 << 10),
            ("reserved_bytes", 6912 << 20),
        ],
    ),
    (
        "RuntimeError: CUDA out of memory. Tried to allocate 20.50 MiB (GPU 0; 3.75 GiB total capacity; 3.25 GiB already \
         allocated; 3.50 MiB free; 30.50 MiB cached)",
        &[
            ("tried_bytes", 20_992 << 10),
            ("total_bytes", 3840 << 20),
            ("allocated_bytes", 3328 << 20),
            ("free_bytes", 3584 << 10),
            ("reserved_unallocated_bytes", 31_232 << 10),
        ],
    ),
    (
        "RuntimeError: MPS backend out of memory (MPS allocated: 8.25 GiB, other allocations: 172.50 MiB, max allowed: 9.50 GiB). \
         Tried to allocate 1.25 GiB on private pool.",
        &[
            ("allocated_bytes", 8448 << 20),
            ("other_bytes", 176_640 << 10),
            ("limit_bytes", 9728 << 20),
            ("tried_bytes", 1280 << 20),
        ],
    ),
    (
        "jaxlib.xla_extension.XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory while trying to allocate 7516192768 bytes.",
        &[("tried_bytes", 7_516_192_768)],
    ),
    (
        "torch.OutOfMemoryError: XPU out of memory. Tried to allocate 6.25 GiB. GPU 0 has a total capacity of 15.25 GiB. Of the \
         allocated memory 11.50 GiB is allocated by PyTorch, and 1.25 GiB is reserved by PyTorch but unallocated.",
        &[
            ("tried_bytes", 6400 << 20),
            ("total_bytes", 15_616 << 20),
            ("allocated_bytes", 11_776 << 20),
            ("reserved_unallocated_bytes", 1280 << 20),
        ],
    ),
    (
        "ResourceExhaustedError: OOM when allocating tensor with shape[16,128,512,512] and type float on \
         /job:localhost/replica:0/task:0/device:GPU:0 by allocator GPU_0_bfc",
        &[("tried_bytes", 2 << 30)],
    ),
    (
        "ValueError: Free memory on device cuda:0 (19.75/22.25 GiB) on startup is less than desired GPU memory utilization (0.9, \
         20.25 GiB). Decrease GPU memory utilization or reduce GPU memory used by other processes.",
        &[("free_bytes", 20_224 << 20), ("total_bytes", 22_784 << 20), ("wanted_bytes", 20_736 << 20)],
    ),
    (
        "RuntimeError: [enforce fail at alloc_cpu.cpp:114] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to \
         allocate 34359738368 bytes. Error code 12 (Cannot allocate memory)",
        &[("host_tried_bytes", 34_359_738_368)],
    ),
];

/// What happens to a text on its way.
type Form = fn(&str) -> String;

fn facts(text: &str) -> Facts {
    let report = scan(text.as_bytes()).unwrap();
    let mut facts = report.incident.map(|incident| incident.facts).unwrap_or_default();
    facts.fill_from(report.facts);
    facts
}

/// The figures that are not read as they should be.
fn wrong(form: &str, text: &str, figures: &[(&str, i64)]) -> Vec<String> {
    let facts = facts(text);
    let read = |name: &str| facts.int(name);
    let off = figures.iter().filter(|(name, bytes)| read(name) != Some(*bytes));
    off.map(|(name, bytes)| format!("{form}: {name} is {:?}, not {bytes}\n{text}", read(name))).collect()
}

fn wrapped(text: &str, width: usize) -> String {
    let chars: Vec<char> = text.chars().collect();
    chars.chunks(width).map(|piece| piece.iter().collect::<String>() + "\n").collect()
}

fn before_each_line(text: &str, prefix: &str) -> String {
    text.lines().map(|line| format!("{prefix}{line}\n")).collect()
}

fn decimal_commas(text: &str) -> String {
    let size = regex::Regex::new(r"(\d)\.(\d+ ?[KMGT]i?B\b)").unwrap();
    size.replace_all(text, "$1,$2").into_owned()
}

fn coloured(text: &str) -> String {
    text.lines().map(|line| format!("\u{1b}[1;31m{line}\u{1b}[0m\n")).collect()
}

#[test]
fn every_figure_is_read_from_a_message_that_is_wrapped_at_any_width() {
    let mut all = Vec::new();
    for (message, figures) in MESSAGES {
        for width in 40..=200 {
            let text = format!("Traceback (most recent call last):\n{}", wrapped(message, width));
            all.extend(wrong(&format!("width {width}"), &text, figures));
        }
    }
    assert!(all.is_empty(), "{} wrong\n{}", all.len(), all[..all.len().min(40)].join("\n"));
}

#[test]
fn every_figure_is_read_from_wrapped_lines_behind_prefixes() {
    let mut all = Vec::new();
    for (message, figures) in MESSAGES {
        for prefix in ["> ", "[rank3]: ", "2026-11-24 10:00:01,123 ", "    "] {
            for width in (40..=200).step_by(3) {
                let before = wrapped(&format!("{prefix}{message}"), width);
                all.extend(wrong(&format!("{prefix:?}, then {width}"), &before, figures));
                let after = before_each_line(&wrapped(message, width), prefix);
                all.extend(wrong(&format!("{width}, then {prefix:?}"), &after, figures));
            }
        }
    }
    assert!(all.is_empty(), "{} wrong\n{}", all.len(), all[..all.len().min(40)].join("\n"));
}

#[test]
fn a_message_that_is_cut_once_among_its_figures_and_then_runs_on_keeps_them() {
    let mut all = Vec::new();
    for (message, figures) in &MESSAGES[..6] {
        for width in (90..message.len().min(200)).step_by(3) {
            let text = format!("{}\n{}\n", &message[..width], &message[width..]);
            all.extend(wrong(&format!("cut after {width}"), &text, figures));
        }
    }
    assert!(all.is_empty(), "{} wrong\n{}", all.len(), all[..all.len().min(40)].join("\n"));
}

#[test]
fn every_figure_is_read_in_every_other_form() {
    let forms: [(&str, Form); 6] = [
        ("plain", |text| format!("{text}\n")),
        ("decimal commas", decimal_commas),
        ("ends of lines as on Windows", |text| format!("step 1\r\n{text}\r\n")),
        ("colours", coloured),
        ("colours, wrapped", |text| coloured(&wrapped(text, 97))),
        ("decimal commas, wrapped, ends of lines as on Windows", |text| {
            wrapped(&decimal_commas(text), 111).replace('\n', "\r\n")
        }),
    ];
    let mut all = Vec::new();
    for (message, figures) in MESSAGES {
        for (name, form) in forms {
            all.extend(wrong(name, &form(message), figures));
        }
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
}
