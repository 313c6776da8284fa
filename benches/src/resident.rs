//! How much memory this process has.

use std::{fs, io};

/// What of this process is in memory, in bytes.
///
/// # Errors
/// If the system does not tell.
pub fn resident_bytes() -> io::Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<f64>().ok());
    Ok(kib.ok_or_else(|| io::Error::other("/proc/self/status names no VmRSS"))? * 1024.0)
}
