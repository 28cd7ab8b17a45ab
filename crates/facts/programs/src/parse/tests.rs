use super::program;
use crate::expression::Expression;
use crate::instruction::Instruction;
use crate::program::Program;
use crate::values::{Value, Values};

/// A program with one of everything.
const SMALL: &str = r#"brimful-program 1
library transformers 5.23.0
recorded torch 2.15.0 python 3.11
model_type small
class SmallForCausalLM
task causal-lm
default hidden_size 64
default layer_types ["full", "sliding"]
default tie_word_embeddings true
derive head_dim hidden_size // 4
attention sdpa eager
require hidden_act "silu" null
layers model.layers num_hidden_layers
kind model.layers A layer_types[i] == "full"
kind model.layers B true

build
when hidden_size > 2
do
  when hidden_size > 4
    parameter model.scale [hidden_size]
  end
  embedding model.embed_tokens rows=vocab_size width=hidden_size
  each model.layers i
    kind A
      linear model.layers.{i}.up in=hidden_size out=2 * hidden_size bias=mlp_bias
      parameter model.layers.{i}.norm.weight [hidden_size]
    kind B
      parameter model.layers.{i}.norm.weight [hidden_size] f32
  end
  %0 = torch.arange(0, head_dim, 2, dtype=i64)
  buffer model.rotary_emb.inv_freq %0
  when tie_word_embeddings
    tie lm_head.weight model.embed_tokens.weight
  end

