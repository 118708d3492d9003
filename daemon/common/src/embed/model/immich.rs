//! The layout of Immich's exports: `config.json` (open_clip's), `visual/{model.onnx,preprocess_cfg.json}`,
//! `textual/{model.onnx,tokenizer.json,tokenizer_config.json}`.
//!
//! **Source** of the defaults: `PreprocessCfg` and `CLIPTextCfg` of open_clip, and Immich's `OpenClipTextualEncoder`.

use std::path::Path;

use serde_json::Value;

use super::document::{Document, length};
use super::tokenizer::TokenizerConfig;
use super::{Head, Layout, ModelError, ModelFiles, Padding, PixelSpec, Precision, TextCleaning, TextSpec, Understood, required};
use crate::domain::{ImageSpec, Resample, ResizeMode};

pub(super) fn read(path: &Path, config: &Document) -> Result<Understood, ModelError> {
    let action = "download the whole model again (`scenectl model install`)";
    let preprocess_file = required(path, "visual/preprocess_cfg.json", action)?;
    let tokenizer_config_file = required(path, "textual/tokenizer_config.json", action)?;
    let files = ModelFiles {
        vision: required(path, "visual/model.onnx", action)?,
        text: required(path, "textual/model.onnx", action)?,
        tokenizer: required(path, "textual/tokenizer.json", action)?,
    };
    let preprocess = Document::read(&preprocess_file)?;
    let tokenizer_config = Document::read(&tokenizer_config_file)?;
    Ok(Understood {
        layout: Layout::Immich,
        precision: Precision::Fp32,
        image: image_spec(&preprocess)?,
        pixels: PixelSpec {
            rescale: 1.0 / 255.0,
            mean: preprocess
                .channels("mean")?
                .ok_or_else(|| preprocess.refuse("mean", "is not there"))?,
            std: preprocess
                .divisors("std")?
                .ok_or_else(|| preprocess.refuse("std", "is not there"))?,
        },
        text: text_spec(config, &tokenizer_config)?,
        // open_clip's towers output only the vector itself, whatever its name is.
        head: Head::Projected,
        dimensions: config.length("embed_dim")?.map(|n| n as usize),
        files,
        small_files: vec![path.join("config.json"), preprocess_file, tokenizer_config_file],
    })
}

fn image_spec(preprocess: &Document) -> Result<ImageSpec, ModelError> {
    let (width_px, height_px) = match preprocess.value("size") {
        None => return Err(preprocess.refuse("size", "is not there")),
        Some(Value::Array(sides)) => match sides.iter().map(length).collect::<Option<Vec<_>>>().as_deref() {
            Some([height, width]) => (*width, *height),
            _ => return Err(preprocess.refuse("size", "a height and a width were expected")),
        },
        Some(side) => match length(side) {
            Some(side) => (side, side),
            None => return Err(preprocess.refuse("size", format!("a number or two were expected, found {side}"))),
        },
    };
    if let Some(mode) = preprocess.text("mode")?.filter(|m| m != "RGB") {
        return Err(preprocess.refuse("mode", format!("RGB was expected, found {mode}")));
    }
    let resize = match preprocess.text("resize_mode")?.as_deref() {
        None | Some("shortest") if width_px == height_px => ResizeMode::ShortestSideCrop,
        None | Some("shortest") => return Err(preprocess.refuse("size", "a crop that is not square is not supported")),
        Some("squash") => ResizeMode::Squash,
        Some(other) => return Err(preprocess.refuse("resize_mode", format!("shortest or squash was expected, found {other}"))),
    };
    let resample = match preprocess.text("interpolation")?.as_deref() {
        // If training chose the filter at random, open_clip uses bicubic for inference.
        None | Some("bicubic" | "random") => Resample::Bicubic,
        Some("bilinear") => Resample::Bilinear,
        Some(other) => return Err(preprocess.refuse("interpolation", format!("bicubic or bilinear was expected, found {other}"))),
    };
    Ok(ImageSpec {
        width_px,
        height_px,
        shortest_side_px: width_px.min(height_px),
        resize,
        resample,
    })
}

fn text_spec(config: &Document, tokenizer_config: &Document) -> Result<TextSpec, ModelError> {
    if config.value("text_cfg.hf_model_name").is_some() {
        return Err(config.refuse(
            "text_cfg.hf_model_name",
            "text towers from another model (XLM-R, NLLB, …) are not supported",
        ));
    }
    if config.object("text_cfg")?.is_none() {
        // Immich's M-CLIP models have none: their text tower is from another family.
        return Err(config.refuse("text_cfg", "is not there, so that nothing is known of the text tower"));
    }
    for (key, value) in config.object("text_cfg.tokenizer_kwargs")?.into_iter().flatten() {
        let asks_nothing = value.is_null() || *value == Value::Bool(false);
        if key != "clean" && !asks_nothing {
            return Err(config.refuse(&format!("text_cfg.tokenizer_kwargs.{key}"), format!("{value} is not supported")));
        }
    }
    let causal = !config.flag("text_cfg.no_causal_mask")?.unwrap_or(false);
    // CoCa's class token comes after the padding, and its position matters.
    let ends_in_class_token = config.flag("text_cfg.embed_cls")?.unwrap_or(false);
    let padding = match config.text("text_cfg.pool_type")?.as_deref() {
        None | Some("argmax" | "eos") if causal && !ends_in_class_token => Padding::RealLength,
        None | Some("argmax" | "eos" | "last" | "first" | "tok") => Padding::ToContext,
        Some(other) => return Err(config.refuse("text_cfg.pool_type", format!("{other:?} is not known"))),
    };
    // open_clip's own tokenizer (CLIP's) lower-cases texts first. A tokenizer from elsewhere does what its files say.
    let own_tokenizer = config.value("text_cfg.hf_tokenizer_name").is_none();
    let cleaning = match config.text("text_cfg.tokenizer_kwargs.clean")?.as_deref() {
        None if own_tokenizer => TextCleaning::Lower,
        Some("lower") => TextCleaning::Lower,
        None | Some("whitespace") => TextCleaning::Whitespace,
        Some("canonicalize") => TextCleaning::Canonicalise,
        Some(other) => return Err(config.refuse("text_cfg.tokenizer_kwargs.clean", format!("{other:?} is not known"))),
    };
    let tokenizer = TokenizerConfig::read(tokenizer_config)?;
    Ok(TextSpec {
        context_length: config.length("text_cfg.context_length")?.unwrap_or(77) as usize,
        padding,
        pad_token: tokenizer.pad_token,
        end_token: tokenizer.end_token,
        cleaning,
    })
}
