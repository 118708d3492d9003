//! Which execution providers are tried, in which order, and why others are not.

use ort::ep::{self, ExecutionProvider as _, ExecutionProviderDispatch};
use scened::embed::ProviderReport;

/// Names of ONNX Runtime's providers that this build has no code for.
const NOT_BUILT_IN: [&str; 9] = [
    "tensorrt", "openvino", "xnnpack", "directml", "rocm", "migraphx", "qnn", "cann", "webgpu",
];

/// A provider that this build can register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Provider {
    Cpu,
    Cuda,
    CoreMl,
}

impl Provider {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::CoreMl => "coreml",
        }
    }

    /// What registers it; fails loudly, so that falling back is our decision and is shown.
    pub(super) fn dispatch(self) -> ExecutionProviderDispatch {
        match self {
            // Without the arena each run takes tens of megabytes anew from the system, which costs a quarter of an int8 model's
            // speed, and fragments the heap by more than the arena keeps (tests/bench/embed.py).
            Self::Cpu => ep::CPU::default().with_arena_allocator(true).build(),
            Self::Cuda => ep::CUDA::default()
                .with_arena_extend_strategy(ep::ArenaExtendStrategy::SameAsRequested)
                .with_conv_algorithm_search(ep::cuda::ConvAlgorithmSearch::Heuristic)
                .build(),
            Self::CoreMl => ep::CoreML::default().build(),
        }
        .error_on_failure()
    }

    /// Whether the loaded library was built with it.
    fn is_in_library(self) -> bool {
        let found = match self {
            Self::Cpu => return true,
            Self::Cuda => ep::CUDA::is_available(),
            Self::CoreMl => ep::CoreML::is_available(),
        };
        found.unwrap_or(false)
    }
}

/// The providers to try and those that cannot be, with the reason. The CPU is always last: it always works.
pub(super) fn plan(wanted: &[String]) -> (Vec<Provider>, ProviderReport) {
    plan_with(wanted, Provider::is_in_library)
}

fn plan_with(wanted: &[String], is_in_library: impl Fn(Provider) -> bool) -> (Vec<Provider>, ProviderReport) {
    let mut order: Vec<Provider> = Vec::new();
    let mut report = ProviderReport::default();
    let mut add = |provider| {
        if !order.contains(&provider) {
            order.push(provider);
        }
    };
    for name in wanted {
        let mut fail = |reason: &str| report.failed.push((name.clone(), reason.to_owned()));
        match name.as_str() {
            "auto" => [Provider::Cuda, Provider::CoreMl]
                .into_iter()
                .filter(|p| is_in_library(*p))
                .for_each(&mut add),
            "cpu" => add(Provider::Cpu),
            "cuda" if is_in_library(Provider::Cuda) => add(Provider::Cuda),
            "cuda" => fail("this ONNX Runtime was built without CUDA; the library of the package onnxruntime-gpu has it"),
            "coreml" if is_in_library(Provider::CoreMl) => add(Provider::CoreMl),
            "coreml" => fail("this ONNX Runtime was built without CoreML"),
            other if NOT_BUILT_IN.contains(&other) => fail("this build of scened has no code for it"),
            _ => fail("no execution provider has this name"),
        }
    }
    add(Provider::Cpu);
    (order, report)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(wanted: &[&str], in_library: &[Provider], expected: &[Provider], failed: &[&str]) {
        let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
        let (order, report) = plan_with(&wanted, |p| p == Provider::Cpu || in_library.contains(&p));
        assert_eq!(order, expected, "{wanted:?}");
        assert_eq!(
            report.failed.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
            failed,
            "{wanted:?}"
        );
    }

    #[test]
    fn what_was_asked_for_is_tried_in_order_and_the_cpu_is_last() {
        use Provider::{CoreMl, Cpu, Cuda};
        check(&["auto"], &[], &[Cpu], &[]);
        check(&["auto"], &[Cuda], &[Cuda, Cpu], &[]);
        check(&["auto"], &[CoreMl], &[CoreMl, Cpu], &[]);
        check(&["cuda", "cpu"], &[Cuda], &[Cuda, Cpu], &[]);
        check(&["cuda", "cpu"], &[], &[Cpu], &["cuda"]);
        check(&["cpu", "cuda"], &[Cuda], &[Cpu, Cuda], &[]);
        check(&["tensorrt", "Cuda"], &[Cuda], &[Cpu], &["tensorrt", "Cuda"]);
        check(&[], &[Cuda], &[Cpu], &[]);
    }
}
