//! One small snapshot in every form that PyTorch has written: all say the same.

use brimful_snapshot::{Container, Snapshot, read};
use brimful_trace::{BlockState, Event, Trace};

fn bytes(name: &str) -> Vec<u8> {
    let path = format!("{}/../../../fixtures/snapshots/tiny/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn snapshot(name: &str) -> Snapshot {
    read(&bytes(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn trace(name: &str) -> Trace {
    snapshot(name).into_trace(0).unwrap()
}

/// An event as text: what happened, to how many bytes, where, and the stack of it.
fn told(trace: &Trace) -> Vec<String> {
    let recording = trace.recording.as_ref().unwrap();
    let stack = |at: usize| {
        let frames = trace.contexts.frames_of(trace.contexts.get(recording.sites[at]).stack);
        let text = |frame: &brimful_trace::FrameId| {
            let frame = trace.contexts.frame_of(*frame);
            format!(
                "{}:{} {}",
                trace.contexts.str(frame.file),
                frame.line,
                trace.contexts.str(frame.function)
            )
        };
        frames.iter().map(text).collect::<Vec<_>>().join(" < ")
    };
    let event = |(at, event): (usize, Event)| {
        let what = match event {
            Event::Alloc(id) | Event::FreeRequested(id) | Event::FreeCompleted(id) => {
                format!("{:?}", trace.allocations.get(id))
            }
            Event::SegmentAlloc(id) | Event::SegmentFree(id) => format!("{:?}", trace.segments.get(id)),
            other => panic!("{other:?} is not in the tiny snapshot"),
        };
        // Ids of contexts depend on the order of the file; the stack is compared as text.
        let (what, _) = what.split_once("context").unwrap_or((&what, ""));
        format!("{event:?} {what} {}", stack(at))
    };
    trace.events().enumerate().map(event).collect()
}

#[test]
fn every_form_has_the_same_events() {
    let expected = told(&trace("torch-2.15.pickle"));
    assert_eq!(expected.len(), 29);
    assert!(expected[1].contains("site-packages/torch/nn/modules/linear.py:"), "{}", expected[1]);
    let forms = [
        "protocol-2.pickle",
        "protocol-3.pickle",
        "protocol-5.pickle",
        "torch-2.13.pickle",
        "torch-2.11.pickle",
        "torch-2.9.pickle",
        "torch-2.7.pickle",
        "torch-2.4.pickle",
        "torch-2.2.pickle",
        "torch-2.1.pickle",
        "torch-2.0.pickle",
        "torch-cpp.pickle",
        "snapshot.json",
        "snapshot.pickle.gz",
    ];
    for form in forms {
        assert_eq!(told(&trace(form)), expected, "{form}");
    }
}

#[test]
fn every_form_has_the_same_end() {
    let end = |name: &str| {
        let recording = trace(name).recording.unwrap();
        let blocks = recording.blocks.iter().map(|block| (block.address, block.bytes, block.state));
        (
            recording.segments.iter().map(|s| (s.address, s.bytes, s.small)).collect::<Vec<_>>(),
            blocks.collect::<Vec<_>>(),
        )
    };
    let expected = end("torch-2.15.pickle");
    assert_eq!(expected.0.len(), 3);
    // Weight, bias, their gradients, and what the other stream keeps.
    assert_eq!(expected.1.iter().filter(|block| block.2 == BlockState::Allocated).count(), 5);
    for form in
        ["torch-2.0.pickle", "torch-2.1.pickle", "torch-cpp.pickle", "snapshot.json", "segments.pickle"]
    {
        assert_eq!(end(form), expected, "{form}");
    }
}

#[test]
fn the_keys_tell_the_version() {
    let versions = [
        ("torch-2.0.pickle", "2.0"),
        ("torch-2.1.pickle", "2.1"),
        ("torch-2.2.pickle", "2.2"),
        ("torch-2.4.pickle", "2.3"),
        ("torch-2.7.pickle", "2.5"),
        ("torch-2.9.pickle", "2.8"),
        ("torch-2.11.pickle", "2.10"),
        ("torch-2.13.pickle", "2.12"),
        ("torch-2.15.pickle", "2.14"),
    ];
    for (name, version) in versions {
        assert_eq!(snapshot(name).written_by, version, "{name}");
    }
}

#[test]
fn a_bare_list_of_segments_has_no_history() {
    let snapshot = snapshot("segments.pickle");
    assert!(!snapshot.has_history());
    assert_eq!(snapshot.fullest(), Some(0));
    assert!(snapshot.into_trace(0).unwrap().recording.unwrap().begins_late);
}

#[test]
fn what_was_not_read_is_told() {
    let json =
        br#"{"segments": [], "device_traces": [[{"action": "alloc", "addr": 512, "size": 9, "stream": 0,
        "novelty": 1, "frames": []}]], "colour": "blue"}"#;
    let snapshot = read(json).unwrap();
    assert_eq!(snapshot.container, Container::Json);
    assert_eq!(snapshot.unread.unknown_keys.get("novelty"), Some(&1));
    assert_eq!(snapshot.unread.unknown_keys.get("colour"), Some(&1));
    assert_eq!(snapshot.devices[0].events(), 1);
}

#[test]
fn numbers_keep_every_bit() {
    let json =
        br#"{"segments": [], "device_traces": [[{"action": "alloc", "addr": 13835058055282163712, "size": 9,
        "stream": -5, "frames": []}]]}"#;
    let trace = read(json).unwrap().into_trace(0).unwrap();
    assert_eq!(trace.allocations.get(brimful_trace::AllocationId(0)).address, Some(0xc000_0000_0000_0000));
    assert_eq!(trace.recording.unwrap().lanes[0].stream, -5);
}

