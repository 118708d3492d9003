//! Which files of a repository make up a model: the two public layouts that the daemon reads.
//!
//! **Source** of the names: `daemon/common/src/embed/model/{hugging_face,immich}.rs`. The daemon is not linked, so the names are repeated
//! here. A test of `tests/e2e` installs both layouts and has the daemon use them.

use std::fmt;

use serde::Serialize;

/// Number format of a model's weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Exact, the largest
    Fp32,
    /// Half the size, for graphics cards
    Fp16,
    /// A quarter of the size, often faster on processors, not quite the same vectors
    Int8,
}

impl Precision {
    pub(crate) const ALL: [Self; 3] = [Self::Fp32, Self::Fp16, Self::Int8];

    /// Endings of the file names in the Hugging Face layout, in the daemon's order.
    fn endings(self) -> &'static [&'static str] {
        match self {
            Self::Fp32 => &[""],
            Self::Fp16 => &["_fp16"],
            Self::Int8 => &["_int8", "_quantized"],
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fp32 => "fp32",
            Self::Fp16 => "fp16",
            Self::Int8 => "int8",
        })
    }
}

/// Layout of a model's folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// `config.json`, `preprocessor_config.json`, `tokenizer.json` and `onnx/`.
    HuggingFace,
    /// `config.json`, `visual/` and `textual/`.
    Immich,
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HuggingFace => "Hugging Face",
            Self::Immich => "Immich",
        })
    }
}

/// The files to fetch, small ones first: errors in them show before hundreds of megabytes have been downloaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Which of the two layouts it is.
    pub layout: Layout,
    /// Their paths in the repository or folder, which are also their paths in the model's folder.
    pub files: Vec<String>,
}

/// Why a list of files does not make up a model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoModel {
    /// The model is available, but in other precisions.
    #[error("the model is not there in {wanted}; it is there in {}", list(there))]
    Precision {
        /// The requested precision.
        wanted: Precision,
        /// The available precisions: at least one.
        there: Vec<Precision>,
    },
    /// Some files of a layout are present, others are missing.
    #[error("the {layout} layout is not complete: {} missing", missing.join(" and ") + if missing.len() == 1 { " is" } else { " are" })]
    Incomplete {
        /// Which of the two layouts it seems to be.
        layout: Layout,
        /// Names of files.
        missing: Vec<String>,
    },
    /// Neither of the two layouts.
    #[error("neither the Hugging Face layout nor the Immich layout is there{}", has.as_deref().map(|has| format!(", only {has}")).unwrap_or_default())]
    Foreign {
        /// What is there instead, in words.
        has: Option<String>,
    },
    /// The weights are spread over more files than any model has.
    #[error("its weights are in {n_data} files; at most {MAX_DATA} are allowed")]
    Scattered {
        /// Number of weight files next to the ONNX files.
        n_data: usize,
    },
}

