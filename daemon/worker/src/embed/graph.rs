//! Selects the inputs and outputs of a session by name, type and shape.
//!
//! Exporters use different names (`pixel_values`, `image`; `input_ids`, `text`; `image_embeds`, `pooler_output`, `embedding`). Types and
//! ranks decide if a name alone does not. If nothing fits, the error says what was found.

use ort::session::Session;
use ort::value::{Outlet, TensorElementType};
use scened_common::embed::model::Head;

/// One input or output. **Shape**: -1 is an axis of any length.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Port {
    name: String,
    /// `None` if it is not a tensor.
    element: Option<TensorElementType>,
    shape: Vec<i64>,
}

impl Port {
    fn of(outlet: &Outlet) -> Self {
        Self {
            name: outlet.name().to_owned(),
            element: outlet.dtype().tensor_type(),
            shape: outlet.dtype().tensor_shape().map(|shape| shape.to_vec()).unwrap_or_default(),
        }
    }

    fn is_float(&self) -> bool {
        matches!(self.element, Some(TensorElementType::Float32 | TensorElementType::Float16))
    }

    fn is_integer(&self) -> bool {
        matches!(self.element, Some(TensorElementType::Int32 | TensorElementType::Int64))
    }

    /// Returns the length of an axis if the file fixes it.
    fn fixed(&self, axis: usize) -> Option<usize> {
        self.shape
            .get(axis)
            .copied()
            .and_then(|n| usize::try_from(n).ok())
            .filter(|n| *n > 0)
    }

    fn describe(&self) -> String {
        let element = self.element.map_or_else(|| "not a tensor".to_owned(), |e| e.to_string());
        let axes: Vec<_> = self
            .shape
            .iter()
            .map(|n| if *n < 0 { "?".to_owned() } else { n.to_string() })
            .collect();
        format!("{} ({element} [{}])", self.name, axes.join(", "))
    }
}

pub(super) fn inputs(session: &Session) -> Vec<Port> {
    session.inputs().iter().map(Port::of).collect()
}

pub(super) fn outputs(session: &Session) -> Vec<Port> {
    session.outputs().iter().map(Port::of).collect()
}

/// The input or output that was selected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) name: String,
    pub(super) element: TensorElementType,
}

