//! The table of suites: names, requirements and commands.

use anyhow::Result;

use super::cargo::Cargo;
use super::features;
use super::outcome::Outcome;
use super::settings::Settings;
use super::static_build;
use super::tools;
use crate::{api, codegen, deny, deploy, notices, packages, sim};

/// One kind of check.
pub(super) struct Suite {
    /// The name for `--suite`.
    pub(super) name: &'static str,
    /// The name in the summary.
    pub(super) title: &'static str,
    /// What is missing on this machine to run it, if anything. The argument is `strict`: CI may install what
    /// is missing.
    pub(super) missing: fn(bool) -> Option<String>,
    pub(super) run: Run,
}

/// What a suite runs, and when.
pub(super) enum Run {
    /// Before anything else, as it is quick.
    First(Check),
    /// Test programs: those without real tools, or (`real`) those with them.
    Programs { real: bool },
    /// Beside the test programs, one after another: cargo lets one command at a time use a target folder.
    Beside(Check),
    /// Beside these and the build, as it needs another folder, or that of the others only at its beginning.
    Apart(Check),
    /// As `Beside`, in the long run or if it is named, as it costs more than it finds.
    Long(Check),
}

pub(super) type Check = fn(Settings) -> Result<Outcome>;

/// A folder for what is compiled for other systems, so that these checks do not wait for others.
const OTHER_SYSTEMS: &str = "--target-dir=target/other-systems";

