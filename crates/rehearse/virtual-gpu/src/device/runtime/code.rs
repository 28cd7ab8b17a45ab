//! The machine code in a library that a GPU would run. Libraries such as CUB choose their kernels' parameters by it.
//!
//! nvcc puts all codes of a kernel into one image: a wrapper that points to it, a header, and entries, each with its kind and
//! its architecture (`fatbinary_section.h` of CUDA for the wrapper; entries as `cuobjdump -lelf -lptx` lists them).

/// `__fatBinC_Wrapper_t`: a magic number, a version, and the address of the image.
const WRAPPER: u32 = 0x4662_43b1;
const IMAGE: u32 = 0xba55_ed50;
const ELF: u16 = 2;

/// Architectures as nvcc numbers them: 86 for `sm_86`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// The architecture that the code was compiled for.
    pub compiled: u32,
    /// The architecture of the machine code: the GPU's own if the code is compiled from PTX.
    pub binary: u32,
}

/// The code in an image that a GPU of this compute capability runs.
///
/// # Safety
/// `wrapper` is null, or is one that nvcc made and the program passes to `__cudaRegisterFatBinary`.
pub unsafe fn of(wrapper: usize, gpu: u32) -> Option<Code> {
    // SAFETY: as the caller promises.
    choose(unsafe { entries(wrapper) }.into_iter(), gpu)
}

fn choose(entries: impl Iterator<Item = (bool, u32)>, gpu: u32) -> Option<Code> {
    let fitting = entries.filter_map(|(is_machine_code, compiled)| {
        let runs = compiled <= gpu && (!is_machine_code || compiled / 10 == gpu / 10);
        let binary = if is_machine_code { compiled } else { gpu };
        runs.then_some((is_machine_code, Code { compiled, binary }))
    });
    fitting.max_by_key(|(is_machine_code, code)| (*is_machine_code, code.compiled)).map(|(_, code)| code)
}

/// Whether each entry is machine code (else PTX), and its architecture.
///
/// # Safety
/// As for [`of`].
unsafe fn entries(wrapper: usize) -> Vec<(bool, u32)> {
    let mut found = Vec::new();
    // SAFETY: the wrapper, its image and the image's entries are in memory for as long as their library is loaded.
    unsafe {
        if wrapper == 0 || read::<u32>(wrapper) != WRAPPER {
            return found;
        }
        let image = read::<usize>(wrapper + 8);
        if image == 0 || read::<u32>(image) != IMAGE {
            return found;
        }
        let mut entry = image + usize::from(read::<u16>(image + 6));
        let end = entry + read::<u64>(image + 8) as usize;
        while entry + 32 <= end {
            found.push((read::<u16>(entry) == ELF, read::<u32>(entry + 28)));
            let step = read::<u32>(entry + 4) as usize + read::<u64>(entry + 8) as usize;
            if step == 0 {
                break;
            }
            entry += step;
        }
    }
    found
}

/// # Safety
/// A `T` can be read there, and any bytes are one.
unsafe fn read<T: Copy>(address: usize) -> T {
    // SAFETY: as the caller promises.
    unsafe { (address as *const T).read_unaligned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_code_runs() {
        let torch = [(true, 75), (true, 80), (true, 86), (true, 90), (false, 90)];
        let run = |gpu| choose(torch.into_iter(), gpu).map(|code| (code.compiled, code.binary));
        assert_eq!(run(80), Some((80, 80)));
        assert_eq!(run(89), Some((86, 86)));
        assert_eq!(run(90), Some((90, 90)));
        assert_eq!(run(120), Some((90, 120)));
        assert_eq!(run(70), None);
    }

    #[test]
    fn an_image_is_read() {
        let entry = |kind: u16, architecture: u32| {
            let mut bytes = vec![0u8; 64 + 8];
            bytes[..2].copy_from_slice(&kind.to_ne_bytes());
            bytes[4..8].copy_from_slice(&64u32.to_ne_bytes());
            bytes[8..16].copy_from_slice(&8u64.to_ne_bytes());
            bytes[28..32].copy_from_slice(&architecture.to_ne_bytes());
            bytes
        };
        let body = [entry(ELF, 86), entry(1, 90)].concat();
        let mut image = vec![0u8; 16];
        image[..4].copy_from_slice(&IMAGE.to_ne_bytes());
        image[6..8].copy_from_slice(&16u16.to_ne_bytes());
        image[8..16].copy_from_slice(&(body.len() as u64).to_ne_bytes());
        image.extend(body);
        let wrapper = [u64::from(WRAPPER), image.as_ptr() as u64];
        // SAFETY: a wrapper and an image as they are in a library.
        let found = unsafe { (of(wrapper.as_ptr() as usize, 89), of(0, 89)) };
        assert_eq!(found, (Some(Code { compiled: 86, binary: 86 }), None));
    }
}
