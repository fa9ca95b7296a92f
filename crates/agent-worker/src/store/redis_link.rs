//! The connection to a Redis or Valkey server, for everything that keeps something there.
//!
//! What it decides: when to connect, how long anything may take, and that an operation on a connection that turns out to be dead is
//! tried once more on a new one. What it never does: know what is stored. The redis crate speaks the protocol; the stream is ours, so
//! that name look-up, TLS and their errors are the same as for a LiveKit server. Its connection manager would wait for a half-open
//! connection as long as TCP does; here a connection that missed one deadline is dropped.

use super::RedisError;
use crate::Secret;
use crate::net::{self, NetOptions};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, FromRedisValue, RedisConnectionInfo, ScriptInvocation};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::task::AbortHandle;
use url::{Host, Url};

/// How long an operation may take, connecting included, unless set.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A Redis or Valkey server. Cheap to clone; clones share one connection, which is made when it is first needed and again when it is
/// lost.
///
/// ```
/// use agent_worker::Redis;
/// use std::time::Duration;
///
/// # fn example() -> Result<(), agent_worker::RedisError> {
/// let redis = Redis::new("redis://worker:hunter2@redis.internal:6379/0")?.timeout(Duration::from_secs(2));
/// assert_eq!(format!("{redis:?}"), "Redis(redis.internal:6379)"); // no log shows the password
/// # Ok(()) }
/// # example().unwrap();
/// ```
#[derive(Clone)]
pub struct Redis {
    settings: Settings,
    connection: Arc<Mutex<Shared>>,
}

/// The connection that all clones use.
#[derive(Default)]
struct Shared {
    last: u64,
    connection: Option<Connection>,
}

#[derive(Clone)]
struct Settings {
    /// As a name look-up takes it.
    host: String,
    port: u16,
    tls: bool,
    database: i64,
    user: Option<String>,
    password: Option<Secret>,
    timeout: Duration,
    net: NetOptions,
}

