use std::cell::RefCell;
use std::sync::Arc;

use brimful_devices::{Gpu, Processor};
use brimful_models::{Fault, Files, Kind, Model, NoFiles};
use serde_json::{Map, Value};

use crate::foreign::{Translated, translate};
use crate::keys::{Absent, Simulated, find, keys, keys_of, plain};
use crate::locate::line_of;
use crate::parallel::parallel;
use crate::recipe::PROCESSOR;
use crate::run::Context;
use crate::section::Section;
use crate::versions::versions;
use crate::{Format, Job, JobError, JobFault, Overrides, Recipe};

/// A job with all that is known of it.
#[derive(Clone, Debug)]
pub struct LoadedJob {
    /// The job, resolved and checked.
    pub job: Job,
    /// The model, with its source and its weights' headers.
    pub model: Arc<Model>,
    /// What was assumed, and what else to say.
    pub recipe: Recipe,
    /// The job's keys, for changes.
    tree: Value,
    /// The file as it was named.
    origin: String,
}

/// Reads a job. `origin` is the file's name as the user gave it; a model path that does not lead anywhere from the
/// current folder is tried from the job's.
///
/// ```
/// use brimful_jobs::{Format, Overrides, load};
/// let text = "model = 'llama-3-8b'\ngpu = 'h100'\n[train]\nbatch = 2\n";
/// let loaded = load("job.toml", text, Format::Toml, &brimful_models::NoFiles, &Overrides::default()).unwrap();
/// assert_eq!(loaded.model.file.config.parameter_count(), 8_030_261_248);
/// ```
///
/// # Errors
/// [`JobError`] with the file, the line where it is known, the key, its value and what was expected.
pub fn load(
    origin: &str,
    text: &str,
    format: Format,
    files: &dyn Files,
    overrides: &Overrides,
) -> Result<LoadedJob, JobError> {
    let at = |fault: JobFault| JobError { origin: origin.to_owned(), line: fault.line(), fault };
    let mut tree = format.parse(text).map_err(at)?;
    let foreign = translate(&tree).map_err(at)?;
    if let Some(translated) = &foreign {
        tree = translated.tree.clone();
    }
    let changed = overrides.apply(&mut tree);
    let mut loaded = check(origin, tree, files, None, None).map_err(|fault| {
        let error = locate(origin, text, format, &changed, fault);
        match &foreign {
            Some(translated) => in_foreign_words(error, translated, text, format),
            None => error,
        }
    })?;
    loaded.recipe.notes.splice(0..0, foreign.map(|translated| translated.note));
    Ok(loaded)
}

/// The error with the line of the other program's key that was read as the job's.
fn in_foreign_words(error: JobError, translated: &Translated, text: &str, format: Format) -> JobError {
    let theirs = error.fault.key().and_then(|key| translated.theirs(&key));
    JobError { line: theirs.and_then(|theirs| line_of(text, format, theirs)).or(error.line), ..error }
}

/// Opens what a user names: a job file, or a model (a folder, a config.json, a safetensors file, a name of the
/// catalogue), which is then trained as the overrides and the defaults say.
///
/// # Errors
/// As [`load`]; also where there is no such file.
pub fn open(argument: &str, files: &dyn Files, overrides: &Overrides) -> Result<LoadedJob, JobError> {
    let text = match files.kind(argument) {
        Kind::File if !is_weights(argument) => job_text(argument, files)?,
        Kind::Missing if Format::of_path(argument).is_some() => {
            let fault = JobFault::File("there is no such file".to_owned());
            return Err(JobError { origin: argument.to_owned(), line: None, fault });
        }
        _ => None,
    };
    match text {
        Some(text) => {
            let format = Format::of_path(argument).unwrap_or_else(|| Format::guess(&text));
            load(argument, &text, format, files, overrides)
        }
        None => of_model(argument, files, overrides),
    }
}

/// The tree of a job with the changes of flags, and what finds the line of a key.
pub(crate) struct JobTree {
    pub(crate) tree: Value,
    text: String,
    format: Format,
    changed: Vec<String>,
}

impl JobTree {
    /// The error with its place.
    pub(crate) fn locate(&self, origin: &str, fault: JobFault) -> JobError {
        locate(origin, &self.text, self.format, &self.changed, fault)
    }
}