#[test]
fn only_snapshots_look_like_one() {
    assert!(brimful_snapshot::looks_like_one(&bytes("torch-2.15.pickle")));
    assert!(brimful_snapshot::looks_like_one(&bytes("snapshot.json")));
    assert!(brimful_snapshot::looks_like_one(&bytes("snapshot.pickle.gz")));
    assert!(!brimful_snapshot::looks_like_one(b"torch.OutOfMemoryError: CUDA out of memory."));
    assert!(!brimful_snapshot::looks_like_one(b"{\"loss\": 3.5}"));
}

/// What a program says of its allocations is the module that asks, whatever the stack.
#[test]
fn metadata_is_a_module() {
    let json = String::from_utf8(bytes("snapshot.json")).unwrap();
    let module_of = |said: &str| {
        let said = json.replace(r#""user_metadata": """#, &format!(r#""user_metadata": "{said}""#));
        let trace = read(said.as_bytes()).unwrap().into_trace(0).unwrap();
        let recording = trace.recording.as_ref().unwrap();
        let context = trace.contexts.get(recording.sites[1]);
        assert!(!trace.contexts.frames_of(context.stack).is_empty());
        trace.contexts.str(context.module).to_owned()
    };
    assert!(json.contains(r#""user_metadata": """#));
    assert_eq!(module_of(""), "");
    assert_eq!(module_of("model.layers.3.mlp"), "model.layers.3.mlp");
    // A name that means something elsewhere in a snapshot.
    assert_eq!(module_of("blocks"), "blocks");
}

#[test]
fn traces_of_several_devices_each_have_the_stacks_and_devices_that_are_not_there_are_left_out() {
    let json = r#"{"segments": [], "device_traces": [
        [{"action": "alloc", "addr": 512, "size": 9, "stream": 0, "frames": [{"filename": "a.py", "line": 1, "name": "f"}]}],
        [],
        [{"action": "alloc", "addr": 1024, "size": 7, "stream": 0, "frames": [{"filename": "b.py", "line": 2, "name": "g"}]}]
    ]}"#;
    let traces = read(json.as_bytes()).unwrap().into_traces(&[2, 0, 9]);
    let devices: Vec<usize> = traces.iter().map(|(device, _)| *device).collect();
    assert_eq!(devices, [2, 0]);
    for (device, trace) in &traces {
        let one = read(json.as_bytes()).unwrap().into_trace(*device).unwrap();
        let row = trace.allocations.get(brimful_trace::AllocationId(0));
        assert_eq!(row.bytes, one.allocations.get(brimful_trace::AllocationId(0)).bytes);
        let stack = trace.contexts.get(row.context).stack;
        let frame = trace.contexts.frame_of(trace.contexts.frames_of(stack)[0]);
        let expected = if *device == 2 { ("b.py", 2) } else { ("a.py", 1) };
        assert_eq!((trace.contexts.str(frame.file), frame.line), expected);
        assert_eq!(trace.len(), one.len());
    }
}

/// CPython's pickler appends a single item without a mark. The pickle is of protocol 4; frames come last in three events.
#[test]
fn a_stack_of_no_one_or_two_frames_is_read_wherever_it_stands_in_its_event() {
    let pickle = b"\x80\x04\x95$\x01\x00\x00\x00\x00\x00\x00}\x94(\x8c\x08segments\x94]\x94\x8c\x0ddevice_traces\x94]\x94]\
        \x94(}\x94(\x8c\x06action\x94\x8c\x05alloc\x94\x8c\x04addr\x94M\x00\x02\x8c\x04size\x94M\x00\x02\x8c\x06\
        stream\x94K\x00\x8c\x06frames\x94]\x94(}\x94(\x8c\x04name\x94\x8c\x01f\x94\x8c\x08filename\x94\x8c\x04a.\
        py\x94\x8c\x04line\x94K\x03uh\x0eeu}\x94(h\x07h\x08h\x09M\x00\x04h\x0aM\x00\x02h\x0bK\x00h\x0c]\x94h\x0e\
        au}\x94(h\x07h\x08h\x09M\x00\x06h\x0aM\x00\x02h\x0bK\x00h\x0c]\x94u}\x94(h\x07h\x08h\x09M\x00\x08h\x0c]\
        \x94h\x0eah\x0aM\x00\x02h\x0bK\x00u}\x94(h\x07h\x08h\x09M\x00\x0ah\x0c]\x94h\x0aM\x00\x02h\x0bK\x00u}\
        \x94(h\x07h\x08h\x09M\x00\x0ch\x0c]\x94(h\x0eh\x0eeh\x0aM\x00\x02h\x0bK\x00ueau.";
    let trace = read(pickle).unwrap().into_trace(0).unwrap();
    let rows = trace.allocations.ids().map(|id| trace.allocations.get(id));
    let depth = |context| trace.contexts.frames_of(trace.contexts.get(context).stack).len();
    let read: Vec<_> = rows.map(|row| (row.address, row.bytes.get(), depth(row.context))).collect();
    let depths = [2, 1, 0, 1, 0, 2];
    let expected: Vec<_> = (1u64..).zip(depths).map(|(at, depth)| (Some(512 * at), 512, depth)).collect();
    assert_eq!(read, expected);
}
