//! Requests, answers and events, one struct each. Every struct ignores unknown members, so that a later version may add some;
//! every optional member of a request has a default.

use serde::{Deserialize, Serialize};

use crate::wire_path::WirePath;

/// Parameters of the methods that take none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoParams {}

/// First request on every connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`crate::PROTOCOL`] of the client.
    pub protocol: u32,
    pub client: String,
    pub version: String,
}

/// Answer of `hello`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HelloAnswer {
    pub protocol: u32,
    pub server: String,
    pub version: String,
    /// Names of what this daemon can do, such as `search` or `subscribe`: ask for these, not for versions.
    pub capabilities: Vec<String>,
    pub pid: u32,
}

/// Which rows an answer has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupBy {
    #[default]
    Scene,
    Video,
}

/// What narrows a search; shared by `search` and `similar`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Filters {
    /// Absolute folders or files; a hit lies in one of them. Empty = everywhere.
    #[serde(rename = "in", default, skip_serializing_if = "Vec::is_empty")]
    pub within: Vec<WirePath>,
    /// Earliest modification time of the file, Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_ms: Option<i64>,
    /// Latest modification time (exclusive), Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<i64>,
    /// Shortest and longest video, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_duration_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_duration_ms: Option<u64>,
}

fn default_n() -> u32 {
    10
}

/// Method `search`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchRequest {
    pub query: String,
    /// Number of hits wanted, 1 to 1,000.
    #[serde(default = "default_n")]
    pub n: u32,
    /// What a hit should not look like.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not: Vec<String>,
    #[serde(default)]
    pub by: GroupBy,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_confidence: Option<f32>,
    #[serde(flatten)]
    pub filters: Filters,
}

/// Method `similar`: scenes that look like a moment of a video, or like a picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SimilarRequest {
    #[serde(flatten)]
    pub file: WirePath,
    /// Moment of the file, milliseconds; without it a picture, or the whole video's mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<u64>,
    #[serde(default = "default_n")]
    pub n: u32,
    #[serde(default)]
    pub by: GroupBy,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_confidence: Option<f32>,
    #[serde(flatten)]
    pub filters: Filters,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hit {
    #[serde(flatten)]
    pub file: WirePath,
    pub start_ms: u64,
    pub end_ms: u64,
    /// The moment that matches best.
    pub best_ms: u64,
    /// Cosine between the query and the frame at `best_ms`.
    pub score: f32,
    /// How probable it is that the hit shows what the text says, in [0, 1]; absent for pictures, and in the first seconds of a slow model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f32>,
    pub video: String,
    pub scene: String,
    pub offline: bool,
    /// Only with `by = "video"`: the mean over the video's scenes of query–scene cosines, which ranks the rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video_score: Option<f32>,
    #[serde(default)]
    pub duration_ms: u64,
    /// Which of the file's pictures it is of; absent where an earlier version indexed the video.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<PictureTrack>,
}

/// Which of a file's pictures was looked at, and where its times lie in the file: for programs that open the file themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PictureTrack {
    /// Its index among all streams of the file, as FFmpeg counts them.
    pub stream: u32,
    /// What the container calls the stream: the PID of a transport stream, the number of a track.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<i64>,
    /// Its place among the file's pictures, covers included, from 1; and how many there are.
    pub track: u32,
    pub n_tracks: u32,
    /// Absent where the file's own time stamps are right throughout; else the parts in order of time, beginning with the first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clock: Vec<ClockPart>,
    /// Where the stamps of a few frames are wrong: from, to. Milliseconds of the video.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wrong: Vec<(u64, u64)>,
}

/// A part of a video within which the file's time stamps run on. It ends where the next one begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockPart {
    /// Where it begins in the video's time, as all times here. Milliseconds.
    pub start_ms: u64,
    /// What the file's clock shows then, counted from a player's zero, and at the part's end. Milliseconds.
    pub file_ms: i64,
    pub file_end_ms: i64,
    /// Where its first packet lies in the file. Bytes; 0 where the container does not say.
    pub offset_bytes: u64,
    /// How many frames come before it.
    pub first_frame: u64,
    /// The index of its stream, where the picture went on in another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<u32>,
}

/// How complete an answer is: videos of the asked scope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    pub indexed: u64,
    pub pending: u64,
    pub failed: u64,
    pub offline: u64,
}

/// Answer of `search` and `similar`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchAnswer {
    pub query: String,
    pub model: String,
    pub hits: Vec<Hit>,
    pub coverage: Coverage,
    /// What a user should know about this answer, such as that the starter model is in use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<String>,
}

