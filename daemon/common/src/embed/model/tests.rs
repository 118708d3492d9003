use std::fs;

use serde_json::{Value, json};

use super::*;
use crate::domain::{Crop, Resample, ResizeMode};
use crate::testing::{clip_processor, hugging_face, write, write_json};

/// Writes a complete folder in the Immich layout, shaped like immich-app/ViT-B-32__openai.
fn immich(path: &Path) {
    write_json(
        &path.join("config.json"),
        &json!({"embed_dim": 512, "text_cfg": {"context_length": 77}}),
    );
    write_json(&path.join("visual/preprocess_cfg.json"), &immich_preprocess());
    write_json(&path.join("textual/tokenizer_config.json"), &json!({"pad_token": {"content": "!"}}));
    write(&path.join("textual/tokenizer.json"), b"{}");
    write(&path.join("visual/model.onnx"), b"vision");
    write(&path.join("textual/model.onnx"), b"text");
}

fn immich_preprocess() -> Value {
    json!({"size": [224, 224], "mode": "RGB", "mean": [0.4, 0.4, 0.4], "std": [0.2, 0.2, 0.2],
           "interpolation": "bicubic", "resize_mode": "shortest", "fill_color": 0})
}

/// Returns `base` with the keys of `changes` replaced, or removed if null.
fn changed(mut base: Value, changes: &Value) -> Value {
    for (key, value) in changes.as_object().unwrap() {
        if value.is_null() {
            base.as_object_mut().unwrap().remove(key);
        } else {
            base[key] = value.clone();
        }
    }
    base
}

fn crop(side: u32) -> ImageSpec {
    ImageSpec {
        width_px: side,
        height_px: side,
        shortest_side_px: side,
        resize: ResizeMode::ShortestSideCrop,
        resample: Resample::Bicubic,
    }
}

fn squash(side: u32) -> ImageSpec {
    ImageSpec {
        resize: ResizeMode::Squash,
        ..crop(side)
    }
}

#[test]
fn a_hugging_face_folder_is_understood() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip-vit-base-patch32");
    hugging_face(&path);
    let model = ModelFolder::open(&path).unwrap();
    assert_eq!(model.layout, Layout::HuggingFace);
    assert_eq!(model.name, "clip-vit-base-patch32");
    assert!(model.id.0.starts_with("clip-vit-base-patch32-"), "{}", model.id);
    assert_eq!(model.image, crop(224));
    assert_eq!(model.dimensions, Some(512));
    assert_eq!(format!("{:?}", model.pixels.std), "[0.26, 0.26, 0.27]");
    assert_eq!(
        model.text,
        TextSpec {
            context_length: 77,
            padding: Padding::RealLength,
            pad_token: Some("<|endoftext|>".to_owned()),
            end_token: None,
            cleaning: TextCleaning::None
        }
    );
    assert_eq!(model.head, Head::Projected);
    assert!(!model.is_starter);
    let total: u64 = [
        "config.json",
        "preprocessor_config.json",
        "tokenizer_config.json",
        "tokenizer.json",
        "onnx/vision_model.onnx",
        "onnx/text_model.onnx",
    ]
    .map(|file| path.join(file).metadata().unwrap().len())
    .iter()
    .sum();
    assert_eq!(model.size_bytes, total);
}

/// Reads a folder whose preprocessor_config.json differs from [`clip_processor`] by each of the `changes`.
fn check_processor(table: &[(Value, Result<ImageSpec, &str>)]) {
    for (changes, expected) in table {
        let folder = tempfile::tempdir().unwrap();
        hugging_face(folder.path());
        let file = folder.path().join("preprocessor_config.json");
        write_json(&file, &changed(clip_processor(), changes));
        let found = ModelFolder::open(folder.path());
        match expected {
            Ok(image) => assert_eq!(found.unwrap().image, *image, "{changes}"),
            Err(reason) => assert_eq!(found.unwrap_err().to_string(), format!("{}: {reason}", file.display()), "{changes}"),
        }
    }
}

