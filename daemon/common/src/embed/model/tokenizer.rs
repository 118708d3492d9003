//! Reads `tokenizer_config.json`, which accompanies the `tokenizer.json` that the worker reads.
//!
//! **Source**: `PreTrainedTokenizerBase` of transformers for the names and their meaning. Keys that only affect decoding
//! (`clean_up_tokenization_spaces`, `errors`) or repeat tokenizer.json (`added_tokens_decoder`) are ignored.

use serde_json::Value;

use super::document::{Document, length};
use super::{ModelError, TextCleaning};

/// Tokenizers made for Gemma. SigLIP 2 was trained with them on lower-case texts, but their tokenizer.json keeps the case. **Source**:
/// `Siglip2Tokenizer` of transformers.
const GEMMA: [&str; 4] = ["GemmaTokenizer", "GemmaTokenizerFast", "Siglip2Tokenizer", "Siglip2TokenizerFast"];

/// Checked values of one tokenizer_config.json.
pub(super) struct TokenizerConfig {
    pub(super) pad_token: Option<String>,
    pub(super) end_token: Option<String>,
    /// `None` if the file sets no limit that any text could reach.
    pub(super) max_tokens: Option<usize>,
    pub(super) cleaning: TextCleaning,
}

impl TokenizerConfig {
    pub(super) fn read(document: &Document) -> Result<Self, ModelError> {
        for side in ["padding_side", "truncation_side"] {
            if let Some(found) = document.text(side)?.filter(|found| found != "right") {
                return Err(document.refuse(side, format!("\"right\" was expected, found {found:?}")));
            }
        }
        if document.flag("split_special_tokens")? == Some(true) {
            return Err(document.refuse("split_special_tokens", "special tokens spelled out in a text are not supported"));
        }
        let class = document.text("tokenizer_class")?;
        let is_gemma = class.as_deref().is_some_and(|class| GEMMA.contains(&class));
        let lowers = document.flag("do_lower_case")?.unwrap_or(is_gemma);
        let end_token = if document.flag("add_eos_token")? == Some(true) {
            let token = token(document, "eos_token")?;
            Some(token.ok_or_else(|| document.refuse("eos_token", "is not there, but add_eos_token is true"))?)
        } else {
            None
        };
        Ok(Self {
            pad_token: token(document, "pad_token")?,
            end_token,
            max_tokens: max_tokens(document)?,
            cleaning: if lowers { TextCleaning::LowerCase } else { TextCleaning::None },
        })
    }
}

/// Returns a token, given as a string or as an object with `content`.
fn token(document: &Document, key: &str) -> Result<Option<String>, ModelError> {
    match document.value(key) {
        None => Ok(None),
        Some(Value::String(token)) => Ok(Some(token.clone())),
        Some(Value::Object(token)) if token.get("content").is_some_and(Value::is_string) => {
            Ok(token["content"].as_str().map(str::to_owned))
        }
        Some(other) => Err(document.refuse(key, format!("{other} is not a token"))),
    }
}

/// Returns `model_max_length`. transformers writes 10^30, as an integer or a float, for "no limit".
fn max_tokens(document: &Document) -> Result<Option<usize>, ModelError> {
    match document.value("model_max_length") {
        None => Ok(None),
        Some(value) if length(value).is_some() => Ok(length(value).map(|n| n as usize)),
        Some(value) if value.as_f64().is_some_and(|n| n > 65_535.0) => Ok(None),
        Some(other) => Err(document.refuse("model_max_length", format!("a number of tokens was expected, found {other}"))),
    }
}