/// Methods that take one file: `scenes`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FileRequest {
    #[serde(flatten)]
    pub file: WirePath,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SceneRow {
    pub start_ms: u64,
    pub end_ms: u64,
    /// `start`, `cut`, `gradual` or `part`.
    pub boundary: String,
    pub scene: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScenesAnswer {
    #[serde(flatten)]
    pub file: WirePath,
    pub video: String,
    pub duration_ms: u64,
    pub offline: bool,
    /// As in [`Hit`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<PictureTrack>,
    /// Of the file as it was indexed: its size, and when it was last written to (nanoseconds since the Unix epoch).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtime_ns: Option<i64>,
    pub scenes: Vec<SceneRow>,
}

/// Method `status`; also the member `status` of [`Event::Status`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub videos: Coverage,
    pub scenes: u64,
    pub model: String,
    /// Execution provider in use; `none` until the model has been needed once.
    pub provider: String,
    /// What decoded the last video: `software`, a graphics card (`cuda`, `vaapi`, …), or `software` with the reason why not the card
    /// asked for; absent until the first.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub decoder: String,
    /// `idle`, `indexing` or `paused`.
    pub state: String,
    pub warnings: Vec<String>,
    #[serde(default)]
    pub notices: Vec<String>,
    #[serde(default)]
    pub queue: Queue,
    #[serde(default)]
    pub progress: Progress,
    /// While another model is brought in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_change: Option<ModelChange>,
    #[serde(default)]
    pub folders: Vec<Folder>,
    #[serde(default)]
    pub version: String,
    #[serde(default)]
    pub pid: u32,
    #[serde(default)]
    pub uptime_ms: u64,
    #[serde(default)]
    pub n_incidents: u64,
}

/// What is still to be done; all zero means that `wait` returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    /// Folders being or waiting to be walked.
    pub walks: u64,
    /// Files that may still grow, or whose disappearance is not yet certain.
    pub settling: u64,
    /// Videos waiting for or in indexing.
    pub jobs: u64,
}

/// How far a change of model has come. The old model answers until it is complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelChange {
    /// Name of the new model.
    pub to: String,
    /// Videos that it has vectors of.
    pub done: u64,
    /// Videos that it has not.
    pub left: u64,
    /// Besides these: videos for which neither stored pictures nor the film are there; they stay out until they can be reached.
    pub left_behind: u64,
    /// Time left, milliseconds; absent when unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_ms: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    pub current: Vec<CurrentVideo>,
    /// Seconds of video indexed per second, over the last minute of work; 0 = unknown.
    pub rate: f64,
    /// Time left, milliseconds; absent when unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_ms: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurrentVideo {
    #[serde(flatten)]
    pub file: WirePath,
    pub position_ms: u64,
    pub duration_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Folder {
    #[serde(flatten)]
    pub file: WirePath,
    /// `watched`, `polled` (no events from there) or `offline`.
    pub state: String,
    pub videos: Coverage,
    /// Why it is offline or polled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// While it is offline: the drive or share that it lies on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<String>,
    /// While it is offline: when it was last there, Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen_ms: Option<i64>,
    /// Drives that are not there and have videos of this folder, which is itself there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub away: Vec<AwayVolume>,
}

/// A drive or share that is not there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwayVolume {
    /// Where it was.
    #[serde(flatten)]
    pub file: WirePath,
    pub volume: String,
    /// When it was last there, Unix milliseconds.
    pub last_seen_ms: i64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FoldersAnswer {
    pub folders: Vec<Folder>,
}

/// Method `add`: watch a folder from now on. Answer: [`FoldersAnswer`].
pub type AddRequest = FileRequest;

/// Method `remove`. Answer: [`RemoveAnswer`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RemoveRequest {
    #[serde(flatten)]
    pub file: WirePath,
    /// Keep the folder's videos in the index, marked offline.
    #[serde(default)]
    pub keep: bool,
    /// Only count what would be dropped.
    #[serde(default)]
    pub dry_run: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RemoveAnswer {
    /// Videos dropped (or that would be).
    pub n_videos: u64,
    pub folders: Vec<Folder>,
}

/// Method `forget`: drops the videos below a folder that cannot be reached or is not watched. Answer: [`ForgetAnswer`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ForgetRequest {
    #[serde(flatten)]
    pub file: WirePath,
    /// Only count what would be dropped.
    #[serde(default)]
    pub dry_run: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgetAnswer {
    /// Videos dropped (or that would be), with their scenes and their length.
    pub n_videos: u64,
    pub n_scenes: u64,
    pub duration_ms: u64,
    /// How many of them are offline; the others lie in no watched folder.
    pub n_offline: u64,
    /// Videos below the folder that are there and watched: these stay.
    pub n_kept: u64,
}

/// Method `wait`. Answer: [`WaitAnswer`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WaitRequest {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WaitAnswer {
    /// False: the time ran out first.
    pub idle: bool,
    pub queue: Queue,
    pub videos: Coverage,
}

/// Methods `rescan` and `retry`: everything, or one folder (or file).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ScopeRequest {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<WirePath>,
    /// `rescan` alone: the one file is decoded anew, although nothing says that it changed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
}

