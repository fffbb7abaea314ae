//! How much memory the system can still give.

/// Bytes that can be taken without pushing out what other programs use: Linux says so, for the machine and for the control
/// group that a container is.
#[cfg(target_os = "linux")]
pub(super) fn memory() -> Option<u64> {
    let machine = meminfo(&std::fs::read_to_string("/proc/meminfo").ok()?)?;
    Some(group().map_or(machine, |group| group.min(machine)))
}

/// wasm's address space is 4 GiB, and never shrinks.
#[cfg(target_arch = "wasm32")]
pub(super) fn memory() -> Option<u64> {
    Some((1 << 32) - core::arch::wasm32::memory_size(0) as u64 * 65536)
}

#[cfg(not(any(target_os = "linux", target_arch = "wasm32")))]
pub(super) fn memory() -> Option<u64> {
    None
}

#[cfg(target_os = "linux")]
fn meminfo(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// What the process's own group has left, if it has a limit.
#[cfg(target_os = "linux")]
fn group() -> Option<u64> {
    let read = |name: &str| std::fs::read_to_string(format!("/sys/fs/cgroup/{name}")).ok()?.trim().parse::<u64>().ok();
    Some(read("memory.max")?.saturating_sub(read("memory.current")?))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn linux_tells() {
        let text = "MemTotal:  8 kB\nMemAvailable:    3 kB\n";
        assert_eq!(meminfo(text), Some(3072));
        assert_eq!(meminfo("MemAvailable: x kB"), None);
        assert!(memory().is_some_and(|bytes| bytes > 1 << 20));
    }
}
