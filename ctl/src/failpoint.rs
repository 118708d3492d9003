//! Fail points: places where tests make the program panic, named by `SCENED_FAIL_POINT=name=panic`; release builds have none.

#[cfg(not(feature = "testing"))]
#[inline]
pub(crate) fn hit(_point: &'static str) {}

#[cfg(feature = "testing")]
pub(crate) fn hit(point: &'static str) {
    let asked = std::env::var("SCENED_FAIL_POINT").ok();
    assert!(
        asked.as_deref().and_then(|asked| asked.strip_suffix("=panic")) != Some(point),
        "fail point {point}"
    );
}
