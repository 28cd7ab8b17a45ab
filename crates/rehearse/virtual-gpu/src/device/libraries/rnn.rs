//! cuDNN's recurrent networks (`cudnn_adv.h`, the interface of version 8): where each weight is, and the least that a run
//! needs beside it.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use super::super::machine::machine;
use super::super::unmodelled::not_answered;
use super::super::{INVALID_VALUE, SUCCESS, Status, answer, new_handle};

// cudnnRNNMode_t
const LSTM: i32 = 2;
const GRU: i32 = 3;
// cudnnRNNBiasMode_t
const NO_BIAS: i32 = 0;
const INPUT_BIAS: i32 = 1;
const RECURRENT_BIAS: i32 = 3;
/// `CUDNN_SKIP_INPUT`: the first layer has no input matrices.
const SKIP_INPUT: i32 = 1;
/// `CUDNN_FWD_MODE_TRAINING`
const TRAINING: i32 = 1;
/// Bytes of `curandStateXORWOW_t` (curand_kernel.h), of which dropout keeps at least one for each multiprocessor.
const RANDOM_STATE: usize = 48;

/// A network as `cudnnSetRNNDescriptor_v8` describes it.
#[derive(Clone, Copy)]
struct Network {
    cell: i32,
    bias: i32,
    directions: usize,
    skips_input: bool,
    element: usize,
    input: usize,
    hidden: usize,
    /// The size of an output: `hidden`, unless the network projects its outputs.
    output: usize,
    layers: usize,
}

/// A matrix or a bias: its place in elements from the beginning of the weights, its rows and columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Weight {
    offset: usize,
    rows: usize,
    columns: usize,
}

impl Network {
    fn gates(&self) -> usize {
        match self.cell {
            LSTM => 4,
            GRU => 3,
            _ => 1,
        }
    }

    /// The shape of a matrix: gates of the input first, then those of the state, then the projection.
    fn shape(&self, pseudo_layer: usize, number: usize) -> Option<(usize, usize)> {
        let gates = self.gates();
        let is_first = pseudo_layer < self.directions;
        match number {
            _ if number < gates && is_first && self.skips_input => None,
            _ if number < gates && is_first => Some((self.hidden, self.input)),
            _ if number < gates => Some((self.hidden, self.output * self.directions)),
            _ if number < 2 * gates => Some((self.hidden, self.output)),
            _ if number == 2 * gates && self.output != self.hidden => Some((self.output, self.hidden)),
            _ => None,
        }
    }

    fn has_bias(&self, number: usize) -> bool {
        let gates = self.gates();
        match self.bias {
            NO_BIAS => false,
            INPUT_BIAS => number < gates,
            RECURRENT_BIAS => number >= gates && number < 2 * gates,
            _ => number < 2 * gates,
        }
    }

    /// The matrix and the bias with that number. All matrices come before all biases, each in the order of layers:
    /// `get_parameters` in aten/src/ATen/native/cudnn/RNN.cpp, torch 2.15, checks that those of one layer follow each other.
    fn find(&self, pseudo_layer: usize, number: usize) -> (Option<Weight>, Option<Weight>) {
        let (mut offset, mut matrix, mut bias) = (0, None, None);
        for layer in 0..self.pseudo_layers() {
            for one in 0..=2 * self.gates() {
                let Some((rows, columns)) = self.shape(layer, one) else { continue };
                if (layer, one) == (pseudo_layer, number) {
                    matrix = Some(Weight { offset, rows, columns });
                }
                offset += rows * columns;
            }
        }
        for layer in 0..self.pseudo_layers() {
            for one in (0..2 * self.gates()).filter(|one| self.has_bias(*one)) {
                if (layer, one) == (pseudo_layer, number) {
                    bias = Some(Weight { offset, rows: self.hidden, columns: 1 });
                }
                offset += self.hidden;
            }
        }
        (matrix, bias)
    }

    fn pseudo_layers(&self) -> usize {
        self.layers * self.directions
    }

    /// Elements of all matrices and biases.
    fn weights(&self) -> usize {
        let numbers = 0..=2 * self.gates();
        let matrices = |layer| {
            let shapes = numbers.clone().filter_map(move |number| self.shape(layer, number));
            shapes.map(|(rows, columns)| rows * columns).sum::<usize>()
        };
        let biases = numbers.clone().filter(|number| self.has_bias(*number)).count() * self.hidden;
        (0..self.pseudo_layers()).map(|layer| matrices(layer) + biases).sum()
    }

