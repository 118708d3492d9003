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
    /// Name of the program that connects.
    pub client: String,
    /// Its version, for people.
    pub version: String,
}

/// Answer of `hello`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HelloAnswer {
    /// [`crate::PROTOCOL`] of the daemon.
    pub protocol: u32,
    /// `scened`.
    pub server: String,
    /// The daemon's version, for people.
    pub version: String,
    /// Names of what this daemon can do, such as `search` or `subscribe`: ask for these, not for versions.
    pub capabilities: Vec<String>,
    /// The daemon's process.
    pub pid: u32,
}

/// Which rows an answer has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupBy {
    /// A row is a scene.
    #[default]
    Scene,
    /// A row is a video, with its best scene.
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
    /// Longest video, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_duration_ms: Option<u64>,
}

fn default_n() -> u32 {
    10
}

/// Method `search`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchRequest {
    /// What to look for, in words; at most 4,096 bytes.
    pub query: String,
    /// Number of hits wanted, 1 to 1,000.
    #[serde(default = "default_n")]
    pub n: u32,
    /// What a hit should not look like.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not: Vec<String>,
    /// Which rows are wanted.
    #[serde(default)]
    pub by: GroupBy,
    /// Hits with a lower [`Hit::confidence`] are left out. In [0, 1].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_confidence: Option<f32>,
    /// What narrows the search.
    #[serde(flatten)]
    pub filters: Filters,
}

/// Method `similar`: scenes that look like a moment of a video, or like a picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SimilarRequest {
    /// The video or the picture.
    #[serde(flatten)]
    pub file: WirePath,
    /// Moment of the file, milliseconds; without it a picture, or the whole video's mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<u64>,
    /// Number of hits wanted, 1 to 1,000.
    #[serde(default = "default_n")]
    pub n: u32,
    /// Which rows are wanted.
    #[serde(default)]
    pub by: GroupBy,
    /// As in [`SearchRequest`]; a picture has no confidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_confidence: Option<f32>,
    /// What narrows the search.
    #[serde(flatten)]
    pub filters: Filters,
}

/// One row of an answer: a scene that was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hit {
    /// The video's file.
    #[serde(flatten)]
    pub file: WirePath,
    /// First millisecond of the scene. Milliseconds of the video.
    pub start_ms: u64,
    /// First millisecond after the scene. Milliseconds of the video.
    pub end_ms: u64,
    /// The moment that matches best.
    pub best_ms: u64,
    /// Cosine between the query and the frame at `best_ms`.
    pub score: f32,
    /// How probable it is that the hit shows what the text says, in [0, 1]; absent for pictures, and in the first seconds of a slow model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f32>,
    /// The video's id.
    pub video: String,
    /// The scene's id.
    pub scene: String,
    /// The file cannot be reached at present.
    pub offline: bool,
    /// Only with `by = "video"`: the mean over the video's scenes of query–scene cosines, which ranks the rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video_score: Option<f32>,
    /// Length of the video. Milliseconds; 0 when unknown.
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
    /// How many pictures the file has, covers included.
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
    /// What the file's clock shows at the part's end, counted likewise. Milliseconds.
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
    /// Videos that can be found.
    pub indexed: u64,
    /// Videos that wait for indexing.
    pub pending: u64,
    /// Videos that could not be indexed.
    pub failed: u64,
    /// Videos that cannot be reached; counted here alone.
    pub offline: u64,
}

/// Answer of `search` and `similar`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchAnswer {
    /// The question; for `similar` the file.
    pub query: String,
    /// Name of the model that answered.
    pub model: String,
    /// The rows, best first.
    pub hits: Vec<Hit>,
    /// How complete they are.
    pub coverage: Coverage,
    /// What a user should know about this answer, such as that the starter model is in use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<String>,
}

/// Methods that take one file: `scenes`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FileRequest {
    /// The file or the folder.
    #[serde(flatten)]
    pub file: WirePath,
}

/// One scene of a video.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SceneRow {
    /// First millisecond of the scene. Milliseconds of the video.
    pub start_ms: u64,
    /// First millisecond after the scene. Milliseconds of the video.
    pub end_ms: u64,
    /// `start`, `cut`, `gradual` or `part`.
    pub boundary: String,
    /// The scene's id.
    pub scene: String,
}

/// Answer of `scenes`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScenesAnswer {
    /// The video's file.
    #[serde(flatten)]
    pub file: WirePath,
    /// The video's id.
    pub video: String,
    /// Length of the video. Milliseconds.
    pub duration_ms: u64,
    /// The file cannot be reached at present.
    pub offline: bool,
    /// As in [`Hit`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<PictureTrack>,
    /// Of the file as it was indexed: its size, and when it was last written to (nanoseconds since the Unix epoch).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// When the file that was indexed was last written to. Nanoseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtime_ns: Option<i64>,
    /// Its scenes in order of time.
    pub scenes: Vec<SceneRow>,
}

