//! Converts text to token ids.

use std::path::Path;

use scened_common::embed::model::{Padding, TextCleaning, TextSpec};
use tokenizers::{Tokenizer, TruncationDirection, TruncationParams, TruncationStrategy};

use super::Refusal;
use super::cleaning::clean;

/// Shows whether a tokenizer lowers texts itself.
const ALPHABET: &str = "A B C D E F G H I J K L M N O P Q R S T U V W X Y Z";

/// The model's own tokenizer, with its start and end tokens.
#[derive(Debug)]
pub(super) struct TextTokenizer {
    tokenizer: Tokenizer,
    spec: TextSpec,
    /// `None` if neither file names one. This is fine as long as nothing must be padded.
    pad_id: Option<u32>,
}

/// Token ids of several texts, padded to one length.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tokens {
    /// **Shape**: `[n, length]`.
    pub(super) ids: Vec<u32>,
    /// **Shape**: `[n, length]`; 1 for a token of the text, 0 for padding.
    pub(super) mask: Vec<u32>,
    pub(super) length: usize,
}

impl TextTokenizer {
    pub(super) fn load(file: &Path, spec: &TextSpec) -> Result<Self, Refusal> {
        let refused =
            |why: String| Refusal::new(format!("the tokenizer {} cannot be used: {why}", file.display())).hint("download the model again");
        let mut tokenizer = Tokenizer::from_file(file).map_err(|error| refused(error.to_string()))?;
        let pad_id = match (&spec.pad_token, tokenizer.get_padding()) {
            (Some(token), _) => {
                let id = tokenizer.token_to_id(token);
                Some(id.ok_or_else(|| refused(format!("its vocabulary lacks the padding token {token:?}")))?)
            }
            (None, Some(padding)) => Some(padding.pad_id),
            (None, None) => None,
        };
        if spec.padding == Padding::ToContext && pad_id.is_none() {
            return Err(refused(
                "this model's texts must be padded, and no file names the padding token".to_owned(),
            ));
        }
        // The library's truncation leaves room for the start and end tokens, like the reference implementations that use it.
        let truncation = TruncationParams {
            direction: TruncationDirection::Right,
            max_length: spec.context_length,
            strategy: TruncationStrategy::LongestFirst,
            stride: 0,
        };
        tokenizer
            .with_truncation(Some(truncation))
            .map_err(|error| refused(error.to_string()))?;
        tokenizer.with_padding(None);
        let mut made = Self {
            tokenizer,
            spec: spec.clone(),
            pad_id,
        };
        if spec.cleaning == TextCleaning::LowerCase && made.ids(ALPHABET)? == made.ids(&ALPHABET.to_lowercase())? {
            made.spec.cleaning = TextCleaning::None;
        }
        if let Some(token) = &spec.end_token {
            let id = made.tokenizer.token_to_id(token);
            if id.is_none() || made.ids("")?.last() != id.as_ref() {
                return Err(refused(format!(
                    "it does not end a text with {token:?}, as tokenizer_config.json says"
                )));
            }
        }
        Ok(made)
    }

