//! The least that a figure of `eval` may be: `r1=.25`.

/// A figure that `--at-least` can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Figure {
    R1,
    R5,
    R10,
    Map,
    FirstHitAuc,
    NoMatchAuc,
}

impl Figure {
    const ALL: [Self; 6] = [Self::R1, Self::R5, Self::R10, Self::Map, Self::FirstHitAuc, Self::NoMatchAuc];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::R1 => "r1",
            Self::R5 => "r5",
            Self::R10 => "r10",
            Self::Map => "map",
            Self::FirstHitAuc => "first-hit-auc",
            Self::NoMatchAuc => "no-match-auc",
        }
    }
}

/// The least that a figure may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Limit {
    pub(crate) figure: Figure,
    pub(crate) least: f64,
}

/// Parses `r1=.25`.
pub(crate) fn parse(text: &str) -> Result<Limit, String> {
    let names = || Figure::ALL.map(Figure::name).join(", ");
    let (name, least) = text
        .split_once('=')
        .ok_or_else(|| "give a figure and the least it may be, such as r1=.25".to_owned())?;
    let figure = Figure::ALL.into_iter().find(|figure| figure.name() == name);
    let figure = figure.ok_or_else(|| format!("there is no figure {name:?}; there are {}", names()))?;
    match least.parse() {
        Ok(least) if (0.0..=1.0).contains(&least) => Ok(Limit { figure, least }),
        _ => Err("give a number from 0 to 1 after the =".to_owned()),
    }
}
