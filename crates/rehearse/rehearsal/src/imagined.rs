//! Ranks that are imagined: a few processes run, each as one rank of a world that is not there.

/// Which ranks run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranks {
    /// How many ranks there are.
    pub world_size: u64,
    /// Those that run.
    pub run: Vec<u64>,
}

impl Ranks {
    /// One program for each rank that runs, with the variables that `torchrun` would set. GPUs are those of machines
    /// with so many each; `state` gives the file in which the GPUs of a machine are counted.
    ///
    /// # Errors
    /// As those of `state`.
    #[cfg(target_os = "linux")]
    pub(crate) fn programs<'a>(
        &self,
        words: &'a [std::ffi::OsString],
        gpus: u32,
        state: impl Fn(u64) -> Result<std::path::PathBuf, crate::RehearsalError>,
    ) -> Result<Vec<crate::launch::Program<'a>>, crate::RehearsalError> {
        let gpus = u64::from(gpus).max(1);
        let program = |rank: &u64| {
            let mut own = self.variables(*rank, gpus);
            let state = state(rank / gpus)?.display().to_string();
            own.push((brimful_virtual_gpu::STATE_VARIABLE.to_owned(), state));
            Ok(crate::launch::Program { words, own })
        };
        self.run.iter().map(program).collect()
    }

    #[cfg(target_os = "linux")]
    fn variables(&self, rank: u64, gpus: u64) -> Vec<(String, String)> {
        let numbers = [
            ("RANK", rank),
            ("WORLD_SIZE", self.world_size),
            ("LOCAL_RANK", rank % gpus),
            ("LOCAL_WORLD_SIZE", gpus.min(self.world_size)),
            ("GROUP_RANK", rank / gpus),
            ("GROUP_WORLD_SIZE", self.world_size.div_ceil(gpus)),
        ];
        let numbers = numbers.map(|(name, number)| (name.to_owned(), number.to_string()));
        let place = [("MASTER_ADDR", "127.0.0.1"), ("MASTER_PORT", "29500")];
        let place = place.map(|(name, value)| (name.to_owned(), value.to_owned()));
        numbers.into_iter().chain(place).collect()
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn ranks_know_their_place() {
        let ranks = Ranks { world_size: 64, run: vec![0, 63] };
        let words = ["python".into()];
        let programs = ranks.programs(&words, 8, |machine| Ok(format!("states/{machine}").into())).unwrap();
        let of = |at: usize, name: &str| programs[at].own.iter().find(|own| own.0 == name).unwrap().1.clone();
        assert_eq!(programs.len(), 2);
        assert_eq!((of(0, "RANK"), of(1, "RANK")), ("0".into(), "63".into()));
        assert_eq!((of(1, "LOCAL_RANK"), of(1, "GROUP_RANK")), ("7".into(), "7".into()));
        let counted = |at| of(at, brimful_virtual_gpu::STATE_VARIABLE);
        assert_eq!((counted(0), counted(1)), ("states/0".into(), "states/7".into()));
        assert_eq!((of(1, "WORLD_SIZE"), of(1, "LOCAL_WORLD_SIZE")), ("64".into(), "8".into()));
    }
}
