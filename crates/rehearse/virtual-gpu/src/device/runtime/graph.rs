//! Capture of graphs.

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use super::super::machine::machine;
use super::super::{SUCCESS, Status, answer, new_handle, remember, streams};
use crate::abi::cudaError::cudaErrorStreamCaptureUnsupported;

/// The number of nodes of each graph.
static GRAPHS: LazyLock<Mutex<BTreeMap<usize, usize>>> = LazyLock::new(Mutex::default);

fn new_graph(nodes: usize) -> usize {
    let handle = new_handle();
    GRAPHS.lock().unwrap_or_else(PoisonError::into_inner).insert(handle, nodes);
    handle
}

#[unsafe(no_mangle)]
extern "C" fn cudaStreamBeginCapture(stream: usize, _mode: i32) -> Status {
    machine().streams().begin_capture(stream);
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cudaStreamEndCapture(stream: usize, graph: Option<&mut usize>) -> Status {
    let ended = machine().streams().end_capture(stream);
    match ended {
        Some(nodes) => answer(graph, new_graph(nodes)),
        None => {
            answer(graph, 0);
            remember(cudaErrorStreamCaptureUnsupported)
        }
    }
}

#[unsafe(no_mangle)]
extern "C" fn cudaStreamIsCapturing(stream: usize, status: Option<&mut i32>) -> Status {
    answer(status, i32::from(streams::capture_of(stream).is_some()))
}

/// The second version, in CUDA 12.
#[unsafe(no_mangle)]
extern "C" fn cudaStreamGetCaptureInfo_v2(
    stream: usize,
    status: Option<&mut i32>,
    id: Option<&mut u64>,
    graph: Option<&mut usize>,
    dependencies: Option<&mut usize>,
    count: Option<&mut usize>,
) -> Status {
    let capture = streams::capture_of(stream);
    answer(status, i32::from(capture.is_some()));
    answer(id, capture.unwrap_or(0));
    answer(graph, 0);
    answer(dependencies, 0);
    answer(count, 0)
}

/// The third version, with the data of edges: in CUDA 12 under this name, in CUDA 13 under the plain one.
#[unsafe(no_mangle)]
extern "C" fn cudaStreamGetCaptureInfo_v3(
    stream: usize,
    status: Option<&mut i32>,
    id: Option<&mut u64>,
    graph: Option<&mut usize>,
    dependencies: Option<&mut usize>,
    edges: Option<&mut usize>,
    count: Option<&mut usize>,
) -> Status {
    answer(edges, 0);
    cudaStreamGetCaptureInfo_v2(stream, status, id, graph, dependencies, count)
}

#[unsafe(no_mangle)]
extern "C" fn cudaStreamGetCaptureInfo(
    stream: usize,
    status: Option<&mut i32>,
    id: Option<&mut u64>,
    graph: Option<&mut usize>,
    dependencies: Option<&mut usize>,
    edges: Option<&mut usize>,
    count: Option<&mut usize>,
) -> Status {
    cudaStreamGetCaptureInfo_v3(stream, status, id, graph, dependencies, edges, count)
}

/// Leaves the requested mode in place as the previous one. No call is forbidden during a capture here.
#[unsafe(no_mangle)]
extern "C" fn cudaThreadExchangeStreamCaptureMode(_mode: Option<&mut i32>) -> Status {
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cudaGraphCreate(graph: Option<&mut usize>, _flags: u32) -> Status {
    answer(graph, new_graph(0))
}

#[unsafe(no_mangle)]
extern "C" fn cudaGraphGetNodes(
    graph: usize,
    nodes: Option<&mut usize>,
    count: Option<&mut usize>,
) -> Status {
    let known = GRAPHS.lock().unwrap_or_else(PoisonError::into_inner).get(&graph).copied().unwrap_or(0);
    let asked_for_list = nodes.is_some();
    answer(count, if asked_for_list { 0 } else { known })
}

#[unsafe(no_mangle)]
extern "C" fn cudaGraphDestroy(graph: usize) -> Status {
    GRAPHS.lock().unwrap_or_else(PoisonError::into_inner).remove(&graph);
    SUCCESS
}

#[unsafe(no_mangle)]
extern "C" fn cudaGraphInstantiate(executable: Option<&mut usize>, _graph: usize, _flags: u64) -> Status {
    answer(executable, new_handle())
}

#[unsafe(no_mangle)]
extern "C" fn cudaGraphInstantiateWithFlags(
    executable: Option<&mut usize>,
    _graph: usize,
    _flags: u64,
) -> Status {
    answer(executable, new_handle())
}

#[unsafe(no_mangle)]
extern "C" fn cudaGraphLaunch(_executable: usize, stream: usize) -> Status {
    streams::launched(stream);
    // The kernels of a graph write again to the addresses that they were captured with.
    super::super::hook::unfollowed();
    SUCCESS
}
