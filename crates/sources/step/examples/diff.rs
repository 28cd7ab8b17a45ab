use brimful_jobs::*;
use brimful_models::*;
use brimful_trace::*;
use serde_json::Value;
use std::io::Read;

pub fn job(c: &Value) -> Job {
    let g = &c["config"];
    let u = |k: &str, d: u64| g[k].as_u64().unwrap_or(d);
    let arch = c["arch"].as_str().unwrap();
    let model = if arch == "gpt2" {
        let e = u("n_embd", 768);
        Config::Gpt2(Gpt2Config {
            vocab_size: u("vocab_size", 50257),
            n_positions: u("n_positions", 1024),
            n_embd: e,
            n_layer: u("n_layer", 12),
            n_head: u("n_head", 12),
            n_inner: u("n_inner", 4 * e),
            activation_function: Activation::GeluNew,
            resid_pdrop: g["resid_pdrop"].as_f64().unwrap_or(0.1),
            embd_pdrop: g["embd_pdrop"].as_f64().unwrap_or(0.1),
            attn_pdrop: g["attn_pdrop"].as_f64().unwrap_or(0.1),
            scale_attn_weights: true,
            scale_attn_by_inverse_layer_idx: false,
            reorder_and_upcast_attn: false,
            tie_word_embeddings: g["tie_word_embeddings"].as_bool().unwrap_or(true),
        })
    } else {
        let h = u("hidden_size", 4096);
        let a = u("num_attention_heads", 32);
        let family = match arch {
            "llama" => DecoderFamily::Llama,
            "mistral" => DecoderFamily::Mistral,
            "qwen2" => DecoderFamily::Qwen2,
            _ => DecoderFamily::Qwen3,
        };
        let l = u("num_hidden_layers", 32);
        let bias = g["attention_bias"].as_bool().unwrap_or(false);
        let window = match arch {
            "mistral" => match &g["sliding_window"] {
                Value::Null if g.get("sliding_window").is_some() => None,
                Value::Null => Some(4096),
                v => v.as_u64(),
            },
            _ => None,
        };
        let mut windows = vec![window; l as usize];
        if arch == "qwen2" && g["use_sliding_window"].as_bool() == Some(true) {
            for i in u("max_window_layers", 28)..l {
                windows[i as usize] = g["sliding_window"].as_u64();
            }
        }
        let act = match g["hidden_act"].as_str() {
            Some("gelu") => Activation::Gelu,
            Some("gelu_pytorch_tanh") => Activation::GeluTanh,
            _ => Activation::Silu,
        };
        let rope =
            if g["rope_parameters"]["rope_type"] == "llama3" { RopeType::Llama3 } else { RopeType::Default };
        Config::Decoder(DecoderConfig {
            family,
            vocab_size: u("vocab_size", 32000),
            hidden_size: h,
            intermediate_size: u("intermediate_size", 11008),
            num_hidden_layers: l,
            num_attention_heads: a,
            num_key_value_heads: u("num_key_value_heads", a),
            head_dim: u("head_dim", h / a),
            hidden_act: act,
            max_position_embeddings: 2048,
            tie_word_embeddings: g["tie_word_embeddings"].as_bool().unwrap_or(false),
            qkv_bias: bias || arch == "qwen2",
            o_bias: bias,
            mlp_bias: g["mlp_bias"].as_bool().unwrap_or(false),
            attention_dropout: g["attention_dropout"].as_f64().unwrap_or(0.0),
            sliding_windows: windows,
            rope_type: rope,
        })
    };
    let precision = match c["regime"].as_str().unwrap() {
        "fp32" => Precision::Fp32,
        "fp16" => Precision::Fp16,
        "bf16" => Precision::Bf16,
        "amp_bf16" => Precision::AmpBf16,
        _ => Precision::AmpFp16,
    };
    let attention = if c["attn"] == "eager" { AttentionKernel::Eager } else { AttentionKernel::Sdpa };
    let o = &c["optimizer"];
    let t = |k: &str| o[k].as_bool().unwrap_or(false);
    let n = |k: &str| o[k].as_f64().unwrap_or(0.0) != 0.0;
    let kind = match o["name"].as_str().unwrap() {
        "SGD" => Some(OptimizerKind::Sgd {
            momentum: n("momentum"),
            nesterov: t("nesterov"),
            weight_decay: n("weight_decay"),
            dampening: false,
        }),
        "Adam" => Some(OptimizerKind::Adam { amsgrad: t("amsgrad"), weight_decay: n("weight_decay") }),
        "AdamW" => Some(OptimizerKind::AdamW { amsgrad: t("amsgrad") }),
        "Adagrad" => Some(OptimizerKind::Adagrad { weight_decay: false }),
        "RMSprop" => Some(OptimizerKind::RmsProp {
            momentum: n("momentum"),
            centered: t("centered"),
            weight_decay: false,
        }),
        "Adafactor" => Some(OptimizerKind::Adafactor),
        "HFAdafactor" => Some(OptimizerKind::TransformersAdafactor {
            beta1: o.get("beta1").is_some(),
            relative_step: false,
            scale_parameter: false,
            weight_decay: false,
        }),
        "bnb_AdamW8bit" => Some(OptimizerKind::AdamW8bit),
        _ => None,
    };
    let optimizer =
        kind.map(|kind| Optimizer { kind, foreach: o["foreach"].as_bool(), fused: o["fused"].as_bool() });
    let run = if c["mode"] == "train" {
        Run::Train(Train {
            task: Task::CausalLm,
            batch: c["batch"].as_u64().unwrap(),
            sequence: c["seq"].as_u64().unwrap(),
            accumulation: c["accum"].as_u64().unwrap_or(1),
            precision,
            attention,
            attention_mask: if c["padded"] == true {
                AttentionMask::Padded
            } else if c["attention_mask"] == "ones" {
                AttentionMask::Ones
            } else {
                AttentionMask::None
            },
            checkpointing: match c["ckpt"].as_str() {
                Some("reentrant") => Checkpointing::Reentrant,
                Some("nonreentrant") => Checkpointing::NonReentrant,
                _ => Checkpointing::None,
            },
            use_cache: c["use_cache"].as_bool().unwrap_or(false),
            hold_outputs: c["hold_outputs"].as_bool().unwrap_or(false),
            clip_grad_norm: c["clip"].as_bool().unwrap_or(false),
            steps: c["iters"].as_u64().unwrap_or(2),
            optimizer,
            lora: None,
        })
    } else {
        Run::Infer(Infer {
            batch: c["batch"].as_u64().unwrap(),
            sequence: c["seq"].as_u64().unwrap(),
            precision,
            attention,
            decode_steps: c["decode_steps"].as_u64().unwrap_or(0),
            cache: match c["cache"].as_str().unwrap_or("dynamic") {
                "static" => Cache::Static { max_cache_len: c["max_cache_len"].as_u64().unwrap() },
                "none" => Cache::None,
                _ => Cache::Dynamic,
            },
            logits_to_keep: c["logits_to_keep"].as_u64(),
            hold_outputs: c["hold_outputs"].as_bool().unwrap_or(false),
        })
    };
    Job {
        model,
        gpu: if std::env::var("SM90").is_ok() {
            Some(brimful_devices::Gpu {
                id: "x".into(),
                name: "x".into(),
                total: brimful_units::Bytes::gib(80),
                compute_capability: (9, 0),
                multiprocessors: 132,
                context: brimful_units::Bytes::ZERO,
                total_source: String::new(),
                context_source: String::new(),
            })
        } else {
            None
        },
        run,
        allocator_conf: String::new(),
        versions: Versions { torch: String::new(), transformers: String::new(), cudnn: String::new() },
    }
}