/// Method `status`; also the member `status` of [`Event::Status`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// All videos, by state.
    pub videos: Coverage,
    /// Scenes in the index.
    pub scenes: u64,
    /// Name of the model that answers.
    pub model: String,
    /// Execution provider in use; `none` until the model has been needed once.
    pub provider: String,
    /// What decoded the last video: `software`, a graphics card (`cuda`, `vaapi`, …), or `software` with the reason why not the card
    /// asked for; absent until the first.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub decoder: String,
    /// `idle`, `indexing` or `paused`.
    pub state: String,
    /// What the user should act on.
    pub warnings: Vec<String>,
    /// What the user should know.
    #[serde(default)]
    pub notices: Vec<String>,
    /// What is still to be done.
    #[serde(default)]
    pub queue: Queue,
    /// What is being indexed, and how fast.
    #[serde(default)]
    pub progress: Progress,
    /// While another model is brought in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_change: Option<ModelChange>,
    /// The watched folders.
    #[serde(default)]
    pub folders: Vec<Folder>,
    /// The daemon's version.
    #[serde(default)]
    pub version: String,
    /// The daemon's process.
    #[serde(default)]
    pub pid: u32,
    /// How long the daemon has run. Milliseconds.
    #[serde(default)]
    pub uptime_ms: u64,
    /// Files that failed; `incidents` lists them.
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
    /// Besides these: videos for which neither stored pictures nor the video are there; they stay out until they can be reached.
    pub left_behind: u64,
    /// Time left, milliseconds; absent when unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_ms: Option<u64>,
}

/// What is being indexed, and how fast.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// The videos at work.
    pub current: Vec<CurrentVideo>,
    /// Seconds of video indexed per second, over the last minute of work; 0 = unknown.
    pub rate: f64,
    /// Time left, milliseconds; absent when unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_ms: Option<u64>,
}

/// A video that is being indexed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurrentVideo {
    /// The video's file.
    #[serde(flatten)]
    pub file: WirePath,
    /// How far decoding has come. Milliseconds of the video.
    pub position_ms: u64,
    /// Length of the video. Milliseconds; 0 when unknown.
    pub duration_ms: u64,
}

/// A watched folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Folder {
    /// The folder.
    #[serde(flatten)]
    pub file: WirePath,
    /// `watched`, `polled` (no events from there) or `offline`.
    pub state: String,
    /// Its videos, by state.
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
    /// Name of the drive or share.
    pub volume: String,
    /// When it was last there, Unix milliseconds.
    pub last_seen_ms: i64,
}

/// Answer of `folders` and `add`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FoldersAnswer {
    /// The watched folders.
    pub folders: Vec<Folder>,
}

/// Method `add`: watch a folder from now on. Answer: [`FoldersAnswer`].
pub type AddRequest = FileRequest;

/// Method `remove`. Answer: [`RemoveAnswer`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RemoveRequest {
    /// The folder.
    #[serde(flatten)]
    pub file: WirePath,
    /// Keep the folder's videos in the index, marked offline.
    #[serde(default)]
    pub keep: bool,
    /// Only count what would be dropped.
    #[serde(default)]
    pub dry_run: bool,
}

/// Answer of `remove`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RemoveAnswer {
    /// Videos dropped (or that would be).
    pub n_videos: u64,
    /// The folders that are still watched.
    pub folders: Vec<Folder>,
}

/// Method `forget`: drops the videos below a folder that cannot be reached or is not watched. Answer: [`ForgetAnswer`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ForgetRequest {
    /// The folder or drive.
    #[serde(flatten)]
    pub file: WirePath,
    /// Only count what would be dropped.
    #[serde(default)]
    pub dry_run: bool,
}

/// Answer of `forget`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgetAnswer {
    /// Videos dropped (or that would be), with their scenes and their length.
    pub n_videos: u64,
    /// Scenes of these videos.
    pub n_scenes: u64,
    /// Length of these videos together. Milliseconds.
    pub duration_ms: u64,
    /// How many of them are offline; the others lie in no watched folder.
    pub n_offline: u64,
    /// Videos below the folder that are there and watched: these stay.
    pub n_kept: u64,
}

/// Method `wait`. Answer: [`WaitAnswer`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WaitRequest {
    /// Longest time to wait. Milliseconds; without it there is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

/// Answer of `wait`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WaitAnswer {
    /// False: the time ran out first.
    pub idle: bool,
    /// What is still to be done.
    pub queue: Queue,
    /// All videos, by state.
    pub videos: Coverage,
}

/// Methods `rescan` and `retry`: everything, or one folder (or file).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ScopeRequest {
    /// The folder or file; everything without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<WirePath>,
    /// `rescan` alone: the one file is decoded anew, although nothing says that it changed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
}

/// Answer of `rescan` (folders queued), `retry` (files queued), `pause`, `resume`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DoneAnswer {
    /// How many were queued.
    pub n: u64,
    /// `idle`, `indexing` or `paused`.
    pub state: String,
    /// `rescan` with `force` was understood: an earlier daemon passes over it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forced: bool,
}

