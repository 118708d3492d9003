//! What happens to a text before the tokenizer.
//!
//! **Source**: `_clean_whitespace`, `_clean_lower` and `canonicalize_text` of open_clip's tokenizer.py (without ftfy and
//! HTML unescaping, which change nothing in a typed query).

use std::borrow::Cow;

use scened::embed::model::TextCleaning;

pub(super) fn clean(text: &str, cleaning: TextCleaning) -> Cow<'_, str> {
    match cleaning {
        TextCleaning::None => Cow::Borrowed(text),
        TextCleaning::Whitespace => Cow::Owned(join(text)),
        TextCleaning::Lower => Cow::Owned(join(text).to_lowercase()),
        TextCleaning::Canonicalise => {
            let kept: String = text
                .chars()
                .map(|c| if c == '_' { ' ' } else { c })
                .filter(|c| !c.is_ascii_punctuation())
                .collect();
            Cow::Owned(join(&kept.to_lowercase()))
        }
    }
}

/// Words with one blank between them.
fn join(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cleaned_as_the_model_was_trained() {
        for (cleaning, expected) in [
            (TextCleaning::None, " A dog's\t_ball_! "),
            (TextCleaning::Whitespace, "A dog's _ball_!"),
            (TextCleaning::Lower, "a dog's _ball_!"),
            (TextCleaning::Canonicalise, "a dogs ball"),
        ] {
            assert_eq!(clean(" A dog's\t_ball_! ", cleaning), expected, "{cleaning:?}");
        }
    }
}
