//! The layout of Hugging Face's `transformers` and of transformers.js: `config.json`, `preprocessor_config.json`, `tokenizer.json`,
//! `onnx/{vision_model,text_model}[_fp16|_quantized|_int8].onnx`.
//!
//! **Source** of the defaults: `CLIPImageProcessor`, `SiglipImageProcessor`, `CLIPTextConfig` and `SiglipTextConfig` of transformers. It
//! omits values from a file that equal their default.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::document::{Document, length};
use super::tokenizer::TokenizerConfig;
use super::{Head, Layout, ModelError, ModelFiles, Padding, PixelSpec, Precision, TextCleaning, TextSpec, Understood, optional, required};
use crate::domain::{ImageSpec, Resample, ResizeMode};

/// File name endings in order of preference: exact first. `_quantized` is transformers.js's name for int8.
const PRECISIONS: [(&str, Precision); 4] = [
    ("", Precision::Fp32),
    ("_fp16", Precision::Fp16),
    ("_int8", Precision::Int8),
    ("_quantized", Precision::Int8),
];

const CLIP_MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_74];
const CLIP_STD: [f32; 3] = [0.268_629_55, 0.261_302_6, 0.275_777_1];

/// Model families with a known text tower and processor.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    /// Causal text tower, pooled at the end token.
    Clip,
    /// Text tower without a causal mask, pooled at the last position.
    Siglip,
}

pub(super) fn read(path: &Path, config: &Document) -> Result<Understood, ModelError> {
    let family = match config.required_text("model_type")?.as_str() {
        "clip" => Family::Clip,
        "siglip" => Family::Siglip,
        "siglip2" => {
            return Err(config.refuse(
                "model_type",
                "\"siglip2\" is the NaFlex variant, which takes patches; SigLIP 2 of a fixed resolution says \"siglip\"",
            ));
        }
        other => return Err(config.refuse("model_type", format!("{other:?} is not known (clip and siglip are)"))),
    };
    let action = "download the whole repository again (`scenectl model install`)";
    let (processor_file, processor) = processor(path, action)?;
    let tokenizer = required(path, "tokenizer.json", action)?;
    let (vision, text, precision) = onnx_files(path)?;
    let mut small_files = vec![path.join("config.json"), processor_file];
    let mut tokenizer_config = None;
    if let Some(file) = optional(path, "tokenizer_config.json")? {
        tokenizer_config = Some(TokenizerConfig::read(&Document::read(&file)?)?);
        small_files.push(file);
    }
    Ok(Understood {
        layout: Layout::HuggingFace,
        precision,
        image: image_spec(&processor)?,
        pixels: pixel_spec(&processor)?,
        text: text_spec(family, config, tokenizer_config)?,
        head: match family {
            Family::Clip => Head::Projected,
            Family::Siglip => Head::Pooled,
        },
        dimensions: dimensions(family, config)?,
        files: ModelFiles { vision, text, tokenizer },
        small_files,
    })
}

/// Returns the image processor's settings and the file that contains them. transformers 5 saves them as a part of processor_config.json,
/// and prefers that file.
fn processor(path: &Path, action: &str) -> Result<(PathBuf, Document), ModelError> {
    if let Some(file) = optional(path, "processor_config.json")?
        && let Some(part) = Document::read(&file)?.part("image_processor")?
    {
        return Ok((file, part));
    }
    let file = required(path, "preprocessor_config.json", action)?;
    let processor = Document::read(&file)?;
    Ok((file, processor))
}

/// Returns the vision and the text model in the same precision.
fn onnx_files(path: &Path) -> Result<(PathBuf, PathBuf, Precision), ModelError> {
    let mut half = None;
    for (ending, precision) in PRECISIONS {
        let names = [format!("onnx/vision_model{ending}.onnx"), format!("onnx/text_model{ending}.onnx")];
        match (optional(path, &names[0])?, optional(path, &names[1])?) {
            (Some(vision), Some(text)) => return Ok((vision, text, precision)),
            (None, None) => {}
            (vision, _) => half = half.or(Some(if vision.is_some() { names[1].clone() } else { names[0].clone() })),
        }
    }
    let action = match optional(path, "onnx/model.onnx")? {
        Some(_) => "the folder has both towers in one file (onnx/model.onnx); scened needs the export with two files",
        None => "the folder needs vision_model.onnx and text_model.onnx in the same precision; download the model again",
    };
    Err(ModelError::Missing {
        path: path.to_owned(),
        file: half.unwrap_or_else(|| "onnx/vision_model.onnx and onnx/text_model.onnx".to_owned()),
        action: action.to_owned(),
    })
}