/// Answer of `rescan` (folders queued), `retry` (files queued), `pause`, `resume`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DoneAnswer {
    pub n: u64,
    /// `idle`, `indexing` or `paused`.
    pub state: String,
    /// `rescan` with `force` was understood: an earlier daemon passes over it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forced: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    #[serde(flatten)]
    pub file: WirePath,
    pub reason: String,
    pub attempts: u32,
    /// Unix milliseconds.
    pub first_ms: i64,
    pub last_ms: i64,
    /// What the user can do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// What it is laid to: `video`, `storage` (the drive did not let it be read) or `machine`; the last two are tried again by themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IncidentsAnswer {
    pub incidents: Vec<Incident>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PauseRequest {
    /// Resume by itself after so long, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_ms: Option<u64>,
}

/// Method `why`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WhyRequest {
    #[serde(flatten)]
    pub file: WirePath,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WhyAnswer {
    #[serde(flatten)]
    pub file: WirePath,
    /// `indexed`, `pending`, `failed`, `offline`, `excluded`, `missing`, `unwatched` or `unknown`.
    pub state: String,
    /// Sentences for the user, most important first.
    pub reasons: Vec<String>,
    /// With a query: the video's best scene, and its place among all scenes, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best: Option<Hit>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rank: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of_scenes: Option<u64>,
}

/// Method `model_list`: no parameters. Answer: [`ModelsAnswer`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelRow {
    pub name: String,
    #[serde(flatten)]
    pub folder: WirePath,
    pub active: bool,
    /// `usable`, or why it is not.
    pub state: String,
    /// `hugging-face` or `immich`.
    pub layout: String,
    pub image_px: u32,
    /// How frames of another shape are shown to it: `reference`, `two`, `squash` or `letterbox`; empty when unknown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub crop: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dimensions: Option<u64>,
    /// Bytes of its files.
    pub size_bytes: u64,
    /// Videos that have vectors of this model.
    pub videos: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelsAnswer {
    pub models: Vec<ModelRow>,
}

/// Methods `model_use`, `model_info`, `model_remove`: a name of the list or an absolute folder. Answer: [`ModelsAnswer`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelRequest {
    pub model: String,
    /// Only for `model_use`: decode every video again instead of using the stored pictures.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reindex: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    pub name: String,
    /// `ok`, `warn` or `fail`.
    pub state: String,
    pub detail: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Answer of `doctor`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DoctorAnswer {
    pub checks: Vec<Check>,
}

/// Method `thumbnail`: the picture of a scene. Answer: [`ThumbnailAnswer`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ThumbnailRequest {
    pub scene: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ThumbnailAnswer {
    /// Base64 of a JPEG.
    pub jpeg: String,
}

/// Parameters of the notification `event`, sent after `subscribe` was answered with the [`Status`] of that moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Sent when something changed, at most twice a second.
    Status { status: Box<Status> },
    VideoIndexed {
        #[serde(flatten)]
        file: WirePath,
        n_scenes: u64,
    },
    VideoFailed {
        #[serde(flatten)]
        file: WirePath,
        reason: String,
    },
    VideoRemoved {
        #[serde(flatten)]
        file: WirePath,
    },
    VideoMoved {
        #[serde(flatten)]
        file: WirePath,
        from: WirePath,
    },
}

/// Kinds of failure that a client can act on: the member `data.kind` of a JSON-RPC error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    Parse,
    InvalidRequest,
    UnknownMethod,
    InvalidParams,
    Internal,
    /// Too many requests at once: try again.
    Overloaded,
    /// That file, scene, folder or model is not known.
    NotFound,
    /// Something outside is missing, such as ONNX Runtime or the model.
    Unavailable,
    ProtocolMismatch,
    HelloRequired,
    TooLarge,
    ShuttingDown,
    /// A request that was begun was not finished in time; the connection is closed.
    TimedOut,
    /// The model gave no vectors of the question in time; the message says what it waited for.
    ModelTimedOut,
    #[serde(other)]
    Other,
}

impl ErrorKind {
    /// The JSON-RPC error code.
    pub fn code(self) -> i64 {
        match self {
            Self::Parse => -32700,
            Self::InvalidRequest => -32600,
            Self::UnknownMethod => -32601,
            Self::InvalidParams => -32602,
            Self::Internal | Self::Other => -32603,
            Self::Overloaded => -32000,
            Self::NotFound => -32001,
            Self::Unavailable => -32002,
            Self::ProtocolMismatch => -32010,
            Self::HelloRequired => -32011,
            Self::TooLarge => -32012,
            Self::ShuttingDown => -32013,
            Self::TimedOut => -32014,
            Self::ModelTimedOut => -32015,
        }
    }
}

/// The member `data` of a JSON-RPC error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorData {
    pub kind: ErrorKind,
    /// Causes, outermost first, without the message itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    /// What the user can do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// With `protocol-mismatch`: the daemon's protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<u32>,
}
