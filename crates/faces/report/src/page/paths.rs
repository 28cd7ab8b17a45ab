//! Paths of frames on a page: a page is passed on, so it says nothing of where its writer's home is.

use std::borrow::Cow;

use serde_json::Value;

/// The keys of an answer that hold frames: `FILE:LINE FUNCTION`.
const OF_FRAMES: [&str; 3] = ["frames", "stack", "place"];
/// Folders that say enough of what is inside them: of packages, and of Python's own library.
const LIBRARIES: [&str; 3] = ["site-packages", "dist-packages", "lib/python"];
/// The home of the superuser, which lies in no such folder (Filesystem Hierarchy Standard 3.0, 3.14).
const HOME_OF_ROOT: &str = "/root";
/// Folders that hold the homes of users.
const HOMES: [&str; 3] = ["/home/", "/Users/", "\\Users\\"];

/// How the paths of a page's frames are shortened.
pub(super) struct Paths {
    /// The folder that holds every own file of the program.
    common: String,
}

impl Paths {
    /// The folder that all these frames have in common decides.
    pub(super) fn of<'a>(frames: impl Iterator<Item = &'a str>) -> Paths {
        Paths { common: common_folder(frames).to_owned() }
    }

    /// Shortens frames.
    pub(super) fn shorten_frames(&self, frames: &mut [String]) {
        frames.iter_mut().for_each(|frame| self.shorten_frame(frame));
    }

    /// Shortens the frames in an answer, which are what stands under the keys of [`OF_FRAMES`].
    pub(super) fn shorten_answer(&self, answer: &mut Value) {
        self.shorten_within(answer, false);
    }

    fn shorten_within(&self, value: &mut Value, is_frame: bool) {
        match value {
            Value::String(text) if is_frame => self.shorten_frame(text),
            Value::Array(values) => {
                values.iter_mut().for_each(|value| self.shorten_within(value, is_frame));
            }
            Value::Object(values) => {
                for (key, value) in values {
                    self.shorten_within(value, is_frame || OF_FRAMES.contains(&key.as_str()));
                }
            }
            _ => {}
        }
    }

    fn shorten_frame(&self, frame: &mut String) {
        if let Cow::Owned(short) = short(frame, &self.common) {
            *frame = short;
        }
    }
}

/// A frame whose path begins at its library, else below the common folder, else at the home of its user.
fn short<'a>(frame: &'a str, common: &str) -> Cow<'a, str> {
    if let Some(at) = library(frame) {
        return if at == 0 { Cow::Borrowed(frame) } else { Cow::Owned(frame[at..].to_owned()) };
    }
    if !common.is_empty()
        && let Some(below) = frame.strip_prefix(common)
    {
        return Cow::Owned(below.to_owned());
    }
    match below_home(frame) {
        Some(below) => Cow::Owned(format!("~{below}")),
        None => Cow::Borrowed(frame),
    }
}

/// Where the innermost library of a path begins.
fn library(frame: &str) -> Option<usize> {
    let begins = |at: &usize| *at == 0 || frame[..*at].ends_with(['/', '\\']);
    let of = |name: &&str| frame.rmatch_indices(*name).map(|found| found.0).find(begins);
    LIBRARIES.iter().filter_map(of).max()
}

/// What is left of a path after the home of its user, with the separator; `None` if it lies in no home.
fn below_home(frame: &str) -> Option<&str> {
    if let Some(inside) = frame.strip_prefix(HOME_OF_ROOT).filter(|inside| inside.starts_with('/')) {
        return Some(inside);
    }
    let (at, homes) = HOMES.iter().filter_map(|homes| Some((frame.find(homes)?, homes))).min()?;
    let inside = &frame[at + homes.len()..];
    inside.find(['/', '\\']).map(|name| &inside[name..])
}

