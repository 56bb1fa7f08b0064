use burn::tensor::Device;

use crate::LlamaError;

/// The device of a name: `cpu`, or `cuda:0` where CUDA is compiled in.
///
/// # Errors
///
/// Where the name is not known, or this program was built without that device.
pub fn device(name: &str) -> Result<Device, LlamaError> {
    let fail =
        |reason: &str| LlamaError::Device { name: name.to_owned(), reason: reason.to_owned() };
    match name.split_once(':').unwrap_or((name, "0")) {
        ("cpu", "0") => Ok(Device::flex()),
        ("cuda", index) => {
            let index = index.parse().map_err(|_| fail("the part after cuda: must be a number"))?;
            cuda(index).map_err(fail)
        }
        _ => Err(fail("not known; use cpu, or cuda:0 for the first GPU")),
    }
}

/// The features of this processor by which the kernels here and Burn's matrix products choose their
/// instructions; none where there is nothing to choose. Machines that differ in them round sums
/// differently, and the same work gives other bytes.
pub fn cpu_features() -> Vec<&'static str> {
    #[cfg(target_arch = "x86_64")]
    {
        macro_rules! detected {
            ($($feature:tt)*) => {
                [$(($feature, std::arch::is_x86_feature_detected!($feature))),*]
            };
        }
        let known = detected!(
            "sse4.2" "popcnt" "avx" "avx2" "bmi1" "bmi2" "fma" "lzcnt"
            "avx512f" "avx512bw" "avx512cd" "avx512dq" "avx512vl" "avx512fp16"
        );
        known.into_iter().filter_map(|(feature, is_there)| is_there.then_some(feature)).collect()
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        Vec::new()
    }
}

#[cfg(feature = "cuda")]
fn cuda(index: usize) -> Result<Device, &'static str> {
    // Burn panics where there is no driver: look for it first.
    if !std::path::Path::new("/dev/nvidiactl").exists() {
        return Err("no NVIDIA driver on this machine; use cpu");
    }
    Ok(Device::cuda(index))
}

#[cfg(not(feature = "cuda"))]
fn cuda(_index: usize) -> Result<Device, &'static str> {
    Err("this program was built without CUDA: build it with --features cuda, or use cpu")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        assert!(device("cpu").is_ok());
        let message = device("gpu").unwrap_err().to_string();
        assert!(message.contains("\"gpu\": not known; use cpu"), "{message}");
        assert!(device("cuda:first").unwrap_err().to_string().contains("must be a number"));
        #[cfg(not(feature = "cuda"))]
        assert!(device("cuda:0").unwrap_err().to_string().contains("built without CUDA"));
    }
}
