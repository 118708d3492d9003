use scened_shared::message::{NoParams, PauseRequest};
use scened_shared::method;

use crate::command::Context;
use crate::failure::{Failure, Outcome};
use crate::input::span::Span;
use crate::render::{text, time};

pub(super) fn pause(context: &mut Context, duration: Option<Span>) -> Result<Outcome, Failure> {
    let for_ms = duration.map(|span| span.ms);
    let answer = context.ask::<method::Pause>(&PauseRequest { for_ms })?;
    if context.out.json {
        context.out.json(&answer)?;
        return Ok(Outcome::Done);
    }
    let until = match for_ms {
        Some(ms) => format!("for {}", time::rough(ms)),
        None => "until `scenectl resume`".to_owned(),
    };
    context.out.line(&format!("indexing is paused {until}; search goes on"))?;
    Ok(Outcome::Done)
}

pub(super) fn resume(context: &mut Context) -> Result<Outcome, Failure> {
    let answer = context.ask::<method::Resume>(&NoParams {})?;
    if context.out.json {
        context.out.json(&answer)?;
    } else {
        context.out.line(&format!("resumed: {}", text::escape(&answer.state)))?;
    }
    Ok(Outcome::Done)
}