    /// The least that cuDNN keeps for the backward pass, in elements for each input row and direction.
    ///
    /// pytorch/pytorch issue 2895 measured 736 000 000 bytes for an LSTM and 864 000 000 for a GRU, both of 4 layers of 320
    /// floats. The number of rows is a common divisor, so it is at most 25 000, and an element is kept at least 23 and 27
    /// times: 6 (four gates, the cell, the output) and 7 times in each layer, without the output of the last one, which
    /// is the program's own. The backward pass of a plain network needs its outputs alone.
    fn kept(&self) -> usize {
        let in_layer = match self.cell {
            LSTM => 5,
            GRU => 6,
            _ => 0,
        };
        // The backward pass of a projection needs what was projected.
        let projected = usize::from(self.output != self.hidden);
        (in_layer + projected) * self.layers * self.hidden + (self.layers - 1) * self.output
    }

    /// The least scratch memory and the least memory that is kept, in bytes for so many input rows.
    fn spaces(&self, rows: usize, training: bool) -> (usize, usize) {
        let unit = rows * self.directions * self.element;
        if training {
            return (0, unit * self.kept());
        }
        // Without a backward pass a layer's outputs are kept until the next layer has read them.
        (if self.layers > 1 { unit * self.output } else { 0 }, 0)
    }
}

/// What the handles of this file stand for.
#[derive(Default)]
struct Descriptors {
    networks: HashMap<usize, Network>,
    /// The input rows of data descriptors: the sum of the sequences' lengths.
    rows: HashMap<usize, usize>,
    /// The shapes of weights that tensor descriptors were given.
    weights: HashMap<usize, Weight>,
}

fn descriptors() -> MutexGuard<'static, Descriptors> {
    static ALL: LazyLock<Mutex<Descriptors>> = LazyLock::new(Mutex::default);
    ALL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes of a `cudnnDataType_t`: double has 8, half and bfloat16 have 2.
fn element_bytes(kind: i32) -> usize {
    match kind {
        1 => 8,
        2 | 9 => 2,
        _ => 4,
    }
}

fn size(number: i32) -> usize {
    usize::try_from(number).unwrap_or(0)
}

#[unsafe(no_mangle)]
extern "C" fn cudnnCreateRNNDescriptor(descriptor: Option<&mut usize>) -> Status {
    answer(descriptor, new_handle())
}

#[unsafe(no_mangle)]
extern "C" fn cudnnDestroyRNNDescriptor(descriptor: usize) -> Status {
    descriptors().networks.remove(&descriptor);
    SUCCESS
}

