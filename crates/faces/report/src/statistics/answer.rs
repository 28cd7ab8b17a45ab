use brimful_snapshot::{Statistics, StatisticsForm};

/// PyTorch's statistics with what stands around them.
pub struct StatisticsAnswer<'a> {
    /// The input as it was named in the call.
    pub input: &'a str,
    /// What they say.
    pub statistics: &'a Statistics,
}

/// The call that wrote them.
pub(super) fn form(statistics: &Statistics) -> &'static str {
    match statistics.form {
        StatisticsForm::Stats => "torch.cuda.memory_stats()",
        StatisticsForm::Summary => "torch.cuda.memory_summary()",
    }
}
