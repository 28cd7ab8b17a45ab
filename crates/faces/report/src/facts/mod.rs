//! What is known: the versions of programs and the size of each data set, as `brimful --version --facts` prints them.

mod answer;
mod text;
mod wire;

pub use answer::{DataFacts, FactsAnswer, Version};
pub use text::facts_text;
pub use wire::*;
