//! `llama-server` and `llama-cli`: which flags decide about GPU memory (common/arg.cpp, llama.cpp v0.5.0).

use brimful_units::nearest;
use serde_json::{Value, json};

use crate::JobFault;

/// The programs whose command lines are read.
const PROGRAMS: [&str; 2] = ["llama-server", "llama-cli"];

/// Flags that decide about GPU memory and take a value.
const VALUES: &str = "-c --ctx-size -b --batch-size -ub --ubatch-size -ngl --gpu-layers --n-gpu-layers \
    -ts --tensor-split -sm --split-mode -ncmoe --n-cpu-moe -ot --override-tensor -ctk --cache-type-k -ctv --cache-type-v \
    -fa --flash-attn -np --parallel -fit --fit";

/// Flags that decide about GPU memory and take none.
const SWITCHES: &str = "-kvu --kv-unified -no-kvu --no-kv-unified -cmoe --cpu-moe --op-offload --no-op-offload \
    -kvo --kv-offload -nkvo --no-kv-offload --swa-full --embedding --embeddings --rerank --reranking";

/// Flags that change no GPU memory and take a value.
const OTHER_VALUES: &str = "-t --threads -tb --threads-batch -C --cpu-mask -Cr --cpu-range --cpu-strict --prio --poll --numa \
    -n --predict --n-predict --keep -p --prompt -f --file -sys --system-prompt -s --seed --temp --top-k --top-p --min-p \
    --typical --repeat-last-n --repeat-penalty --presence-penalty --frequency-penalty --samplers --grammar --grammar-file \
    -j --json-schema --rope-scaling --rope-scale --rope-freq-base --rope-freq-scale -mg --main-gpu -a --alias --host --port \
    --path --api-prefix --api-key --api-key-file --ssl-key-file --ssl-cert-file --chat-template --chat-template-file \
    --chat-template-kwargs --reasoning-format --reasoning-budget -to --timeout --threads-http --cache-reuse \
    --slot-save-path -sps --slot-prompt-similarity -cram --cache-ram -ctxcp --ctx-checkpoints --log-file -lv --verbosity";

/// Switches that change no GPU memory.
const OTHER_SWITCHES: &str = "--jinja --no-jinja --mmap --no-mmap --mlock --metrics --slots --no-slots --props --webui \
    --no-webui -cb --cont-batching -nocb --no-cont-batching --context-shift --no-context-shift --warmup --no-warmup \
    --perf --no-perf -v --verbose --log-disable --log-prefix --log-timestamps --cache-prompt --no-cache-prompt -e --escape \
    --no-escape --ignore-eos -cnv --conversation -no-cnv --no-conversation -st --single-turn --simple-io --offline \
    --special --check-tensors";

/// Flags that change GPU memory in a way that is not predicted.
const UNPREDICTED: &str = "-mm --mmproj -mmu --mmproj-url --lora --lora-scaled --control-vector -md --model-draft \
    -ngld --gpu-layers-draft -cd --ctx-size-draft -dev --device --rpc --override-kv --pooling";

/// Flags that fetch a model from elsewhere.
const ELSEWHERE: &str = "-hf -hfr --hf-repo -hff --hf-file -mu --model-url -dr --docker-repo";

fn is_in(list: &str, flag: &str) -> bool {
    list.split_whitespace().any(|known| known == flag)
}

/// The words behind the program, as `llama-server` takes them; `None` for the command of another one.
pub(super) fn arguments(words: &[String]) -> Option<Vec<String>> {
    let (program, rest) = words.split_first()?;
    let name = program.rsplit(['/', '\\']).next()?;
    let name = name.strip_suffix(".exe").unwrap_or(name);
    match PROGRAMS.iter().find(|known| **known == name)? {
        // llama-cli runs the server's own context with one slot (common_params, common/common.h).
        &"llama-cli" => Some([&["--parallel".to_owned(), "1".to_owned()], rest].concat()),
        _ => Some(rest.to_vec()),
    }
}

/// The job that these words ask for; their values are checked where they are read.
pub(super) fn job(words: &[String]) -> Result<Value, JobFault> {
    let mut model = None;
    let mut rest = words.iter();
    while let Some(flag) = rest.next() {
        let mut value = || rest.next().ok_or_else(|| fault(flag, "without a value", "write one behind it"));
        match flag.as_str() {
            "-m" | "--model" => model = Some(value()?.clone()),
            known if is_in(VALUES, known) || is_in(OTHER_VALUES, known) => drop(value()?),
            known if is_in(SWITCHES, known) || is_in(OTHER_SWITCHES, known) => {}
            known if is_in(ELSEWHERE, known) => {
                return Err(fault(
                    flag,
                    "given",
                    "the file is read here; download it, and name it with -m MODEL.gguf",
                ));
            }
            known if is_in(UNPREDICTED, known) => {
                return Err(JobFault::NotSimulated {
                    key: flag.clone(),
                    value: "given".to_owned(),
                    known: "its memory is not predicted; leave it out to see the rest".to_owned(),
                });
            }
            _ => return Err(unknown(flag)),
        }
    }
    let expected = "name a GGUF file: -m MODEL.gguf".to_owned();
    let model = model.ok_or(JobFault::Missing { key: "-m".to_owned(), expected })?;
    Ok(json!({"model": model, "serve": {"engine": "llama.cpp"}}))
}

fn fault(key: &str, value: &str, expected: &str) -> JobFault {
    JobFault::Value { key: key.to_owned(), value: value.to_owned(), expected: expected.to_owned() }
}

fn unknown(flag: &str) -> JobFault {
    let lists = [VALUES, SWITCHES, OTHER_VALUES, OTHER_SWITCHES, "--model"];
    let known = lists.iter().flat_map(|list| list.split_whitespace()).filter(|known| known.starts_with("--"));
    JobFault::UnknownKey {
        key: flag.to_owned(),
        nearest: nearest(flag, known).map(str::to_owned),
        expected: "the flags of llama-server".to_owned(),
    }
}
