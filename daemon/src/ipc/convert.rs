//! Converts between the daemon's values and the wire's. Only this module and the handlers know both.

use std::path::PathBuf;

use scened_common::domain::{Boundary, ClockPart, PictureTrack};
use scened_shared::frame::RpcError;
use scened_shared::message as wire;
use scened_shared::message::ErrorKind;
use scened_shared::wire_path::WirePath;

use crate::embed::EmbedError;
use crate::folders::FolderError;
use crate::ipc::event::Event;
use crate::models::ModelsError;
use crate::query::{self, QueryError};
use crate::requests::Unanswered;
use crate::store::StoreError;

/// No system opens a longer path, and answers repeat the path.
const MAX_PATH_BYTES: usize = 16 << 10;

pub(super) fn path(file: &WirePath) -> Result<PathBuf, RpcError> {
    let n_bytes = file.path.len().max(file.path_bytes.as_ref().map_or(0, String::len));
    if n_bytes > MAX_PATH_BYTES {
        let message = format!("a path of {n_bytes} bytes; at most {MAX_PATH_BYTES} are allowed");
        return Err(RpcError::new(ErrorKind::InvalidParams, message));
    }
    let path = file
        .to_path()
        .map_err(|error| RpcError::new(ErrorKind::InvalidParams, error.to_string()))?;
    if path.is_absolute() {
        return Ok(path);
    }
    Err(
        RpcError::new(ErrorKind::InvalidParams, format!("{} is not an absolute path", file.path))
            .hint("the daemon does not know your current folder"),
    )
}

/// `within`: the paths of `limits`, as the watched folders name them.
pub(super) fn wanted(
    n: u32,
    by: wire::GroupBy,
    min_confidence: Option<f32>,
    limits: &wire::Filters,
    within: Vec<PathBuf>,
) -> query::Wanted {
    let by = match by {
        wire::GroupBy::Scene => query::GroupBy::Scene,
        wire::GroupBy::Video => query::GroupBy::Video,
    };
    query::Wanted {
        n: n as usize,
        by,
        min_confidence,
        filters: query::Filters {
            within,
            since_ms: limits.since_ms,
            until_ms: limits.until_ms,
            min_duration_ms: limits.min_duration_ms,
            max_duration_ms: limits.max_duration_ms,
        },
    }
}

pub(super) fn hit(hit: &query::Hit) -> wire::Hit {
    wire::Hit {
        file: WirePath::new(&hit.record.path),
        start_ms: hit.span.start_ms,
        end_ms: hit.span.end_ms,
        best_ms: hit.best_ms,
        score: hit.score,
        confidence: hit.confidence,
        video: hit.record.id.to_string(),
        scene: hit.scene.to_string(),
        offline: hit.record.offline,
        video_score: hit.video_score,
        duration_ms: hit.record.duration_ms,
        picture: picture(hit.record.picture.as_ref()),
    }
}

pub(super) fn picture(picture: Option<&PictureTrack>) -> Option<wire::PictureTrack> {
    let clock = |part: &ClockPart| wire::ClockPart {
        start_ms: part.start_ms,
        file_ms: part.file_ms,
        file_end_ms: part.file_end_ms,
        offset_bytes: part.offset_bytes,
        first_frame: part.first_frame,
        stream: part.stream,
    };
    picture.map(|picture| wire::PictureTrack {
        stream: picture.stream,
        id: picture.id,
        track: picture.track,
        n_tracks: picture.n_tracks,
        clock: picture.clock.iter().map(clock).collect(),
        wrong: picture.wrong.clone(),
    })
}

pub(super) fn coverage(coverage: &query::Coverage) -> wire::Coverage {
    wire::Coverage {
        indexed: coverage.indexed,
        pending: coverage.pending,
        failed: coverage.failed,
        offline: coverage.offline,
    }
}

pub(super) fn boundary(boundary: Boundary) -> &'static str {
    match boundary {
        Boundary::Start => "start",
        Boundary::Cut => "cut",
        Boundary::Gradual => "gradual",
        Boundary::Part => "part",
    }
}

