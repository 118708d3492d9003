//! `doctor`: the daemon's part of the checks.

use scened_shared::message::{Check, DoctorAnswer};

use crate::ipc::context::Context;

pub(super) fn answer(context: &Context) -> DoctorAnswer {
    let subject = crate::command::doctor::Subject {
        facts: &context.doctor,
        store: &context.store,
        serving: &context.serving,
        models: &context.models,
        watch_warnings: context.reconciler.warnings(),
        wait_reason: context.indexer.wait_reason(),
    };
    let checks = crate::command::doctor::examine(&subject)
        .into_iter()
        .map(|finding| Check {
            name: finding.name.to_owned(),
            state: finding.state.as_str().to_owned(),
            detail: finding.detail,
            hint: finding.hint,
        })
        .collect();
    DoctorAnswer { checks }
}