/// Returns the towers of one precision, if both exist.
pub(super) fn towers_in(path: &Path, wanted: Precision) -> Result<Option<(PathBuf, PathBuf)>, ModelError> {
    for (ending, precision) in PRECISIONS {
        if precision == wanted
            && let Some(vision) = optional(path, &format!("onnx/vision_model{ending}.onnx"))?
            && let Some(text) = optional(path, &format!("onnx/text_model{ending}.onnx"))?
        {
            return Ok(Some((vision, text)));
        }
    }
    Ok(None)
}

/// Returns the family whose defaults apply to a processor's class. `None` if they are unknown; then the file must specify everything
/// itself.
fn class(processor: &Document) -> Result<Option<Family>, ModelError> {
    let key = match processor.value("image_processor_type") {
        Some(_) => "image_processor_type",
        None => "feature_extractor_type",
    };
    let Some(name) = processor.text(key)? else { return Ok(None) };
    match name.as_str() {
        "CLIPImageProcessor" | "CLIPImageProcessorFast" | "CLIPImageProcessorPil" | "CLIPFeatureExtractor" => Ok(Some(Family::Clip)),
        "SiglipImageProcessor" | "SiglipImageProcessorFast" | "SiglipImageProcessorPil" => Ok(Some(Family::Siglip)),
        // These classes do the same steps in the same order, but their defaults are not repeated here.
        "ViTImageProcessor" | "ViTImageProcessorFast" | "ViTFeatureExtractor" | "BitImageProcessor" | "BitImageProcessorFast" => Ok(None),
        _ => Err(processor.refuse(
            key,
            format!("{name:?} is not known (CLIPImageProcessor and SiglipImageProcessor are)"),
        )),
    }
}

/// Keys of a processor that are understood, or that change no pixel of an RGB picture.
const PROCESSOR_KEYS: [&str; 24] = [
    "image_processor_type",
    "feature_extractor_type",
    "processor_class",
    "do_resize",
    "size",
    "resample",
    "do_center_crop",
    "crop_size",
    "do_rescale",
    "rescale_factor",
    "do_normalize",
    "image_mean",
    "image_std",
    // Frames are RGB already.
    "do_convert_rgb",
    // What a bare number for `size` means to other classes; `Size` reads it.
    "default_to_square",
    // How the library represents its own arrays.
    "data_format",
    "input_data_format",
    "return_tensors",
    "device",
    "disable_grouping",
    "_valid_processor_keys",
    "_processor_class",
    "use_fast",
    "backend",
];

/// Refuses keys that ask for something unknown: the picture would differ from those in the model's training.
fn check_keys(processor: &Document) -> Result<(), ModelError> {
    for (key, value) in processor.keys() {
        let asks_nothing = value.is_null() || *value == Value::Bool(false);
        if !asks_nothing && !PROCESSOR_KEYS.contains(&key.as_str()) {
            return Err(processor.refuse(key, format!("{value} is not understood")));
        }
    }
    Ok(())
}

