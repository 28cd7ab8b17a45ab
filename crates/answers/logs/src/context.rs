//! What stands around a failure: settings, the phase, the framework.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::Deserialize;

use crate::Accelerator;
use crate::pattern::Pattern;

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    context: Vec<RawSetting>,
    #[serde(default)]
    phase: Vec<RawPhase>,
    #[serde(default)]
    framework: Vec<RawFramework>,
    #[serde(default)]
    accelerator: Vec<RawAccelerator>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSetting {
    key: String,
    needle: Vec<String>,
    #[serde(rename = "match")]
    pattern: String,
    value: Option<String>,
    unless: Option<String>,
}

#[derive(Deserialize)]
struct RawPhase {
    phase: String,
    #[serde(rename = "match")]
    pattern: String,
}

#[derive(Deserialize)]
struct RawFramework {
    framework: String,
    /// The framework whose messages this program prints; `None` for those of PyTorch and CUDA.
    of: Option<String>,
    #[serde(rename = "match")]
    pattern: String,
}

#[derive(Deserialize)]
struct RawAccelerator {
    accelerator: Accelerator,
    #[serde(rename = "match")]
    pattern: String,
    frames: Option<String>,
}

struct AcceleratorRule {
    accelerator: Accelerator,
    message: Pattern,
    frames: Option<Pattern>,
}

struct Setting {
    key: String,
    pattern: Pattern,
    value: Option<String>,
    unless: Option<Pattern>,
}

/// The catalogue of `formats/context.toml` and `formats/phases.toml`.
pub(crate) struct Context {
    settings: Vec<Setting>,
    phases: Vec<(String, Pattern)>,
    frameworks: Vec<FrameworkRule>,
    accelerators: Vec<AcceleratorRule>,
    /// The needles of each setting.
    pub needles: Vec<Vec<String>>,
}

impl Context {
    /// The built-in catalogue.
    pub fn get() -> &'static Context {
        static CONTEXT: OnceLock<Context> = OnceLock::new();
        CONTEXT.get_or_init(|| {
            // Cannot fail: the files are part of the program, and tests read them.
            let read = |text| toml::from_str::<File>(text).unwrap_or_else(|e| panic!("formats/*.toml: {e}"));
            let (settings, places) =
                (read(include_str!("../formats/context.toml")), read(include_str!("../formats/phases.toml")));
            Context {
                needles: settings.context.iter().map(|raw| raw.needle.clone()).collect(),
                settings: settings.context.into_iter().map(Setting::new).collect(),
                phases: places.phase.into_iter().map(|raw| (raw.phase, Pattern::new(raw.pattern))).collect(),
                frameworks: places.framework.into_iter().map(FrameworkRule::new).collect(),
                accelerators: places.accelerator.into_iter().map(AcceleratorRule::new).collect(),
            }
        })
    }

    /// Reads one setting from a piece of text; what is already known stays.
    pub fn read(&self, at: usize, text: &[u8], settings: &mut BTreeMap<String, String>) {
        let setting = &self.settings[at];
        if !settings.contains_key(&setting.key)
            && let Some(value) = setting.find(text)
        {
            settings.insert(setting.key.clone(), value);
        }
    }

    /// Every pattern.
    #[cfg(test)]
    pub fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        let settings = self.settings.iter().flat_map(|rule| [Some(&rule.pattern), rule.unless.as_ref()]);
        let accelerators =
            self.accelerators.iter().flat_map(|rule| [Some(&rule.message), rule.frames.as_ref()]);
        let others =
            self.phases.iter().map(|rule| &rule.1).chain(self.frameworks.iter().map(|rule| &rule.frames));
        settings.chain(accelerators).flatten().chain(others)
    }

    /// Where the program was, from its frames.
    pub fn phase(&self, frames: &[u8]) -> Option<String> {
        first(&self.phases, frames)
    }

    /// The accelerator that a message names, else the one that the lines around it name.
    pub fn accelerator(&self, message: &[u8], frames: &[u8]) -> Option<Accelerator> {
        let framed = |rule: &&AcceleratorRule| {
            rule.message.is_match(message)
                || rule.frames.as_ref().is_some_and(|pattern| pattern.is_match(frames))
        };
        self.accelerators.iter().find(framed).map(|rule| rule.accelerator)
    }

    /// Whose program it was, from its frames, if its message is that of `printed`.
    pub fn framework(&self, printed: &str, frames: &[u8]) -> Option<String> {
        let passed_on = general(printed);
        let meant = |rule: &&FrameworkRule| match &rule.of {
            Some(of) => of == printed,
            None => passed_on,
        };
        let mut rules = self.frameworks.iter().filter(meant);
        rules.find(|rule| rule.frames.is_match(frames)).map(|rule| rule.framework.clone())
    }
}

struct FrameworkRule {
    framework: String,
    of: Option<String>,
    frames: Pattern,
}

impl FrameworkRule {
    fn new(raw: RawFramework) -> Self {
        FrameworkRule { framework: raw.framework, of: raw.of, frames: Pattern::new(raw.pattern) }
    }
}

/// Frameworks whose errors others pass on.
fn general(framework: &str) -> bool {
    matches!(framework, "pytorch" | "other" | "nccl" | "hip" | "triton-lang")
}

impl AcceleratorRule {
    fn new(raw: RawAccelerator) -> Self {
        AcceleratorRule {
            accelerator: raw.accelerator,
            message: Pattern::new(raw.pattern),
            frames: raw.frames.map(Pattern::new),
        }
    }
}

fn first(of: &[(String, Pattern)], text: &[u8]) -> Option<String> {
    of.iter().find(|(_, pattern)| pattern.is_match(text)).map(|(name, _)| name.clone())
}

impl Setting {
    fn new(raw: RawSetting) -> Self {
        Setting {
            key: raw.key,
            pattern: Pattern::new(raw.pattern),
            value: raw.value,
            unless: raw.unless.map(Pattern::new),
        }
    }

    fn find(&self, text: &[u8]) -> Option<String> {
        self.pattern.captures_iter(text).find_map(|found| {
            let all = found.range(0)?;
            let around = &text[all.start.saturating_sub(24)..(all.end + 16).min(text.len())];
            if self.unless.as_ref().is_some_and(|unless| unless.is_match(around)) {
                return None;
            }
            self.value.clone().or_else(|| found.string(1))
        })
    }
}
