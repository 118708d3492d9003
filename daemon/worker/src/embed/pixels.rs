//! Converts pixels to the vision tower's tensor.

use scened_common::embed::model::PixelSpec;

/// One lookup table for each channel, since a byte has only 256 values. The tables are computed once, in f64.
pub(super) struct Normaliser {
    tables: [[f32; 256]; 3],
}

impl Normaliser {
    pub(super) fn new(spec: &PixelSpec) -> Self {
        let mut tables = [[0.0; 256]; 3];
        for (channel, table) in tables.iter_mut().enumerate() {
            let (rescale, mean, std) = (f64::from(spec.rescale), f64::from(spec.mean[channel]), f64::from(spec.std[channel]));
            for (value, entry) in table.iter_mut().enumerate() {
                *entry = ((value as f64 * rescale - mean) / std) as f32;
            }
        }
        Self { tables }
    }

    /// Appends one picture.
    ///
    /// **Shape**: `rgb` is `[height, width, 3]` u8; `[3, height, width]` is appended to `tensor`.
    pub(super) fn append(&self, rgb: &[u8], tensor: &mut Vec<f32>) {
        for (channel, table) in self.tables.iter().enumerate() {
            tensor.extend(rgb.chunks_exact(3).map(|pixel| table[usize::from(pixel[channel])]));
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use scened_common::embed::model::ModelFolder;

    use super::*;
    use crate::embed::golden;

    #[test]
    fn channels_are_separated_scaled_and_normalised() {
        let spec = PixelSpec {
            rescale: 1.0 / 255.0,
            mean: [0.0, 0.5, 1.0],
            std: [1.0, 0.5, 2.0],
        };
        let mut tensor = Vec::new();
        Normaliser::new(&spec).append(&[255, 0, 255, 0, 255, 0], &mut tensor);
        let expected = [1.0, 0.0, -1.0, 1.0, 0.0, -0.5];
        assert!(tensor.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{tensor:?}");
    }
    /// Returns the largest difference between picture 0's tensor and the reference's.
    fn largest_difference(model: &ModelFolder, golden: &golden::Golden) -> f32 {
        let picture = testkit::golden::picture(0, model.image.width_px, model.image.height_px);
        let mut tensor = Vec::new();
        Normaliser::new(&model.pixels).append(&picture, &mut tensor);
        let bytes = base64::engine::general_purpose::STANDARD.decode(&golden.pixels).unwrap();
        let reference: Vec<f32> = bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        assert_eq!(tensor.len(), reference.len(), "{}", model.name);
        tensor.iter().zip(&reference).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn tensors_are_those_of_the_reference_processors() {
        for (model, golden) in golden::tiny() {
            let largest = largest_difference(&model, &golden);
            assert!(largest <= 1e-6, "{}: {largest}", model.name);
        }
    }

    #[test]
    #[ignore = "needs the full-size models that `make check-long` makes with PyTorch"]
    fn full_size_tensors_are_those_of_the_reference_processors() {
        let (folder, models) = golden::full();
        let rows: Vec<_> = models
            .iter()
            .map(|(model, golden)| (model, largest_difference(model, golden)))
            .collect();
        let lines = rows.iter().map(|(model, largest)| format!("{}\t{largest:.1e}\n", model.name));
        std::fs::write(folder.join("pixels.tsv"), lines.collect::<String>()).unwrap();
        for (model, largest) in rows {
            assert!(largest <= 1e-6, "{}: {largest}", model.name);
        }
    }
}
