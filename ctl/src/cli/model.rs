//! What can be typed behind `model`.

use std::ffi::OsString;

use clap::{Args, Subcommand, ValueEnum};
use scened_hub::layout::Precision;

use super::ex;

#[derive(Debug, Subcommand)]
pub(crate) enum Model {
    /// List the installed models
    #[command(after_help = ex::MODEL_LIST)]
    List {
        /// List the models that can be installed by name
        #[arg(long)]
        available: bool,
    },
    /// Download a model from the Hugging Face hub, or copy one from a folder
    #[command(after_help = ex::MODEL_INSTALL)]
    Install(ModelInstall),
    /// Change to another model; the old one answers until the change is complete
    #[command(after_help = ex::MODEL_USE)]
    Use {
        /// A name from `model list`, or a folder in a public layout
        #[arg(value_name = "NAME|DIR")]
        model: OsString,
        /// Decode every video again instead of using its kept pictures
        #[arg(long)]
        reindex: bool,
    },
    /// Show one model, or the one in use
    #[command(after_help = ex::MODEL_INFO)]
    Info {
        #[arg(value_name = "NAME|DIR")]
        model: Option<OsString>,
    },
    /// Drop a model's vectors from the index
    #[command(after_help = ex::MODEL_REMOVE)]
    Remove {
        #[arg(value_name = "NAME")]
        model: OsString,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ModelInstall {
    /// A name from `model list --available`, a repository of the hub, or a folder that begins with ./ or /
    #[arg(value_name = "NAME|OWNER/REPO[@REVISION]|DIR")]
    pub(crate) model: OsString,
    /// Number format of the weights
    #[arg(long, value_enum, value_name = "WHICH", default_value_t = PrecisionChoice::Auto)]
    pub(crate) precision: PrecisionChoice,
    /// Name of the model here [default: the given name, or that of the repository or folder]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Replace a model of that name; the old one stays until the new one is complete
    #[arg(long)]
    pub(crate) force: bool,
    /// Accept a licence that allows research only, without a question
    #[arg(long)]
    pub(crate) accept_licence: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PrecisionChoice {
    /// fp32, or int8 if it is faster on this machine and agrees: both are downloaded and compared on your videos
    Auto,
    /// Exact, the largest
    Fp32,
    /// Half the size, for graphics cards
    Fp16,
    /// A quarter of the size, often faster on processors, not quite the same vectors
    Int8,
}

impl PrecisionChoice {
    /// `None` leaves it to the machine.
    pub(crate) fn fixed(self) -> Option<Precision> {
        match self {
            Self::Auto => None,
            Self::Fp32 => Some(Precision::Fp32),
            Self::Fp16 => Some(Precision::Fp16),
            Self::Int8 => Some(Precision::Int8),
        }
    }
}