/// The deepest folder, with its separator, that holds every absolute path outside of libraries; empty if there is none.
fn common_folder<'a>(frames: impl Iterator<Item = &'a str>) -> &'a str {
    let own =
        frames.filter(|frame| library(frame).is_none()).filter_map(file).filter(|file| is_absolute(file));
    let folders = own.map(|file| &file[..=file.rfind(['/', '\\']).unwrap_or(0)]);
    let common = folders.reduce(|a, b| {
        let equal = a.char_indices().zip(b.chars()).take_while(|((_, a), b)| a == b);
        // Up to the last separator that both have: `/data/one` and `/data/other` share `/data/`.
        let end = equal.filter(|((_, letter), _)| matches!(letter, '/' | '\\')).last();
        end.map_or("", |((at, _), _)| &a[..=at])
    });
    common.filter(|common| common.len() > 1).unwrap_or_default()
}

/// The file of `FILE:LINE FUNCTION`; `None` if the frame names a function alone.
fn file(frame: &str) -> Option<&str> {
    let is_line = |rest: &str| {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
        digits > 0 && rest[digits..].starts_with(' ')
    };
    frame.match_indices(':').find(|(at, _)| is_line(&frame[at + 1..])).map(|(at, _)| &frame[..at])
}

fn is_absolute(file: &str) -> bool {
    file.starts_with('/') || file.get(1..3) == Some(":\\")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shortened(frames: &[&str]) -> Vec<String> {
        let mut short: Vec<String> = frames.iter().copied().map(str::to_owned).collect();
        Paths::of(frames.iter().copied()).shorten_frames(&mut short);
        short
    }

    #[test]
    fn own_files_are_shown_below_the_folder_that_holds_them_all() {
        let frames =
            ["/home/ada/llm/train.py:3 main", "/home/ada/llm/models/net.py:70 forward", "op::call(a/b)"];
        assert_eq!(shortened(&frames), ["train.py:3 main", "models/net.py:70 forward", "op::call(a/b)"]);
        assert_eq!(
            shortened(&["/data/one/a.py:1 f", "/data/other/b.py:2 g"]),
            ["one/a.py:1 f", "other/b.py:2 g"]
        );
        assert_eq!(shortened(&["C:\\Users\\ada\\a.py:1 f"]), ["a.py:1 f"]);
    }

    #[test]
    fn libraries_begin_at_the_folder_of_packages_or_of_python() {
        let frames = [
            "/home/ada/venv/lib/python3.12/site-packages/torch/nn/functional.py:2 linear",
            "/usr/lib/python3.12/threading.py:9 run",
            "site-packages/torch/optim/adam.py:7 step",
        ];
        let short = [
            "site-packages/torch/nn/functional.py:2 linear",
            "lib/python3.12/threading.py:9 run",
            "site-packages/torch/optim/adam.py:7 step",
        ];
        assert_eq!(shortened(&frames), short);
    }

    #[test]
    fn no_home_is_named_where_files_have_no_folder_in_common() {
        let frames = [
            "/home/ada/train.py:3 main",
            "/opt/app/run.py:1 <module>",
            &format!("{HOME_OF_ROOT}/x.py:2 f"),
            "/mnt/home/bob/y.py:5 g",
        ];
        let short = ["~/train.py:3 main", "/opt/app/run.py:1 <module>", "~/x.py:2 f", "~/y.py:5 g"];
        assert_eq!(shortened(&frames), short);
    }

    #[test]
    fn stacks_of_the_answer_are_shortened_and_other_texts_are_not() {
        let mut answer = json!({"title": "/home/ada/a.py:1 f", "leaks": [{"stack": ["/home/ada/a.py:1 f"]}]});
        Paths::of(["/home/ada/a.py:1 f"].into_iter()).shorten_answer(&mut answer);
        assert_eq!(answer["leaks"][0]["stack"], json!(["a.py:1 f"]));
        assert_eq!(answer["title"], "/home/ada/a.py:1 f");
    }
}
