use scened_shared::message::SimilarRequest;
use scened_shared::method;

use crate::cli::Similar;
use crate::command::{Context, check_file, hits, wire};
use crate::failure::{Failure, Outcome};
use crate::input::{file_at, place};

pub(super) fn run(context: &mut Context, args: &Similar) -> Result<Outcome, Failure> {
    let target = file_at::parse(&args.target, place::is_there).map_err(Failure::new)?;
    check_file(&target.file)?;
    let request = SimilarRequest {
        file: wire(&target.file)?,
        at_ms: target.at_ms,
        n: args.selection.n,
        by: hits::group_by(&args.selection),
        min_confidence: args.selection.min_confidence,
        filters: hits::filters(&args.selection)?,
    };
    let mut client = context.connect()?;
    let answer = client.call::<method::Similar>(&request)?;
    hits::show(context, client, &answer, &args.selection)
}
