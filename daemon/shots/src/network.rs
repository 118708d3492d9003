//! A small convolutional network over time that takes one row after another.
//!
//! It has four layers: three convolutions with ReLU over five rows each, the last of them over every other row, then a layer for each row
//! alone. The answer about a row comes [`DELAY`] rows later. Each layer's output for a row is computed only once.
//!
//! **Source** of the weights: `daemon/shots/training/train.py`.

use std::array;

/// Number of rows by which the answer about a row is late.
pub const DELAY: usize = 8;
const TAPS: usize = 5;
const DILATIONS: [usize; 3] = [1, 1, 2];
/// Limit for standardised inputs; beyond it they carry no more information.
const LIMIT: f32 = 6.0;

/// Number of channels between the layers.
const HIDDEN: [usize; 3] = [24, 24, 16];

/// A network with `IN` numbers in a row and `OUT` answers, each a probability.
#[derive(Debug)]
pub struct Network<const IN: usize, const OUT: usize> {
    mean: Vec<f32>,
    scale: Vec<f32>,
    layers: [Layer; 3],
    /// **Shape**: `[OUT, 16]`, then `[OUT]`.
    head: Vec<f32>,
    n_pushed: usize,
}

/// A convolution over the last rows.
#[derive(Debug)]
struct Layer {
    n_in: usize,
    n_out: usize,
    dilation: usize,
    /// **Shape**: `[TAPS, n_in, n_out]`, so that the inner loop reads neighbouring weights.
    weights: Vec<f32>,
    bias: Vec<f32>,
    /// The last `(TAPS − 1) × dilation + 1` inputs, one after another.
    ring: Vec<f32>,
    at: usize,
    output: Vec<f32>,
}

/// Returns how many weights a network has.
pub const fn n_weights(n_in: usize, n_out: usize) -> usize {
    let [a, b, c] = HIDDEN;
    2 * n_in + TAPS * (n_in * a + a * b + b * c) + a + b + c + c * n_out + n_out
}

impl<const IN: usize, const OUT: usize> Network<IN, OUT> {
    /// Builds a network from [`n_weights`] weights in the order of the training script: means and reciprocal deviations of the inputs, each
    /// convolution's weights `[TAPS, in, out]` and biases, the head's weights `[out, in]` and biases.
    pub fn new(weights: &[f32]) -> Self {
        debug_assert_eq!(weights.len(), n_weights(IN, OUT));
        let mut rest = weights;
        let mut take = |n: usize| {
            let (head, tail) = rest.split_at(n);
            rest = tail;
            head.to_vec()
        };
        let mean = take(IN);
        let scale = take(IN);
        let mut n_in = IN;
        let layers = array::from_fn(|n| {
            let n_out = HIDDEN[n];
            let layer = Layer {
                n_in,
                n_out,
                dilation: DILATIONS[n],
                weights: take(TAPS * n_in * n_out),
                bias: take(n_out),
                ring: vec![0.0; ((TAPS - 1) * DILATIONS[n] + 1) * n_in],
                at: 0,
                output: vec![0.0; n_out],
            };
            n_in = n_out;
            layer
        });
        let head = take(OUT * HIDDEN[2] + OUT);
        Self {
            mean,
            scale,
            layers,
            head,
            n_pushed: 0,
        }
    }

    /// Takes the next row, and returns the answer about the row [`DELAY`] back, if there is one. The first row also serves as the rows
    /// before it.
    pub fn push(&mut self, row: &[f32; IN]) -> Option<[f32; OUT]> {
        let mut input = [0.0; IN];
        for (n, value) in input.iter_mut().enumerate() {
            *value = ((row[n] - self.mean[n]) * self.scale[n]).clamp(-LIMIT, LIMIT);
        }
        if self.n_pushed == 0 {
            for _ in 0..DELAY {
                self.step(&input);
            }
        }
        self.step(&input);
        self.n_pushed += 1;
        (self.n_pushed > DELAY).then(|| self.answer())
    }

    fn step(&mut self, input: &[f32]) {
        let [first, second, third] = &mut self.layers;
        first.step(input);
        second.step(&first.output);
        third.step(&second.output);
    }

    fn answer(&self) -> [f32; OUT] {
        let features = &self.layers[2].output;
        let (weights, bias) = self.head.split_at(OUT * HIDDEN[2]);
        array::from_fn(|out| {
            let row = &weights[out * HIDDEN[2]..(out + 1) * HIDDEN[2]];
            let sum: f32 = row.iter().zip(features).map(|(weight, value)| weight * value).sum();
            1.0 / (1.0 + (-(sum + bias[out])).exp())
        })
    }
}

impl Layer {
    fn step(&mut self, input: &[f32]) {
        let rows = self.ring.len() / self.n_in;
        self.ring[self.at * self.n_in..][..self.n_in].copy_from_slice(input);
        self.output.copy_from_slice(&self.bias);
        for tap in 0..TAPS {
            // The oldest row is just behind the newest in the ring.
            let row = (self.at + 1 + tap * self.dilation) % rows;
            let values = &self.ring[row * self.n_in..][..self.n_in];
            let weights = self.weights[tap * self.n_in * self.n_out..][..self.n_in * self.n_out].chunks_exact(self.n_out);
            for (value, weights) in values.iter().zip(weights) {
                for (sum, weight) in self.output.iter_mut().zip(weights) {
                    *sum += value * weight;
                }
            }
        }
        for value in &mut self.output {
            *value = value.max(0.0);
        }
        self.at = (self.at + 1) % rows;
    }
}