struct Connection {
    /// Another one for each.
    number: u64,
    commands: MultiplexedConnection,
    /// Reads and writes; ends with this value.
    driver: AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Redis {
    /// A server by its URL: `redis://[user[:password]@]host[:port][/database]`, or `rediss://` for TLS; port 6379 and database 0 unless
    /// given. `valkey://` and `valkeys://` mean the same. Nothing is connected yet.
    ///
    /// # Errors
    /// [`RedisError::Url`], which says what is wrong.
    pub fn new(url: &str) -> Result<Self, RedisError> {
        Ok(Self::of(Settings::parse(url).map_err(|problem| RedisError::Url { problem })?))
    }

    /// The password, when it is not part of the URL.
    #[must_use]
    pub fn password(self, password: impl Into<Secret>) -> Self {
        Self::of(Settings { password: Some(password.into()), ..self.settings })
    }

    /// How long an operation may take, connecting included; 5 s unless set.
    #[must_use]
    pub fn timeout(self, limit: Duration) -> Self {
        Self::of(Settings { timeout: limit, ..self.settings })
    }

    /// A PEM file with the certificates to trust for `rediss://`, in the place of the system's.
    #[must_use]
    pub fn ca_file(self, path: impl Into<PathBuf>) -> Self {
        Self::of(Settings { net: self.settings.net.ca_file(path), ..self.settings })
    }

    /// Asks the server for a sign of life: it is reached, and takes the credentials.
    ///
    /// # Errors
    /// [`RedisError`], which says what is wrong and what to check.
    pub async fn ping(&self) -> Result<(), RedisError> {
        self.run(|mut connection| async move { redis::cmd("PING").exec_async(&mut connection).await }).await
    }

    /// Runs a script. It may run twice, when the connection breaks after the first time: what it does must bear that.
    pub(crate) async fn script<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, RedisError> {
        self.script_within(self.settings.timeout, script).await
    }

    /// As [`script`](Self::script), for one who has less time: a connection that does not answer within `limit` is taken for dead.
    pub(crate) async fn script_within<T: FromRedisValue>(
        &self,
        limit: Duration,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, RedisError> {
        let operation = |mut connection| async move { script.invoke_async(&mut connection).await };
        self.run_within(limit.min(self.settings.timeout), operation).await
    }

    /// Sends commands. They may be sent twice, as in [`script`](Self::script).
    pub(crate) async fn run<T, F>(
        &self,
        operation: impl Fn(MultiplexedConnection) -> F,
    ) -> Result<T, RedisError>
    where
        F: Future<Output = redis::RedisResult<T>>,
    {
        self.run_within(self.settings.timeout, operation).await
    }

    async fn run_within<T, F>(
        &self,
        limit: Duration,
        operation: impl Fn(MultiplexedConnection) -> F,
    ) -> Result<T, RedisError>
    where
        F: Future<Output = redis::RedisResult<T>>,
    {
        // Which connection was used last.
        let mut number = 0;
        let attempts = async {
            loop {
                let (connection, this, reused) = self.connection().await?;
                number = this;
                match operation(connection).await {
                    Ok(value) => return Ok(value),
                    Err(error) if error.is_unrecoverable_error() => {
                        self.forget(this).await;
                        // One that was idle may have been dead for long; a new one was alive just now.
                        if !reused {
                            return Err(RedisError::of_redis(&self.settings.server(), error));
                        }
                    }
                    Err(error) => return Err(RedisError::of_redis(&self.settings.server(), error)),
                }
            }
        };
        if let Ok(result) = tokio::time::timeout(limit, attempts).await {
            return result;
        }
        // It may be half open.
        self.forget(number).await;
        Err(RedisError::timeout(&self.settings.server(), limit))
    }

    fn of(settings: Settings) -> Self {
        Self { settings, connection: Arc::default() }
    }

    /// The shared connection, its number, and whether it was there already.
    async fn connection(&self) -> Result<(MultiplexedConnection, u64, bool), RedisError> {
        let mut shared = self.connection.lock().await;
        if let Some(connection) = &shared.connection
            // The runtime that drove it may be gone, in a program with several.
            && !connection.driver.is_finished()
        {
            return Ok((connection.commands.clone(), connection.number, true));
        }
        let stream = self.settings.connect().await?;
        // The time limit is the operation's.
        let config = AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
        let (commands, driver) =
            MultiplexedConnection::new_with_config(&self.settings.login(), stream, config)
                .await
                .map_err(|error| RedisError::of_redis(&self.settings.server(), error))?;
        let driver = tokio::spawn(driver).abort_handle();
        shared.last += 1;
        let number = shared.last;
        shared.connection = Some(Connection { number, commands: commands.clone(), driver });
        Ok((commands, number, false))
    }

    /// Drops the shared connection, if it is still this one.
    async fn forget(&self, number: u64) {
        let mut shared = self.connection.lock().await;
        if shared.connection.as_ref().is_some_and(|connection| connection.number == number) {
            shared.connection = None;
        }
    }
}

impl Settings {
    fn parse(url: &str) -> Result<Self, &'static str> {
        let url = Url::parse(url).map_err(|error| match error {
            url::ParseError::InvalidPort => "its port is no number from 0 to 65535",
            url::ParseError::RelativeUrlWithoutBase => "it must begin with redis:// or rediss://",
            _ => "it is no URL",
        })?;
        let tls = match url.scheme() {
            "redis" | "valkey" => false,
            "rediss" | "valkeys" => true,
            _ => return Err("it must begin with redis:// or rediss://"),
        };
        let host = match url.host() {
            Some(Host::Domain("")) | None => return Err("it names no host"),
            Some(Host::Domain(name)) => name.to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
        };
        let database = match url.path().trim_matches('/') {
            "" => 0,
            number => number.parse().ok().filter(|n| *n >= 0).ok_or("its path is no number of a database")?,
        };
        if url.query().is_some() || url.fragment().is_some() {
            return Err("it has a part behind ? or #, which means nothing here");
        }
        let decoded = |text: &str| match percent_decoded(text) {
            Some(text) => Ok(text),
            None => Err("its user or password is not UTF-8 behind the % signs"),
        };
        Ok(Self {
            host,
            port: url.port().unwrap_or(6379),
            tls,
            database,
            user: (!url.username().is_empty()).then(|| decoded(url.username())).transpose()?,
            password: url.password().map(decoded).transpose()?.map(Secret::from),
            timeout: TIMEOUT,
            net: NetOptions::default(),
        })
    }

    async fn connect(&self) -> Result<Box<dyn net::ByteStream>, RedisError> {
        let options = self.net.clone().connect_timeout(self.timeout);
        net::connect_stream(&self.host, self.port, self.tls, &options)
            .await
            .map_err(|error| RedisError::of_connect(&self.server(), error))
    }

    fn login(&self) -> RedisConnectionInfo {
        let mut login = RedisConnectionInfo::default().set_db(self.database).set_skip_set_lib_name();
        if let Some(user) = &self.user {
            login = login.set_username(user);
        }
        if let Some(password) = &self.password {
            login = login.set_password(password.expose());
        }
        login
    }

    /// Host and port, for messages.
    fn server(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// `%41` is `A`.
fn percent_decoded(text: &str) -> Option<String> {
    // A query decodes `+` too, which is itself here.
    let query = format!("v={}", text.replace('+', "%2B"));
    let value = url::form_urlencoded::parse(query.as_bytes()).next()?.1.into_owned();
    (!value.contains('\u{FFFD}')).then_some(value)
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redis({})", self.settings.server())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, expected: &str) {
        let shown = match Settings::parse(url) {
            Ok(s) => {
                let password = s.password.as_ref().map(Secret::expose);
                format!("{} tls={} db={} {:?} {password:?}", s.server(), s.tls, s.database, s.user)
            }
            Err(problem) => problem.to_owned(),
        };
        assert_eq!(shown, expected, "{url}");
    }

    #[test]
    fn urls_are_understood() {
        check("redis://localhost", "localhost:6379 tls=false db=0 None None");
        check("valkeys://h:1/3", "h:1 tls=true db=3 None None");
        check("rediss://:pw@[::1]:7", "[::1]:7 tls=true db=0 None Some(\"pw\")");
        check("redis://u:p%2B+%40@h", "h:6379 tls=false db=0 Some(\"u\") Some(\"p++@\")");
    }

    #[test]
    fn other_urls_are_refused() {
        check("localhost:6379", "it must begin with redis:// or rediss://");
        check("nonsense", "it must begin with redis:// or rediss://");
        check("redis://h:70000", "its port is no number from 0 to 65535");
        check("redis://a b", "it is no URL");
        check("redis://", "it names no host");
        check("redis://h/x", "its path is no number of a database");
        check("redis://h/-1", "its path is no number of a database");
        check("redis://h/0?protocol=3", "it has a part behind ? or #, which means nothing here");
        check("redis://:%FF@h", "its user or password is not UTF-8 behind the % signs");
    }

    #[test]
    fn nothing_shows_a_password() {
        let redis = Redis::new("redis://me:hunter2@h").unwrap();
        assert_eq!(format!("{redis:?}"), "Redis(h:6379)");
        let error = Redis::new("redis://me:hunter2@h/none").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        assert!(error.to_string().contains("`Redis::new`"), "{error}");
    }
}
