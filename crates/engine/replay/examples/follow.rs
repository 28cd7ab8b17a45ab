//! Follows snapshots and says how faithful they are: `cargo run --release --example follow -- FILE…`;
//! with `--conf CONF` and `--capacity BYTES` first, replays them under these settings instead.

use brimful_replay::{AllocatorConfig, Capacity, follow, recorded_config, replay};
use brimful_units::Bytes;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut conf, mut total): (Option<AllocatorConfig>, Option<Bytes>) = (None, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--conf" => conf = Some(arguments.next().unwrap_or_default().parse()?),
            "--capacity" => total = Some(arguments.next().unwrap_or_default().parse()?),
            path => {
                let snapshot = brimful_snapshot::read(&std::fs::read(path)?)?;
                let Some(trace) = snapshot.fullest().and_then(|device| snapshot.into_trace(device)) else {
                    continue;
                };
                let started = std::time::Instant::now();
                if conf.is_none() && total.is_none() {
                    let followed = follow(&trace, &recorded_config(&trace));
                    println!("{path}: {followed:?} {:?}", started.elapsed());
                } else {
                    let capacity = Capacity { total, taken: Bytes::ZERO };
                    let timeline = replay(&trace, &conf.clone().unwrap_or_default(), &capacity);
                    let rate = trace.len() as f64 / started.elapsed().as_secs_f64() / 1e6;
                    println!("{path}: {timeline:?} ({rate:.1} million events/s)");
                }
            }
        }
    }
    Ok(())
}
