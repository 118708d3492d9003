//! Maps HDR to SDR screens, and wide colours to screens with the common ones. Pure.
//!
//! Works on the few pixels of a picture that is already small, in linear light, with tables for everything except products.
//!
//! **Source**: SMPTE ST 2084 (PQ); ITU-R BT.2100-2 table 5 (HLG, its OOTF for 1000 nits); ITU-R BT.2390-10 section 5.4.1 (EETF); ITU-R
//! BT.2408 (203 nits for white); ITU-R BT.2087 (BT.2020 to BT.709).

use super::colour::{Gamut, Matrix3, Transfer};

/// Light of white paper in HDR, and the brightest light that remains after mapping. Nits.
const WHITE_NITS: f32 = 203.0;
/// Brightest light of a video that states none, and of the screen that HLG is made for. Nits.
pub(crate) const USUAL_PEAK_NITS: f32 = 1000.0;
const PQ_PEAK_NITS: f32 = 10_000.0;
/// Steps of a table. 4096 are finer than the 10 bits of a video.
const STEPS: usize = 4096;
/// The gamma of an SDR screen (BT.1886).
const SDR_GAMMA: f32 = 2.4;

/// The properties of a video that determine the mapping.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Mastering {
    pub(crate) transfer: Transfer,
    pub(crate) gamut: Gamut,
    /// The matrix from linear L, M and S to red, green and blue, if the values are L, M and S.
    pub(crate) lms: Option<Matrix3>,
    /// Brightest light of the video. Nits.
    pub(crate) peak_nits: f32,
}

/// Maps colours of one kind of video to those of an SDR screen.
pub(crate) struct ToneMap {
    mastering: Mastering,
    /// From value to light: nits for PQ, scene light for HLG, screen light (0 to 1) for SDR.
    to_light: Vec<f32>,
    /// From the fourth root of the brightest channel's light to the factor for all three channels.
    gains: Vec<f32>,
    /// From the fourth root of screen light to 8-bit values.
    to_value: Vec<u8>,
    /// The light that the gain table counts as 1.
    full_light: f32,
}

impl ToneMap {
    pub(crate) fn new(mastering: Mastering) -> Self {
        let peak_nits = match mastering.transfer {
            Transfer::Hlg => USUAL_PEAK_NITS,
            // A video that claims to be darker than any screen is wrong.
            _ => mastering.peak_nits.clamp(2.0 * WHITE_NITS, PQ_PEAK_NITS),
        };
        let table = |value: &dyn Fn(f32) -> f32| (0..STEPS).map(|step| value(step as f32 / (STEPS - 1) as f32)).collect::<Vec<_>>();
        let (to_light, full_light) = match mastering.transfer {
            Transfer::Pq => (table(&pq_to_nits), PQ_PEAK_NITS),
            Transfer::Hlg => (table(&hlg_to_scene), USUAL_PEAK_NITS),
            Transfer::Sdr => (table(&|value| value.powf(SDR_GAMMA)), 1.0),
            Transfer::Linear => (table(&|value| value), 1.0),
        };
        let gains = table(&|root: f32| {
            let nits = full_light * root.powi(4);
            match mastering.transfer {
                Transfer::Sdr | Transfer::Linear => 1.0,
                _ if nits > 0.0 => darken(nits, peak_nits) / (nits * WHITE_NITS),
                _ => 1.0 / WHITE_NITS,
            }
        });
        let to_screen = |light: f32| match mastering.transfer {
            Transfer::Sdr => light.powf(1.0 / SDR_GAMMA),
            _ => srgb(light),
        };
        let to_value = table(&|root: f32| 255.0 * to_screen(root.powi(4)) + 0.5);
        Self {
            mastering,
            to_light,
            gains,
            to_value: to_value.into_iter().map(|value| value as u8).collect(),
            full_light,
        }
    }

    pub(crate) fn is_for(&self, mastering: Mastering) -> bool {
        self.mastering == mastering
    }

    /// Maps one pixel. **Units**: values of the video from 0 to 1, red first; values outside are clamped.
    pub(crate) fn map(&self, rgb: [f32; 3]) -> [u8; 3] {
        let mut light = rgb.map(|value| self.to_light[step(value)]);
        if let Some(lms) = &self.mastering.lms {
            light = applied(lms, light).map(|light| light.max(0.0));
        }
        if self.mastering.transfer == Transfer::Hlg {
            let [r, g, b] = light;
            // The OOTF: the brighter a scene, the more its light grows.
            let scene = 0.2627 * r + 0.6780 * g + 0.0593 * b;
            let gain = USUAL_PEAK_NITS * scene.powf(0.2);
            light = light.map(|light| light * gain);
        }
        let brightest = light[0].max(light[1]).max(light[2]);
        let gain = self.gains[step((brightest / self.full_light).sqrt().sqrt())];
        light = light.map(|light| light * gain);
        if let Some(gamut) = self.mastering.gamut.to_common() {
            light = applied(&gamut, light);
        }
        light.map(|light| self.to_value[step(light.max(0.0).sqrt().sqrt())])
    }
}

