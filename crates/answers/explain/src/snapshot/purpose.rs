//! The purpose of each block, derived from the stack that made it and from when it died.

use brimful_trace::{AllocationId, Category, ContextId, Event, Trace};

use super::activity::site;
use super::marked::marked;
use super::sites::{Doing, Signs, Sites};

/// A block's purpose, and whether another one is possible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purpose {
    /// What it is for.
    pub category: Category,
    /// Whether its stack or its end leaves room for another answer.
    pub uncertain: bool,
    /// Whether it is a parameter that gets no gradient; known of rehearsals only.
    pub frozen: bool,
}

/// When and where a block was born and died.
#[derive(Clone, Copy, Debug, Default)]
struct Life {
    /// Number of the range of like activity, from 1; 0 for before the recording.
    born: u32,
    /// `u32::MAX` for never.
    died: u32,
    died_in: Doing,
    /// Backwards begun before its birth and its death.
    backwards: (u32, u32),
    autocast_end: bool,
}

/// The purpose of every block of a trace.
pub fn purposes(trace: &Trace, sites: &Sites, activity: &[Doing]) -> Vec<Purpose> {
    let (lives, backwards) = lives(trace, sites, activity);
    let marked = marked(trace);
    let judge = |id: AllocationId| {
        if let Some(mark) = marked.get(&id) {
            return Purpose { category: mark.category, uncertain: false, frozen: mark.frozen };
        }
        let signs = sites.get(trace.allocations.get(id).context);
        let life = &lives[id.index()];
        let known = trace.allocations.get(id).context != ContextId::default() || life.born > 0;
        let doing = if known { signs.doing } else { Doing::Unknown };
        let purpose = judge(doing, life, backwards);
        refine(purpose, doing, &signs, life)
    };
    trace.allocations.ids().map(judge).collect()
}

fn lives(trace: &Trace, sites: &Sites, activity: &[Doing]) -> (Vec<Life>, u32) {
    let mut lives = vec![Life { died: u32::MAX, ..Life::default() }; trace.allocations.len()];
    let (mut region, mut backwards, mut now) = (1, 0, Doing::Unknown);
    for (at, event) in trace.events().enumerate() {
        let signs = sites.get(site(trace, at));
        let doing = if activity[at] == Doing::Recompute { Doing::Backward } else { activity[at] };
        if doing != now && !matches!(doing, Doing::Script | Doing::Unknown) {
            region += 1;
            backwards += u32::from(doing == Doing::Backward);
            now = doing;
        }
        match event {
            Event::Alloc(id) => {
                let life = &mut lives[id.index()];
                (life.born, life.backwards.0) = (region, backwards);
            }
            Event::Free(id) | Event::FreeRequested(id) => {
                die(&mut lives, id, region, doing, backwards, &signs)
            }
            Event::FreeCompleted(id) if lives[id.index()].died == u32::MAX => {
                die(&mut lives, id, region, doing, backwards, &signs);
            }
            _ => {}
        }
    }
    (lives, backwards)
}

fn die(lives: &mut [Life], id: AllocationId, region: u32, doing: Doing, backwards: u32, signs: &Signs) {
    let life = &mut lives[id.index()];
    (life.died, life.died_in, life.backwards.1) = (region, doing, backwards);
    life.autocast_end = signs.autocast_end;
}

fn judge(doing: Doing, life: &Life, backwards: u32) -> Purpose {
    let never = life.died == u32::MAX;
    let at_once = life.died == life.born && life.died_in != Doing::Script;
    let by = |category, uncertain| Purpose { category, uncertain, frozen: false };
    match doing {
        Doing::Load if life.died == life.born => by(Category::Temporary, false),
        Doing::Load => by(Category::Parameter, false),
        Doing::Optimizer if at_once => by(Category::Temporary, false),
        Doing::Optimizer => by(Category::Optimizer, false),
        Doing::Recompute => by(Category::Recompute, false),
        Doing::ZeroGrad => by(Category::Temporary, false),
        Doing::Backward if at_once => by(Category::Temporary, false),
        // It outlives its backward, as only gradients do; or nobody saw the backward end.
        Doing::Backward => by(Category::Gradient, never && life.backwards.0 == backwards),
        Doing::Forward if at_once => by(Category::Temporary, false),
        Doing::Forward => {
            let until = if never { backwards } else { life.backwards.1 };
            by(Category::Activation, never || until == life.backwards.0)
        }
        Doing::Script => by(Category::Input, true),
        Doing::Unknown => match life.died_in {
            Doing::ZeroGrad => by(Category::Gradient, true),
            Doing::Backward => by(Category::Activation, true),
            _ => by(Category::Unknown, true),
        },
    }
}

/// What a stack shows beyond the part of the step.
fn refine(purpose: Purpose, doing: Doing, signs: &Signs, life: &Life) -> Purpose {
    let category = match (doing, purpose.category) {
        (Doing::Load, Category::Parameter) if signs.buffer => Category::Buffer,
        (Doing::Forward, Category::Activation) if life.autocast_end => Category::WeightCast,
        (Doing::Forward, Category::Activation | Category::Temporary) if signs.logits => Category::Logits,
        (Doing::Forward, Category::Activation | Category::Temporary) if signs.kv_cache => Category::KvCache,
        (_, category) => category,
    };
    Purpose { category, ..purpose }
}
