//! Decides which execution providers are tried, in which order, and why others are not.

use std::num::NonZero;

use ort::ep::{self, ExecutionProvider as _, ExecutionProviderDispatch};
use scened_common::embed::report::ProviderReport;

/// A provider that the configuration can name. Every build has the code for all of them. Whether one works depends on the library and the
/// machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Provider {
    Cpu,
    Cuda,
    TensorRt,
    MiGraphX,
    Rocm,
    DirectMl,
    CoreMl,
    OpenVino,
    Xnnpack,
}

/// Providers that `auto` tries if the library has them. TensorRT is missing because it builds for minutes at each start. OpenVINO is
/// missing because on a processor it is half as fast as ONNX Runtime's own kernels and takes three times as long to load (measured).
/// XNNPACK is missing because it is made for phones.
const AUTOMATIC: [Provider; 5] = [
    Provider::Cuda,
    Provider::MiGraphX,
    Provider::Rocm,
    Provider::DirectMl,
    Provider::CoreMl,
];

const ALL: [Provider; 9] = [
    Provider::Cpu,
    Provider::Cuda,
    Provider::TensorRt,
    Provider::MiGraphX,
    Provider::Rocm,
    Provider::DirectMl,
    Provider::CoreMl,
    Provider::OpenVino,
    Provider::Xnnpack,
];

impl Provider {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::TensorRt => "tensorrt",
            Self::MiGraphX => "migraphx",
            Self::Rocm => "rocm",
            Self::DirectMl => "directml",
            Self::CoreMl => "coreml",
            Self::OpenVino => "openvino",
            Self::Xnnpack => "xnnpack",
        }
    }

    /// Returns whether it computes in the memory of an NVIDIA card.
    pub(super) fn is_nvidia(self) -> bool {
        matches!(self, Self::Cuda | Self::TensorRt)
    }

    /// Returns its registration. A failure is an error, so that we decide on the fallback and show it. `memory_limit_bytes` limits a card's
    /// memory.
    pub(super) fn dispatch(self, threads: usize, memory_limit_bytes: Option<usize>) -> ExecutionProviderDispatch {
        match self {
            // Without the arena, each run allocates tens of megabytes from the system again. This costs a quarter of an int8 model's speed,
            // and fragments the heap by more than the arena keeps (tests/bench/embed.py).
            Self::Cpu => ep::CPU::default().with_arena_allocator(true).build(),
            Self::Cuda => {
                let cuda = ep::CUDA::default()
                    .with_arena_extend_strategy(ep::ArenaExtendStrategy::SameAsRequested)
                    .with_conv_algorithm_search(ep::cuda::ConvAlgorithmSearch::Heuristic);
                match memory_limit_bytes {
                    Some(bytes) => cuda.with_memory_limit(bytes).build(),
                    None => cuda.build(),
                }
            }
            Self::TensorRt => {
                let tensorrt = ep::TensorRT::default();
                match memory_limit_bytes {
                    Some(bytes) => tensorrt.with_max_workspace_size(bytes).build(),
                    None => tensorrt.build(),
                }
            }
            Self::MiGraphX => ep::MIGraphX::default().build(),
            Self::Rocm => ep::ROCm::default()
                .with_arena_extend_strategy(ep::ArenaExtendStrategy::SameAsRequested)
                .build(),
            Self::DirectMl => ep::DirectML::default().build(),
            Self::CoreMl => ep::CoreML::default().build(),
            Self::OpenVino => ep::OpenVINO::default().build(),
            Self::Xnnpack => match NonZero::new(threads) {
                Some(threads) => ep::XNNPACK::default().with_intra_op_num_threads(threads).build(),
                None => ep::XNNPACK::default().build(),
            },
        }
        .error_on_failure()
    }

    /// Returns whether the loaded library was built with it.
    fn is_in_library(self) -> bool {
        let found = match self {
            Self::Cpu => return true,
            Self::Cuda => ep::CUDA::is_available(),
            Self::TensorRt => ep::TensorRT::is_available(),
            Self::MiGraphX => ep::MIGraphX::is_available(),
            Self::Rocm => ep::ROCm::is_available(),
            Self::DirectMl => ep::DirectML::is_available(),
            Self::CoreMl => ep::CoreML::is_available(),
            Self::OpenVino => ep::OpenVINO::is_available(),
            Self::Xnnpack => ep::XNNPACK::is_available(),
        };
        found.unwrap_or(false)
    }

    /// Returns where to get a library with it, for a user whose library lacks it.
    fn library(self) -> &'static str {
        match self {
            Self::Cpu => "every library",
            Self::Cuda | Self::TensorRt => "the library of the package onnxruntime-gpu",
            Self::MiGraphX => "AMD's library (package onnxruntime-migraphx)",
            Self::Rocm => "AMD's library before version 1.23 (package onnxruntime-rocm)",
            Self::DirectMl => "on Windows the library of the package onnxruntime-directml",
            Self::CoreMl => "the library for macOS",
            Self::OpenVino => "Intel's library (package onnxruntime-openvino)",
            Self::Xnnpack => "a library that was built with --use_xnnpack",
        }
    }

    /// Returns what it needs besides such a library, for the message when it fails.
    pub(super) fn needs(self) -> &'static str {
        match self {
            Self::Cuda => "it needs an NVIDIA card, its driver, and the CUDA and cuDNN libraries that this ONNX Runtime was built for",
            Self::TensorRt => "it needs what cuda needs, and TensorRT's libraries",
            Self::MiGraphX | Self::Rocm => "it needs an AMD card and ROCm of the version that this ONNX Runtime was built for",
            Self::OpenVino => "it needs OpenVINO's libraries where the system finds them (LD_LIBRARY_PATH)",
            Self::Cpu | Self::DirectMl | Self::CoreMl | Self::Xnnpack => "it cannot run this model here",
        }
    }
}