pub(super) const SUITES: &[Suite] = &[
    Suite {
        name: "fmt",
        title: "fmt",
        missing: |may_install| tools::lacks_component("fmt", "rustfmt", may_install),
        run: Run::First(|settings| Cargo::new(&["fmt", "--all", "--check"], settings).check()),
    },
    Suite {
        name: "codegen",
        title: "codegen",
        missing: |_| None,
        run: Run::First(|_| codegen::check().map(|()| Outcome::Ok)),
    },
    Suite {
        name: "notices",
        title: "notices",
        missing: |_| None,
        run: Run::First(|_| notices::check().map(|()| Outcome::Ok)),
    },
    Suite {
        name: "tests",
        // Nothing here needs a server, a client or the network.
        title: "unit and transcripts",
        missing: |_| None,
        run: Run::Programs { real: false },
    },
    Suite {
        name: "real",
        title: "real server",
        missing: tools::lacks_real_server,
        run: Run::Programs { real: true },
    },
    Suite {
        name: "examples",
        // The first command of a new user, which builds the crates with hardly any feature. Without
        // LIVEKIT_URL it needs no server.
        title: "quickstart",
        missing: |_| None,
        run: Run::Beside(|settings| {
            let cargo = Cargo::new(&["run", "--package", "quickstart"], settings);
            cargo
                .without_env(&["LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"])
                .check_without_warnings()
        }),
    },
    Suite {
        name: "doctests",
        title: "doc tests",
        missing: |_| None,
        run: Run::Beside(|settings| {
            let args = ["test", "--workspace", "--all-features", "--doc"];
            Cargo::linting(&args, settings).env("AGENT_TEST_REAL", "0").test()
        }),
    },
    Suite {
        name: "lints",
        title: "lints",
        missing: |may_install| tools::lacks_component("clippy", "clippy", may_install),
        run: Run::Beside(|settings| {
            // The compiler of the tests' build is clippy: what it has warned of is shown again, and only what
            // no test needs is compiled here.
            let args = ["build", "--workspace", "--all-features", "--all-targets"];
            Cargo::linting(&args, settings).check_without_warnings()
        }),
    },
    Suite {
        name: "features",
        // Everything else builds with all features.
        title: "fewer features",
        missing: |may_install| tools::lacks_component("clippy", "clippy", may_install),
        run: Run::Beside(features::check),
    },
    Suite {
        name: "libopus",
        // A workspace of its own, as its build needs cmake: the reference of Opus judges the default codec.
        title: "libopus judge",
        missing: tools::lacks_cmake,
        run: Run::Apart(|settings| {
            const PACKAGE: [&str; 2] = ["--manifest-path", "libopus/Cargo.toml"];
            let fmt = [&["fmt"], &PACKAGE[..], &["--check"]].concat();
            match Cargo::new(&fmt, settings).check()? {
                Outcome::Ok => {}
                failed => return Ok(failed),
            }
            // clippy compiles the tests, as it does in `cargo clippy`: what they depend on is compiled once.
            let test = [&["test"], &PACKAGE[..], &["--target-dir", "target/libopus"]].concat();
            Cargo::linting(&test, settings).env("RUSTFLAGS", "--deny warnings").test()
        }),
    },
    Suite {
        name: "deploy",
        // Checked, not run: there is no systemd, Kubernetes or container engine here.
        title: "files for deployment",
        missing: tools::lacks_deploy,
        run: Run::Apart(|_| deploy::check().map(|()| Outcome::Ok)),
    },
    Suite {
        name: "deny",
        // Licences, sources and bans of dependencies; known vulnerabilities are RELEASING.md's.
        title: "rules for dependencies",
        missing: tools::lacks_python,
        run: Run::Apart(|_| deny::check().map(|()| Outcome::Ok)),
    },
    Suite {
        name: "packages",
        // In the long run each crate is built from its package, without the others' sources.
        title: "packages",
        missing: |_| None,
        run: Run::Apart(|settings| packages::check(settings.long).map(|()| Outcome::Ok)),
    },
    Suite {
        name: "docs",
        title: "docs",
        missing: |_| None,
        run: Run::Beside(|settings| {
            // There are no examples, but for their sake cargo selects features as for tests: so the crates
            // that the lints have checked are not checked again.
            let targets = ["--lib", "--bins", "--examples"];
            let args = [&["doc", "--workspace", "--all-features", "--no-deps"], &targets[..]].concat();
            Cargo::new(&args, settings).env("RUSTDOCFLAGS", "--deny warnings").check()
        }),
    },
    Suite {
        name: "api",
        title: "public API",
        missing: |_| None,
        run: Run::Beside(|_| api::check().map(|()| Outcome::Ok)),
    },
    Suite {
        name: "wasm",
        // Compiles core and media for a target without clocks and sockets, which they do not use.
        title: "wasm",
        missing: |may_install| tools::lacks_target("wasm32-unknown-unknown", may_install),
        run: Run::Apart(|settings| {
            let args = [
                "check",
                "--package=agent-worker-core",
                "--package=agent-worker-media",
                "--target=wasm32-unknown-unknown",
                OTHER_SYSTEMS,
            ];
            Cargo::new(&args, settings).check()
        }),
    },
    Suite {
        name: "windows",
        // Compiled, not run.
        title: "compiled for Windows",
        missing: tools::lacks_windows,
        run: Run::Apart(|settings| {
            let args = [
                "check",
                "--package=agent-worker",
                "--all-features",
                "--target=x86_64-pc-windows-gnu",
                OTHER_SYSTEMS,
            ];
            Cargo::new(&args, settings).env("RUSTFLAGS", "--deny warnings").check()
        }),
    },
    Suite {
        name: "static",
        title: "one static file",
        missing: tools::lacks_musl,
        run: Run::Long(static_build::check),
    },
    Suite {
        name: "macos",
        // Compiled, not run, and only what has no C in it: a C compiler for macOS cannot be installed here.
        title: "compiled for macOS (without C)",
        missing: |may_install| tools::lacks_target("aarch64-apple-darwin", may_install),
        run: Run::Apart(|settings| {
            let args = [
                "check",
                "--package=agent-proto",
                "--package=agent-worker-core",
                "--package=agent-worker-backends",
                "--features=agent-worker-backends/files,agent-worker-backends/embedded-store",
                "--target=aarch64-apple-darwin",
                OTHER_SYSTEMS,
            ];
            Cargo::new(&args, settings).check()
        }),
    },
    Suite {
        name: "sim",
        // Seeds that every build has to keep; others are for `cargo xtask sim --from S`. The last of its row:
        // it begins in the folder of the tests.
        title: "simulator",
        missing: |_| None,
        run: Run::Apart(|settings| {
            let sim::Build { arguments, build_folder } = sim::build()?;
            let built = arguments.iter().map(String::as_str);
            let args: Vec<&str> = built.chain(["sim", "--seeds", "20000"]).collect();
            Cargo::new(&args, settings).env(sim::BUILD_FOLDER, build_folder).check()
        }),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        for (at, suite) in SUITES.iter().enumerate() {
            assert!(SUITES.iter().skip(at + 1).all(|other| other.name != suite.name), "{}", suite.name);
        }
    }
}
