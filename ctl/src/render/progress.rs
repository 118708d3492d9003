//! The progress of indexing: a bar on a terminal, otherwise lines.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use scened_shared::message::{Coverage, Event, ModelChange, Status};
use scened_shared::terminal;

use super::{Out, text, time};

/// Where progress lines go if there is no bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lines {
    /// The progress is the requested output (`status --watch`).
    Stdout,
    /// The progress accompanies the requested output (`wait`).
    Stderr,
}

/// Shows events as they arrive.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    lines: Lines,
    /// The subject of the last line, and when it was written.
    last: Option<(String, Instant)>,
}

/// Columns for the bar, both numbers and the gaps, on a large library.
const BAR_COLUMNS: usize = 24 + 1 + 15 + 1;

/// Minimum interval between lines about the same state: the rate and the time left change twice a second.
const LINE_EVERY: Duration = Duration::from_secs(10);

impl Progress {
    pub(crate) fn new(out: &Out, lines: Lines) -> Self {
        let bar = out.is_interactive().then(|| {
            let style = ProgressStyle::with_template("{bar:24} {pos}/{len} {wide_msg}").expect("the template is a constant");
            ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr()).with_style(style.progress_chars("━╸ "))
        });
        Self { bar, lines, last: None }
    }

    pub(crate) fn status(&mut self, out: &Out, status: &Status) -> io::Result<()> {
        let n_done = status.videos.indexed + status.videos.failed;
        if let Some(bar) = &self.bar {
            bar.set_length(n_done + status.videos.pending);
            bar.set_position(n_done);
            let mut message = activity(status);
            if let Some(current) = status.progress.current.first() {
                let n_taken = BAR_COLUMNS + text::width(&message) + 3;
                message = format!("{message} · {}", out.path_beside(&current.file, n_taken));
            }
            bar.set_message(terminal::guard(&message, false));
            return Ok(());
        }
        let about = match self.lines {
            Lines::Stdout => format!("{}: {}", status.state, coverage(&status.videos)),
            Lines::Stderr => status.state.clone(),
        };
        if self
            .last
            .as_ref()
            .is_some_and(|(last, when)| *last == about && when.elapsed() < LINE_EVERY)
        {
            return Ok(());
        }
        self.print(&format!("{}: {}", activity(status), coverage(&status.videos)))?;
        self.last = Some((about, Instant::now()));
        Ok(())
    }

    pub(crate) fn event(&mut self, out: &Out, event: &Event) -> io::Result<()> {
        let line = match event {
            Event::Status { status } => return self.status(out, status),
            Event::VideoIndexed { file, n_scenes } => format!("indexed {} ({})", out.path(file), text::count(*n_scenes, "scene")),
            Event::VideoFailed { file, reason } => format!("failed {}: {}", out.path(file), text::escape(reason)),
            Event::VideoRemoved { file } => format!("removed {}", out.path(file)),
            Event::VideoMoved { file, from } => format!("moved {} to {}", out.path(from), out.path(file)),
        };
        match &self.bar {
            Some(bar) => bar.println(terminal::guard(&line, false)),
            None => self.print(&line)?,
        }
        Ok(())
    }

    /// Removes the bar.
    pub(crate) fn clear(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn print(&self, line: &str) -> io::Result<()> {
        let line = terminal::guard(line, false);
        match self.lines {
            Lines::Stdout => writeln!(io::stdout(), "{line}"),
            Lines::Stderr => writeln!(io::stderr(), "{line}"),
        }
    }
}

/// `indexing, 12.3× real time, about 4 min left`.
pub(crate) fn activity(status: &Status) -> String {
    let mut text = text::escape(&status.state);
    if status.state == "indexing" {
        if let Some(change) = &status.model_change {
            write!(text, ", {}", model_change(change)).expect("a string takes any text");
        }
        if status.progress.rate > 0.0 {
            write!(text, ", {:.1}× real time", status.progress.rate).expect("a string takes any text");
        }
        if let Some(left_ms) = status.progress.left_ms {
            write!(text, ", about {} left", time::rough(left_ms)).expect("a string takes any text");
        }
    }
    text
}

/// `clip-vit-b32: 312 of 4,000 videos, about 3 min left`.
pub(crate) fn model_change(change: &ModelChange) -> String {
    let total = text::count(change.done + change.left, "video");
    let mut text = format!("{}: {} of {total}", text::escape(&change.to), text::number(change.done));
    if let Some(left_ms) = change.left_ms {
        write!(text, ", about {} left", time::rough(left_ms)).expect("a string takes any text");
    }
    if change.left_behind > 0 {
        write!(text, "; {} cannot be reached", text::count(change.left_behind, "video")).expect("a string takes any text");
    }
    text
}

/// Returns `97 indexed, 2 pending`; zero counts are left out, except for `indexed`.
pub(crate) fn coverage(videos: &Coverage) -> String {
    let mut text = format!("{} indexed", text::number(videos.indexed));
    for (n, what) in [(videos.pending, "pending"), (videos.failed, "failed"), (videos.offline, "offline")] {
        if n > 0 {
            write!(text, ", {} {what}", text::number(n)).expect("a string takes any text");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn activity_says_what_is_known() {
        let mut status = Status {
            state: "indexing".to_owned(),
            ..Status::default()
        };
        assert_eq!(activity(&status), "indexing");
        status.progress.rate = 12.34;
        status.progress.left_ms = Some(700_000);
        assert_eq!(activity(&status), "indexing, 12.3× real time, about 12 min left");
        status.state = "paused".to_owned();
        assert_eq!(activity(&status), "paused");
    }

    #[test]
    fn a_change_of_model_says_how_far_it_is() {
        let mut change = ModelChange {
            to: "clip".to_owned(),
            done: 312,
            left: 3688,
            left_behind: 0,
            left_ms: Some(180_000),
        };
        assert_eq!(model_change(&change), "clip: 312 of 4,000 videos, about 3 min left");
        (change.left_ms, change.left_behind) = (None, 2);
        assert_eq!(model_change(&change), "clip: 312 of 4,000 videos; 2 videos cannot be reached");
        let status = Status {
            state: "indexing".to_owned(),
            model_change: Some(change),
            ..Status::default()
        };
        assert_eq!(activity(&status), "indexing, clip: 312 of 4,000 videos; 2 videos cannot be reached");
    }

    #[test]
    fn coverage_leaves_out_what_is_zero() {
        let mut videos = Coverage::default();
        assert_eq!(coverage(&videos), "0 indexed");
        videos.indexed = 1097;
        videos.offline = 1;
        assert_eq!(coverage(&videos), "1,097 indexed, 1 offline");
    }
}