#[test]
fn every_way_to_write_a_picture_size_is_understood() {
    check_processor(&[
        (json!({}), Ok(crop(224))),
        (
            json!({"size": 224, "crop_size": 224, "image_processor_type": null, "feature_extractor_type": "CLIPFeatureExtractor"}),
            Ok(crop(224)),
        ),
        (json!({"size": 224, "crop_size": 224, "do_center_crop": null}), Ok(crop(224))),
        (
            json!({"size": {"shortest_edge": 256}}),
            Ok(ImageSpec {
                shortest_side_px: 256,
                ..crop(224)
            }),
        ),
        (
            json!({"size": {"height": 64, "width": 64}, "do_center_crop": false, "crop_size": null}),
            Ok(squash(64)),
        ),
        (json!({"size": {"height": 224, "width": 224}}), Ok(squash(224))),
        (
            json!({"size": 256, "do_center_crop": null, "image_processor_type": "SiglipImageProcessor"}),
            Ok(squash(256)),
        ),
        (
            json!({"size": {"height": 256, "width": 256}, "do_center_crop": null, "resample": null, "image_processor_type": "SiglipImageProcessor"}),
            Ok(squash(256)),
        ),
        (
            json!({"resample": 2}),
            Ok(ImageSpec {
                resample: Resample::Bilinear,
                ..crop(224)
            }),
        ),
        (
            json!({"resample": 1}),
            Err("resample: 2 (bilinear) or 3 (bicubic) was expected, found 1"),
        ),
        (json!({"size": null}), Err("size: is not there")),
        (
            json!({"size": "large"}),
            Err("size: a number, shortest_edge, or height and width were expected, found \"large\""),
        ),
        (
            json!({"size": 0}),
            Err("size: a number, shortest_edge, or height and width were expected, found 0"),
        ),
        (
            json!({"size": {"shortest_edge": 224, "longest_edge": 400}}),
            Err("size: a number, shortest_edge, or height and width were expected, found {\"longest_edge\":400,\"shortest_edge\":224}"),
        ),
        (
            json!({"do_center_crop": false}),
            Err("size: shortest_edge without do_center_crop gives pictures of no fixed size"),
        ),
        (
            json!({"crop_size": 256}),
            Err("crop_size: must be a width and a height not above the size"),
        ),
        (
            json!({"size": {"height": 256, "width": 256}}),
            Err("crop_size: a crop after a resize to another exact size is not supported"),
        ),
        (
            json!({"do_resize": false}),
            Err("do_resize: pictures must be resized, but this model says not to"),
        ),
        (
            json!({"do_resize": "yes"}),
            Err("do_resize: true or false was expected, found \"yes\""),
        ),
        (
            json!({"image_mean": [0.5, 0.5]}),
            Err("image_mean: three numbers was expected, found [0.5,0.5]"),
        ),
        (
            json!({"image_std": [0.5, 0.0, 0.5]}),
            Err("image_std: a standard deviation must be above 0"),
        ),
    ]);
}

