//! What processes have used of the processors.

use std::time::Duration;

/// Time on processors, user's and system's together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuTime {
    /// Of the workers that run now; what those before them used is not known any more.
    pub workers: Duration,
    /// Of this process, without its workers.
    pub this_process: Duration,
}

/// What a running process has used; `None` where the system does not say, as it does on Linux.
#[cfg(target_os = "linux")]
pub(super) fn of_process(pid: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let ticks = ticks(&stat)?;
    Some(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn of_process(_pid: u32) -> Option<Duration> {
    None
}

/// The ticks of a line of `/proc/PID/stat`: its fields 14 and 15. The second may hold anything.
#[cfg(target_os = "linux")]
fn ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some(next()? + next()?)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn times_of_processes_are_read() {
        let stat = "12 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 70 7 1 2 20 0";
        assert_eq!(ticks(stat), Some(77));
        assert_eq!(ticks("12 (a) S 1"), None);
        let before = of_process(std::process::id()).unwrap();
        let spent = std::time::Instant::now();
        while spent.elapsed() < Duration::from_millis(50) {}
        assert!(of_process(std::process::id()).unwrap() > before);
        // No process has this number: it is above every limit.
        assert_eq!(of_process(u32::MAX), None);
    }
}
