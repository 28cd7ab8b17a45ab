//! Streams, events and the capture of graphs: when work is done, and what a capture records instead of doing it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::machine::machine;
use super::{NOT_READY, SUCCESS, Status, new_handle};
use crate::Completion;
use crate::abi::cudaError::cudaErrorStreamCaptureUnsupported;

/// The number of launches and copies so far: the clock by which delayed work is done.
static CLOCK: AtomicU64 = AtomicU64::new(0);
/// The number of streams that are capturing. While it is 0, no lock is taken to look for a capture.
static CAPTURING: AtomicU64 = AtomicU64::new(0);

#[derive(Default)]
struct Stream {
    priority: i32,
    /// The capture that records its work.
    capture: Option<u64>,
    /// The clock at its last work.
    last: u64,
    /// The clock at the last wait for this stream.
    waited: u64,
}

#[derive(Clone, Copy, Default)]
struct Event {
    /// The clock when it was recorded, and the stream.
    recorded: Option<(u64, usize)>,
    capture: Option<u64>,
}

/// All streams, events and captures of this process.
#[derive(Default)]
pub(super) struct Streams {
    streams: BTreeMap<usize, Stream>,
    events: BTreeMap<usize, Event>,
    captures: BTreeMap<u64, Graph>,
    next_capture: u64,
    /// The clock at the last wait for the whole GPU.
    waited: u64,
}

/// The result of a capture.
#[derive(Default)]
struct Graph {
    origin: usize,
    nodes: usize,
}

impl Streams {
    /// Makes a stream, and returns its handle.
    pub fn create(&mut self, priority: i32) -> usize {
        let handle = new_handle();
        self.streams.insert(handle, Stream { priority, ..Stream::default() });
        handle
    }

    /// Destroys a stream.
    pub fn destroy(&mut self, stream: usize) {
        self.streams.remove(&stream);
    }

    /// The priority of a stream; 0 if the stream is not known.
    pub fn priority(&self, stream: usize) -> i32 {
        self.streams.get(&stream).map_or(0, |stream| stream.priority)
    }

    /// Counts a launch or a copy on a stream.
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

    /// Makes an event, and returns its handle.
    pub fn create_event(&mut self) -> usize {
        let handle = new_handle();
        self.events.insert(handle, Event::default());
        handle
    }

    /// Destroys an event.
    pub fn destroy_event(&mut self, event: usize) {
        self.events.remove(&event);
    }

    /// Records an event on a stream.
    pub fn record(&mut self, event: usize, stream: usize) {
        let capture = self.capture_of(stream);
        let recorded = Some((CLOCK.load(Relaxed), stream));
        self.events.insert(event, Event { recorded, capture });
    }

    /// Whether the work before an event is done.
    pub fn query_event(&self, event: usize) -> Status {
        let event = self.events.get(&event).copied().unwrap_or_default();
        if event.capture.is_some_and(|capture| self.captures.contains_key(&capture)) {
            return cudaErrorStreamCaptureUnsupported;
        }
        event.recorded.map_or(SUCCESS, |(recorded, stream)| self.is_done(recorded, stream))
    }

    /// Waits for an event: the work of its stream up to the event is then done.
    pub fn wait_for_event(&mut self, event: usize) {
        let Some((recorded, stream)) = self.events.get(&event).and_then(|event| event.recorded) else {
            return;
        };
        let stream = self.streams.entry(stream).or_default();
        stream.waited = stream.waited.max(recorded);
    }

    /// Lets a stream wait for an event. If the event is of a captured stream, the waiting stream joins the capture.
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

    /// Begins to capture a stream.
    pub fn begin_capture(&mut self, stream: usize) {
        self.next_capture += 1;
        let capture = self.next_capture;
        self.captures.insert(capture, Graph { origin: stream, nodes: 0 });
        self.streams.entry(stream).or_default().capture = Some(capture);
        CAPTURING.fetch_add(1, Relaxed);
    }

    /// Ends a capture, and returns the number of nodes that were recorded.
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

/// The capture that a stream takes part in. PyTorch asks this before each allocation, so it is fast while no stream captures.
pub(super) fn capture_of(stream: usize) -> Option<u64> {
    if CAPTURING.load(Relaxed) == 0 {
        return None;
    }
    machine().streams().capture_of(stream)
}

/// Counts a launch on a stream. Only the clock advances unless work is delayed or captured.
pub(super) fn launched(stream: usize) {
    super::written::forget();
    let nobody_asks = machine().settings.completion == Completion::Immediate && CAPTURING.load(Relaxed) == 0;
    if nobody_asks {
        CLOCK.fetch_add(1, Relaxed);
    } else {
        machine().streams().work(stream);
    }
}