#[test]
fn what_a_processor_asks_for_is_done_or_refused_by_name() {
    check_processor(&[
        // All keys of the published files of Xenova/clip-vit-base-patch32 and of processors saved by several versions of transformers.
        (
            json!({"do_convert_rgb": true, "processor_class": "CLIPProcessor", "use_fast": true, "data_format": "channels_first", "device": null,
                   "disable_grouping": null, "input_data_format": null, "return_tensors": null, "default_to_square": false, "do_pad": null,
                   "_valid_processor_keys": ["images", "do_resize"], "rescale_factor": 0.003_921_568_627_450_98, "do_rescale": true,
                   "feature_extractor_type": "CLIPFeatureExtractor", "do_reduce_labels": false}),
            Ok(crop(224)),
        ),
        (json!({"image_processor_type": "CLIPImageProcessorFast"}), Ok(crop(224))),
        (json!({"image_processor_type": "CLIPImageProcessorPil"}), Ok(crop(224))),
        // A class without known defaults may still specify everything.
        (json!({"image_processor_type": "BitImageProcessor"}), Ok(crop(224))),
        (
            json!({"image_processor_type": "ViTImageProcessor", "do_center_crop": null}),
            Err("do_center_crop: is not there, and the image processor's class is not known"),
        ),
        (
            json!({"image_processor_type": null, "resample": null}),
            Err("resample: is not there, and the image processor's class is not known"),
        ),
        (
            json!({"image_processor_type": "Siglip2ImageProcessor", "max_num_patches": 256, "patch_size": 16}),
            Err("image_processor_type: \"Siglip2ImageProcessor\" is not known (CLIPImageProcessor and SiglipImageProcessor are)"),
        ),
        (
            json!({"image_processor_type": null, "feature_extractor_type": "ConvNextFeatureExtractor"}),
            Err("feature_extractor_type: \"ConvNextFeatureExtractor\" is not known (CLIPImageProcessor and SiglipImageProcessor are)"),
        ),
        (json!({"do_pad": true}), Err("do_pad: true is not understood")),
        (json!({"crop_pct": 0.875}), Err("crop_pct: 0.875 is not understood")),
        (json!({"rescale_offset": true}), Err("rescale_offset: true is not understood")),
        (
            json!({"do_flip_channel_order": true}),
            Err("do_flip_channel_order: true is not understood"),
        ),
        (json!({"use_square_size": true}), Err("use_square_size: true is not understood")),
        (
            json!({"resample": "bicubic"}),
            Err("resample: 2 (bilinear) or 3 (bicubic) was expected, found no number"),
        ),
        (
            json!({"crop_size": {"shortest_edge": 224}}),
            Err("crop_size: must be a width and a height not above the size"),
        ),
        (json!({"crop_size": null}), Err("crop_size: is not there")),
    ]);
}

#[test]
fn the_processor_of_transformers_5_is_found_and_believed_first() {
    let folder = tempfile::tempdir().unwrap();
    hugging_face(folder.path());
    let file = folder.path().join("processor_config.json");
    // Older files of that name say nothing about pictures.
    write_json(&file, &json!({"processor_class": "CLIPProcessor"}));
    let before = ModelFolder::open(folder.path()).unwrap();
    assert_eq!(before.image, crop(224));
    let nested = changed(
        clip_processor(),
        &json!({"size": {"shortest_edge": 64}, "crop_size": {"height": 64, "width": 64}}),
    );
    write_json(&file, &json!({"processor_class": "CLIPProcessor", "image_processor": nested}));
    let after = ModelFolder::open(folder.path()).unwrap();
    assert_eq!(after.image, crop(64));
    assert_ne!(before.id, after.id);
    fs::remove_file(folder.path().join("preprocessor_config.json")).unwrap();
    assert_eq!(ModelFolder::open(folder.path()).unwrap().image, crop(64));
    write_json(
        &file,
        &json!({"image_processor": changed(clip_processor(), &json!({"do_pad": true}))}),
    );
    let error = ModelFolder::open(folder.path()).unwrap_err().to_string();
    assert_eq!(error, format!("{}: image_processor.do_pad: true is not understood", file.display()));
}