fn image_spec(processor: &Document) -> Result<ImageSpec, ModelError> {
    let class = class(processor)?;
    check_keys(processor)?;
    if processor.flag("do_resize")? == Some(false) {
        return Err(processor.refuse("do_resize", "pictures must be resized, but this model says not to"));
    }
    let crops = match (processor.flag("do_center_crop")?, class) {
        (Some(crops), _) => crops,
        (None, Some(family)) => family == Family::Clip,
        (None, None) => return Err(processor.refuse("do_center_crop", "is not there, and the image processor's class is not known")),
    };
    let size = Size::read(processor, "size", crops)?;
    let (resize, width_px, height_px, shortest_side_px) = match (size, crops) {
        (Size::Exact { width, height }, false) => (ResizeMode::Squash, width, height, width.min(height)),
        (Size::Exact { width, height }, true) => match Size::read(processor, "crop_size", false)? {
            crop @ Size::Exact { .. } if crop == size => (ResizeMode::Squash, width, height, width.min(height)),
            _ => return Err(processor.refuse("crop_size", "a crop after a resize to another exact size is not supported")),
        },
        (Size::ShortestSide(shortest), true) => match Size::read(processor, "crop_size", false)? {
            Size::Exact { width, height } if width <= shortest && height <= shortest => {
                (ResizeMode::ShortestSideCrop, width, height, shortest)
            }
            _ => return Err(processor.refuse("crop_size", "must be a width and a height not above the size")),
        },
        (Size::ShortestSide(_), false) => {
            return Err(processor.refuse("size", "shortest_edge without do_center_crop gives pictures of no fixed size"));
        }
    };
    let resample = match processor.value("resample").map(Value::as_u64) {
        Some(Some(2)) => Resample::Bilinear,
        Some(Some(3)) => Resample::Bicubic,
        None if class.is_some() => Resample::Bicubic,
        None => return Err(processor.refuse("resample", "is not there, and the image processor's class is not known")),
        Some(other) => {
            let found = other.map_or_else(|| "no number".to_owned(), |n| n.to_string());
            return Err(processor.refuse("resample", format!("2 (bilinear) or 3 (bicubic) was expected, found {found}")));
        }
    };
    Ok(ImageSpec {
        width_px,
        height_px,
        shortest_side_px,
        resize,
        resample,
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Size {
    Exact { width: u32, height: u32 },
    ShortestSide(u32),
}

impl Size {
    /// Reads a size: a number (old files), `{"shortest_edge"}` or `{"height", "width"}`. A bare `size` of a processor that crops is the
    /// shortest side, and every other bare number a square.
    fn read(processor: &Document, key: &str, bare_is_shortest_side: bool) -> Result<Self, ModelError> {
        let Some(value) = processor.value(key) else {
            return Err(processor.refuse(key, "is not there"));
        };
        let part = |name: &str| value.get(name).and_then(length);
        match (length(value), part("shortest_edge"), part("height"), part("width")) {
            (Some(side), ..) if bare_is_shortest_side => Ok(Self::ShortestSide(side)),
            (Some(side), ..) => Ok(Self::Exact { width: side, height: side }),
            (None, Some(side), None, None) if value.get("longest_edge").is_none() => Ok(Self::ShortestSide(side)),
            (None, None, Some(height), Some(width)) => Ok(Self::Exact { width, height }),
            _ => Err(processor.refuse(
                key,
                format!("a number, shortest_edge, or height and width were expected, found {value}"),
            )),
        }
    }
}

fn pixel_spec(processor: &Document) -> Result<PixelSpec, ModelError> {
    let rescale = match processor.flag("do_rescale")? {
        Some(false) => 1.0,
        _ => processor.number("rescale_factor")?.unwrap_or(1.0 / 255.0),
    };
    if processor.flag("do_normalize")? == Some(false) {
        return Ok(PixelSpec {
            rescale: rescale as f32,
            mean: [0.0; 3],
            std: [1.0; 3],
        });
    }
    let default = match class(processor)? {
        Some(Family::Clip) => Some((CLIP_MEAN, CLIP_STD)),
        Some(Family::Siglip) => Some(([0.5; 3], [0.5; 3])),
        None => None,
    };
    let mean = processor.channels("image_mean")?.or(default.map(|d| d.0));
    let std = processor.divisors("image_std")?.or(default.map(|d| d.1));
    Ok(PixelSpec {
        rescale: rescale as f32,
        mean: mean.ok_or_else(|| processor.refuse("image_mean", "is not there"))?,
        std: std.ok_or_else(|| processor.refuse("image_std", "is not there"))?,
    })
}

fn text_spec(family: Family, config: &Document, tokenizer: Option<TokenizerConfig>) -> Result<TextSpec, ModelError> {
    let (default_context, padding) = match family {
        Family::Clip => (77, Padding::RealLength),
        Family::Siglip => (64, Padding::ToContext),
    };
    let positions = config.length("text_config.max_position_embeddings")?.unwrap_or(default_context) as usize;
    let (pad_token, end_token, max_tokens, cleaning) = match tokenizer {
        Some(found) => (found.pad_token, found.end_token, found.max_tokens, found.cleaning),
        None => (None, None, None, TextCleaning::None),
    };
    Ok(TextSpec {
        // A tokenizer's limit may be lower than the tower's number of positions.
        context_length: max_tokens.map_or(positions, |most| most.min(positions)),
        padding,
        pad_token,
        end_token,
        cleaning,
    })
}

fn dimensions(family: Family, config: &Document) -> Result<Option<usize>, ModelError> {
    let key = match family {
        Family::Clip => "projection_dim",
        Family::Siglip => "vision_config.hidden_size",
    };
    Ok(config.length(key)?.map(|n| n as usize))
}