/// A file that could not be indexed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// The file.
    #[serde(flatten)]
    pub file: WirePath,
    /// What went wrong, in words for the user.
    pub reason: String,
    /// How often it was tried.
    pub attempts: u32,
    /// Unix milliseconds.
    pub first_ms: i64,
    /// When it was last tried. Unix milliseconds.
    pub last_ms: i64,
    /// What the user can do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// What it is laid to: `video`, `storage` (the drive did not let it be read) or `machine`; the last two are tried again by themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

/// Answer of `incidents`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IncidentsAnswer {
    /// The files that failed.
    pub incidents: Vec<Incident>,
}

/// Method `pause`. Answer: [`DoneAnswer`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PauseRequest {
    /// Resume by itself after so long, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_ms: Option<u64>,
}

/// Method `why`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WhyRequest {
    /// The file.
    #[serde(flatten)]
    pub file: WirePath,
    /// A question that the file was expected to answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
}

/// Answer of `why`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WhyAnswer {
    /// The file.
    #[serde(flatten)]
    pub file: WirePath,
    /// `indexed`, `pending`, `failed`, `offline`, `excluded`, `missing`, `unwatched` or `unknown`.
    pub state: String,
    /// Sentences for the user, most important first.
    pub reasons: Vec<String>,
    /// With a query: the video's best scene, and its place among all scenes, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best: Option<Hit>,
    /// Place of that scene among all scenes, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rank: Option<u64>,
    /// How many scenes there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of_scenes: Option<u64>,
}

/// Method `model_list`: no parameters. Answer: [`ModelsAnswer`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelRow {
    /// The model's name.
    pub name: String,
    /// Its folder.
    #[serde(flatten)]
    pub folder: WirePath,
    /// It answers questions now.
    pub active: bool,
    /// `usable`, or why it is not.
    pub state: String,
    /// `hugging-face` or `immich`.
    pub layout: String,
    /// Width of the picture that it is shown. Pixels.
    pub image_px: u32,
    /// How frames of another shape are shown to it: `reference`, `two`, `squash` or `letterbox`; empty when unknown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub crop: String,
    /// Components of its vectors; absent when its files do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dimensions: Option<u64>,
    /// Bytes of its files.
    pub size_bytes: u64,
    /// Videos that have vectors of this model.
    pub videos: u64,
}

/// Answer of the methods about models.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelsAnswer {
    /// The models, or the one that was asked for.
    pub models: Vec<ModelRow>,
}

/// Methods `model_use`, `model_info`, `model_remove`: a name of the list or an absolute folder. Answer: [`ModelsAnswer`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelRequest {
    /// A name of the list, or the absolute path of a folder.
    pub model: String,
    /// Only for `model_use`: decode every video again instead of using the stored pictures.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reindex: bool,
}

/// One check of `doctor`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// What was checked.
    pub name: String,
    /// `ok`, `warn` or `fail`.
    pub state: String,
    /// What was found, in words for the user.
    pub detail: String,
    /// What the user can do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Answer of `doctor`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DoctorAnswer {
    /// The checks, in the order in which they were made.
    pub checks: Vec<Check>,
}

/// Method `thumbnail`: the picture of a scene. Answer: [`ThumbnailAnswer`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ThumbnailRequest {
    /// The scene's id.
    pub scene: String,
}

/// Answer of `thumbnail`.
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
    Status {
        /// As `status` answers.
        status: Box<Status>,
    },
    /// A video can be found from now on.
    VideoIndexed {
        /// The video's file.
        #[serde(flatten)]
        file: WirePath,
        /// How many scenes it has.
        n_scenes: u64,
    },
    /// A video could not be indexed.
    VideoFailed {
        /// The video's file.
        #[serde(flatten)]
        file: WirePath,
        /// What went wrong, in words for the user.
        reason: String,
    },
    /// A video is no longer in the index.
    VideoRemoved {
        /// Where it was.
        #[serde(flatten)]
        file: WirePath,
    },
    /// A video has another path.
    VideoMoved {
        /// Where it is.
        #[serde(flatten)]
        file: WirePath,
        /// Where it was.
        from: WirePath,
    },
}

/// Kinds of failure that a client can act on: the member `data.kind` of a JSON-RPC error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    /// The line is not JSON.
    Parse,
    /// The line is JSON, but no request.
    InvalidRequest,
    /// No method has this name.
    UnknownMethod,
    /// A member is missing, of the wrong type, or out of range.
    InvalidParams,
    /// A bug, or the disk.
    Internal,
    /// Too many requests at once: try again.
    Overloaded,
    /// That file, scene, folder or model is not known.
    NotFound,
    /// Something outside is missing, such as ONNX Runtime or the model.
    Unavailable,
    /// The two sides speak different protocols; [`ErrorData::protocol`] is the daemon's.
    ProtocolMismatch,
    /// The first request of the connection was not `hello`.
    HelloRequired,
    /// A line is over its limit; the connection is closed.
    TooLarge,
    /// The daemon is about to end.
    ShuttingDown,
    /// A request that was begun was not finished in time; the connection is closed.
    TimedOut,
    /// The model gave no vectors of the question in time; the message says what it waited for.
    ModelTimedOut,
    /// A kind that a later version added.
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
    /// What a program may act on.
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