#[test]
fn numbers_that_a_processor_leaves_out_are_its_class_s_defaults() {
    for (changes, mean, rescale) in [
        (
            json!({"image_mean": null, "image_std": null}),
            [0.481_454_66, 0.457_827_5, 0.408_210_74],
            1.0 / 255.0,
        ),
        (
            json!({"image_mean": null, "image_std": null, "image_processor_type": "SiglipImageProcessor"}),
            [0.5; 3],
            1.0 / 255.0,
        ),
        (json!({"do_normalize": false}), [0.0; 3], 1.0 / 255.0),
        (json!({"do_rescale": false}), [0.48, 0.45, 0.40], 1.0),
        (json!({"rescale_factor": 0.5}), [0.48, 0.45, 0.40], 0.5),
        (json!({"image_mean": 0.5, "image_std": 0.5}), [0.5; 3], 1.0 / 255.0),
    ] {
        let folder = tempfile::tempdir().unwrap();
        hugging_face(folder.path());
        write_json(
            &folder.path().join("preprocessor_config.json"),
            &changed(clip_processor(), &changes),
        );
        let pixels = ModelFolder::open(folder.path()).unwrap().pixels;
        assert_eq!(pixels, PixelSpec { rescale, mean, ..pixels }, "{changes}");
    }
}

#[test]
fn a_sparse_siglip_2_folder_is_understood() {
    // Shaped like the published folders, which omit SiglipConfig's defaults.
    let folder = tempfile::tempdir().unwrap();
    hugging_face(folder.path());
    write_json(
        &folder.path().join("config.json"),
        &json!({"architectures": ["SiglipModel"], "model_type": "siglip", "initializer_factor": 1.0, "torch_dtype": "float32",
                "text_config": {"model_type": "siglip_text_model", "vocab_size": 256_000}, "vision_config": {"model_type": "siglip_vision_model", "image_size": 256}}),
    );
    write_json(
        &folder.path().join("preprocessor_config.json"),
        &json!({"do_convert_rgb": null, "do_normalize": true, "do_rescale": true, "do_resize": true, "image_mean": [0.5, 0.5, 0.5],
                "image_processor_type": "SiglipImageProcessor", "image_std": [0.5, 0.5, 0.5], "processor_class": "SiglipProcessor",
                "resample": 2, "rescale_factor": 0.003_921_568_627_450_98, "size": {"height": 256, "width": 256}}),
    );
    write_json(
        &folder.path().join("tokenizer_config.json"),
        &json!({"tokenizer_class": "GemmaTokenizer", "add_bos_token": false, "add_eos_token": true, "do_lower_case": true, "padding_side": "right",
                "model_input_names": ["input_ids"], "model_max_length": 1e30, "pad_token": "<pad>", "eos_token": "<eos>"}),
    );
    let model = ModelFolder::open(folder.path()).unwrap();
    let image = ImageSpec {
        resample: Resample::Bilinear,
        ..squash(256)
    };
    assert_eq!((model.image, model.head, model.dimensions), (image, Head::Pooled, None));
    assert_eq!(
        model.text,
        TextSpec {
            context_length: 64,
            padding: Padding::ToContext,
            pad_token: Some("<pad>".to_owned()),
            end_token: Some("<eos>".to_owned()),
            cleaning: TextCleaning::LowerCase
        }
    );
}

