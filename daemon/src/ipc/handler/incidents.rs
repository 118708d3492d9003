//! `incidents`: files that failed, with the reason.

use scened_shared::frame::RpcError;
use scened_shared::message::{Incident, IncidentsAnswer};
use scened_shared::wire_path::WirePath;

use crate::ipc::context::Context;
use crate::ipc::convert;

pub(super) fn answer(context: &Context) -> Result<IncidentsAnswer, RpcError> {
    let mut incidents = context.store.incidents().map_err(|error| convert::store_error(&error))?;
    incidents.sort_by(|a, b| b.last_ms.cmp(&a.last_ms).then_with(|| a.path.cmp(&b.path)));
    let to_wire = |incident: crate::store::IncidentRecord| Incident {
        file: WirePath::new(&incident.path),
        reason: incident.reason,
        attempts: incident.attempts,
        first_ms: incident.first_ms,
        last_ms: incident.last_ms,
        hint: incident.hint,
        cause: incident.cause.map(|cause| cause.as_str().to_owned()),
    };
    Ok(IncidentsAnswer {
        incidents: incidents.into_iter().map(to_wire).collect(),
    })
}
