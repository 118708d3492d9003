//! Tests whether a model can embed queries and frames: words and pictures go through it before it gets a library to embed.
//!
//! A folder may be complete, but a tower may be broken: another model's file under its name, weights that are all zero, a tokenizer that
//! reads every word as the same token. Days of embedding would then give an index that cannot be searched.

use std::time::Instant;

use scened_common::domain::{Embedding, Frame, ImageSpec};

use super::{EmbedError, Embedder};

/// Two texts that no model treats as the same.
const WORDS: [&str; 2] = ["a red circle", "two dogs on a street at night"];
/// Vectors nearer than this count as equal.
const SAME: f32 = 1.0 - 1e-6;

/// Embeds words and pictures with a model. Blocks while it is loaded.
///
/// **Errors**: those of the model; [`EmbedError::Unavailable`] says what is wrong with its vectors.
pub(crate) fn run(embedder: &dyn Embedder) -> Result<(), EmbedError> {
    let texts = words(embedder.embed_texts(&WORDS.map(str::to_owned)), embedder)?;
    let image = embedder.model().image;
    let pictures = embedder.embed_pictures(&[plain(&image), pattern(&image)]).map_err(in_words)?;
    check_vectors(&pictures, embedder.model().dimensions, "pictures")?;
    let (of_text, of_picture) = (texts[0].dimensions(), pictures[0].dimensions());
    if of_text != of_picture {
        return Err(unsound(&format!(
            "its vectors of texts have {of_text} components and those of pictures {of_picture}"
        )));
    }
    Ok(())
}

/// Embeds only words with a model. Waits for it until `deadline`.
pub(crate) fn check_words(embedder: &dyn Embedder, deadline: Instant) -> Result<(), EmbedError> {
    words(embedder.embed_texts_until(&WORDS.map(str::to_owned), deadline), embedder).map(drop)
}

fn words(texts: Result<Vec<Embedding>, EmbedError>, embedder: &dyn Embedder) -> Result<Vec<Embedding>, EmbedError> {
    let texts = texts.map_err(in_words)?;
    check_vectors(&texts, embedder.model().dimensions, "texts")?;
    Ok(texts)
}

/// Decides whether a model gives no usable vector even for a plain picture. If so, its failures are not the fault of a video.
pub(crate) fn is_blind(embedder: &dyn Embedder) -> bool {
    let image = embedder.model().image;
    matches!(
        embedder.embed_frames(&[plain(&image), pattern(&image)]),
        Err(EmbedError::Degenerate { .. })
    )
}

fn check_vectors(vectors: &[Embedding], dimensions: Option<usize>, what: &str) -> Result<(), EmbedError> {
    let [first, second] = vectors else {
        return Err(unsound(&format!("it gave {} vectors for two {what}", vectors.len())));
    };
    for vector in vectors {
        let n = vector.dimensions();
        if dimensions.is_some_and(|expected| expected != n) {
            return Err(unsound(&format!(
                "its vectors of {what} have {n} components, {dimensions:?} were expected"
            )));
        }
        let values = vector.as_slice();
        if values.iter().any(|value| !value.is_finite()) {
            return Err(unsound(&format!("its vectors of {what} hold what is no number")));
        }
        if n > 1 && values.iter().all(|value| value.total_cmp(&values[0]).is_eq()) {
            return Err(unsound(&format!("all components of its vectors of {what} are equal")));
        }
    }
    if first.dimensions() != second.dimensions() {
        return Err(unsound(&format!("its vectors of {what} differ in length")));
    }
    if first.cosine(second) >= SAME {
        return Err(unsound(&format!("it takes two different {what} for the same")));
    }
    Ok(())
}

fn unsound(what: &str) -> EmbedError {
    EmbedError::Unavailable {
        reason: format!("the model does not work: {what}"),
        hint: Some(HINT.to_owned()),
    }
}

fn in_words(error: EmbedError) -> EmbedError {
    match error {
        EmbedError::Degenerate { what } => unsound(&format!("it gives no usable vector for {what}")),
        error => error,
    }
}

