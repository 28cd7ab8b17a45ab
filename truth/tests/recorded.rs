//! Every figure of every recorded run. `BRIMFUL_CASE=qwen3/` narrows it.

use brimful_truth::{families, figures, fixtures, root};

#[test]
fn every_recorded_figure_is_predicted() {
    let mut compared = 0;
    for case in fixtures::for_tests(&root()).unwrap() {
        for figure in figures(&case).unwrap_or_else(|error| panic!("{}: {error:#}", case.id)) {
            let (what, predicted, real) = (figure.what, &figure.predicted, &figure.real);
            assert!(figure.is_equal(), "{}: {what}\npredicted {predicted}\nreal      {real}", case.id);
            compared += 1;
        }
    }
    assert!(compared > 0, "no case of that name has figures");
}

#[test]
fn every_family_that_can_be_drawn_is_recorded() {
    let names = fixtures::names(&root()).unwrap();
    for family in families() {
        assert!(names.iter().any(|name| name == family), "{family} has no file in fixtures/step");
        let cases = fixtures::read(&root(), family).unwrap().cases;
        assert!(cases.iter().any(|case| case.events.is_some()), "{family} has no sequence of events");
        assert!(cases.iter().all(|case| case.family() == *family), "{family} holds cases of another family");
    }
}
