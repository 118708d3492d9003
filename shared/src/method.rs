//! Every method with its parameters and its answer, so that neither side can pair them wrongly.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::message as m;

/// One method of the protocol.
pub trait Method {
    /// The method's name in a request.
    const NAME: &'static str;
    /// What it is asked with.
    type Params: Serialize + DeserializeOwned;
    /// What it answers.
    type Answer: Serialize + DeserializeOwned;
}

macro_rules! methods {
    ($($(#[$doc:meta])* $method:ident = $name:literal: $params:ty => $answer:ty;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug)]
            pub enum $method {}

            impl Method for $method {
                const NAME: &'static str = $name;
                type Params = $params;
                type Answer = $answer;
            }
        )*

        /// Names of all methods.
        pub const NAMES: &[&str] = &[$($name),*];
    };
}

methods! {
    /// The first request on every connection.
    Hello = "hello": m::Hello => m::HelloAnswer;
    /// Scenes that match words.
    Search = "search": m::SearchRequest => m::SearchAnswer;
    /// Scenes that look like a moment or a picture.
    Similar = "similar": m::SimilarRequest => m::SearchAnswer;
    /// The scenes of one video.
    Scenes = "scenes": m::FileRequest => m::ScenesAnswer;
    /// What is indexed, pending, failed and offline.
    Status = "status": m::NoParams => m::Status;
    /// The status of now, and events from then on.
    Subscribe = "subscribe": m::NoParams => m::Status;
    /// The watched folders.
    Folders = "folders": m::NoParams => m::FoldersAnswer;
    /// Watch a folder.
    Add = "add": m::AddRequest => m::FoldersAnswer;
    /// Stop watching a folder.
    Remove = "remove": m::RemoveRequest => m::RemoveAnswer;
    /// Drop what is known of a drive or folder that is away.
    Forget = "forget": m::ForgetRequest => m::ForgetAnswer;
    /// Answers when nothing is left to do.
    Wait = "wait": m::WaitRequest => m::WaitAnswer;
    /// Look at the folders again.
    Rescan = "rescan": m::ScopeRequest => m::DoneAnswer;
    /// Try failed files again.
    Retry = "retry": m::ScopeRequest => m::DoneAnswer;
    /// The files that failed.
    Incidents = "incidents": m::NoParams => m::IncidentsAnswer;
    /// Stop indexing.
    Pause = "pause": m::PauseRequest => m::DoneAnswer;
    /// Index again.
    Resume = "resume": m::NoParams => m::DoneAnswer;
    /// Why a file is or isn't found.
    Why = "why": m::WhyRequest => m::WhyAnswer;
    /// The models there are.
    ModelList = "model_list": m::NoParams => m::ModelsAnswer;
    /// Index with another model from now on.
    ModelUse = "model_use": m::ModelRequest => m::ModelsAnswer;
    /// One model.
    ModelInfo = "model_info": m::ModelRequest => m::ModelsAnswer;
    /// Drop a model's vectors.
    ModelRemove = "model_remove": m::ModelRequest => m::ModelsAnswer;
    /// Checks of the installation and the data.
    Doctor = "doctor": m::NoParams => m::DoctorAnswer;
    /// The picture of a scene.
    Thumbnail = "thumbnail": m::ThumbnailRequest => m::ThumbnailAnswer;
}
