use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a command was ended from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Cut {
    /// Its time was over.
    TimeLimit,
    /// Ctrl-C.
    Interrupted,
    /// The rehearsal itself was asked to end.
    Terminated,
}

/// How the command ended; of several, the first that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Ended {
    /// Its exit status; `None` where a signal ended it.
    pub status: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Why it was ended from outside.
    pub cut: Option<Cut>,
    /// Seconds from its start.
    pub seconds: f64,
}

impl Ended {
    /// Whether nothing has failed so far.
    pub fn is_success(&self) -> bool {
        self.signal.is_none() && self.status.is_none_or(|status| status == 0) && self.cut.is_none()
    }

    /// Whether a fault of the program itself ended it: SIGILL, SIGABRT, SIGBUS, SIGFPE, SIGSEGV.
    pub(crate) fn is_crash(&self) -> bool {
        matches!(self.signal, Some(4 | 6 | 7 | 8 | 11))
    }

    pub(crate) fn add(&mut self, status: Option<i32>, signal: Option<i32>) {
        if self.is_success() {
            (self.status, self.signal) = (status, signal);
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.cut, self.status, self.signal) {
            (Some(Cut::TimeLimit), ..) => f.write_str("the time limit"),
            (Some(Cut::Interrupted), ..) => f.write_str("Ctrl-C"),
            (Some(Cut::Terminated), ..) => f.write_str("a request to end"),
            (None, Some(status), _) => write!(f, "exit status {status}"),
            (None, None, Some(signal)) => write!(f, "signal {}", signal_name(signal)),
            (None, None, None) => f.write_str("nothing"),
        }
    }
}

fn signal_name(signal: i32) -> String {
    match signal {
        4 => "SIGILL".to_owned(),
        6 => "SIGABRT".to_owned(),
        7 => "SIGBUS".to_owned(),
        9 => "SIGKILL (did the machine run out of memory?)".to_owned(),
        11 => "SIGSEGV".to_owned(),
        15 => "SIGTERM".to_owned(),
        other => other.to_string(),
    }
}
