//! The progress of a download: a bar if standard error is a terminal; otherwise only failed attempts that are retried.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use scened_hub::Watcher;
use scened_shared::standard_error;

use super::{Out, text};

#[derive(Debug)]
pub(crate) struct Transfer {
    bar: Option<ProgressBar>,
}

impl Transfer {
    pub(crate) fn new(out: &Out) -> Self {
        let bar = out.stderr_is_terminal.then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            bar.set_style(style("{spinner} {wide_msg}"));
            bar.set_message("asking the hub");
            bar.tick();
            bar
        });
        Self { bar }
    }

    /// Removes the bar.
    pub(crate) fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .expect("the templates are constants")
        .progress_chars("━╸ ")
}

impl Watcher for Transfer {
    fn begin(&self, total_bytes: Option<u64>, done_bytes: u64) {
        let Some(bar) = &self.bar else { return };
        if let Some(total_bytes) = total_bytes {
            bar.set_length(total_bytes);
            bar.set_style(style(
                "{bar:24} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta} left · {wide_msg}",
            ));
        } else {
            bar.set_style(style("{spinner} {decimal_bytes} {decimal_bytes_per_sec} · {wide_msg}"));
        }
        bar.set_position(done_bytes);
        // Bytes from an earlier run say nothing about the rate.
        bar.reset_eta();
    }

    fn file(&self, name: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(text::escape(name));
        }
    }

    fn position(&self, done_bytes: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(done_bytes);
        }
    }

    fn retry(&self, why: &str) {
        let line = format!("{}; trying again", text::escape(why));
        match &self.bar {
            Some(bar) => bar.println(line),
            None => standard_error::say(format!("{line}\n").as_bytes()),
        }
    }
}
