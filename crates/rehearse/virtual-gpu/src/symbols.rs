//! The functions of the CUDA libraries, by name.

/// What a function does that is not modelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It returns success. The real function computes, sets something or waits, and returns no size.
    Success,
    /// It returns success and the size zero. The memory that the real library would request is not seen.
    NoSize,
    /// It returns the least size that is possible. The real library may request more memory, which is not seen.
    LeastSize,
}

/// Functions whose size has a known lower bound.
const BOUNDED: [&str; 2] = ["cudnnGetRNNTempSpaceSizes", "cudnnDropoutGetStatesSize"];
/// The function that returns, among many attributes, the workspace of an execution plan of cuDNN. Only these calls are counted.
const PLANS: &str = "cudnnBackendGetAttribute";

/// A function that programs may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// Its name, such as `cublasSgemm_v2`.
    pub name: &'static str,
    /// The library it belongs to, such as `cublas`.
    pub library: &'static str,
}

impl Symbol {
    /// What it does if it is not modelled.
    pub fn answer(&self) -> Answer {
        let asks =
            ["bufferSize", "BufferSize", "Workspace", "SpaceSize", "GetSize", "MakePlan", "CompressedSize"];
        if BOUNDED.contains(&self.name) {
            return Answer::LeastSize;
        }
        if self.name == PLANS {
            return Answer::NoSize;
        }
        let sets = self.name.contains("Set") || self.name.contains("Destroy");
        if !sets && asks.iter().any(|word| self.name.contains(word)) {
            Answer::NoSize
        } else {
            Answer::Success
        }
    }
}

const TABLE: &str = include_str!("../data/symbols.tsv");

/// Every function, in the order of their counters.
pub fn symbols() -> impl Iterator<Item = Symbol> {
    TABLE.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let mut cells = line.split('\t');
        Some(Symbol { name: cells.next()?, library: cells.next()? })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_holds_what_torch_needs() {
        let named = |name: &str| symbols().find(|symbol| symbol.name == name).unwrap();
        assert_eq!(named("cudaMalloc").library, "runtime");
        assert_eq!(named("cusparseSpMM_bufferSize").answer(), Answer::NoSize);
        assert_eq!(named("cublasSetWorkspace_v2").answer(), Answer::Success);
        assert_eq!(named("cudnnDropoutGetStatesSize").answer(), Answer::LeastSize);
        assert_eq!(named("cudnnBackendGetAttribute").answer(), Answer::NoSize);
        assert_eq!(named("cudnnBackendSetAttribute").answer(), Answer::Success);
        assert!(symbols().count() > 3000);
    }
}
