use scened_shared::message::WhyRequest;
use scened_shared::method;
use std::fmt::Write as _;

use crate::cli::Why;
use crate::command::{Context, wire};
use crate::failure::{Failure, Outcome};
use crate::render::color::Color;
use crate::render::{text, time};

pub(super) fn run(context: &mut Context, args: &Why) -> Result<Outcome, Failure> {
    let request = WhyRequest {
        file: wire(&args.file)?,
        query: (!args.query.is_empty()).then(|| args.query.join(" ")),
    };
    let answer = context.ask::<method::Why>(&request)?;
    let out = &mut context.out;
    if out.json {
        out.json(&answer)?;
        return Ok(Outcome::Done);
    }
    let state = out.paint(Color::Bold, &text::escape(&answer.state));
    let line = format!("{}: {state}", out.path(&answer.file));
    out.line(&line)?;
    for reason in &answer.reasons {
        out.line(&format!("  {}", text::escape(reason)))?;
    }
    if let Some(best) = &answer.best {
        let mut line = format!("  best scene {}, score {:.2}", time::range(best.start_ms, best.end_ms), best.score);
        if let Some(confidence) = best.confidence {
            write!(line, ", confidence {confidence:.2}").expect("a string takes any text");
        }
        if let Some(rank) = answer.rank {
            write!(line, ", rank {}", text::number(rank)).expect("a string takes any text");
            if let Some(n) = answer.of_scenes {
                write!(line, " of {}", text::count(n, "scene")).expect("a string takes any text");
            }
        }
        out.line(&line)?;
    }
    Ok(Outcome::Done)
}
