//! The progress of a cut: a bar if standard error is a terminal, nothing otherwise.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Out;

#[derive(Clone, Debug)]
pub(crate) struct Cutting {
    bar: Option<ProgressBar>,
}

impl Cutting {
    pub(crate) fn new(out: &Out) -> Self {
        let bar = out.stderr_is_terminal.then(|| {
            let style = ProgressStyle::with_template("{bar:24} {percent}% {msg}").expect("the template is a constant");
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
            bar.with_style(style.progress_chars("━╸ ")).with_message("cutting")
        });
        Self { bar }
    }

    pub(crate) fn position(&self, done_us: u64, of_us: u64) {
        if let Some(bar) = &self.bar {
            bar.set_length(of_us);
            // A clip that begins at an earlier keyframe is longer than requested.
            bar.set_position(done_us.min(of_us));
        }
    }

    /// Removes the bar.
    pub(crate) fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
