use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;

/// Collects what is logged.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns what `f` logs at `info` in `style`.
fn logged(style: Style, f: impl FnOnce()) -> String {
    let sink = Sink::default();
    let writer = sink.clone();
    let subscriber = subscriber(EnvFilter::new("info"), style, RateLimit::default(), move || writer.clone());
    tracing::dispatcher::with_default(&subscriber, f);
    let bytes = sink.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn journal_lines_carry_their_priority_and_neither_time_nor_colour() {
    let text = logged(Style::Journal, || {
        let _span = tracing::info_span!("video", name = "a.mp4").entered();
        tracing::error!("bad");
        tracing::warn!(n = 3, "odd");
        tracing::info!("fine");
        tracing::debug!("not asked for");
    });
    let target = "scened::logging::tests";
    let video = "video{name=\"a.mp4\"}";
    assert_eq!(
        text,
        format!("<3>{target}: {video}: bad\n<4>{target}: {video}: odd n=3\n<6>{target}: {video}: fine\n")
    );
}

#[test]
fn a_name_with_a_line_break_forges_no_entry_in_the_journal() {
    let text = logged(Style::Journal, || tracing::info!("cannot read {}", "a\n<3>b.mp4"));
    assert_eq!(text, "<6>scened::logging::tests: cannot read a\\n<3>b.mp4\n");
}

#[test]
fn of_a_long_value_a_line_has_beginning_and_end() {
    let path = format!("/films/{}/holiday.mp4", "\u{1b}".repeat(4000));
    for style in [Style::Journal, Style::Plain, Style::Terminal] {
        let text = logged(style, || {
            let _span = tracing::info_span!("video", path = %path).entered();
            tracing::warn!(error = %path, reason = path, ?path, "cannot read {path}");
        });
        assert!(text.len() < 3_000, "{} bytes", text.len());
        assert_eq!(text.matches("/films/\\").count(), 5, "{text}");
        assert_eq!(text.matches("/holiday.mp4").count(), 5, "{text}");
    }
}

/// Runs `f`, with a minute of the given length, and returns what was logged.
fn logged_in_minutes(minute: Duration, f: impl FnOnce(&dyn Fn() -> String)) -> String {
    let sink = Sink::default();
    let writer = sink.clone();
    let rate_limit = RateLimit::of(minute);
    let subscriber = subscriber(EnvFilter::new("debug"), Style::Journal, rate_limit, move || writer.clone());
    let text = move || String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
    tracing::dispatcher::with_default(&subscriber, || f(&text));
    text()
}

#[test]
fn what_goes_wrong_a_thousand_times_is_told_twenty_times_and_what_is_asked_for_each_time() {
    let text = logged_in_minutes(Duration::from_hours(1), |_| {
        for n in 0..1_225 {
            tracing::debug!(n, "asked for");
            tracing::warn!(n, "cannot be indexed");
            tracing::info!(n, "indexed");
            if n < 3 {
                tracing::info!("rare");
            }
        }
    });
    let n = |what: &str| text.matches(what).count();
    assert_eq!(
        [n("asked for"), n("cannot be indexed"), n(": indexed"), n("rare")],
        [1_225, 20, 500, 3]
    );
}

#[test]
fn what_was_left_out_is_counted_when_the_minute_is_over_and_nothing_more_comes() {
    logged_in_minutes(Duration::from_millis(300), |text| {
        for n in 0..10_000 {
            tracing::warn!(n, "cannot be indexed");
        }
        testkit::wait_until("the count", Duration::from_mins(1), || {
            let lines = text();
            let counted = |line: &&str| line.starts_with("<4>scened::logging::rate_limit: cannot be indexed: … and ");
            let n_told = lines.lines().filter(|line| line.contains(" n=")).count();
            let n_counted: usize = lines
                .lines()
                .filter(counted)
                .filter_map(|line| {
                    line.split_once(" and ")?
                        .1
                        .split_once(" more like it")?
                        .0
                        .replace(',', "")
                        .parse::<usize>()
                        .ok()
                })
                .sum();
            if n_told + n_counted == 10_000 {
                Ok(())
            } else {
                Err(format!("{n_told} told, {n_counted} counted"))
            }
        });
    });
}

#[test]
fn colours_are_for_terminals_only() {
    for (style, coloured) in [(Style::Terminal, true), (Style::Plain, false)] {
        let text = logged(style, || tracing::info!("fine"));
        assert_eq!(text.contains('\u{1b}'), coloured, "{style:?}: {text:?}");
        assert!(text.contains("fine"), "{text:?}");
    }
}

#[test]
fn style_follows_where_standard_error_goes() {
    let stderr = Some((7, 42));
    for (journal, is_terminal, no_color, expected) in [
        (Some("7:42"), false, None, Style::Journal),
        (Some("7:42"), true, None, Style::Journal),
        (Some("7:43"), true, None, Style::Terminal),
        (Some("7:43"), false, None, Style::Plain),
        (Some("nonsense"), false, None, Style::Plain),
        (None, true, None, Style::Terminal),
        (None, true, Some("1"), Style::Plain),
        (None, true, Some(""), Style::Terminal),
        (None, false, None, Style::Plain),
    ] {
        let found = choose_style(journal, stderr, is_terminal, no_color.map(OsStr::new));
        assert_eq!(found, expected, "{journal:?} {is_terminal} {no_color:?}");
    }
    assert_eq!(choose_style(Some("7:42"), None, false, None), Style::Plain);
}

#[test]
fn the_environment_wins_over_the_configuration() {
    for (environment, expected, mistaken) in [
        (None, "info", false),
        (Some(""), "info", false),
        (Some("scened=trace"), "scened=trace", false),
        (Some("scened=loud"), "info", true),
    ] {
        let (filter, mistake) = choose_filter(environment.map(OsStr::new), "info").unwrap();
        assert_eq!(filter.to_string(), expected);
        assert_eq!(mistake.is_some(), mistaken, "{environment:?}: {mistake:?}");
    }
}