fn main() {
    let verbose = std::env::var("V").is_ok();
    let (mut good, mut all) = (0, 0);
    for path in std::env::args().skip(1) {
        let mut text = String::new();
        flate2::read::GzDecoder::new(std::fs::File::open(&path).unwrap()).read_to_string(&mut text).unwrap();
        let d: Value = serde_json::from_str(&text).unwrap();
        let ops = d["ops"].as_array().unwrap();
        let mut real: Vec<(bool, u64, String)> = vec![];
        let mut names = std::collections::HashMap::new();
        let mut count = 0;
        let mut shapes = std::collections::HashMap::new();
        for t in d["tensors"].as_array().unwrap() {
            shapes
                .entry((t[0].as_u64().unwrap(), t[1].as_u64().unwrap()))
                .or_insert_with(|| t[2].to_string() + t[3].as_str().unwrap());
        }
        for e in d["events"].as_array().unwrap() {
            let o = &ops[e[3].as_u64().unwrap() as usize];
            if o[0] == "probe" || o[0] == "end" {
                break;
            }
            let what = format!(
                "{:14} {:24} {:36} {}",
                o[0].as_str().unwrap(),
                o[2].as_str().unwrap(),
                o[1].as_str().unwrap(),
                o[3].as_str().unwrap()
            );
            match e[0].as_str().unwrap() {
                "alloc" => {
                    names.insert(e[1].as_u64().unwrap(), count);
                    let s = shapes
                        .get(&(e[3].as_u64().unwrap(), e[1].as_u64().unwrap()))
                        .cloned()
                        .unwrap_or_default();
                    real.push((true, e[2].as_u64().unwrap(), format!("#{count:4} {what} {s}")));
                    count += 1
                }
                "free" => {
                    let i = names.get(&e[1].as_u64().unwrap()).copied().unwrap_or(99999);
                    real.push((false, e[2].as_u64().unwrap(), format!("#{i:4} {what}")))
                }
                _ => {}
            }
        }
        let trace = match brimful_step::simulate(&job(&d["case"])) {
            Ok(t) => t,
            Err(e) => {
                println!("ERR {path} {e}");
                continue;
            }
        };
        let mut ours: Vec<(bool, u64, String)> = vec![];
        let mut phase = String::new();
        for e in trace.events() {
            match e {
                Event::Phase(p) => phase = trace.contexts.str(trace.phase(p).name).to_owned(),
                Event::Alloc(id) => {
                    let a = trace.allocations.get(id);
                    let c = trace.contexts.get(a.context);
                    ours.push((
                        true,
                        a.bytes.get(),
                        format!(
                            "#{:4} {:14} {:24} {:36} {} {}",
                            id.0,
                            phase,
                            trace.contexts.str(c.op),
                            trace.contexts.str(c.module),
                            trace.contexts.str(c.node),
                            trace.tensor(id).map(|t| format!("{}{}", t.shape, t.dtype)).unwrap_or_default()
                        ),
                    ))
                }
                Event::Free(id) => {
                    ours.push((false, trace.allocations.bytes(id).get(), format!("#{:4} {phase}", id.0)))
                }
                _ => {}
            }
        }
        let first =
            (0..real.len().min(ours.len())).find(|i| (real[*i].0, real[*i].1) != (ours[*i].0, ours[*i].1));
        // the final frees after the last phase are not the harness's
        let norm = |v: &Vec<(bool, u64, String)>| {
            let mut out: Vec<(bool, u64)> = vec![];
            let mut run: Vec<u64> = vec![];
            for (a, s, _) in v.iter().take(real.len()) {
                if *a {
                    run.sort();
                    out.extend(run.drain(..).map(|s| (false, s)));
                    out.push((true, *s))
                } else {
                    run.push(*s)
                }
            }
            run.sort();
            out.extend(run.drain(..).map(|s| (false, s)));
            out
        };
        let amp = d["case"]["regime"].as_str().unwrap().starts_with("amp");
        let first = if first.is_some() && amp && norm(&real) == norm(&ours) { None } else { first };
        let ok = first.is_none() && (ours.len() >= real.len());
        all += 1;
        if ok {
            good += 1
        }
        let peak = |v: &Vec<(bool, u64, String)>| {
            let (mut t, mut p) = (0i64, 0i64);
            for (a, s, _) in v {
                t += if *a { *s as i64 } else { -(*s as i64) };
                p = p.max(t)
            }
            p
        };
        println!(
            "{} {} real {} ours {} peak {} {}",
            if ok { "OK  " } else { "DIFF" },
            path.rsplit('/').next().unwrap(),
            real.len(),
            ours.len(),
            peak(&real),
            if peak(&real) == peak(&ours) { "peak=" } else { "PEAK!" }
        );
        if !ok && verbose {
            let i = first.unwrap_or(real.len().min(ours.len()));
            for j in i.saturating_sub(6)..(i + 10) {
                if let Some(r) = real.get(j) {
                    println!("  real {j} {}{:10} {}", if r.0 { '+' } else { '-' }, r.1, r.2)
                }
            }
            for j in i.saturating_sub(3)..(i + 8) {
                if let Some(r) = ours.get(j) {
                    println!("  OURS {j} {}{:10} {}", if r.0 { '+' } else { '-' }, r.1, r.2)
                }
            }
        }
    }
    println!("{good} of {all}");
}