#[test]
fn every_key_of_a_tokenizer_config_that_changes_ids_is_understood_or_refused() {
    let clip = json!({"tokenizer_class": "CLIPTokenizer", "pad_token": "<|endoftext|>", "model_max_length": 77});
    let read = |changes: &Value| {
        let folder = tempfile::tempdir().unwrap();
        hugging_face(folder.path());
        write_json(&folder.path().join("tokenizer_config.json"), &changed(clip.clone(), changes));
        ModelFolder::open(folder.path()).map(|model| model.text).map_err(|error| {
            let file = format!("{}: ", folder.path().join("tokenizer_config.json").display());
            error.to_string().strip_prefix(&file).unwrap().to_owned()
        })
    };
    let standard = read(&json!({})).unwrap();
    assert_eq!((standard.context_length, standard.cleaning), (77, TextCleaning::None));
    for (changes, context_length, pad_token, cleaning) in [
        (json!({"model_max_length": 32}), 32, "<|endoftext|>", TextCleaning::None),
        (json!({"model_max_length": 512}), 77, "<|endoftext|>", TextCleaning::None),
        (json!({"model_max_length": 1e30}), 77, "<|endoftext|>", TextCleaning::None),
        (json!({"model_max_length": null}), 77, "<|endoftext|>", TextCleaning::None),
        (json!({"pad_token": {"content": "!", "special": true}}), 77, "!", TextCleaning::None),
        (json!({"do_lower_case": true}), 77, "<|endoftext|>", TextCleaning::LowerCase),
        (
            json!({"tokenizer_class": "GemmaTokenizerFast"}),
            77,
            "<|endoftext|>",
            TextCleaning::LowerCase,
        ),
        (
            json!({"tokenizer_class": "GemmaTokenizer", "do_lower_case": false}),
            77,
            "<|endoftext|>",
            TextCleaning::None,
        ),
        (
            json!({"padding_side": "right", "truncation_side": "right", "split_special_tokens": false}),
            77,
            "<|endoftext|>",
            TextCleaning::None,
        ),
        (
            json!({"errors": "replace", "add_prefix_space": false, "clean_up_tokenization_spaces": true}),
            77,
            "<|endoftext|>",
            TextCleaning::None,
        ),
    ] {
        let text = read(&changes).unwrap();
        assert_eq!(
            (text.context_length, text.pad_token.as_deref(), text.cleaning),
            (context_length, Some(pad_token), cleaning),
            "{changes}"
        );
    }
    for (changes, reason) in [
        (
            json!({"padding_side": "left"}),
            "padding_side: \"right\" was expected, found \"left\"",
        ),
        (
            json!({"truncation_side": "left"}),
            "truncation_side: \"right\" was expected, found \"left\"",
        ),
        (
            json!({"split_special_tokens": true}),
            "split_special_tokens: special tokens spelled out in a text are not supported",
        ),
        (
            json!({"model_max_length": "long"}),
            "model_max_length: a number of tokens was expected, found \"long\"",
        ),
        (
            json!({"model_max_length": 0}),
            "model_max_length: a number of tokens was expected, found 0",
        ),
        (json!({"pad_token": 3}), "pad_token: 3 is not a token"),
        (json!({"add_eos_token": true}), "eos_token: is not there, but add_eos_token is true"),
        (
            json!({"do_lower_case": "yes"}),
            "do_lower_case: true or false was expected, found \"yes\"",
        ),
    ] {
        assert_eq!(read(&changes).unwrap_err(), reason);
    }
}