#[unsafe(no_mangle)]
#[allow(clippy::too_many_arguments)]
extern "C" fn cudnnSetRNNDescriptor_v8(
    descriptor: usize,
    _algorithm: i32,
    cell: i32,
    bias: i32,
    direction: i32,
    input_mode: i32,
    data: i32,
    _precision: i32,
    _math: i32,
    input: i32,
    hidden: i32,
    projection: i32,
    layers: i32,
    _dropout: usize,
    _flags: u32,
) -> Status {
    let network = Network {
        cell,
        bias,
        directions: if direction == 0 { 1 } else { 2 },
        skips_input: input_mode == SKIP_INPUT,
        element: element_bytes(data),
        input: size(input),
        hidden: size(hidden),
        // A projection to the same size is none.
        output: Some(size(projection)).filter(|output| *output > 0).unwrap_or(size(hidden)),
        layers: size(layers),
    };
    if network.layers == 0 {
        return INVALID_VALUE;
    }
    descriptors().networks.insert(descriptor, network);
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cudnnCreateRNNDataDescriptor(descriptor: Option<&mut usize>) -> Status {
    answer(descriptor, new_handle())
}

#[unsafe(no_mangle)]
extern "C" fn cudnnDestroyRNNDataDescriptor(descriptor: usize) -> Status {
    descriptors().rows.remove(&descriptor);
    SUCCESS
}

/// # Safety
/// `lengths` is null or holds the lengths of so many sequences, on the host.
#[unsafe(no_mangle)]
#[allow(clippy::too_many_arguments)]
unsafe extern "C" fn cudnnSetRNNDataDescriptor(
    descriptor: usize,
    _data: i32,
    _layout: i32,
    longest: i32,
    sequences: i32,
    _width: i32,
    lengths: *const i32,
    _fill: usize,
) -> Status {
    let rows = if lengths.is_null() {
        size(longest) * size(sequences)
    } else {
        // SAFETY: as the caller promises.
        let lengths = unsafe { std::slice::from_raw_parts(lengths, size(sequences)) };
        lengths.iter().map(|length| size(*length)).sum()
    };
    descriptors().rows.insert(descriptor, rows);
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cudnnGetRNNWeightSpaceSize(
    _handle: usize,
    descriptor: usize,
    bytes: Option<&mut usize>,
) -> Status {
    let network = descriptors().networks.get(&descriptor).copied();
    let Some(network) = network else { return INVALID_VALUE };
    answer(bytes, network.weights() * network.element)
}

#[unsafe(no_mangle)]
#[allow(clippy::too_many_arguments)]
extern "C" fn cudnnGetRNNWeightParams(
    _handle: usize,
    descriptor: usize,
    pseudo_layer: i32,
    _bytes: usize,
    weights: usize,
    number: i32,
    matrix: usize,
    matrix_place: Option<&mut usize>,
    bias: usize,
    bias_place: Option<&mut usize>,
) -> Status {
    let mut all = descriptors();
    let Some(network) = all.networks.get(&descriptor).copied() else { return INVALID_VALUE };
    let (found_matrix, found_bias) = network.find(size(pseudo_layer), size(number));
    let found = [(found_matrix, matrix, matrix_place), (found_bias, bias, bias_place)];
    for (weight, handle, place) in found {
        // A weight that the network does not have is at address zero.
        answer(place, weight.map_or(0, |weight| weights + weight.offset * network.element));
        match weight {
            Some(weight) => all.weights.insert(handle, weight),
            None => all.weights.remove(&handle),
        };
    }
    SUCCESS
}

/// The shape of a weight, with a leading one; no dimension if the descriptor was not given to [`cudnnGetRNNWeightParams`].
///
/// # Safety
/// `sizes` and `strides` are null or have room for `requested` numbers.
#[unsafe(no_mangle)]
unsafe extern "C" fn cudnnGetTensorNdDescriptor(
    descriptor: usize,
    requested: i32,
    data: Option<&mut i32>,
    count: Option<&mut i32>,
    sizes: *mut i32,
    strides: *mut i32,
) -> Status {
    let weight = descriptors().weights.get(&descriptor).copied();
    answer(data, 0);
    let Some(Weight { rows, columns, .. }) = weight.filter(|_| requested >= 3) else {
        return answer(count, 0);
    };
    let shape = [1, rows, columns].map(|size| i32::try_from(size).unwrap_or(i32::MAX));
    let steps = [rows * columns, columns, 1].map(|size| i32::try_from(size).unwrap_or(i32::MAX));
    for (place, numbers) in [(sizes, shape), (strides, steps)] {
        if !place.is_null() {
            // SAFETY: three numbers were requested, for which there is room.
            unsafe { place.cast::<[i32; 3]>().write_unaligned(numbers) };
        }
    }
    answer(count, 3)
}

#[unsafe(no_mangle)]
extern "C" fn cudnnDestroyTensorDescriptor(descriptor: usize) -> Status {
    descriptors().weights.remove(&descriptor);
    SUCCESS
}

/// The least that cuDNN can need. What it takes depends on the algorithm that it chooses, which is not modelled.
#[unsafe(no_mangle)]
extern "C" fn cudnnGetRNNTempSpaceSizes(
    _handle: usize,
    descriptor: usize,
    mode: i32,
    data: usize,
    workspace: Option<&mut usize>,
    reserve: Option<&mut usize>,
) -> Status {
    let all = descriptors();
    let network = all.networks.get(&descriptor).copied();
    let rows = all.rows.get(&data).copied();
    let (Some(network), Some(rows)) = (network, rows) else { return INVALID_VALUE };
    drop(all);
    not_answered("cudnnGetRNNTempSpaceSizes");
    let (scratch, kept) = network.spaces(rows, mode == TRAINING);
    answer(workspace, scratch);
    answer(reserve, kept)
}

/// PyTorch expects a size above zero.
#[unsafe(no_mangle)]
extern "C" fn cudnnDropoutGetStatesSize(_handle: usize, bytes: Option<&mut usize>) -> Status {
    not_answered("cudnnDropoutGetStatesSize");
    answer(bytes, RANDOM_STATE * machine().settings.multiprocessors.max(1) as usize)
}