pub(super) fn event(event: &Event) -> wire::Event {
    match event {
        Event::Indexed { path, n_scenes } => wire::Event::VideoIndexed {
            file: WirePath::new(path),
            n_scenes: *n_scenes as u64,
        },
        Event::Failed { path, reason } => wire::Event::VideoFailed {
            file: WirePath::new(path),
            reason: reason.clone(),
        },
        Event::Removed { path } => wire::Event::VideoRemoved { file: WirePath::new(path) },
        Event::Moved { path, from } => wire::Event::VideoMoved {
            file: WirePath::new(path),
            from: WirePath::new(from),
        },
    }
}

pub(super) fn query_error(error: &QueryError) -> RpcError {
    let (kind, hint) = match error {
        QueryError::Empty => (
            ErrorKind::InvalidParams,
            Some("give a query, such as: scenectl search \"a dog on the beach\"".to_owned()),
        ),
        QueryError::TooLong { .. } => (
            ErrorKind::InvalidParams,
            Some("models read a sentence or two; shorten the query".to_owned()),
        ),
        QueryError::BadCount(_) => (ErrorKind::InvalidParams, None),
        QueryError::NoModel(problem) => (ErrorKind::Unavailable, problem.hint.clone()),
        QueryError::Embed(EmbedError::Unavailable { hint, .. }) => (ErrorKind::Unavailable, hint.clone()),
        QueryError::Embed(EmbedError::NotInTime { .. }) => (
            ErrorKind::ModelTimedOut,
            Some("repeated queries are answered at once; try again in a moment".to_owned()),
        ),
        QueryError::OtherModel => (ErrorKind::Unavailable, Some("ask again".to_owned())),
        QueryError::Embed(EmbedError::ShuttingDown) => (ErrorKind::ShuttingDown, None),
        QueryError::Embed(_) => (
            ErrorKind::Unavailable,
            Some("try again; `scenectl doctor` checks the installation".to_owned()),
        ),
        QueryError::File { .. } => (ErrorKind::NotFound, None),
        QueryError::Media { .. } => (
            ErrorKind::InvalidParams,
            Some("give a video or a picture (PNG, JPEG, WebP)".to_owned()),
        ),
        QueryError::Store(_) | QueryError::Index(_) => (ErrorKind::Internal, None),
    };
    let rpc = RpcError::new(kind, error.to_string()).sources_of(error);
    match hint {
        Some(hint) => rpc.hint(hint),
        None => rpc,
    }
}

pub(super) fn unanswered(error: Unanswered) -> RpcError {
    match error {
        Unanswered::Overloaded(_) => RpcError::new(ErrorKind::Overloaded, error.to_string()).hint("try again in a moment"),
        Unanswered::Failed => RpcError::new(ErrorKind::Internal, error.to_string()),
    }
}

pub(super) fn store_error(error: &StoreError) -> RpcError {
    RpcError::new(ErrorKind::Internal, error.to_string())
        .sources_of(error)
        .hint("scenectl doctor")
}

pub(super) fn folder_error(error: &FolderError) -> RpcError {
    let kind = match error {
        FolderError::NotWatched { .. } | FolderError::NothingKnown { .. } => ErrorKind::NotFound,
        FolderError::NotAFolder { .. } | FolderError::Unreachable { .. } => ErrorKind::InvalidParams,
        FolderError::Config(_) | FolderError::Store(_) => ErrorKind::Internal,
    };
    let rpc = RpcError::new(kind, error.to_string()).sources_of(error);
    match error.hint() {
        Some(hint) => rpc.hint(hint),
        None => rpc,
    }
}

pub(super) fn models_error(error: &ModelsError) -> RpcError {
    let kind = match error {
        ModelsError::Unknown { .. } => ErrorKind::NotFound,
        ModelsError::Unusable(_) => ErrorKind::Unavailable,
        ModelsError::InUse { .. } => ErrorKind::InvalidParams,
        ModelsError::Config(_) | ModelsError::Store(_) | ModelsError::Ann(_) | ModelsError::Thread(_) => ErrorKind::Internal,
    };
    let rpc = RpcError::new(kind, error.to_string()).sources_of(error);
    match error.hint() {
        Some(hint) => rpc.hint(hint),
        None => rpc,
    }
}
