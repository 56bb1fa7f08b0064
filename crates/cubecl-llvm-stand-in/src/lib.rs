//! Stands in for `cubecl-llvm`: the types that `cubecl-cuda` names, and nothing behind them.
//!
//! `cubecl-cuda` has two ways to compile a kernel: CUDA C++ through NVRTC, and LLVM. It depends on
//! both unconditionally, and the build script of the LLVM one downloads LLVM. This workspace
//! enables cubecl's `cuda-cpp` feature, which chooses the first; nothing here is then called. If
//! something is called after all, it fails with a message that says what to enable.

use std::fmt;

use cubecl_core::ir::nvidia::SmArch;
use cubecl_environment::backtrace::BackTrace;
use cubecl_runtime::compiler::{CompilationError, Compiler};
use cubecl_runtime::kernel::{BufferIOAttr, KernelDefinition};

use nvptx::ptx_version::PtxVersion;

/// Names of NVIDIA's intermediate language.
pub mod nvptx {
    /// Versions of that language.
    pub mod ptx_version {
        /// A version of PTX. There is none: only the LLVM way needs one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum PtxVersion {}

        impl PtxVersion {
            /// The version for a driver: none, which cubecl takes for "leave it to the compiler".
            #[must_use]
            pub fn for_driver(_driver: i32) -> Option<Self> {
                None
            }
        }

        impl std::fmt::Display for PtxVersion {
            fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match *self {}
            }
        }
    }
}

/// What the targets have in common.
pub mod shared {
    /// What a device may advertise.
    pub mod lowered_features {
        use cubecl_core::ir::DeviceProperties;

        /// Whose features.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum GpuTarget {
            /// NVIDIA's.
            Nvptx,
        }

        /// Takes nothing away: cubecl asks only where it would compile through LLVM, and no kernel
        /// compiles there.
        pub fn restrict_features(_properties: &mut DeviceProperties, _target: GpuTarget) {}
    }
}

/// What code is made for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LlvmTarget {
    /// NVIDIA GPUs.
    #[default]
    Nvptx,
}

/// A compiler that compiles nothing.
#[derive(Clone, Debug, Default)]
pub struct PlironCompiler {
    /// What it would make code for.
    pub target: LlvmTarget,
}

/// What cubecl would tell the compiler.
#[derive(Clone, Debug, Default)]
pub struct PlironOptions {
    /// An AMD architecture; cubecl-cuda has none.
    pub arch: Option<NoArchitecture>,
    /// An NVIDIA architecture.
    pub sm_arch: Option<SmArch>,
    /// A version of PTX.
    pub ptx_version: Option<PtxVersion>,
    /// Whether parameters are passed as grid constants.
    pub grid_constants: bool,
    /// What other targets need: nothing here.
    pub others: (),
}

/// An architecture that does not exist.
#[derive(Clone, Copy, Debug)]
pub enum NoArchitecture {}

/// A compiled module for NVIDIA GPUs. None is ever made.
#[derive(Clone, Debug)]
pub struct NvptxModule {
    /// The code, ending in NUL.
    pub ptx: Vec<std::ffi::c_char>,
    /// The kernel's symbol.
    pub entrypoint: String,
    /// The code as text.
    pub ir: String,
    /// Shared memory of a launch, in bytes.
    pub shared_memory_size: usize,
    /// How each buffer is used.
    pub io: Vec<BufferIOAttr>,
}

/// What the compiler would make.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum PlironArtifact {
    /// A module for NVIDIA GPUs.
    NvptxCode(NvptxModule),
}

impl fmt::Display for PlironArtifact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::NvptxCode(module) = self;
        f.write_str(&module.ir)
    }
}

impl Compiler for PlironCompiler {
    type Representation = PlironArtifact;
    type CompilationOptions = PlironOptions;

    fn compile(
        &mut self,
        _kernel: KernelDefinition,
        _options: &PlironOptions,
    ) -> Result<PlironArtifact, CompilationError> {
        Err(CompilationError::Generic {
            reason: "this build has no LLVM (crates/cubecl-llvm-stand-in): enable cubecl's \
                     feature `cuda-cpp`, which compiles kernels through NVRTC"
                .to_owned(),
            backtrace: BackTrace::capture(),
        })
    }

    fn extension(&self) -> &'static str {
        "ll"
    }

    fn lang_tag(&self) -> &'static str {
        "llvm"
    }
}
