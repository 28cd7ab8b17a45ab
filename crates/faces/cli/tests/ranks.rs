//! `brimful ranks` as a user meets it: exit code and both streams.

mod seen;

use seen::seen;

#[test]
fn a_folder_of_snapshots() {
    insta::assert_snapshot!(seen(&["ranks", "fixtures/snapshots"]));
}

#[test]
fn a_bad_rank_takes_nothing_away() {
    let ranks = ["fixtures/snapshots/mix.pickle.gz", "hostile/snapshots/cyclic.pickle"];
    insta::assert_snapshot!(seen(&["ranks", ranks[0], ranks[1], "--json"]));
}

#[test]
fn a_folder_without_snapshots() {
    insta::assert_snapshot!(seen(&["ranks", "examples"]));
}
