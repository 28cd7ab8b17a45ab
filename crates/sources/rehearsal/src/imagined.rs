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
    /// with so many each.
    #[cfg(target_os = "linux")]
    pub(crate) fn programs<'a>(
        &self,
        words: &'a [std::ffi::OsString],
        gpus: u32,
    ) -> Vec<crate::launch::Program<'a>> {
        use crate::launch::Program;
        self.run.iter().map(|rank| Program { words, own: self.variables(*rank, u64::from(gpus)) }).collect()
    }

    #[cfg(target_os = "linux")]
    fn variables(&self, rank: u64, gpus: u64) -> Vec<(String, String)> {
        let local = rank % gpus.max(1);
        let of_machine = gpus.min(self.world_size);
        let numbers = [
            ("RANK", rank),
            ("WORLD_SIZE", self.world_size),
            ("LOCAL_RANK", local),
            ("LOCAL_WORLD_SIZE", of_machine),
            ("GROUP_RANK", rank / gpus.max(1)),
            ("GROUP_WORLD_SIZE", self.world_size.div_ceil(gpus.max(1))),
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
        let programs = ranks.programs(&words, 8);
        let of = |at: usize, name: &str| programs[at].own.iter().find(|own| own.0 == name).unwrap().1.clone();
        assert_eq!(programs.len(), 2);
        assert_eq!((of(0, "RANK"), of(1, "RANK")), ("0".into(), "63".into()));
        assert_eq!((of(1, "LOCAL_RANK"), of(1, "GROUP_RANK")), ("7".into(), "7".into()));
        assert_eq!((of(1, "WORLD_SIZE"), of(1, "LOCAL_WORLD_SIZE")), ("64".into(), "8".into()));
    }
}
