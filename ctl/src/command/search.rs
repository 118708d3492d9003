use scened_shared::message::SearchRequest;
use scened_shared::method;

use crate::cli::Search;
use crate::command::{Context, hits};
use crate::failure::{Failure, Outcome};

pub(super) fn run(context: &mut Context, args: Search) -> Result<Outcome, Failure> {
    let request = SearchRequest {
        query: args.query.join(" "),
        n: args.selection.n,
        not: args.not,
        by: hits::group_by(&args.selection),
        min_confidence: args.selection.min_confidence,
        filters: hits::filters(&args.selection)?,
    };
    let mut client = context.connect()?;
    let answer = client.call::<method::Search>(&request)?;
    hits::show(&mut context.out, &mut client, &answer, &args.selection)
}
