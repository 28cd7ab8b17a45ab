//! The order of addresses is the replay's.

#[test]
fn the_rule_of_addresses_is_the_replays() {
    let ours = include_str!("../src/device/addresses.rs");
    let replays = include_str!("../../../engine/replay/src/driver.rs");
    assert_eq!(ours, replays, "copy crates/engine/replay/src/driver.rs over src/device/addresses.rs");
}
