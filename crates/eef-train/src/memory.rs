//! How much memory this process holds.

/// Bytes of main memory that this process holds now; `None` where the system does not tell.
#[cfg(target_os = "linux")]
pub(crate) fn resident_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    resident_pages(&statm)?.checked_mul(rustix::param::page_size() as u64)
}

/// Bytes of main memory that this process holds now; `None` where the system does not tell.
#[cfg(not(target_os = "linux"))]
pub(crate) fn resident_bytes() -> Option<u64> {
    None
}

/// The second number of `/proc/PID/statm`.
#[cfg(target_os = "linux")]
fn resident_pages(statm: &str) -> Option<u64> {
    statm.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_the_second_number() {
        assert_eq!(resident_pages("9000 250 30 1 0 80 0\n"), Some(250));
        assert_eq!(resident_pages("9000"), None);
        assert!(resident_bytes().is_some_and(|bytes| bytes > 100_000));
    }
}
