#[path = "diff.rs"]
#[allow(dead_code, unused)]
mod diff;
use brimful_trace::*;
fn main() {
    let (mut good, mut all) = (0, 0);
    for path in std::env::args().skip(1) {
        let d: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let c = &d["case"];
        if !c["lora"].is_null() {
            continue;
        }
        let start = std::time::Instant::now();
        let mut job = diff::job(c);
        if d["device"]["cc"] == "90" {
            job.gpu = Some(brimful_devices::Gpu {
                id: "x".into(),
                name: "x".into(),
                total: brimful_units::Bytes::gib(80),
                compute_capability: (9, 0),
                multiprocessors: 132,
                context: brimful_units::Bytes::ZERO,
                total_source: String::new(),
                context_source: String::new(),
            })
        }
        let t = brimful_step::simulate(&job).unwrap();

        let (mut now, mut peak, mut rounded, mut rpeak, mut tnow, mut tpeak) = (0u64, 0, 0u64, 0, 0u64, 0);
        let mut counting = false;
        let mut at = 0;
        for (i, e) in t.events().enumerate() {
            match e {
                Event::Phase(p) => counting = t.phase(p).kind != PhaseKind::Load,
                Event::Alloc(id) => {
                    let b = t.allocations.bytes(id);
                    now += b.get();
                    rounded += b.round_up(512).get();
                    if t.allocations.category(id) != Category::KernelBuffer {
                        tnow += b.get()
                    }
                    if counting {
                        if now > peak {
                            peak = now;
                            at = i
                        }
                        rpeak = rpeak.max(rounded);
                        tpeak = tpeak.max(tnow)
                    }
                }
                Event::Free(id) => {
                    let b = t.allocations.bytes(id);
                    now -= b.get();
                    rounded -= b.round_up(512).get();
                    if t.allocations.category(id) != Category::KernelBuffer {
                        tnow -= b.get()
                    }
                }
                _ => {}
            }
        }
        let ctx = if let Event::Alloc(id) = t.event(at) {
            t.contexts.get(t.allocations.get(id).context)
        } else {
            Context::default()
        };
        let tl = brimful_replay::replay(&t, &Default::default(), &brimful_replay::Capacity::unlimited());
        let rpeak = tl.peak.allocated.get();
        let took2 = start.elapsed();
        let mut phases_ok = true;
        for (ph, real) in tl.phases.iter().zip(d["phases"].as_array().unwrap()) {
            for (a, b) in [
                (ph.peak.requested, "req_peak"),
                (ph.peak.allocated, "alloc_peak"),
                (ph.peak.reserved, "res_peak"),
                (ph.end.requested, "req_end"),
                (ph.end.allocated, "alloc_end"),
            ] {
                if a.get() != real[b].as_u64().unwrap() && real["phase"] != "build" {
                    phases_ok = false;
                    if std::env::var("V").is_ok() {
                        println!("   {} {} ours {} real {}", real["phase"], b, a.get(), real[b])
                    }
                }
            }
        }
        let resok = tl.peak.reserved.get() == d["peak"]["reserved"].as_u64().unwrap();
        let ok = resok
            && phases_ok
            && peak == d["peak"]["requested"].as_u64().unwrap()
            && rpeak == d["peak"]["allocated"].as_u64().unwrap()
            && tpeak == d["tensor_peak_requested"].as_u64().unwrap();
        all += 1;
        good += ok as u32;
        println!(
            "{} {} reserved {} vs {} dev {} vs {} phases {phases_ok} req {} vs {} alloc {} vs {} tensor {} vs {} at {} {} vs {} {:?}",
            if ok { "OK" } else { "DIFF" },
            d["id"],
            tl.peak.reserved.get(),
            d["peak"]["reserved"],
            tl.device_allocs,
            d["num_device_alloc"],
            peak,
            d["peak"]["requested"],
            rpeak,
            d["peak"]["allocated"],
            tpeak,
            d["tensor_peak_requested"],
            t.contexts.str(ctx.op),
            t.contexts.str(ctx.module),
            d["peak_at"],
            took2
        );
    }
    println!("{good} of {all}");
}
