//! Streams, events and the capture of graphs: when work is done, and what is recorded instead of done.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::machine::machine;
use super::{NOT_READY, SUCCESS, Status, new_handle};
use crate::Completion;
use crate::abi::cudaError::cudaErrorStreamCaptureUnsupported;

/// Launches and copies so far: the clock by which delayed work is done.
static CLOCK: AtomicU64 = AtomicU64::new(0);
/// Streams that are capturing; while there are none, nobody has to look.
static CAPTURING: AtomicU64 = AtomicU64::new(0);

#[derive(Default)]
struct Stream {
    priority: i32,
    /// The graph that its work goes into.
    capture: Option<u64>,
    /// The clock at its last work.
    last: u64,
    /// The clock up to which somebody has waited.
    waited: u64,
}

#[derive(Clone, Copy, Default)]
struct Event {
    /// The clock when it was recorded, and on which stream.
    recorded: Option<(u64, usize)>,
    capture: Option<u64>,
}

#[derive(Default)]
pub(super) struct Streams {
    streams: BTreeMap<usize, Stream>,
    events: BTreeMap<usize, Event>,
    captures: BTreeMap<u64, Graph>,
    next_capture: u64,
    /// The clock up to which the whole GPU was waited for.
    waited: u64,
}

/// What is recorded.
#[derive(Default)]
struct Graph {
    origin: usize,
    nodes: usize,
}

impl Streams {
    pub fn create(&mut self, priority: i32) -> usize {
        let handle = new_handle();
        self.streams.insert(handle, Stream { priority, ..Stream::default() });
        handle
    }

    pub fn destroy(&mut self, stream: usize) {
        self.streams.remove(&stream);
    }

    pub fn priority(&self, stream: usize) -> i32 {
        self.streams.get(&stream).map_or(0, |stream| stream.priority)
    }

    /// A launch or a copy.
    pub fn work(&mut self, stream: usize) {
        let now = CLOCK.fetch_add(1, Relaxed) + 1;
        let stream = self.streams.entry(stream).or_default();
        stream.last = now;
        if let Some(graph) = stream.capture.and_then(|capture| self.captures.get_mut(&capture)) {
            graph.nodes += 1;
        }
    }

    /// Waits for a stream.
    pub fn wait(&mut self, stream: usize) -> Status {
        if self.capture_of(stream).is_some() {
            return cudaErrorStreamCaptureUnsupported;
        }
        let stream = self.streams.entry(stream).or_default();
        stream.waited = CLOCK.load(Relaxed);
        SUCCESS
    }

    /// Waits for the whole GPU.
    pub fn wait_for_all(&mut self) -> Status {
        self.waited = CLOCK.load(Relaxed);
        SUCCESS
    }

    /// Whether a stream's work is done.
    pub fn query(&self, stream: usize) -> Status {
        let Some(state) = self.streams.get(&stream) else { return SUCCESS };
        if state.capture.is_some() {
            return cudaErrorStreamCaptureUnsupported;
        }
        self.is_done(state.last, stream)
    }

    fn is_done(&self, recorded: u64, stream: usize) -> Status {
        let Completion::Delayed(launches) = machine().settings.completion else { return SUCCESS };
        let waited = self.streams.get(&stream).map_or(0, |stream| stream.waited).max(self.waited);
        let passed = CLOCK.load(Relaxed).saturating_sub(recorded) >= launches;
        if passed || waited >= recorded { SUCCESS } else { NOT_READY }
    }

    pub fn create_event(&mut self) -> usize {
        let handle = new_handle();
        self.events.insert(handle, Event::default());
        handle
    }

    pub fn destroy_event(&mut self, event: usize) {
        self.events.remove(&event);
    }

    pub fn record(&mut self, event: usize, stream: usize) {
        let capture = self.capture_of(stream);
        let recorded = Some((CLOCK.load(Relaxed), stream));
        self.events.insert(event, Event { recorded, capture });
    }

    pub fn query_event(&self, event: usize) -> Status {
        let event = self.events.get(&event).copied().unwrap_or_default();
        if event.capture.is_some_and(|capture| self.captures.contains_key(&capture)) {
            return cudaErrorStreamCaptureUnsupported;
        }
        event.recorded.map_or(SUCCESS, |(recorded, stream)| self.is_done(recorded, stream))
    }

    /// Waits for an event: what its stream did until then is done.
    pub fn wait_for_event(&mut self, event: usize) {
        let Some((recorded, stream)) = self.events.get(&event).and_then(|event| event.recorded) else {
            return;
        };
        let stream = self.streams.entry(stream).or_default();
        stream.waited = stream.waited.max(recorded);
    }

    /// A stream that waits for an event of a captured stream joins the capture.
    pub fn join(&mut self, stream: usize, event: usize) {
        let capture = self.events.get(&event).and_then(|event| event.capture);
        let joins = capture.filter(|capture| self.captures.contains_key(capture));
        if let Some(capture) = joins {
            let stream = self.streams.entry(stream).or_default();
            if stream.capture.replace(capture).is_none() {
                CAPTURING.fetch_add(1, Relaxed);
            }
        }
    }

    pub fn begin_capture(&mut self, stream: usize) {
        self.next_capture += 1;
        let capture = self.next_capture;
        self.captures.insert(capture, Graph { origin: stream, nodes: 0 });
        self.streams.entry(stream).or_default().capture = Some(capture);
        CAPTURING.fetch_add(1, Relaxed);
    }

    /// Ends a capture; the number of nodes that were recorded.
    pub fn end_capture(&mut self, stream: usize) -> Option<usize> {
        let capture = self.capture_of(stream)?;
        let graph = self.captures.get(&capture)?;
        if graph.origin != stream {
            return None;
        }
        let nodes = graph.nodes;
        self.captures.remove(&capture);
        for stream in self.streams.values_mut().filter(|stream| stream.capture == Some(capture)) {
            stream.capture = None;
            CAPTURING.fetch_sub(1, Relaxed);
        }
        Some(nodes)
    }

    /// The capture that a stream takes part in.
    pub fn capture_of(&self, stream: usize) -> Option<u64> {
        self.streams.get(&stream).and_then(|stream| stream.capture)
    }
}

/// The capture that a stream takes part in; asked before each allocation.
pub(super) fn capture_of(stream: usize) -> Option<u64> {
    if CAPTURING.load(Relaxed) == 0 {
        return None;
    }
    machine().streams().capture_of(stream)
}

/// A launch on a stream: only its time is kept, unless somebody needs more.
pub(super) fn launched(stream: usize) {
    super::written::forget();
    let nobody_asks = machine().settings.completion == Completion::Immediate && CAPTURING.load(Relaxed) == 0;
    if nobody_asks {
        CLOCK.fetch_add(1, Relaxed);
    } else {
        machine().streams().work(stream);
    }
}
