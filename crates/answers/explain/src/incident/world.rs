//! The world that a text comes from: accelerator, task, system and version. Advice of another world is not given.

use std::sync::OnceLock;

use brimful_logs::{Incident, Report};
use serde::Deserialize;

use super::causes::matches;

const WORLDS: &str = include_str!("../../worlds.toml");

/// What the text says about where it comes from.
#[derive(Clone, Debug)]
pub(crate) struct World {
    /// Whose program it is.
    pub framework: String,
    /// Whose GPU it is.
    pub accelerator: &'static Accelerator,
    /// `train`, `infer` or `serve`; `None` without any sign.
    pub task: Option<&'static str>,
    /// `windows` or `wsl`; `None` without any sign.
    pub system: Option<&'static str>,
    /// The newest version of PyTorch that it can be.
    pub torch: Option<Version>,
    /// Whether CPU and GPU share one memory.
    pub unified: bool,
}

/// A version of PyTorch: major and minor.
pub(crate) type Version = (u32, u32);

/// An accelerator, with the names of its tools.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Accelerator {
    /// Its name in the scopes of rules and fixes, such as `hip`.
    pub name: String,
    #[serde(flatten)]
    signs: Signs,
    /// The vendor's name in the catalogue of devices.
    pub vendor: Option<String>,
    /// The program that shows its memory.
    pub monitor: String,
    /// How to find who holds its memory.
    pub holders: String,
    /// How to choose a device for a program.
    pub choose: Option<String>,
}

/// What in a text says that an entry of the list is meant; an entry without signs is the default.
#[derive(Debug, Default, Deserialize)]
struct Signs {
    #[serde(default)]
    formats: Vec<String>,
    #[serde(default)]
    frameworks: Vec<String>,
    #[serde(default)]
    phases: Vec<String>,
    #[serde(default)]
    settings: Vec<String>,
    text: Option<Pattern>,
}

/// A regular expression of a data file.
#[derive(Debug, Deserialize)]
#[serde(from = "String")]
pub(crate) struct Pattern(brimful_logs::Pattern);

impl From<String> for Pattern {
    fn from(source: String) -> Pattern {
        Pattern(brimful_logs::Pattern::new(source))
    }
}

impl Pattern {
    /// Whether the text matches.
    pub fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text.as_bytes())
    }

    /// What is wrong with it.
    #[cfg(test)]
    pub fn check(&self) -> Result<(), String> {
        self.0.check()
    }
}

#[derive(Debug, Deserialize)]
struct Named {
    name: String,
    #[serde(flatten)]
    signs: Signs,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Torch {
    formats: Vec<String>,
    until: String,
}

#[derive(Debug, Default, Deserialize)]
struct Worlds {
    accelerator: Vec<Accelerator>,
    task: Vec<Named>,
    system: Vec<Named>,
    torch: Vec<Torch>,
}

fn worlds() -> &'static Worlds {
    static READ: OnceLock<Worlds> = OnceLock::new();
    // A test reads the file: it is never the empty default.
    READ.get_or_init(|| toml::from_str(WORLDS).unwrap_or_default())
}

/// The accelerator of a text that none of the list fits.
fn no_accelerator() -> &'static Accelerator {
    static NONE: OnceLock<Accelerator> = OnceLock::new();
    NONE.get_or_init(Accelerator::default)
}

impl Signs {
    fn fit(&self, incident: &Incident, report: &Report, around: &str) -> bool {
        let listed = |list: &[String], name: &str| list.iter().any(|pattern| matches(pattern, name));
        let none = self.formats.is_empty() && self.frameworks.is_empty() && self.text.is_none();
        listed(&self.formats, &incident.format)
            || listed(&self.frameworks, &incident.framework)
            || incident.phase.as_ref().is_some_and(|phase| self.phases.contains(phase))
            || self.settings.iter().any(|key| report.settings.contains_key(key))
            || self.text.as_ref().is_some_and(|text| text.is_match(around))
            || (none && self.phases.is_empty())
    }
}

impl World {
    /// Reads the world of a failure.
    pub fn of(incident: &Incident, report: &Report) -> World {
        let command = report.settings.get("command").map_or("", String::as_str);
        let around = format!("{command}\n{}\n{}", incident.frames, incident.message);
        let fits = |signs: &Signs| signs.fit(incident, report, &around);
        let lists = worlds();
        let named = |list: &'static [Named]| {
            list.iter().find(|entry| fits(&entry.signs)).map(|entry| entry.name.as_str())
        };
        let accelerator = lists.accelerator.iter().find(|entry| fits(&entry.signs));
        let accelerator = accelerator.unwrap_or_else(no_accelerator);
        World {
            framework: incident.framework.clone(),
            accelerator,
            task: named(&lists.task),
            system: named(&lists.system),
            torch: torch(incident, report),
            unified: unified(accelerator, incident, &around),
        }
    }
}

/// The version that the text names, else the newest one that prints its format.
fn torch(incident: &Incident, report: &Report) -> Option<Version> {
    let of_format = || {
        let known = worlds()
            .torch
            .iter()
            .find(|torch| torch.formats.iter().any(|format| matches(format, &incident.format)));
        known.and_then(|torch| version(&torch.until))
    };
    report.settings.get("torch_version").and_then(|text| version(text)).or_else(of_format)
}

