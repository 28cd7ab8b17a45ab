//! The stub for platforms without rehearsal. Run files are read everywhere.

use std::path::Path;

use crate::{Glimpse, Rehearsal, RehearsalError, RunRecord};

/// A run, which no function of this platform returns.
pub struct Rehearsed {
    /// What is known of it.
    pub run: RunRecord,
}

impl Rehearsed {
    /// Writes the run file.
    ///
    /// # Errors
    /// [`RehearsalError::OnlyLinux`].
    pub fn write(&mut self, _path: &Path) -> Result<(), RehearsalError> {
        Err(RehearsalError::OnlyLinux)
    }
}

/// Runs the command on the virtual GPU.
///
/// # Errors
/// [`RehearsalError::OnlyLinux`].
pub fn rehearse(
    _rehearsal: &Rehearsal,
    _watch: Option<&dyn Fn(&Glimpse)>,
) -> Result<Rehearsed, RehearsalError> {
    Err(RehearsalError::OnlyLinux)
}
