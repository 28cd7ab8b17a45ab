//! Every figure of every recorded run. `BRIMFUL_CASE=qwen3/` narrows it.

use brimful_truth::{Case, families, figures, fixtures, root};

#[test]
fn every_recorded_figure_is_predicted() {
    let cases = fixtures::for_tests(&root()).unwrap();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let compared: usize = std::thread::scope(|scope| {
        let parts = cases.chunks(cases.len().div_ceil(threads).max(1));
        let running: Vec<_> =
            parts.map(|part| scope.spawn(|| part.iter().map(compared).sum::<usize>())).collect();
        running
            .into_iter()
            .map(|part| part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .sum()
    });
    assert!(compared > 0, "no case of that name has figures");
}

/// The number of figures of a case, each of which is as recorded.
fn compared(case: &Case) -> usize {
    let figures = figures(case).unwrap_or_else(|error| panic!("{}: {error:#}", case.id));
    for figure in &figures {
        let (what, predicted, real) = (figure.what, &figure.predicted, &figure.real);
        assert!(figure.is_equal(), "{}: {what}\npredicted {predicted}\nreal      {real}", case.id);
    }
    figures.len()
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
