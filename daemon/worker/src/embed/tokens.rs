//! Text to token ids.

use std::path::Path;

use scened::embed::model::{Padding, TextSpec};
use tokenizers::{Tokenizer, TruncationDirection, TruncationParams, TruncationStrategy};

use super::Refusal;
use super::cleaning::clean;

/// The model's own tokenizer, with its start and end tokens.
#[derive(Debug)]
pub(super) struct TextTokenizer {
    tokenizer: Tokenizer,
    spec: TextSpec,
    /// `None` where neither file names one; fine as long as nothing must be filled up.
    pad_id: Option<u32>,
}

/// Token ids of several texts, all of one length.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tokens {
    /// **Shape**: `[n, length]`.
    pub(super) ids: Vec<u32>,
    /// **Shape**: `[n, length]`; 1 where a token is the text's, 0 where it fills up.
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
        // The library's truncation leaves room for start and end token, like the reference implementations that use it.
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
        Ok(Self {
            tokenizer,
            spec: spec.clone(),
            pad_id,
        })
    }

    /// Tokenizes `texts` and fills them up: to the context length, or to the longest where the model and `may_be_short`
    /// (the session's axis) allow it.
    pub(super) fn tokenize(&self, texts: &[&str], may_be_short: bool) -> Result<Tokens, Refusal> {
        let mut rows = Vec::with_capacity(texts.len());
        for text in texts {
            let cleaned = clean(text, self.spec.cleaning);
            let encoding = self.tokenizer.encode_fast(cleaned.as_ref(), true);
            let encoding = encoding.map_err(|error| Refusal::new(format!("a text cannot be tokenized: {error}")))?;
            rows.push(encoding.get_ids().to_vec());
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
                // A row's own end token: what follows it changes nothing in a causal tower.
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

    pub(super) fn context_length(&self) -> usize {
        self.spec.context_length
    }

    /// Whether every position must always be filled.
    pub(super) fn always_full(&self) -> bool {
        self.spec.padding == Padding::ToContext
    }
}
