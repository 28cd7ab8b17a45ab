//! What the answers about all engines say.

use brimful_devices::Basis;
use brimful_jobs::Assumption;

use crate::ServedVerdict;

/// The prediction of an engine's start.
pub trait Start {
    /// Does it start?
    fn verdict(&self) -> ServedVerdict;

    /// What the engine's rules took for keys that the job does not have.
    fn assumed(&self) -> &[Assumption];

    /// What each figure rests on.
    fn basis(&self) -> &[(String, Basis)];

    /// What else to know.
    fn notes(&self) -> &[String];
}

macro_rules! implement {
    ($($prediction:ty),*) => {$(
        impl Start for $prediction {
            fn verdict(&self) -> ServedVerdict {
                self.verdict
            }

            fn assumed(&self) -> &[Assumption] {
                &self.assumed
            }

            fn basis(&self) -> &[(String, Basis)] {
                &self.basis
            }

            fn notes(&self) -> &[String] {
                &self.notes
            }
        }
    )*};
}

implement!(crate::Serving, crate::LlamaCppServing);