    /// Returns the ids of a cleaned text.
    fn ids(&self, cleaned: &str) -> Result<Vec<u32>, Refusal> {
        let encoding = self.tokenizer.encode_fast(cleaned, true);
        let encoding = encoding.map_err(|error| Refusal::new(format!("a text cannot be tokenized: {error}")))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Tokenizes `texts` and pads them to the context length, or to the longest text if the model and `may_be_short` (the session's axis)
    /// allow it.
    pub(super) fn tokenize(&self, texts: &[&str], may_be_short: bool) -> Result<Tokens, Refusal> {
        let mut rows = Vec::with_capacity(texts.len());
        for text in texts {
            rows.push(self.ids(&clean(text, self.spec.cleaning))?);
        }
        let longest = rows.iter().map(Vec::len).max().unwrap_or(0).max(1);
        let short = may_be_short && self.spec.padding == Padding::RealLength;
        let length = if short { longest } else { self.spec.context_length };
        let mut tokens = Tokens {
            ids: Vec::new(),
            mask: Vec::new(),
            length,
        };
        for row in rows {
            let n_missing = length.saturating_sub(row.len());
            let pad = match self.pad_id {
                Some(pad) => pad,
                // The row's own end token serves as padding: tokens after it change nothing in a causal tower.
                None if self.spec.padding == Padding::RealLength => row.last().copied().unwrap_or(0),
                None => return Err(Refusal::new("no file names the padding token")),
            };
            tokens
                .mask
                .extend(std::iter::repeat_n(1, row.len()).chain(std::iter::repeat_n(0, n_missing)));
            tokens.ids.extend(row.into_iter().chain(std::iter::repeat_n(pad, n_missing)));
        }
        Ok(tokens)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use scened_common::embed::model::ModelFolder;

    use super::*;
    use crate::embed::golden;

    fn tokenizer(model: &ModelFolder) -> TextTokenizer {
        TextTokenizer::load(&model.files.tokenizer, &model.text).unwrap()
    }

    /// Returns the texts whose ids differ from the reference's, with our ids.
    fn differing(model: &ModelFolder, golden: &golden::Golden) -> Vec<String> {
        let texts: Vec<&str> = golden.texts.iter().map(String::as_str).collect();
        let tokens = tokenizer(model).tokenize(&texts, false).unwrap();
        assert_eq!(tokens.length, golden.ids[0].len(), "{}", model.name);
        let rows = texts.iter().zip(tokens.ids.chunks_exact(tokens.length)).zip(&golden.ids);
        rows.filter(|((_, ours), reference)| ours != reference)
            .map(|((text, ours), _)| format!("{text:?} has {ours:?}"))
            .collect()
    }

    #[test]
    fn ids_are_those_of_the_reference_for_every_kind_of_tokenizer() {
        for (model, golden) in golden::tiny() {
            assert_eq!(differing(&model, &golden), Vec::<String>::new(), "{}", model.name);
        }
    }

    #[test]
    #[ignore = "needs the full-size models that `make check-long` makes with PyTorch"]
    fn full_size_ids_are_those_of_the_reference() {
        let (folder, models) = golden::full();
        let rows: Vec<_> = models
            .iter()
            .map(|(model, golden)| (model, golden, differing(model, golden)))
            .collect();
        let lines = rows
            .iter()
            .map(|(model, golden, differing)| format!("{}\t{} of {}\n", model.name, differing.len(), golden.texts.len()));
        std::fs::write(folder.join("ids.tsv"), lines.collect::<String>()).unwrap();
        for (model, _, differing) in rows {
            assert_eq!(differing, Vec::<String>::new(), "{}", model.name);
        }
    }

    /// Makes a model folder from the files of the real CLIP tokenizer. Its ONNX files are empty, and nothing opens them here.
    fn real_clip(files: &Path, folder: &Path) -> ModelFolder {
        for file in ["config.json", "preprocessor_config.json", "tokenizer_config.json", "tokenizer.json"] {
            std::fs::copy(files.join(file), folder.join(file)).unwrap();
        }
        std::fs::create_dir(folder.join("onnx")).unwrap();
        for file in ["onnx/vision_model.onnx", "onnx/text_model.onnx"] {
            std::fs::write(folder.join(file), []).unwrap();
        }
        ModelFolder::open(folder).unwrap()
    }

    /// Computes FNV-1a, 64 bits, over little-endian bytes, as tests/reference/strings.py does.
    fn hash(ids: &[u32]) -> u64 {
        let bytes = ids.iter().flat_map(|id| id.to_le_bytes());
        bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }

    #[test]
    fn two_thousand_texts_in_twenty_scripts_have_the_ids_of_clip() {
        let Some(files) = std::env::var_os("SCENED_TEST_CLIP") else {
            eprintln!("NOT TESTED: SCENED_TEST_CLIP is not set (the folder with the real CLIP tokenizer)");
            return;
        };
        let folder = tempfile::tempdir().unwrap();
        let tokenizer = tokenizer(&real_clip(&PathBuf::from(files), folder.path()));
        let lines = std::fs::read_to_string(golden::reference().join("clip_ids.tsv")).unwrap();
        let (mut n_texts, mut differ) = (0, Vec::new());
        for line in lines.lines().filter(|line| !line.starts_with('#')) {
            let (expected, text) = line.split_once('\t').unwrap();
            let text: String = serde_json::from_str(text).unwrap();
            let tokens = tokenizer.tokenize(&[&text], false).unwrap();
            assert_eq!(tokens.ids.len(), 77);
            if format!("{:016x}", hash(&tokens.ids)) != expected {
                differ.push(format!("{text:?} has {:?}", tokens.ids));
            }
            n_texts += 1;
        }
        assert!(n_texts >= 2000, "{n_texts} texts");
        assert!(differ.is_empty(), "{} of {n_texts} texts: {}", differ.len(), differ.join("\n"));
    }

    #[test]
    fn a_long_text_keeps_its_end_token() {
        for (model, _) in golden::tiny() {
            let tokenizer = tokenizer(&model);
            let [short, long] = ["", &"word ".repeat(200)].map(|text| tokenizer.tokenize(&[text], true).unwrap().ids);
            assert_eq!(long.len(), model.text.context_length, "{}", model.name);
            let end = if model.text.padding == Padding::RealLength {
                short[1]
            } else {
                short[0]
            };
            assert_eq!(long.last(), Some(&end), "{}", model.name);
        }
    }

    #[test]
    fn a_tokenizer_without_the_end_token_that_its_files_promise_is_refused() {
        let (mut model, _) = golden::tiny().into_iter().find(|(model, _)| model.name == "siglip2-hf").unwrap();
        for token in ["<bos>", "<nothing>"] {
            model.text.end_token = Some(token.to_owned());
            let refusal = TextTokenizer::load(&model.files.tokenizer, &model.text).unwrap_err();
            assert!(
                refusal.to_string().contains(&format!("does not end a text with {token:?}")),
                "{refusal}"
            );
        }
    }

    #[test]
    fn texts_are_lowered_only_where_the_tokenizer_does_not() {
        for (name, cleaning) in [
            ("siglip2-hf", TextCleaning::LowerCase),
            ("clip-hf", TextCleaning::None),
            ("siglip-hf", TextCleaning::None),
        ] {
            let (model, _) = golden::tiny().into_iter().find(|(model, _)| model.name == name).unwrap();
            assert_eq!(model.text.cleaning, TextCleaning::LowerCase, "{name}");
            assert_eq!(tokenizer(&model).spec.cleaning, cleaning, "{name}");
        }
    }
}