#[test]
fn an_immich_folder_is_understood() {
    for (preprocess, text_cfg, image, padding, cleaning) in [
        (json!({}), json!({}), crop(224), Padding::RealLength, TextCleaning::Lower),
        (
            json!({"size": 224, "resize_mode": null, "interpolation": null, "mode": null}),
            json!({"pool_type": "argmax", "tokenizer_kwargs": {"strip_sep_token": false, "language": null}}),
            crop(224),
            Padding::RealLength,
            TextCleaning::Lower,
        ),
        // CLIPA, except for the token that it strips.
        (
            json!({"interpolation": "random"}),
            json!({"hf_tokenizer_name": "bert-base-uncased", "pool_type": "eos", "eos_id": 2}),
            crop(224),
            Padding::RealLength,
            TextCleaning::Whitespace,
        ),
        // MobileCLIP2: CLIP's tokenizer, but a tower that is not causal.
        (
            json!({"mean": 0.4, "std": 0.2}),
            json!({"no_causal_mask": true, "tokenizer_kwargs": {"clean": "whitespace"}}),
            crop(224),
            Padding::ToContext,
            TextCleaning::Whitespace,
        ),
        // CoCa.
        (
            json!({}),
            json!({"embed_cls": true}),
            crop(224),
            Padding::ToContext,
            TextCleaning::Lower,
        ),
        (
            json!({"size": 256, "resize_mode": "squash"}),
            json!({"no_causal_mask": true, "pool_type": "last", "tokenizer_kwargs": {"clean": "canonicalize"}}),
            squash(256),
            Padding::ToContext,
            TextCleaning::Canonicalise,
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        immich(folder.path());
        write_json(
            &folder.path().join("visual/preprocess_cfg.json"),
            &changed(immich_preprocess(), &preprocess),
        );
        write_json(&folder.path().join("config.json"), &json!({"embed_dim": 512, "text_cfg": text_cfg}));
        let model = ModelFolder::open(folder.path()).unwrap();
        assert_eq!(
            (model.layout, model.image, model.text.padding, model.text.cleaning),
            (Layout::Immich, image, padding, cleaning)
        );
        assert_eq!((model.text.context_length, model.text.pad_token.as_deref()), (77, Some("!")));
    }
}

#[test]
fn what_immich_files_say_and_scened_cannot_do_is_refused() {
    for (file, changes, reason) in [
        (
            "visual/preprocess_cfg.json",
            json!({"resize_mode": "longest"}),
            "resize_mode: shortest or squash was expected, found longest",
        ),
        (
            "visual/preprocess_cfg.json",
            json!({"size": [224, 320]}),
            "size: a crop that is not square is not supported",
        ),
        (
            "visual/preprocess_cfg.json",
            json!({"interpolation": "nearest"}),
            "interpolation: bicubic or bilinear was expected, found nearest",
        ),
        (
            "visual/preprocess_cfg.json",
            json!({"mode": "L"}),
            "mode: RGB was expected, found L",
        ),
        ("visual/preprocess_cfg.json", json!({"mean": null}), "mean: is not there"),
        (
            "config.json",
            json!({"text_cfg": {"hf_model_name": "xlm-roberta-base"}}),
            "text_cfg.hf_model_name: text towers from another model (XLM-R, NLLB, …) are not supported",
        ),
        (
            "config.json",
            json!({"text_cfg": null}),
            "text_cfg: is not there, so that nothing is known of the text tower",
        ),
        (
            "config.json",
            json!({"text_cfg": {"tokenizer_kwargs": {"strip_sep_token": true}}}),
            "text_cfg.tokenizer_kwargs.strip_sep_token: true is not supported",
        ),
        (
            "config.json",
            json!({"text_cfg": {"tokenizer_kwargs": {"tokenizer_mode": "clips"}}}),
            "text_cfg.tokenizer_kwargs.tokenizer_mode: \"clips\" is not supported",
        ),
        (
            "config.json",
            json!({"text_cfg": {"tokenizer_kwargs": {"clean": "heavy"}}}),
            "text_cfg.tokenizer_kwargs.clean: \"heavy\" is not known",
        ),
        (
            "textual/tokenizer_config.json",
            json!({"padding_side": "left"}),
            "padding_side: \"right\" was expected, found \"left\"",
        ),
        (
            "config.json",
            json!({"text_cfg": {"pool_type": "middle"}}),
            "text_cfg.pool_type: \"middle\" is not known",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        immich(folder.path());
        let path = folder.path().join(file);
        let before: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        write_json(&path, &changed(before, &changes));
        let error = ModelFolder::open(folder.path()).unwrap_err();
        assert_eq!(error.to_string(), format!("{}: {reason}", path.display()));
    }
}

#[test]
fn a_missing_file_is_named_with_what_to_do() {
    type Maker = fn(&Path);
    for (make, missing, named) in [
        (hugging_face as Maker, "onnx/text_model.onnx", "onnx/text_model.onnx"),
        (hugging_face, "onnx/vision_model.onnx", "onnx/vision_model.onnx"),
        (hugging_face, "tokenizer.json", "tokenizer.json"),
        (hugging_face, "preprocessor_config.json", "preprocessor_config.json"),
        (immich, "visual/model.onnx", "visual/model.onnx"),
        (immich, "textual/model.onnx", "textual/model.onnx"),
        (immich, "visual/preprocess_cfg.json", "visual/preprocess_cfg.json"),
        (immich, "textual/tokenizer_config.json", "textual/tokenizer_config.json"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        make(folder.path());
        fs::remove_file(folder.path().join(missing)).unwrap();
        let error = ModelFolder::open(folder.path()).unwrap_err();
        assert_eq!(error.to_string(), format!("model folder {} lacks {named}", folder.path().display()));
        assert!(error.hint().contains("again"), "{}", error.hint());
    }
    let folder = tempfile::tempdir().unwrap();
    let error = ModelFolder::open(folder.path()).unwrap_err();
    assert!(matches!(error, ModelError::NotAModel { .. }), "{error}");
    let error = ModelFolder::open(&folder.path().join("gone")).unwrap_err();
    assert!(matches!(error, ModelError::NotAModel { .. }), "{error}");
}

#[test]
fn files_that_are_no_json_or_name_another_family_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    hugging_face(folder.path());
    for (content, reason) in [
        ("{", "is damaged: it is not JSON"),
        ("[]", "(whole file): an object was expected"),
        ("{}", "model_type: is not there"),
        (r#"{"model_type": 3}"#, "model_type: a text was expected, found 3"),
        (
            r#"{"model_type": "blip"}"#,
            "model_type: \"blip\" is not known (clip and siglip are)",
        ),
        (
            r#"{"model_type": "siglip2"}"#,
            "model_type: \"siglip2\" is the NaFlex variant, which takes patches; SigLIP 2 of a fixed resolution says \"siglip\"",
        ),
        (
            r#"{"model_type": "chinese_clip"}"#,
            "model_type: \"chinese_clip\" is not known (clip and siglip are)",
        ),
        (
            r#"{"model_type": "clip", "projection_dim": -1}"#,
            "projection_dim: a whole number from 1 to 65535 was expected, found -1",
        ),
        (r#"{"model_type": "clip", "scened": {"name": 4}}"#, "scened.name: 4 is not a name"),
    ] {
        write(&folder.path().join("config.json"), content.as_bytes());
        let error = ModelFolder::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("config.json") && error.ends_with(reason), "{content} gave {error}");
    }
}

#[test]
fn the_precision_follows_the_files_and_both_towers_have_the_same() {
    let folder = tempfile::tempdir().unwrap();
    hugging_face(folder.path());
    let onnx = |name: &str| folder.path().join("onnx").join(name);
    let exact = ModelFolder::open(folder.path()).unwrap();
    fs::rename(onnx("text_model.onnx"), onnx("text_model_quantized.onnx")).unwrap();
    let error = ModelFolder::open(folder.path()).unwrap_err().to_string();
    assert!(error.ends_with("lacks onnx/text_model.onnx"), "{error}");
    fs::rename(onnx("vision_model.onnx"), onnx("vision_model_quantized.onnx")).unwrap();
    let quantized = ModelFolder::open(folder.path()).unwrap();
    assert_eq!((exact.precision, quantized.precision), (Precision::Fp32, Precision::Int8));
    assert_ne!(exact.id, quantized.id);
}

#[test]
fn the_id_follows_the_bytes_and_not_the_place() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("a/model"), folder.path().join("b/model"));
    hugging_face(&first);
    hugging_face(&second);
    let id = |path: &Path| ModelFolder::open(path).unwrap().id;
    assert_eq!(id(&first), id(&second));
    for (file, content) in [
        ("onnx/text_model.onnx", "tExt"),
        ("onnx/vision_model.onnx_data", "weights outside"),
        ("tokenizer.json", "{ }"),
        (
            "preprocessor_config.json",
            &changed(clip_processor(), &json!({"resample": 2})).to_string(),
        ),
    ] {
        let before = id(&second);
        write(&second.join(file), content.as_bytes());
        assert_ne!(before, id(&second), "{file}");
    }
    let mut big = vec![7_u8; 1 << 20];
    write(&first.join("onnx/vision_model.onnx"), &big);
    let before = id(&first);
    big[(1 << 20) - 1] = 8;
    write(&first.join("onnx/vision_model.onnx"), &big);
    assert_ne!(before, id(&first), "the last byte of a big file");
}

#[test]
fn another_crop_is_another_model_and_the_models_own_way_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let (clip, siglip) = (folder.path().join("clip"), folder.path().join("siglip"));
    hugging_face(&clip);
    hugging_face(&siglip);
    write_json(
        &siglip.join("preprocessor_config.json"),
        &changed(
            clip_processor(),
            &json!({"do_center_crop": false, "size": {"height": 64, "width": 64}, "image_mean": [0.5, 0.5, 0.5]}),
        ),
    );
    for (path, crop, resize, ending) in [
        (&clip, Crop::Auto, ResizeMode::TwoCrops, "-two"),
        (&clip, Crop::Two, ResizeMode::TwoCrops, "-two"),
        (&clip, Crop::Reference, ResizeMode::ShortestSideCrop, ""),
        (&clip, Crop::Squash, ResizeMode::Squash, "-squash"),
        (&clip, Crop::Letterbox, ResizeMode::Letterbox, "-letterbox"),
        (&siglip, Crop::Auto, ResizeMode::Squash, ""),
        (&siglip, Crop::Reference, ResizeMode::Squash, ""),
        (&siglip, Crop::Squash, ResizeMode::Squash, ""),
        (&siglip, Crop::Two, ResizeMode::TwoCrops, "-two"),
    ] {
        let opened = ModelFolder::open(path).unwrap();
        let shown = opened.clone().with_crop(crop);
        assert_eq!(shown.id.0, format!("{}{ending}", opened.id), "{crop:?}");
        assert_eq!(shown.image, ImageSpec { resize, ..opened.image }, "{crop:?}");
        assert_eq!(shown.clone().with_crop(crop), shown, "{crop:?}");
        assert_eq!(shown.with_crop(Crop::Reference), opened, "{crop:?}");
        assert_eq!(crop.name().parse(), Ok(crop));
    }
    assert!("centre".parse::<Crop>().is_err());
}