fn list(precisions: &[Precision]) -> String {
    precisions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Weight files next to the two towers; an export has one per tower, or one per 2 GB.
const MAX_DATA: usize = 64;

const HUGGING_FACE: [&str; 3] = ["config.json", "preprocessor_config.json", "tokenizer.json"];
/// The file in which transformers 5 keeps the content of preprocessor_config.json; either one is enough.
const PROCESSOR: &str = "processor_config.json";
const HUGGING_FACE_OPTIONAL: [&str; 3] = [PROCESSOR, "tokenizer_config.json", "special_tokens_map.json"];
const IMMICH: [&str; 4] = [
    "config.json",
    "visual/preprocess_cfg.json",
    "textual/tokenizer_config.json",
    "textual/tokenizer.json",
];
const IMMICH_OPTIONAL: [&str; 1] = ["textual/special_tokens_map.json"];
const IMMICH_TOWERS: [&str; 2] = ["visual/model.onnx", "textual/model.onnx"];

fn towers(ending: &str) -> [String; 2] {
    ["vision", "text"].map(|tower| format!("onnx/{tower}_model{ending}.onnx"))
}

/// Chooses the files of one precision from all files of a repository.
pub(crate) fn choose(names: &[String], precision: Precision) -> Result<Choice, NoModel> {
    let has = |name: &str| names.iter().any(|n| n == name);
    let (layout, towers, required, optional): (_, _, &[&str], &[&str]) = if IMMICH_TOWERS.iter().any(|name| has(name)) {
        if precision != Precision::Fp32 {
            return Err(NoModel::Precision {
                wanted: precision,
                there: vec![Precision::Fp32],
            });
        }
        (Layout::Immich, IMMICH_TOWERS.map(str::to_owned), &IMMICH, &IMMICH_OPTIONAL)
    } else {
        (
            Layout::HuggingFace,
            hugging_face_towers(names, precision)?,
            &HUGGING_FACE,
            &HUGGING_FACE_OPTIONAL,
        )
    };
    let missing: Vec<String> = required
        .iter()
        .map(|name| (*name).to_owned())
        .chain(towers.iter().cloned())
        .filter(|name| !(has(name) || name == "preprocessor_config.json" && has(PROCESSOR)))
        .collect();
    if !missing.is_empty() {
        return Err(NoModel::Incomplete { layout, missing });
    }
    let n_data = names
        .iter()
        .filter(|name| towers.iter().any(|tower| is_external_data(name, tower)))
        .count();
    if n_data > MAX_DATA {
        return Err(NoModel::Scattered { n_data });
    }
    let small = required.iter().chain(optional).filter(|name| has(name));
    let mut files: Vec<String> = small.map(|name| (*name).to_owned()).collect();
    for tower in towers {
        let mut data: Vec<String> = names.iter().filter(|name| is_external_data(name, &tower)).cloned().collect();
        data.sort();
        files.push(tower);
        files.append(&mut data);
    }
    Ok(Choice { layout, files })
}

/// Chooses the files of `precision` and, if the repository has it, of the precision to benchmark against it on the user's machine.
pub(crate) fn choose_with_rival(names: &[String], precision: Precision) -> Result<(Choice, Option<Precision>), NoModel> {
    let mut choice = choose(names, precision)?;
    let rival = match precision {
        Precision::Fp32 => choose(names, Precision::Int8).ok(),
        Precision::Fp16 | Precision::Int8 => None,
    };
    let Some(rival) = rival else { return Ok((choice, None)) };
    for file in rival.files {
        if !choice.files.contains(&file) {
            choice.files.push(file);
        }
    }
    Ok((choice, Some(Precision::Int8)))
}

/// Returns whether a file holds weights outside the ONNX file: `model.onnx_data`, `model.onnx.data`, `model.onnx_data_1`, … next to it. A
/// `.part` is ours (`staging`).
fn is_external_data(name: &str, tower: &str) -> bool {
    name.strip_prefix(tower).is_some_and(|rest| {
        !rest.contains(['/', '\\']) && (rest.starts_with("_data") || rest.starts_with(".data")) && rest.strip_suffix(".part").is_none()
    })
}

/// Returns the largest size of a model's file, by its name. Settings and tokenizers take a few dozen megabytes; an ONNX file is one
/// protobuf.
pub(crate) fn most_bytes(name: &str) -> u64 {
    const JSON: u64 = 128 << 20;
    const PROTOBUF: u64 = 2 << 30;
    const WEIGHTS: u64 = 32 << 30;
    match name.rsplit_once('.') {
        Some((_, "json")) => JSON,
        Some((_, "onnx")) => PROTOBUF,
        _ => WEIGHTS,
    }
}

fn hugging_face_towers(names: &[String], precision: Precision) -> Result<[String; 2], NoModel> {
    let has = |name: &String| names.contains(name);
    let pair = |precision: Precision| {
        let pairs = precision.endings().iter().map(|ending| towers(ending));
        pairs.into_iter().find(|pair| pair.iter().all(has))
    };
    if let Some(pair) = pair(precision) {
        return Ok(pair);
    }
    let there: Vec<Precision> = Precision::ALL.into_iter().filter(|p| pair(*p).is_some()).collect();
    if !there.is_empty() {
        return Err(NoModel::Precision { wanted: precision, there });
    }
    let half = precision
        .endings()
        .iter()
        .map(|ending| towers(ending))
        .find(|pair| pair.iter().any(has));
    if let Some(half) = half {
        return Err(NoModel::Incomplete {
            layout: Layout::HuggingFace,
            missing: half.into_iter().filter(|name| !has(name)).collect(),
        });
    }
    Err(NoModel::Foreign { has: describe(names) })
}

/// Describes what the repository has instead of a usable model.
fn describe(names: &[String]) -> Option<String> {
    let any = |test: &dyn Fn(&str) -> bool| names.iter().any(|name| test(name));
    let ends = |ending: &'static str| move |name: &str| name.ends_with(ending);
    let mut found = Vec::new();
    if any(&|name| name == "onnx/model.onnx" || name == "model.onnx") {
        found.push("an ONNX export with both towers in one file");
    } else if any(&ends(".onnx")) {
        found.push("ONNX files with other names");
    }
    if any(&|name| name.ends_with("safetensors") || name.ends_with("pytorch_model.bin")) {
        found.push("PyTorch weights");
    }
    for (ending, what) in [
        (".h5", "TensorFlow weights"),
        (".msgpack", "Flax weights"),
        (".gguf", "GGUF weights"),
    ] {
        if any(&ends(ending)) {
            found.push(what);
        }
    }
    if any(&|name| name.contains(".mlpackage/") || name.contains(".mlmodelc/")) {
        found.push("Core ML packages");
    }
    (!found.is_empty()).then(|| found.join(" and "))
}

/// Returns all names that [`choose`] checks for. If a hub cannot list a repository, each of them is requested.
pub(crate) fn candidates() -> Vec<String> {
    let mut names: Vec<String> = HUGGING_FACE.iter().chain(&HUGGING_FACE_OPTIONAL).map(|n| (*n).to_owned()).collect();
    names.extend(IMMICH.iter().skip(1).chain(&IMMICH_OPTIONAL).map(|n| (*n).to_owned()));
    names.extend(all_towers());
    names
}

/// Returns the names of ONNX files among [`candidates`]; external weights may accompany those that exist.
pub(crate) fn all_towers() -> Vec<String> {
    let endings = Precision::ALL.iter().flat_map(|precision| precision.endings());
    let mut names: Vec<String> = endings.flat_map(|ending| towers(ending)).collect();
    names.extend(IMMICH_TOWERS.map(str::to_owned));
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    /// The files in the repository of transformers.js's CLIP, shortened.
    const XENOVA: [&str; 17] = [
        ".gitattributes",
        "README.md",
        "config.json",
        "merges.txt",
        "onnx/model.onnx",
        "onnx/model_quantized.onnx",
        "onnx/text_model.onnx",
        "onnx/text_model_fp16.onnx",
        "onnx/text_model_quantized.onnx",
        "onnx/vision_model.onnx",
        "onnx/vision_model_fp16.onnx",
        "onnx/vision_model_q4f16.onnx",
        "onnx/vision_model_quantized.onnx",
        "preprocessor_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.json",
    ];

    #[test]
    fn only_the_files_of_one_precision_are_chosen() {
        let small = ["config.json", "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json"];
        for (precision, ending) in [(Precision::Fp32, ""), (Precision::Fp16, "_fp16"), (Precision::Int8, "_quantized")] {
            let choice = choose(&names(&XENOVA), precision).unwrap();
            let mut expected = names(&small);
            expected.extend(towers(ending));
            assert_eq!((choice.layout, choice.files), (Layout::HuggingFace, expected), "{precision}");
        }
    }

    #[test]
    fn an_export_of_transformers_5_needs_no_second_file_of_settings() {
        let there: Vec<String> = names(&XENOVA)
            .into_iter()
            .map(|name| {
                if name == "preprocessor_config.json" {
                    PROCESSOR.to_owned()
                } else {
                    name
                }
            })
            .collect();
        let files = choose(&there, Precision::Fp32).unwrap().files;
        assert!(files.contains(&PROCESSOR.to_owned()), "{files:?}");
        assert!(!files.contains(&"preprocessor_config.json".to_owned()), "{files:?}");
    }

    #[test]
    fn weights_outside_come_with_their_tower_and_nothing_else_does() {
        let mut there = names(&XENOVA);
        there.extend(names(&[
            "onnx/vision_model.onnx_data",
            "onnx/vision_model.onnx_data_1",
            "onnx/text_model.onnx.data",
            "onnx/text_model_fp16.onnx_data",
            "onnx/text_model.onnx_data/../../x",
            "onnx/text_model.onnx.bak",
            "onnx/text_model.onnx.data.part",
        ]));
        let files = choose(&there, Precision::Fp32).unwrap().files;
        assert_eq!(
            files[4..],
            names(&[
                "onnx/vision_model.onnx",
                "onnx/vision_model.onnx_data",
                "onnx/vision_model.onnx_data_1",
                "onnx/text_model.onnx",
                "onnx/text_model.onnx.data"
            ])
        );
    }

    #[test]
    fn of_immichs_layout_only_the_onnx_files_are_chosen() {
        let there = names(&[
            "README.md",
            "config.json",
            "textual/fp16.armnn",
            "textual/model.onnx",
            "textual/rknpu/rk3588/model.rknn",
            "textual/special_tokens_map.json",
            "textual/tokenizer.json",
            "textual/tokenizer_config.json",
            "visual/model.armnn",
            "visual/model.onnx",
            "visual/preprocess_cfg.json",
            "visual/rknpu/rk3588/model.rknn",
        ]);
        let choice = choose(&there, Precision::Fp32).unwrap();
        assert_eq!(choice.layout, Layout::Immich);
        assert_eq!(
            choice.files,
            names(&[
                "config.json",
                "visual/preprocess_cfg.json",
                "textual/tokenizer_config.json",
                "textual/tokenizer.json",
                "textual/special_tokens_map.json",
                "visual/model.onnx",
                "textual/model.onnx"
            ])
        );
        let refused = choose(&there, Precision::Int8).unwrap_err();
        assert_eq!(refused.to_string(), "the model is not there in int8; it is there in fp32");
    }

    #[test]
    fn what_is_there_instead_is_said() {
        let check = |there: &[&str], precision, expected: &str| {
            assert_eq!(choose(&names(there), precision).unwrap_err().to_string(), expected, "{there:?}");
        };
        let foreign = |has: &str| format!("neither the Hugging Face layout nor the Immich layout is there{has}");
        check(
            &["config.json", "model.safetensors"],
            Precision::Fp32,
            &foreign(", only PyTorch weights"),
        );
        check(
            &["config.json", "onnx/model.onnx", "pytorch_model.bin", "tf_model.h5"],
            Precision::Fp32,
            &foreign(", only an ONNX export with both towers in one file and PyTorch weights and TensorFlow weights"),
        );
        check(
            &["visual.onnx", "textual.onnx"],
            Precision::Fp32,
            &foreign(", only ONNX files with other names"),
        );
        check(&["README.md"], Precision::Fp32, &foreign(""));
        check(
            &["config.json", "onnx/vision_model.onnx", "onnx/text_model_fp16.onnx"],
            Precision::Fp32,
            "the Hugging Face layout is not complete: onnx/text_model.onnx is missing",
        );
        check(
            &["onnx/vision_model.onnx", "onnx/text_model.onnx", "config.json"],
            Precision::Fp32,
            "the Hugging Face layout is not complete: preprocessor_config.json and tokenizer.json are missing",
        );
        check(
            &["onnx/vision_model.onnx", "onnx/text_model.onnx"],
            Precision::Fp16,
            "the model is not there in fp16; it is there in fp32",
        );
        check(
            &[
                "config.json",
                "visual/model.onnx",
                "textual/model.onnx",
                "textual/tokenizer.json",
                "visual/preprocess_cfg.json",
            ],
            Precision::Fp32,
            "the Immich layout is not complete: textual/tokenizer_config.json is missing",
        );
    }

    #[test]
    fn every_chosen_file_is_a_candidate() {
        let candidates = candidates();
        for precision in Precision::ALL {
            for file in choose(&names(&XENOVA), precision).unwrap().files {
                assert!(candidates.contains(&file), "{file}");
            }
        }
    }
}
