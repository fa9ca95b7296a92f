//! The Pythons with LiveKit's packages.

use crate::install::venv::Venv;

/// The packages of the official clients and workers.
pub(super) const SDK: Venv = Venv {
    name: "python-pinned",
    what: "LiveKit's Python SDK",
    pins: include_str!("pins/python.txt"),
    nameable: true,
};

/// The newest client.
pub(super) const SDK_1_2: Venv = Venv {
    name: "python12-pinned",
    what: "LiveKit's Python SDK 1.2",
    pins: include_str!("pins/python12.txt"),
    nameable: false,
};

#[cfg(test)]
mod tests {
    use super::*;

    /// Including dependencies and packages for other systems.
    #[test]
    fn every_package_has_one_version() {
        let lists =
            [(SDK, include_str!("pins/python.in"), 50), (SDK_1_2, include_str!("pins/python12.in"), 4)];
        for (Venv { name: file, pins, .. }, wanted, at_least) in lists {
            for package in wanted.lines().filter(|line| !line.starts_with('#')) {
                assert!(pins.lines().any(|line| line == package), "{package} is not in {file}");
            }
            assert!(pins.lines().count() > at_least, "{file}");
            for line in pins.lines() {
                let (package, _) = line.split_once(" ; ").unwrap_or((line, ""));
                let (name, version) =
                    package.split_once("==").unwrap_or_else(|| panic!("{line} has no version"));
                let plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c));
                assert!(plain(name) && plain(version) && !version.is_empty(), "{line}");
            }
        }
    }
}
