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