const HINT: &str = "one of its files is damaged or belongs to another model: download the model again (scenectl model install)";

fn plain(image: &ImageSpec) -> Frame {
    picture(image, |_, _| [200, 30, 30])
}

/// Squares of three colours, which no tower treats as a plain picture.
fn pattern(image: &ImageSpec) -> Frame {
    picture(image, |x, y| match (x / 4 + y / 4) % 3 {
        0 => [20, 40, 220],
        1 => [240, 240, 240],
        _ => [10, 120, 40],
    })
}

fn picture(image: &ImageSpec, colour: impl Fn(u32, u32) -> [u8; 3]) -> Frame {
    let (width_px, height_px) = (image.width_px, image.height_px);
    let rgb = (0..height_px)
        .flat_map(|y| (0..width_px).map(move |x| (x, y)))
        .flat_map(|(x, y)| colour(x, y));
    Frame {
        time_ms: 0,
        width_px,
        height_px,
        rgb: rgb.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embed::{ModelInfo, ProviderReport};
    use crate::testing::embedder::FakeEmbedder;

    /// A model whose towers return what a test wants.
    struct Odd {
        sound: FakeEmbedder,
        texts: fn(Vec<Embedding>) -> Result<Vec<Embedding>, EmbedError>,
        pictures: fn(Vec<Embedding>) -> Result<Vec<Embedding>, EmbedError>,
    }

    impl Embedder for Odd {
        fn model(&self) -> ModelInfo {
            self.sound.model()
        }

        fn embed_texts(&self, texts: &[String]) -> Result<Vec<Embedding>, EmbedError> {
            (self.texts)(self.sound.embed_texts(texts)?)
        }

        fn embed_pictures(&self, pictures: &[Frame]) -> Result<Vec<Embedding>, EmbedError> {
            (self.pictures)(self.sound.embed_pictures(pictures)?)
        }

        fn embed_frames(&self, frames: &[Frame]) -> Result<Vec<Embedding>, EmbedError> {
            self.embed_pictures(frames)
        }

        fn provider(&self) -> Option<ProviderReport> {
            None
        }
    }

    type Tower = fn(Vec<Embedding>) -> Result<Vec<Embedding>, EmbedError>;

    const SOUND: Tower = Ok;
    const DEAF: Tower = |vectors| Ok(vec![vectors[0].clone(); vectors.len()]);
    const FLAT: Tower = |vectors| {
        let flat = Embedding::normalised(vec![1.0; vectors[0].dimensions()]).expect("it has a direction");
        Ok(vec![flat; vectors.len()])
    };
    const SHORT: Tower = |vectors| {
        let cut = |vector: &Embedding| Embedding::normalised(vector.as_slice()[1..].to_vec()).expect("it has a direction");
        Ok(vectors.iter().map(cut).collect())
    };
    const NO_NUMBER: Tower = |_| Err(EmbedError::Degenerate { what: "text 1".to_owned() });

    fn odd(texts: Tower, pictures: Tower) -> Result<(), EmbedError> {
        let sound = FakeEmbedder::default();
        run(&Odd { sound, texts, pictures })
    }

    #[test]
    fn a_model_that_works_passes_and_one_with_a_broken_tower_is_refused_in_words() {
        assert_eq!(odd(SOUND, SOUND), Ok(()));
        for (texts, pictures, says) in [
            (DEAF, SOUND, "two different texts"),
            (SOUND, DEAF, "two different pictures"),
            (FLAT, SOUND, "are equal"),
            (SHORT, SOUND, "components"),
            (SOUND, SHORT, "components"),
            (NO_NUMBER, SOUND, "no usable vector"),
            (SOUND, NO_NUMBER, "no usable vector"),
        ] {
            let Err(EmbedError::Unavailable { reason, hint }) = odd(texts, pictures) else {
                panic!("it passes: {says}");
            };
            assert!(reason.contains(says), "{reason} does not say {says:?}");
            assert!(hint.is_some());
        }
    }
}
