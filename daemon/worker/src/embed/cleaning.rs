//! Cleans a text before it goes to the tokenizer.
//!
//! **Source**: `basic_clean`, `_clean_whitespace`, `_clean_lower` and `canonicalize_text` of open_clip's tokenizer.py. They call ftfy's
//! `fix_text`, of which this has the steps that matter for a typed text: ligatures, wide and narrow letters, typographic quotes, control
//! characters, NFC. It leaves out HTML entities, and ftfy's guesses at texts in the wrong encoding.

use std::borrow::Cow;

use scened_common::embed::model::TextCleaning;
use tokenizers::NormalizedString;

pub(super) fn clean(text: &str, cleaning: TextCleaning) -> Cow<'_, str> {
    match cleaning {
        TextCleaning::None => Cow::Borrowed(text),
        // `str::to_lowercase` treats a Σ at the end of a word differently; tokenizers do not.
        TextCleaning::LowerCase => Cow::Owned(text.chars().flat_map(char::to_lowercase).collect()),
        TextCleaning::Whitespace => Cow::Owned(join(&plain(text))),
        TextCleaning::Lower => Cow::Owned(join(&plain(text)).to_lowercase()),
        TextCleaning::Canonicalise => {
            let kept: String = plain(text)
                .chars()
                .map(|c| if c == '_' { ' ' } else { c })
                .filter(|c| !c.is_ascii_punctuation())
                .collect();
            Cow::Owned(join(&kept.to_lowercase()))
        }
    }
}

/// Joins the words with one blank between them.
fn join(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Replaces unusual forms of letters and quotes by the usual ones, and removes control characters.
fn plain(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            // Ligatures, digraphs that are one character, wide ASCII, narrow kana and hangul, and the wide blank.
            'ﬀ'..='ﬄ' | 'ﬆ' | 'Ĳ' | 'ĳ' | 'ŉ' | '\u{1c4}'..='\u{1cc}' | '\u{1f1}'..='\u{1f3}' | '\u{ff01}'..='\u{ffef}' | '\u{3000}' =>
            {
                let mut parts = NormalizedString::from(letter.to_string());
                kept.push_str(parts.nfkc().get());
            }
            letter if is_control(letter) => {}
            letter => kept.push(letter),
        }
    }
    let mut plain = NormalizedString::from(kept.replace(is_single_quote, "'").replace(is_double_quote, "\""));
    plain.nfc().get().to_owned()
}

fn is_single_quote(letter: char) -> bool {
    matches!(letter, '\u{2bc}' | '\u{2018}'..='\u{201b}')
}

fn is_double_quote(letter: char) -> bool {
    matches!(letter, '\u{201c}'..='\u{201f}')
}

/// Returns whether this character controls a terminal or has no meaning. Tab, line feed, form feed and carriage return are white space.
fn is_control(letter: char) -> bool {
    matches!(
        letter,
        '\0'..='\u{8}' | '\u{b}' | '\u{e}'..='\u{1f}' | '\u{7f}' | '\u{206a}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffc}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cleaned_as_the_model_was_trained() {
        for (cleaning, expected) in [
            (TextCleaning::None, " A dog's\t_ball_! "),
            (TextCleaning::LowerCase, " a dog's\t_ball_! "),
            (TextCleaning::Whitespace, "A dog's _ball_!"),
            (TextCleaning::Lower, "a dog's _ball_!"),
            (TextCleaning::Canonicalise, "a dogs ball"),
        ] {
            assert_eq!(clean(" A dog's\t_ball_! ", cleaning), expected, "{cleaning:?}");
        }
    }

    #[test]
    fn letters_of_phones_and_documents_become_those_that_open_clip_trains_with() {
        for (typed, expected) in [
            ("can’t “see” it", "can't \"see\" it"),
            ("ﬁre ﬂag Ĳs ŉ", "fire flag IJs 'n"),
            ("ＣＬＩＰ，ｶﾞ\u{3000}x", "CLIP,ガ x"),
            ("bell\u{7}\u{feff} tab\tend\u{b}", "bell tab end"),
            ("cafe\u{301}", "café"),
        ] {
            assert_eq!(clean(typed, TextCleaning::Whitespace), expected);
            assert_eq!(clean(typed, TextCleaning::None), typed);
        }
    }

    #[test]
    fn a_sigma_at_the_end_of_a_word_is_lowered_as_each_reference_does() {
        assert_eq!(clean("ΟΔΟΣ", TextCleaning::LowerCase), "οδοσ");
        assert_eq!(clean("ΟΔΟΣ", TextCleaning::Lower), "οδος");
    }
}