impl Slot {
    fn of(port: &Port, element: TensorElementType) -> Self {
        Self {
            name: port.name.clone(),
            element,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct VisionGraph {
    pub(super) pixels: Slot,
    pub(super) output: Slot,
    /// Number of pictures in one run, if the file fixes it.
    pub(super) batch: Option<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TextGraph {
    pub(super) ids: Slot,
    pub(super) mask: Option<Slot>,
    pub(super) output: Slot,
    /// Number of texts in one run, if the file fixes it.
    pub(super) batch: Option<usize>,
    /// Whether a text may have fewer tokens than the context length.
    pub(super) may_be_short: bool,
}

/// Finds the input and output of a vision tower.
///
/// **Errors**: what was expected and what the file has, in words for the user.
pub(super) fn vision(inputs: &[Port], outputs: &[Port], head: Head, width_px: u32, height_px: u32) -> Result<VisionGraph, String> {
    let [pixels] = inputs else {
        return Err(format!("one input with pictures was expected, found {}", list(inputs)));
    };
    if !pixels.is_float() || pixels.shape.len() != 4 {
        return Err(format!(
            "the input should be pictures [n, 3, height, width], found {}",
            pixels.describe()
        ));
    }
    for (axis, expected) in [(1, 3), (2, height_px), (3, width_px)] {
        if pixels.fixed(axis).is_some_and(|n| n != expected as usize) {
            return Err(format!(
                "pictures of 3 × {height_px} × {width_px} are configured, but the file wants {}",
                pixels.describe()
            ));
        }
    }
    let output = output(outputs, head, &["image_embeds", "embedding", "image_embedding", "image_features"])?;
    Ok(VisionGraph {
        pixels: slot(pixels)?,
        output,
        batch: pixels.fixed(0),
    })
}

/// Finds the inputs and the output of a text tower.
///
/// **Errors**: what was expected and what the file has, in words for the user.
pub(super) fn text(inputs: &[Port], outputs: &[Port], head: Head, context_length: usize, always_full: bool) -> Result<TextGraph, String> {
    let named = |names: &[&str]| inputs.iter().find(|port| names.contains(&port.name.as_str()));
    let ids = match (named(&["input_ids", "text"]), inputs) {
        (Some(ids), _) => ids,
        (None, [only]) => only,
        (None, _) => return Err(format!("an input with token ids was expected, found {}", list(inputs))),
    };
    let mask = named(&["attention_mask"]);
    if let Some(other) = inputs.iter().find(|port| **port != *ids && Some(*port) != mask) {
        return Err(format!("the input {} is not known", other.describe()));
    }
    for port in [Some(ids), mask].into_iter().flatten() {
        if !port.is_integer() || port.shape.len() != 2 {
            return Err(format!("whole numbers [n, tokens] were expected, found {}", port.describe()));
        }
        if port.fixed(1).is_some_and(|n| n != context_length) {
            return Err(format!(
                "{context_length} tokens are configured, but the file wants {}",
                port.describe()
            ));
        }
    }
    if mask.is_some() && always_full {
        return Err("a text tower that sees its padding, with an attention_mask: which one counts is not known".to_owned());
    }
    let output = output(outputs, head, &["text_embeds", "embedding", "text_embedding", "text_features"])?;
    Ok(TextGraph {
        ids: slot(ids)?,
        mask: mask.map(slot).transpose()?,
        output,
        batch: ids.fixed(0),
        may_be_short: [Some(ids), mask].into_iter().flatten().all(|port| port.fixed(1).is_none()),
    })
}

/// Returns the output with the vectors: the one with a known name, or the only one with the shape of vectors.
fn output(outputs: &[Port], head: Head, names: &[&str]) -> Result<Slot, String> {
    const POOLED: &str = "pooler_output";
    let is_vectors = |port: &&Port| port.is_float() && port.shape.len() == 2;
    let find = |name: &str| outputs.iter().find(|port| port.name == name);
    let by_name = match head {
        Head::Projected => names.iter().find_map(|name| find(name)),
        Head::Pooled => find(POOLED).or_else(|| names.iter().find_map(|name| find(name))),
    };
    let mut candidates = outputs.iter().filter(is_vectors);
    let found = match (by_name, candidates.next(), candidates.next()) {
        (Some(port), ..) => port,
        (None, Some(only), None) if only.name == POOLED => {
            return Err(format!(
                "vectors after the projection were expected, found {}: this export left the projection out",
                only.describe()
            ));
        }
        (None, Some(only), None) => only,
        _ => return Err(format!("one output with vectors was expected, found {}", list(outputs))),
    };
    if !is_vectors(&found) {
        return Err(format!("vectors [n, components] were expected, found {}", found.describe()));
    }
    slot(found)
}

fn slot(port: &Port) -> Result<Slot, String> {
    let element = port
        .element
        .ok_or_else(|| format!("a tensor was expected, found {}", port.describe()))?;
    Ok(Slot::of(port, element))
}

fn list(ports: &[Port]) -> String {
    if ports.is_empty() {
        "none".to_owned()
    } else {
        ports.iter().map(Port::describe).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use TensorElementType::{Float16, Float32, Int32, Int64};

    fn port(name: &str, element: TensorElementType, shape: &[i64]) -> Port {
        Port {
            name: name.to_owned(),
            element: Some(element),
            shape: shape.to_vec(),
        }
    }

    #[test]
    fn pictures_and_vectors_are_found_under_every_exporters_names() {
        for (head, inputs, outputs, output, batch) in [
            (
                Head::Projected,
                vec![port("pixel_values", Float32, &[-1, -1, -1, -1])],
                vec![
                    port("last_hidden_state", Float32, &[-1, -1, 768]),
                    port("image_embeds", Float32, &[-1, 512]),
                ],
                "image_embeds",
                None,
            ),
            (
                Head::Pooled,
                vec![port("pixel_values", Float32, &[-1, 3, 64, 64])],
                vec![
                    port("last_hidden_state", Float32, &[-1, 196, 768]),
                    port("pooler_output", Float32, &[-1, 768]),
                ],
                "pooler_output",
                None,
            ),
            (
                Head::Projected,
                vec![port("image", Float32, &[1, 3, 64, 64])],
                vec![port("embedding", Float16, &[1, 512])],
                "embedding",
                Some(1),
            ),
            (
                Head::Projected,
                vec![port("x", Float16, &[-1, 3, 64, 64])],
                vec![port("y", Float32, &[-1, 512])],
                "y",
                None,
            ),
        ] {
            let graph = vision(&inputs, &outputs, head, 64, 64).unwrap();
            assert_eq!((graph.output.name.as_str(), graph.batch), (output, batch));
        }
    }

    #[test]
    fn texts_need_all_their_inputs_known() {
        let output = [port("text_embeds", Float32, &[-1, 512])];
        let ids = port("input_ids", Int64, &[-1, -1]);
        let graph = text(
            &[ids.clone(), port("attention_mask", Int64, &[-1, -1])],
            &output,
            Head::Projected,
            77,
            false,
        )
        .unwrap();
        assert!(graph.may_be_short && graph.mask.is_some());
        let graph = text(&[port("text", Int32, &[1, 77])], &output, Head::Projected, 77, true).unwrap();
        assert_eq!((graph.may_be_short, graph.batch, graph.ids.element), (false, Some(1), Int32));
        for (inputs, always_full, reason) in [
            (
                vec![ids.clone(), port("position_ids", Int64, &[-1, -1])],
                false,
                "the input position_ids (i64 [?, ?]) is not known",
            ),
            (
                vec![port("text", Int32, &[1, 64])],
                false,
                "77 tokens are configured, but the file wants text (i32 [1, 64])",
            ),
            (
                vec![port("input_ids", Float32, &[-1, -1])],
                false,
                "whole numbers [n, tokens] were expected, found input_ids (f32 [?, ?])",
            ),
            (vec![], false, "an input with token ids was expected, found none"),
        ] {
            assert_eq!(text(&inputs, &output, Head::Projected, 77, always_full).unwrap_err(), reason);
        }
        assert!(text(&[ids, port("attention_mask", Int64, &[-1, -1])], &output, Head::Projected, 77, true).is_err());
    }

    #[test]
    fn what_does_not_fit_is_refused_with_what_was_found() {
        let pixels = || vec![port("pixel_values", Float32, &[-1, 3, 224, 224])];
        let vectors = || vec![port("image_embeds", Float32, &[-1, 512])];
        for (inputs, outputs, reason) in [
            (
                pixels(),
                vectors(),
                "pictures of 3 × 64 × 64 are configured, but the file wants pixel_values (f32 [?, 3, 224, 224])",
            ),
            (vec![], vectors(), "one input with pictures was expected, found none"),
            (
                vec![port("pixel_values", Float32, &[-1, 3, 64, 64])],
                vec![port("last_hidden_state", Float32, &[-1, 50, 768])],
                "one output with vectors was expected, found last_hidden_state (f32 [?, 50, 768])",
            ),
            (
                vec![port("pixel_values", Float32, &[-1, 3, 64, 64])],
                vec![
                    port("last_hidden_state", Float32, &[-1, 50, 768]),
                    port("pooler_output", Float32, &[-1, 768]),
                ],
                "vectors after the projection were expected, found pooler_output (f32 [?, 768]): this export left the projection out",
            ),
            (
                vec![port("pixel_values", Float32, &[-1, 256, 768])],
                vectors(),
                "the input should be pictures [n, 3, height, width], found pixel_values (f32 [?, 256, 768])",
            ),
        ] {
            assert_eq!(vision(&inputs, &outputs, Head::Projected, 64, 64).unwrap_err(), reason);
        }
    }
}
