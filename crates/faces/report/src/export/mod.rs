//! The files of other tools.

mod collapsed;
mod dhat;
#[cfg(feature = "parquet")]
mod parquet;
mod perfetto;
mod speedscope;

#[cfg(feature = "parquet")]
pub use self::parquet::parquet;
pub use collapsed::collapsed;
pub use dhat::dhat;
pub use perfetto::perfetto;
pub use speedscope::speedscope;

use brimful_explain::Holder;

/// The frames of a holder, outermost first: its purpose, then the program's. A module's path is a frame for each part.
pub(crate) fn path(holder: &Holder, predicted: bool) -> Vec<String> {
    let purpose = holder.category.name().to_owned();
    let inward = holder.place.iter().rev();
    let frames: Vec<String> = if predicted {
        inward.flat_map(|name| name.split('.').map(str::to_owned).collect::<Vec<_>>()).collect()
    } else {
        inward.cloned().collect()
    };
    std::iter::once(purpose).chain(frames).collect()
}