/// The tree of what a user names, as [`open`] reads it; `None` if it is no job file of ours, or is malformed: [`open`] then says
/// so.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn job_tree(
    argument: &str,
    files: &dyn Files,
    overrides: &Overrides,
) -> Result<Option<JobTree>, JobError> {
    let is_job = files.kind(argument) == Kind::File && !is_weights(argument);
    let text = if is_job { job_text(argument, files)? } else { None };
    let (text, format) = match text {
        Some(text) => {
            let format = Format::of_path(argument).unwrap_or_else(|| Format::guess(&text));
            (text, format)
        }
        None => (String::new(), Format::Toml),
    };
    let Ok(mut tree) = format.parse(&text) else { return Ok(None) };
    if text.is_empty() {
        tree = Value::Object(Map::from_iter([("model".to_owned(), Value::String(argument.to_owned()))]));
    }
    let changed = overrides.apply(&mut tree);
    Ok(Some(JobTree { tree, text, format, changed }))
}

/// Is this the name of a model's weights, and not of a job?
fn is_weights(path: &str) -> bool {
    path.ends_with(".safetensors") || is_gguf(path)
}

/// Is this the name of a GGUF file?
pub(crate) fn is_gguf(path: &str) -> bool {
    path.len() > 5 && path.to_ascii_lowercase().ends_with(".gguf")
}

/// The text of a job file; `None` for a config.json, which has an architecture and no `model`.
fn job_text(path: &str, files: &dyn Files) -> Result<Option<String>, JobError> {
    let unreadable =
        |why: String| JobError { origin: path.to_owned(), line: None, fault: JobFault::File(why) };
    let size = files.size(path).map_err(unreadable)?;
    if size > LARGEST_JOB {
        return Err(unreadable(format!(
            "is at least {size} bytes long; expected a job file of at most {LARGEST_JOB} bytes (16 MiB)"
        )));
    }
    let bytes = files.read(path, 0, size).map_err(unreadable)?;
    let text = String::from_utf8(bytes).map_err(|_| {
        let expected = "is not UTF-8 text; expected a job file in TOML, YAML or JSON; `brimful explain` reads snapshots and logs";
        unreadable(expected.to_owned())
    })?;
    let is_config = path.ends_with("config.json")
        || Format::Json.parse(&text).is_ok_and(|tree| {
            tree.get("model").is_none()
                && (tree.get("model_type").is_some() || tree.get("architectures").is_some())
        });
    Ok((!is_config).then_some(text))
}

/// What answers a job of a serving engine.
const SERVED_ELSEWHERE: &str = "`brimful fit` answers a served job, on one kind of GPU; here, write [train] or [infer]; to measure \
     the server itself: brimful rehearse --gpu l4 -- vllm serve MODEL";

/// A larger file is not a job.
const LARGEST_JOB: u64 = 16 << 20;

fn of_model(model: &str, files: &dyn Files, overrides: &Overrides) -> Result<LoadedJob, JobError> {
    let mut tree = Value::Object(Map::from_iter([("model".to_owned(), Value::String(model.to_owned()))]));
    let changed = overrides.apply(&mut tree);
    check(model, tree, files, None, None).map_err(|fault| match fault {
        // The model is the argument: its own message names it.
        JobFault::Model(error) => {
            JobError { origin: error.origin, line: None, fault: Box::new(error.fault).into() }
        }
        fault => locate(model, "", Format::Toml, &changed, fault),
    })
}

/// The error with its place: the line of the key, or the command line if a flag set it.
fn locate(origin: &str, text: &str, format: Format, changed: &[String], fault: JobFault) -> JobError {
    let Some(key) = fault.key() else { return JobError { origin: origin.to_owned(), line: None, fault } };
    if changed.iter().any(|path| key == *path || key.starts_with(&format!("{path}."))) {
        return JobError { origin: "the command line".to_owned(), line: None, fault };
    }
    JobError { origin: origin.to_owned(), line: line_of(text, format, &key), fault }
}

impl LoadedJob {
    /// The same job with one key changed, such as `train.batch` to 4; neither the model nor the GPU is looked up again.
    ///
    /// # Errors
    /// As [`load`], the origin being the key.
    pub fn with_change(&self, key: &str, value: Value) -> Result<LoadedJob, JobError> {
        self.with_changes(&Overrides::default().set_value(key, value))
    }

    /// The same job with several keys changed.
    ///
    /// # Errors
    /// As [`LoadedJob::with_change`].
    pub fn with_changes(&self, changes: &Overrides) -> Result<LoadedJob, JobError> {
        let mut tree = self.tree.clone();
        let changed = changes.apply(&mut tree);
        let model = (!changed.iter().any(|path| path.starts_with("model"))).then(|| self.model.clone());
        let gpu = (!changed.iter().any(|path| path == "gpu")).then(|| self.job.gpu.clone());
        check(&self.origin, tree, &NoFiles, model, gpu).map_err(|fault| {
            let origin = format!("{} with {}", self.origin, changed.join(", "));
            JobError { origin, line: None, fault }
        })
    }

