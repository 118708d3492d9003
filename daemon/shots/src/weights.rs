//! The networks' weights, as `daemon/shots/training/train.py` wrote them: f32, little endian, those for cuts first.

use std::sync::LazyLock;

use crate::features::{N_CUT, N_GRADUAL};
use crate::network::n_weights;

const N_CUT_WEIGHTS: usize = n_weights(N_CUT, 1);
const N_GRADUAL_WEIGHTS: usize = n_weights(N_GRADUAL, 2);
static BYTES: &[u8; 4 * (N_CUT_WEIGHTS + N_GRADUAL_WEIGHTS)] = include_bytes!("../weights.bin");

static WEIGHTS: LazyLock<Vec<f32>> = LazyLock::new(|| BYTES.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect());

pub(crate) fn cut() -> &'static [f32] {
    &WEIGHTS[..N_CUT_WEIGHTS]
}

pub(crate) fn gradual() -> &'static [f32] {
    &WEIGHTS[N_CUT_WEIGHTS..]
}
