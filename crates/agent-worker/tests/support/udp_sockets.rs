//! The UDP sockets of this process: where its rooms wait for packets, and those of tests beside it.

use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};

/// Their addresses over loopback, as the kernel lists them.
pub(crate) fn of_this_process() -> Vec<SocketAddr> {
    let descriptors = fs::read_dir("/proc/self/fd").expect("Linux");
    let inodes: BTreeSet<String> = descriptors
        .filter_map(|entry| {
            let target = fs::read_link(entry.ok()?.path()).ok()?;
            Some(target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
        })
        .collect();
    let tables = ["/proc/self/net/udp", "/proc/self/net/udp6"]
        .map(|path| fs::read_to_string(path).unwrap_or_default());
    let lines = tables.iter().flat_map(|table| table.lines().skip(1));
    lines
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let port = u16::from_str_radix(fields.get(1)?.rsplit_once(':')?.1, 16).ok()?;
            inodes.contains(*fields.get(9)?).then(|| SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        })
        .collect()
}