#[test]
fn names_find_their_folder_and_the_first_place_wins() {
    let folder = tempfile::tempdir().unwrap();
    let (own, installed) = (folder.path().join("own"), folder.path().join("installed"));
    hugging_face(&own.join("clip"));
    immich(&installed.join("clip"));
    immich(&installed.join("folder-name"));
    write_json(
        &installed.join("folder-name/config.json"),
        &json!({"embed_dim": 8, "text_cfg": {}, "scened": {"name": "starter", "logit_scale": 14.0}}),
    );
    write(&installed.join("broken/config.json"), b"{");
    write(&installed.join("no-model/readme.txt"), b"");
    let dirs = [own.clone(), folder.path().join("missing"), installed.clone()];

    let found = find_models(&dirs);
    let named: Vec<_> = found
        .iter()
        .map(|m| m.as_ref().map(|m| m.name.as_str()).map_err(|e| e.path().unwrap().to_owned()))
        .collect();
    assert_eq!(named, [Ok("clip"), Err(installed.join("broken/config.json")), Ok("starter")]);

    assert_eq!(resolve("clip", &dirs).unwrap().layout, Layout::HuggingFace);
    let starter = resolve("starter", &dirs).unwrap();
    assert!(starter.is_starter && starter.extra["logit_scale"] == 14.0);
    assert_eq!(resolve("folder-name", &dirs).unwrap(), starter);
    assert_eq!(
        resolve(installed.join("clip").to_str().unwrap(), &dirs).unwrap().layout,
        Layout::Immich
    );
    let error = resolve("clap", &dirs).unwrap_err();
    assert_eq!(error.to_string(), "no model is named \"clap\" (there are: clip, starter)");
    assert!(matches!(resolve("broken", &dirs), Err(ModelError::Json { .. })));
    assert!(matches!(resolve("", &dirs), Err(ModelError::Unknown { .. })));
}