fn applied(matrix: &Matrix3, [first, second, third]: [f32; 3]) -> [f32; 3] {
    matrix.map(|[a, b, c]| a * first + b * second + c * third)
}

fn step(value: f32) -> usize {
    (value.clamp(0.0, 1.0) * (STEPS - 1) as f32 + 0.5) as usize
}

pub(crate) fn pq_to_nits(value: f32) -> f32 {
    let power = value.powf(1.0 / 78.84375);
    PQ_PEAK_NITS * ((power - 0.835_937_5).max(0.0) / (18.851_562 - 18.6875 * power)).powf(1.0 / 0.159_301_76)
}

fn nits_to_pq(nits: f32) -> f32 {
    let power = (nits / PQ_PEAK_NITS).powf(0.159_301_76);
    ((0.835_937_5 + 18.851_562 * power) / (1.0 + 18.6875 * power)).powf(78.84375)
}

fn hlg_to_scene(value: f32) -> f32 {
    const A: f32 = 0.178_832_77;
    const B: f32 = 0.284_668_92;
    const C: f32 = 0.559_910_7;
    if value <= 0.5 {
        value * value / 3.0
    } else {
        (((value - C) / A).exp() + B) / 12.0
    }
}

fn srgb(light: f32) -> f32 {
    if light <= 0.003_130_8 {
        12.92 * light
    } else {
        1.055 * light.powf(1.0 / 2.4) - 0.055
    }
}

/// Applies the EETF of BT.2390: keeps dark values and compresses bright ones towards [`WHITE_NITS`]. Nits.
fn darken(nits: f32, peak_nits: f32) -> f32 {
    let peak = nits_to_pq(peak_nits);
    let target = nits_to_pq(WHITE_NITS) / peak;
    let knee = 1.5 * target - 0.5;
    let value = (nits_to_pq(nits) / peak).min(1.0);
    if value < knee {
        return nits;
    }
    let t = (value - knee) / (1.0 - knee);
    let (t2, t3) = (t * t, t * t * t);
    let bent = (2.0 * t3 - 3.0 * t2 + 1.0) * knee + (t3 - 2.0 * t2 + t) * (1.0 - knee) + (3.0 * t2 - 2.0 * t3) * target;
    pq_to_nits(bent * peak)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(transfer: Transfer, gamut: Gamut) -> ToneMap {
        ToneMap::new(Mastering {
            transfer,
            gamut,
            lms: None,
            peak_nits: USUAL_PEAK_NITS,
        })
    }

    #[test]
    fn light_goes_to_pq_and_back() {
        // **Source**: BT.2408 table 1: 203 nits are 58 % of PQ, 1000 nits are 75 %.
        for (nits, value) in [(203.0, 0.58), (1000.0, 0.75), (10_000.0, 1.0)] {
            assert!((nits_to_pq(nits) - value).abs() < 0.005, "{nits} nits: {}", nits_to_pq(nits));
            assert!((pq_to_nits(nits_to_pq(nits)) / nits - 1.0).abs() < 0.01, "{nits} nits");
        }
    }

    #[test]
    fn hdr_grey_stays_grey_grows_steadily_and_ends_in_white() {
        for transfer in [Transfer::Pq, Transfer::Hlg] {
            let map = map(transfer, Gamut::Bt2020);
            let greys: Vec<_> = (0..=100).map(|value| map.map([value as f32 / 100.0; 3])).collect();
            for pair in greys.windows(2) {
                assert!(pair[1][1] >= pair[0][1], "{transfer:?}: {pair:?}");
            }
            for [r, g, b] in &greys {
                assert!(r.abs_diff(*g) <= 1 && g.abs_diff(*b) <= 1, "{transfer:?}: {r} {g} {b}");
            }
            assert_eq!(greys[0], [0; 3]);
            assert!(greys[100][1] >= 254, "{transfer:?}: {:?}", greys[100]);
        }
    }

    #[test]
    fn paper_white_and_skin_end_where_sdr_has_them() {
        // **Source**: BT.2408 tables 1 and 2: reference white is 58 % of PQ and 75 % of HLG; light skin about 44 % and 50 %.
        for (transfer, white, skin) in [(Transfer::Pq, 0.58, 0.44), (Transfer::Hlg, 0.75, 0.50)] {
            let map = map(transfer, Gamut::Bt2020);
            let [white, ..] = map.map([white; 3]);
            let [skin, ..] = map.map([skin; 3]);
            assert!((190..=235).contains(&white), "{transfer:?}: white is {white}");
            assert!((100..=170).contains(&skin), "{transfer:?}: skin is {skin}");
        }
    }

    #[test]
    fn colours_that_both_screens_have_stay_themselves() {
        // The red of BT.709, expressed in BT.2020.
        let inverse = [0.6274_f32, 0.0691, 0.0164].map(|light| light.powf(1.0 / SDR_GAMMA));
        let [r, g, b] = map(Transfer::Sdr, Gamut::Bt2020).map(inverse);
        assert!(r >= 253 && g <= 12 && b <= 12, "{r} {g} {b}");
        assert_eq!(map(Transfer::Sdr, Gamut::Common).map([0.0, 0.5, 1.0]), [0, 128, 255]);
    }
}