forward sdpa train unmasked none
forward eager train unmasked none
  %0 = embedding model.embed_tokens(input_ids)
  copy %7 %0
  each model.layers i
    kind A
      enter model.layers.{i} SmallLayer (%7; attention_mask=None, position_embeddings=(%5, %6))
        %8 = .__getitem__(%7, [..., :(%7.2 // 2)])
        %9, _ = torch.topk(%8, min(4, numel(%8)), dim=-1)
        check (%9.1 > 4 and not i == 2) false
        drop %8
      leave (%9, None)
      move %7 %9
    kind B
      grad off
        %8 = .to(%7, model.rotary_emb.inv_freq.dtype)
      grad restore
      %9 = .mul(model.layers.{i}.norm.weight, %8)
      %10 = activation hidden_act (%9)
      move %7 %10
  end
  %1 = mask causal(inputs_embeds=%0, position_ids=None)
  .add_(%7, -1.5e-3)
  return loss=None logits=%7
"#;

fn small() -> Program {
    program(SMALL).unwrap_or_else(|error| panic!("{error}"))
}

fn values(json: serde_json::Value) -> Values {
    Values::of_json(json.as_object().expect("an object"))
}

#[test]
fn a_program_is_read_with_its_blocks() {
    let program = small();
    assert_eq!(program.header.library.version, "5.23.0");
    assert_eq!(program.forwards[0].keys.len(), 2);
    assert_eq!(program.builds[0].conditions.len(), 1);
    assert!(matches!(program.builds[0].body[0], Instruction::When(..)), "{:?}", program.builds[0].body[0]);
    let Instruction::Each { kinds, .. } = &program.forwards[0].body[2] else { panic!("no `each`") };
    let Instruction::Scope { body, result, .. } = &kinds[0].1[0] else { panic!("no scope") };
    assert_eq!(body.len(), 4);
    assert_eq!(result.as_ref().map(ToString::to_string).as_deref(), Some("(%9, None)"));
    let Instruction::Call { arguments, .. } = &body[0] else { panic!("no call") };
    assert_eq!(arguments[1].to_string(), "[..., :(%7.2 // 2)]");
}

#[test]
fn a_declared_tensor_is_told_from_a_key_of_the_config() {
    let program = small();
    let Instruction::Each { kinds, .. } = &program.forwards[0].body[2] else { panic!("no `each`") };
    let Instruction::Call { arguments, .. } = &kinds[1].1[1] else { panic!("no call") };
    assert!(matches!(arguments[0], Expression::Tensor(_)), "{:?}", arguments[0]);
}

#[test]
fn the_kind_of_a_layer_follows_the_config() {
    let header = small().header;
    let given = values(serde_json::json!({"num_hidden_layers": 2, "hidden_act": "silu"}));
    let config = header.complete(given).unwrap();
    assert_eq!(config.get("head_dim"), Some(&Value::Integer(16)));
    assert_eq!(header.lists[0].count(&config), Ok(2));
    assert_eq!(header.lists[0].kind(&config, 0), Ok(Some(0)));
    assert_eq!(header.lists[0].kind(&config, 1), Ok(Some(1)));
    assert!(header.lists[0].kind(&config, 2).is_err(), "layer_types has two items");
    assert_eq!(header.uncovered(&config), None);
}

#[test]
fn a_key_is_made_as_the_config_class_makes_it() {
    let lines = r#"set window window if use_window else null
derive kinds ["sliding" if window != null and (i + 1) % 3 else "full" for i in num_hidden_layers]"#;
    let source = SMALL.replace("derive head_dim hidden_size // 4", lines);
    let header = program(&source).unwrap_or_else(|error| panic!("{error}")).header;
    let kinds = |json: serde_json::Value| {
        header.complete(values(json)).map(|config| config.get("kinds").map(ToString::to_string))
    };
    let given = |window: bool| serde_json::json!({"num_hidden_layers": 3, "window": 8, "use_window": window});
    assert_eq!(kinds(given(true)).unwrap().as_deref(), Some(r#"["sliding", "sliding", "full"]"#));
    assert_eq!(kinds(given(false)).unwrap().as_deref(), Some(r#"["full", "full", "full"]"#));
    let mut many = given(true);
    many["num_hidden_layers"] = serde_json::json!(i64::MAX);
    assert!(kinds(many).is_err(), "a list of that length would not fit into memory");
}

#[test]
fn a_value_that_was_not_recorded_is_found() {
    let header = small().header;
    let config = header.complete(values(serde_json::json!({"hidden_act": "relu"}))).unwrap();
    assert_eq!(header.uncovered(&config).map(|row| row.0), Some("hidden_act"));
}

#[test]
fn a_line_that_is_cut_is_refused_with_its_number() {
    for (line, text) in SMALL.lines().enumerate().skip(18) {
        let kept: Vec<&str> = SMALL.lines().take(line).collect();
        let cut = format!("{}\n{}", kept.join("\n"), &text[..text.len() / 2]);
        // A cut program is an error or a shorter program, and never a panic.
        if let Err(error) = program(&cut) {
            assert!(error.line <= line + 1, "{error}");
        }
    }
}

#[test]
fn deep_brackets_are_refused() {
    let deep = SMALL.replace("-1.5e-3", &format!("{}1{}", "(".repeat(5000), ")".repeat(5000)));
    let error = program(&deep).unwrap_err();
    assert!(error.message.contains("deeper"), "{error}");
    let minus = SMALL.replace("-1.5e-3", &format!("{}1", "-".repeat(5000)));
    assert!(program(&minus).unwrap_err().message.contains("deeper"));
}

#[test]
fn operators_bind_as_in_python() {
    let given = values(serde_json::json!({"a": 7, "b": 2, "c": 3}));
    for (text, expected) in [
        ("a - b - c", 2),
        ("-a // b", -4),
        ("a % -b", -1),
        ("-b ** 2", -4),
        ("b ** c ** 2", 512),
        ("(a + b) * c", 27),
        ("max(a, b, c) - min(a, b)", 5),
        ("a > b and b < c", 1),
        ("not a == b", 1),
        ("int(a / b)", 3),
        ("a in [b, 7]", 1),
    ] {
        let line = format!("derive x {text}");
        let source = SMALL.replace("derive head_dim hidden_size // 4", &line);
        let header = program(&source).unwrap_or_else(|error| panic!("{text}: {error}")).header;
        let config = header.complete(given.clone()).unwrap();
        let found = match config.get("x") {
            Some(Value::Flag(flag)) => i64::from(*flag),
            Some(Value::Integer(number)) => *number,
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(found, expected, "{text}");
    }
}
