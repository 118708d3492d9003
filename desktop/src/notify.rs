//! Notifications: the only way to report to the user of a shell's search why nothing happened.

use std::collections::HashMap;
use std::time::Duration;

use scened_shared::terminal;
use zbus::{Connection, Variant};

use crate::{APPLICATION, log};

pub(crate) const LIMIT: Duration = Duration::from_secs(2);
/// Enough for an error with its hints. Characters.
const MAX_BODY: usize = 600;

pub(crate) async fn show(connection: &Connection, summary: &str, why: &str) {
    let hints: HashMap<&str, Variant<'_>> = HashMap::from([("desktop-entry", Variant::new(APPLICATION))]);
    let n_actions: [&str; 0] = [];
    let (summary, body) = (terminal::escape(summary), body(why));
    let arguments = ("scened", 0_u32, APPLICATION, summary, body, &n_actions[..], hints, -1_i32);
    let name = "org.freedesktop.Notifications";
    let call = connection.call_method(Some(name), "/org/freedesktop/Notifications", Some(name), "Notify", &arguments);
    match tokio::time::timeout(LIMIT, call).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => log::warn(&format!("no notification could be shown: {error}")),
        Err(_) => log::warn("no notification could be shown: the desktop does not answer"),
    }
}

/// Escapes the body: servers read it as markup, and it may contain file names.
fn body(why: &str) -> String {
    let mut body = String::new();
    for line in why.lines().filter(|line| !line.trim().is_empty()) {
        if !body.is_empty() {
            body.push('\n');
        }
        for c in terminal::escape(line).chars() {
            match c {
                '&' => body.push_str("&amp;"),
                '<' => body.push_str("&lt;"),
                '>' => body.push_str("&gt;"),
                c => body.push(c),
            }
        }
        if body.chars().count() > MAX_BODY {
            break;
        }
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_no_markup() {
        assert_eq!(
            body("<b>a</b> & \u{1b}[1m\n\n  \nhint: b\n"),
            "&lt;b&gt;a&lt;/b&gt; &amp; \\e[1m\nhint: b"
        );
    }
}