/// Returns the providers to try, and those that cannot be tried with the reason. The CPU is added at the end if it was not named, because
/// it always works.
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
        let named = ALL.into_iter().find(|provider| provider.name() == name);
        let failed = match named {
            None if name == "auto" => {
                AUTOMATIC.into_iter().filter(|p| is_in_library(*p)).for_each(&mut add);
                continue;
            }
            None => "no execution provider has this name".to_owned(),
            Some(provider) if is_in_library(provider) => {
                add(provider);
                continue;
            }
            Some(provider) => format!(
                "this ONNX Runtime was built without it; {} has it, and `onnxruntime` in config.toml names a library",
                provider.library()
            ),
        };
        report.failed.push((name.clone(), failed));
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
        use Provider::{CoreMl, Cpu, Cuda, OpenVino, TensorRt, Xnnpack};
        check(&["auto"], &[], &[Cpu], &[]);
        check(&["auto"], &[Cuda], &[Cuda, Cpu], &[]);
        check(&["auto"], &[CoreMl], &[CoreMl, Cpu], &[]);
        check(&["auto"], &[Xnnpack, OpenVino, TensorRt, Cuda], &[Cuda, Cpu], &[]);
        check(&["openvino", "auto"], &[OpenVino], &[OpenVino, Cpu], &[]);
        check(&["cuda", "cpu"], &[Cuda], &[Cuda, Cpu], &[]);
        check(&["cuda", "cpu"], &[], &[Cpu], &["cuda"]);
        check(&["cpu", "cuda"], &[Cuda], &[Cpu, Cuda], &[]);
        check(&["tensorrt", "auto"], &[Cuda, TensorRt], &[TensorRt, Cuda, Cpu], &[]);
        check(&["tensorrt", "Cuda"], &[Cuda], &[Cpu], &["tensorrt", "Cuda"]);
        check(&[], &[Cuda], &[Cpu], &[]);
    }

    #[test]
    fn every_name_of_the_configuration_is_known() {
        let names: Vec<&str> = ALL.iter().map(|provider| provider.name()).collect();
        for name in scened_common::providers::PROVIDERS {
            assert!(*name == "auto" || names.contains(name), "{name}");
        }
        assert_eq!(scened_common::providers::PROVIDERS.len(), ALL.len() + 1);
    }
}