    /// The value of a key as the job has it, before defaults; `None` where the job does not have it.
    pub fn value(&self, key: &str) -> Option<&Value> {
        key.split('.').try_fold(&self.tree, |at, name| at.get(name))
    }

    /// The value of a key as the job file would have it: the job's own, else the one that was assumed; `None` if the key
    /// is absent and has no default.
    pub fn effective(&self, key: &str) -> Option<String> {
        let assumed = || self.recipe.assumed.iter().find(|row| row.key == key).map(|row| row.value.clone());
        let silent = || match find(key)?.absent {
            Absent::Silently(value) => Some(value.to_owned()),
            _ => None,
        };
        self.value(key).filter(|value| !value.is_null()).map(plain).or_else(assumed).or_else(silent)
    }

    /// The file as it was named.
    pub fn origin(&self) -> &str {
        &self.origin
    }
}

/// The job of a tree.
fn check(
    origin: &str,
    tree: Value,
    files: &dyn Files,
    model: Option<Arc<Model>>,
    known_gpu: Option<Option<Gpu>>,
) -> Result<LoadedJob, JobFault> {
    let recipe = RefCell::new(Recipe::default());
    let root = Section::of("", &tree, &recipe).map_err(into_its_section)?;
    if let Some(serve) = root.get("serve") {
        // A key that no engine's prediction follows is the more useful message.
        Section::of("serve", serve, &recipe)?;
        return Err(root.not_simulated("serve", serve, SERVED_ELSEWHERE));
    }
    let empty = Value::Object(Map::new());
    let spread = Section::of("parallel", root.get("parallel").unwrap_or(&empty), &recipe)?;
    let gpu = match known_gpu {
        Some(gpu) => gpu,
        None => root.given_text("gpu").map(Gpu::find).transpose().map_err(JobFault::Gpu)?,
    };
    assume_processor(gpu.as_ref(), &mut recipe.borrow_mut());
    let model = match model {
        Some(model) => model,
        None => Arc::new(find_model(&root, origin, files)?),
    };
    let model = for_its_task(model, &root)?;
    if let Some(note) = &model.note {
        recipe.borrow_mut().notes.push(note.clone());
    }
    if let Some((name, changes)) = root.get("model").and_then(Value::as_object).and_then(named) {
        let changed: Vec<String> =
            changes.iter().map(|(key, value)| format!("{key} = {}", plain(value))).collect();
        recipe
            .borrow_mut()
            .notes
            .push(format!("changed from the published config of {name}: {}", changed.join(", ")));
    }
    let context = Context { model: &model, recipe: &recipe };
    let workload = match (root.get("train"), root.get("infer")) {
        (Some(_), Some(_)) => {
            return Err(root.bad("infer", "there beside `train`", "a job has one of the two"));
        }
        (None, Some(infer)) => context.infer(infer).map_err(into_its_section)?,
        (train, None) => context.train(train.unwrap_or(&empty)).map_err(into_its_section)?,
    };
    let parallel = parallel(&spread, &workload)?;
    if let Some(spread) = &parallel {
        recipe.borrow_mut().notes.extend(spread.notes());
    }
    let allocator_conf = allocator(&root, &recipe)?;
    let versions = versions(&root, &recipe)?;
    let job = Job { model: model.file.config.clone(), gpu, workload, parallel, allocator_conf, versions };
    Ok(LoadedJob { job, model, recipe: recipe.into_inner(), tree, origin: origin.to_owned() })
}

/// Notes what the kernels are predicted for where no GPU's name says it.
fn assume_processor(gpu: Option<&Gpu>, recipe: &mut Recipe) {
    match gpu {
        None => recipe.assume(PROCESSOR, Processor::assumed_in_words(), "no GPU is named"),
        Some(Gpu { assumed: Some(assumed), .. }) => {
            recipe.assume(PROCESSOR, assumed, "a size alone says no more");
        }
        Some(_) => {}
    }
}

