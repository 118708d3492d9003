use scened_shared::message::NoParams;
use scened_shared::method;

use crate::command::Context;
use crate::failure::{Failure, Outcome};
use crate::render::color::Color;
use crate::render::{text, time};

pub(super) fn run(context: &mut Context) -> Result<Outcome, Failure> {
    let answer = context.ask::<method::Incidents>(&NoParams {})?;
    let out = &mut context.out;
    if out.json {
        out.json(&answer)?;
        return Ok(Outcome::Done);
    }
    if answer.incidents.is_empty() {
        out.note("no file has failed")?;
    }
    for incident in &answer.incidents {
        let path = out.path(&incident.file);
        let path = out.paint(Color::Bold, &path);
        let last = time::date(incident.last_ms);
        let attempts = match (incident.attempts, time::date(incident.first_ms)) {
            (0 | 1, _) => format!(" (tried {last})"),
            (n, first) if first == last => format!(" (tried {n} times, {last})"),
            (n, first) => format!(" (tried {n} times, {first} to {last})"),
        };
        out.line(&format!("{path}\n    {}{attempts}", text::escape(&incident.reason)))?;
        if let Some(hint) = &incident.hint {
            let label = out.paint(Color::Green, "hint:");
            out.line(&format!("    {label} {}", text::escape(hint)))?;
        }
    }
    Ok(Outcome::Done)
}