/// The major and minor number of `2.5.1+cu121`.
pub(crate) fn version(text: &str) -> Option<Version> {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// An AMD GPU of 96 to 128 GiB is one that shares the machine's RAM: discrete ones have 64 GiB or 192 GiB. Half of an Instinct
/// accelerator that is divided into partitions has as much, so the size counts only where no such accelerator is named.
fn unified(accelerator: &Accelerator, incident: &Incident, around: &str) -> bool {
    let named = ["gfx1151", "Strix", "GB10", "MI300A"].iter().any(|name| around.contains(name));
    let gib = incident.facts.bytes("total_bytes").map_or(0, |total| total.get() >> 30);
    let partition =
        ["Instinct", "MI300X", "MI308", "MI325", "MI350", "MI355", "MI250", "gfx942", "gfx950", "gfx90a"]
            .iter()
            .any(|name| around.contains(name));
    let shares = matches!(accelerator.name.as_str(), "metal" | "jetson");
    named || shares || (accelerator.name == "hip" && !partition && (96..=128).contains(&gib))
}

/// Where a rule or a fix applies; an empty list means everywhere.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Scope {
    frameworks: Vec<String>,
    frameworks_not: Vec<String>,
    accelerators: Vec<String>,
    accelerators_not: Vec<String>,
    tasks: Vec<String>,
    systems: Vec<String>,
    systems_not: Vec<String>,
    unified: Option<bool>,
    torch_from: Option<String>,
}

impl Scope {
    /// Whether the rule or fix belongs to the world. Where the text does not say what the task is, every task may be.
    pub fn admits(&self, world: &World) -> bool {
        let has =
            |list: &[String], name: Option<&str>| name.is_some_and(|name| list.iter().any(|n| n == name));
        let within = |list: &[String], name: Option<&str>| list.is_empty() || has(list, name);
        let accelerator = Some(world.accelerator.name.as_str());
        let framework = Some(world.framework.as_str());
        within(&self.frameworks, framework)
            && !has(&self.frameworks_not, framework)
            && within(&self.accelerators, accelerator)
            && !has(&self.accelerators_not, accelerator)
            && (world.task.is_none() || within(&self.tasks, world.task))
            && within(&self.systems, world.system)
            && !has(&self.systems_not, world.system)
            && self.unified.is_none_or(|unified| unified == world.unified)
            && self.is_in_version(world)
    }

    /// Whether the version has it: a version that the text does not tell is taken for a new one.
    fn is_in_version(&self, world: &World) -> bool {
        let from = self.torch_from.as_deref().and_then(version);
        from.zip(world.torch).is_none_or(|(from, newest)| newest >= from)
    }

    /// Whether it is for training alone.
    pub fn trains_only(&self) -> bool {
        matches!(self.tasks.as_slice(), [task] if task == "train")
    }

    /// The names of tasks, accelerators and systems that no world has.
    #[cfg(test)]
    pub fn unknown_names(&self) -> Vec<String> {
        let lists = worlds();
        let accelerators = lists.accelerator.iter().map(|entry| &entry.name);
        let named = lists.task.iter().chain(&lists.system).map(|entry| &entry.name);
        let known: Vec<&String> = accelerators.chain(named).collect();
        let used =
            [&self.accelerators, &self.accelerators_not, &self.tasks, &self.systems, &self.systems_not];
        used.into_iter().flatten().filter(|name| !known.contains(name)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_worlds_is_read() {
        let read: Worlds = toml::from_str(WORLDS).unwrap_or_else(|error| panic!("{error}"));
        assert!(read.accelerator.len() > 8 && read.task.len() > 2 && read.system.len() > 1);
        let named = read.task.iter().chain(&read.system).map(|entry| &entry.signs);
        let texts = read.accelerator.iter().map(|entry| &entry.signs).chain(named);
        for text in texts.filter_map(|signs| signs.text.as_ref()) {
            assert_eq!(text.check(), Ok(()));
        }
        for torch in &read.torch {
            assert!(version(&torch.until).is_some(), "{}", torch.until);
        }
    }

    fn world(text: &str) -> World {
        let report = brimful_logs::scan(text.as_bytes()).unwrap();
        World::of(report.incident.as_ref().unwrap(), &report)
    }

    #[test]
    fn the_accelerator_is_read_from_the_message() {
        for (text, name) in [
            ("RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB", "cuda"),
            (
                "torch.OutOfMemoryError: HIP out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 8.00 GiB",
                "hip",
            ),
            (
                "RuntimeError: MPS backend out of memory (MPS allocated: 9.57 GiB, other allocations: 7.35 GiB, max allowed: 17.20 GiB).",
                "metal",
            ),
            (
                "RuntimeError: NPU out of memory. Tried to allocate 52.00 MiB (NPU 0; 60.96 GiB total capacity; 59.36 GiB already allocated)",
                "npu",
            ),
        ] {
            assert_eq!(world(text).accelerator.name, name, "{text}");
        }
    }

    #[test]
    fn the_task_is_known_only_with_a_sign() {
        let oom = "RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB";
        assert_eq!(world(oom).task, None);
        assert_eq!(world(&format!("    loss.backward()\n{oom}")).task, Some("train"));
        assert_eq!(world(&format!("    pipe.to(\"cuda\")\n{oom}")).task, Some("infer"));
    }

    #[test]
    fn half_of_a_divided_accelerator_shares_no_memory_with_the_cpu() {
        let oom = "torch.OutOfMemoryError: HIP out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 128.00 GiB of \
                   which 1.00 GiB is free.";
        assert!(world(oom).unified);
        assert!(!world(&format!("GPU 0: AMD Instinct MI300X VF\n{oom}")).unified);
        assert!(world(&format!("GPU 0: AMD Instinct MI300A\n{oom}")).unified);
    }

    #[test]
    fn versions_are_compared_by_number() {
        assert_eq!(version("2.10.0+cu128"), Some((2, 10)));
        assert!(version("2.10").unwrap() > version("2.9").unwrap());
        assert_eq!(version("main"), None);
    }
}