/// A key that stands in another section than its own: the hint says where it belongs.
fn into_its_section(fault: JobFault) -> JobFault {
    match fault {
        JobFault::UnknownKey { key, nearest: None, expected } => {
            let name = key.rsplit('.').next().unwrap_or(&key);
            let simulated = keys().filter(|row| !matches!(row.simulated, Simulated::NotYet(_)));
            let nearest = simulated.filter(|row| row.name == name).find_map(|row| row.paths().next());
            // A key of this very section that another class of the table has is no hint.
            let nearest = nearest.filter(|found| *found != key);
            JobFault::UnknownKey { key, nearest, expected }
        }
        other => other,
    }
}

fn find_model(root: &Section, origin: &str, files: &dyn Files) -> Result<Model, JobFault> {
    match root.get("model") {
        Some(Value::String(name)) => {
            Model::open(&beside(origin, name, files), files).map_err(|error| JobFault::Model(Box::new(error)))
        }
        Some(Value::Object(table)) => {
            // The other keys are those of config.json, which the model's own table checks.
            for row in keys_of("model") {
                let Some(value) = table.get(row.name) else { continue };
                if let Some(instead) = row.instead(value) {
                    return Err(root.not_simulated(&format!("model.{}", row.name), value, instead));
                }
            }
            let Some((name, changes)) = named(table) else {
                return Model::from_table(table).map_err(|fault| JobFault::ModelTable(Box::new(fault)));
            };
            let model = Model::open_changed(&beside(origin, name, files), files, &changes);
            model.map_err(|error| match error.fault {
                // A faulty value can only be a changed one, or one that no longer goes with it.
                Fault::WrongType { .. } | Fault::Value { .. } | Fault::Unsupported { .. } => {
                    JobFault::ModelTable(Box::new(error.fault))
                }
                _ => JobFault::Model(Box::new(error)),
            })
        }
        _ => {
            let expected =
                "name one: a folder, a config.json, or a known model such as \"llama-3-8b\"".to_owned();
            Err(JobFault::Missing { key: "model".to_owned(), expected })
        }
    }
}

/// The model as the class of the job's task reads it. Without a task it is the class that the config names.
fn for_its_task(model: Arc<Model>, root: &Section) -> Result<Arc<Model>, JobFault> {
    let section = if root.get("train").is_some() { "train" } else { "infer" };
    let given = root.get(section).and_then(|run| run.get("task"));
    let Some(row) = find(&format!("{section}.task")) else { return Ok(model) };
    // A word that is no task, or one that is simulated for no model, is refused with its section.
    let task = given.filter(|value| row.instead(value).is_none()).and_then(Value::as_str);
    let refused = |fault: Fault| match &fault {
        Fault::NoTask { task, .. } => JobFault::NotSimulated {
            key: format!("{section}.task"),
            value: format!("\"{task}\""),
            known: fault.to_string(),
        },
        _ => JobFault::ModelTable(Box::new(fault)),
    };
    if given.is_none() {
        model.file.check_class().map_err(refused)?;
    }
    let Some(task) = task.filter(|task| *task != model.file.task) else { return Ok(model) };
    let file = model.file.for_task(task).map_err(refused)?;
    Ok(Arc::new(Model { file, ..Model::clone(&model) }))
}

/// A model's path: beside the job where it does not lead anywhere from the current folder.
pub(crate) fn beside(origin: &str, name: &str, files: &dyn Files) -> String {
    let beside = origin.rsplit_once('/').map(|(folder, _)| format!("{folder}/{name}"));
    let missing = files.kind(name) == Kind::Missing;
    beside.filter(|path| missing && files.kind(path) != Kind::Missing).unwrap_or_else(|| name.to_owned())
}

/// The name in a table `[model]` and the keys of config.json that it changes: `--set model.num_hidden_layers=4` makes such
/// a table of a named model. `None` for a table that says its architecture itself.
pub(crate) fn named(table: &Map<String, Value>) -> Option<(&str, Map<String, Value>)> {
    if ["model_type", "architectures", "library", "_class_name"].iter().any(|key| table.contains_key(*key)) {
        return None;
    }
    let name = table.get("name")?.as_str()?;
    let changes = table.iter().filter(|(key, _)| *key != "name");
    Some((name, changes.map(|(key, value)| (key.clone(), value.clone())).collect()))
}

/// `allocator.conf`, as written: its settings are checked where they are understood, in the replay.
fn allocator(root: &Section, recipe: &RefCell<Recipe>) -> Result<String, JobFault> {
    let Some(table) = root.get("allocator") else { return Ok(String::new()) };
    let section = Section::of("allocator", table, recipe)?;
    Ok(section.given_text("conf").unwrap_or_default().to_owned())
}
