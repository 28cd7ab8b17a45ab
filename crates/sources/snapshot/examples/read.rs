//! Reads snapshots and says what is in them: `cargo run --release --example read -- FILE…`.

fn main() {
    for path in std::env::args().skip(1) {
        let started = std::time::Instant::now();
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) => {
                eprintln!("{path}: {error}");
                continue;
            }
        };
        match brimful_snapshot::read(&bytes) {
            Ok(snapshot) => {
                let took = started.elapsed();
                println!("{path}: torch {} or later, {took:.3?}, {:?}", snapshot.written_by, snapshot.unread);
                for device in &snapshot.devices {
                    println!("  GPU {}: {} events, {}", device.index, device.events(), device.reserved());
                }
            }
            Err(error) => println!("{path}: {error}"),
        }
    }
}
