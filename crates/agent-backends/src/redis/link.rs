//! The connection to a Redis or Valkey server that all its users share.
//!
//! It decides when to connect, how long anything may take, and when a connection is dropped and an operation
//! retried, by the rules of [`answer`](super::answer). It does not know what is stored. The redis crate
//! speaks the protocol; the stream is ours, so that name lookup, TLS and their errors are the same as for a
//! LiveKit server. The redis crate's connection manager would wait for a half-open connection as long as TCP
//! does; here a connection that missed one deadline is dropped.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, FromRedisValue, RedisConnectionInfo, ScriptInvocation, Value};
use tokio::task::AbortHandle;

use agent_net::{ByteStream, NetOptions, connect_stream};
use agent_proto::Secret;
use agent_proto::text::line;

use super::RedisError;
use super::answer::{self, Meaning, Next, Role};
use super::error::answer_text;
use super::url::{Address, check_prefix};

/// How long an operation may take, connecting included, unless set.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A Redis or Valkey server: a primary, alone or with replicas, but not a Redis Cluster. Cheap to clone;
/// clones share one connection, which is established when it is first needed and re-established when it is
/// lost. The guide has a page on it.
///
/// When servers swap roles (a failover), the name is looked up again as soon as an answer shows that this is
/// no longer the primary, and what was refused is retried once at once.
///
/// ```
/// use agent_worker::net::Redis;
/// use std::time::Duration;
///
/// # fn example() -> Result<(), agent_worker::net::RedisError> {
/// let redis = Redis::new("redis://worker:hunter2@redis.internal:6379/0")?.timeout(Duration::from_secs(2));
/// assert_eq!(format!("{redis:?}"), "Redis(redis.internal:6379)"); // no log shows the password
/// # Ok(()) }
/// # example().unwrap();
/// ```
#[derive(Clone)]
pub struct Redis {
    settings: Settings,
    shared: Arc<Shared>,
}

/// The connection that all clones use.
#[derive(Default)]
struct Shared {
    /// Held by the operation that connects: the others wait for its connection.
    connecting: tokio::sync::Mutex<()>,
    /// Never held while something is awaited, so that an operation at its limit need not wait for it.
    current: Mutex<Current>,
}

#[derive(Default)]
struct Current {
    /// Counts the connections; it is the number of this one, or of the last one.
    number: u64,
    connection: Option<Connection>,
}

#[derive(Clone)]
struct Settings {
    address: Address,
    timeout: Duration,
    net: NetOptions,
}

struct Connection {
    commands: MultiplexedConnection,
    /// Reads and writes; aborted when this value is dropped.
    driver: AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// A Lua script with its source: an error refers to a line of it.
pub(crate) struct Script {
    source: String,
    script: redis::Script,
}

impl Script {
    pub(crate) fn new(source: String) -> Self {
        Self { script: redis::Script::new(&source), source }
    }

    /// A call with its key.
    pub(crate) fn key(&'static self, key: String) -> ScriptCall {
        ScriptCall { source: &self.source, call: self.script.key(key) }
    }
}

/// A script with its key and arguments.
pub(crate) struct ScriptCall {
    source: &'static str,
    call: ScriptInvocation<'static>,
}

impl ScriptCall {
    pub(crate) fn arg(&mut self, arg: impl redis::ToRedisArgs) -> &mut Self {
        self.call.arg(arg);
        self
    }
}

impl Redis {
    /// A server by its URL: `redis://[user[:password]@]host[:port][/database][?prefix=…]`, or `rediss://` for
    /// TLS; port 6379 and database 0 unless given, and the [prefix](Self::prefix) of the keys. `valkey://`
    /// and `valkeys://` mean the same. User and password may be percent-encoded (`%41` for `A`); `/`, `?`,
    /// `#`, `%` and control characters must be. Nothing is connected yet.
    ///
    /// # Errors
    /// [`RedisError::Url`] or [`RedisError::Prefix`], which describe the problem without showing the URL.
    pub fn new(url: &str) -> Result<Self, RedisError> {
        let address = Address::parse(url)?;
        Ok(Self::of(Settings { address, timeout: TIMEOUT, net: NetOptions::default() }))
    }

    /// The password, when it is not part of the URL.
    #[must_use]
    pub fn password(mut self, password: impl Into<Secret>) -> Self {
        self.settings.address.password = Some(password.into());
        Self::of(self.settings)
    }

    /// The prefix of all keys of checkpoints, elections and channels, for servers that are shared:
    /// `livekit-agents` unless set. Deployments with different prefixes have nothing in common. A colon
    /// follows it: the keys match `prefix:*`, which is also the pattern for an access list (`~prefix:*`).
    ///
    /// Letters, digits and `. _ - / :` of ASCII, at most 100; no part between colons is empty, `checkpoint`,
    /// `lease` or `topic`.
    ///
    /// ```
    /// use agent_worker::net::Redis;
    ///
    /// # fn example() -> Result<(), agent_worker::net::RedisError> {
    /// let redis = Redis::new("redis://redis.internal")?.prefix("acme:staging")?;
    /// let the_same = Redis::new("redis://redis.internal?prefix=acme:staging")?;
    /// # Ok(()) }
    /// # example().unwrap();
    /// ```
    ///
    /// # Errors
    /// [`RedisError::Prefix`].
    pub fn prefix(mut self, prefix: impl Into<String>) -> Result<Self, RedisError> {
        let prefix = prefix.into();
        check_prefix(&prefix)?;
        self.settings.address.prefix = prefix;
        Ok(Self::of(self.settings))
    }

    /// How long an operation may take, connecting included; 5 s unless set.
    #[must_use]
    pub fn timeout(self, limit: Duration) -> Self {
        Self::of(Settings { timeout: limit, ..self.settings })
    }

    /// A PEM file with the certificates to trust for `rediss://`, instead of the system's.
    #[must_use]
    pub fn ca_file(self, path: impl Into<PathBuf>) -> Self {
        Self::of(Settings { net: self.settings.net.ca_file(path), ..self.settings })
    }

    /// Checks the server: it is reached, takes the credentials, and is a primary that is no node of a
    /// cluster.
    ///
    /// # Errors
    /// [`RedisError`], which describes the problem and what to check.
    pub async fn ping(&self) -> Result<(), RedisError> {
        self.run(|mut connection| async move { redis::cmd("PING").exec_async(&mut connection).await }).await
    }

    /// A key: the prefix, one of [`KINDS`](super::url::KINDS), and a name.
    pub(crate) fn key(&self, kind: &str, name: &str) -> String {
        format!("{}:{kind}:{name}", self.settings.address.prefix)
    }

    /// Runs a script. It may run twice, when the connection breaks after the first time: it must be
    /// idempotent.
    pub(crate) async fn script<T: FromRedisValue>(&self, script: &ScriptCall) -> Result<T, RedisError> {
        self.script_within(self.settings.timeout, script).await
    }

    /// Like [`script`](Self::script), with a shorter time limit: a connection that does not answer within
    /// `limit` counts as dead.
    pub(crate) async fn script_within<T: FromRedisValue>(
        &self,
        limit: Duration,
        script: &ScriptCall,
    ) -> Result<T, RedisError> {
        let operation = |mut connection| async move { script.call.invoke_async(&mut connection).await };
        self.run_within(limit.min(self.settings.timeout), Some(script.source), operation).await
    }

    /// Sends commands. They may be sent twice, as in [`script`](Self::script).
    pub(crate) async fn run<T, F>(
        &self,
        operation: impl Fn(MultiplexedConnection) -> F,
    ) -> Result<T, RedisError>
    where
        F: Future<Output = redis::RedisResult<T>>,
    {
        self.run_within(self.settings.timeout, None, operation).await
    }

    async fn run_within<T, F>(
        &self,
        limit: Duration,
        script: Option<&str>,
        operation: impl Fn(MultiplexedConnection) -> F,
    ) -> Result<T, RedisError>
    where
        F: Future<Output = redis::RedisResult<T>>,
    {
        let server = self.settings.address.to_string();
        // The number of the connection that was used last; that of the first one is 1.
        let mut number = 0;
        let attempts = async {
            let mut retried = false;
            loop {
                let (connection, this, reused) = self.connection().await?;
                number = this;
                let error = match operation(connection).await {
                    Ok(value) => return Ok(value),
                    Err(error) => error,
                };
                let answer = answer_text(&error);
                let meaning = answer.as_deref().map_or(Meaning::Other, answer::meaning);
                let broken = answer.is_none() && error.is_unrecoverable_error();
                let next = answer::next(broken, &meaning, reused, retried);
                if next != Next::Fail {
                    self.shared.forget(this);
                }
                if next == Next::DropAndRetry {
                    tracing::debug!(server = %line(&server), answer = answer.map(|answer| tracing::field::display(line(answer))), "reconnecting to Redis");
                    retried = true;
                    continue;
                }
                return Err(RedisError::of_redis(&server, &self.settings.address.prefix, script, error));
            }
        };
        if let Ok(result) = tokio::time::timeout(limit, attempts).await {
            return result;
        }
        // It may be half open.
        self.shared.forget(number);
        Err(RedisError::timeout(&server, limit))
    }

    fn of(settings: Settings) -> Self {
        Self { settings, shared: Arc::default() }
    }

    /// The shared connection, its number, and whether it existed before.
    async fn connection(&self) -> Result<(MultiplexedConnection, u64, bool), RedisError> {
        if let Some((commands, number)) = self.shared.connection() {
            return Ok((commands, number, true));
        }
        let _connecting = self.shared.connecting.lock().await;
        if let Some((commands, number)) = self.shared.connection() {
            return Ok((commands, number, true));
        }
        let stream = self.settings.connect().await?;
        // The operation has the time limit. We log in ourselves, as the library hides the server's answer to
        // the login.
        let config = AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
        let login = RedisConnectionInfo::default().set_skip_set_lib_name();
        let (commands, driver) = MultiplexedConnection::new_with_config(&login, stream, config)
            .await
            .map_err(|error| RedisError::of_login(&self.settings.address.to_string(), error))?;
        let connection =
            Connection { commands: commands.clone(), driver: tokio::spawn(driver).abort_handle() };
        self.settings.log_in(commands.clone()).await?;
        Ok((commands, self.shared.set(connection), false))
    }
}

impl Shared {
    /// The current connection and its number.
    fn connection(&self) -> Option<(MultiplexedConnection, u64)> {
        let current = self.current();
        let connection = current.connection.as_ref()?;
        // The runtime that drove it may be gone, in a program with several.
        (!connection.driver.is_finished()).then(|| (connection.commands.clone(), current.number))
    }

    /// Makes this one the current connection, and returns its number.
    fn set(&self, connection: Connection) -> u64 {
        let mut current = self.current();
        current.number += 1;
        current.connection = Some(connection);
        current.number
    }

    /// Drops the current connection, if it is still this one.
    fn forget(&self, number: u64) {
        let mut current = self.current();
        if current.number == number {
            current.connection = None;
        }
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Settings {
    async fn connect(&self) -> Result<Box<dyn ByteStream>, RedisError> {
        let options = self.net.clone().connect_timeout(self.timeout);
        let Address { host, port, tls, .. } = &self.address;
        connect_stream(host, *port, *tls, &options)
            .await
            .map_err(|error| RedisError::of_connect(&self.address.to_string(), error))
    }

    /// Prepares a new connection: authenticates, checks the server's role, selects the database.
    async fn log_in(&self, mut connection: MultiplexedConnection) -> Result<(), RedisError> {
        let server = self.address.to_string();
        let refused = |error| RedisError::of_login(&server, error);
        self.authenticate(&mut connection).await.map_err(refused)?;
        match role(&mut connection).await.map_err(refused)? {
            Role::Primary => {}
            Role::Replica => return Err(RedisError::replica(&server)),
            Role::Cluster => {
                return Err(RedisError::Cluster { server, message: "it reports cluster mode".to_owned() });
            }
            Role::Sentinel => return Err(RedisError::Sentinel { server }),
        }
        if self.address.database != 0 {
            let select = redis::cmd("SELECT").arg(self.address.database).exec_async(&mut connection).await;
            select.map_err(|error| RedisError::of_redis(&server, &self.address.prefix, None, error))?;
        }
        Ok(())
    }

    async fn authenticate(&self, connection: &mut MultiplexedConnection) -> redis::RedisResult<()> {
        let (user, password) = match (&self.address.user, &self.address.password) {
            (None, None) => return Ok(()),
            // A user without a password accepts any.
            (user, password) => (user, password.as_ref().map_or("", Secret::expose)),
        };
        let mut auth = redis::cmd("AUTH");
        if let Some(user) = user {
            auth.arg(user);
        }
        match auth.arg(password).exec_async(connection).await {
            // Servers before Redis 6 have one password and no users.
            Err(error) if user.is_some() && is_about(&error, "wrong number of arguments") => {
                redis::cmd("AUTH").arg(password).exec_async(connection).await
            }
            result => result,
        }
    }
}

/// The server's role. `HELLO` needs no permission; servers before Redis 6, and some services, know only
/// `INFO`, or neither.
async fn role(connection: &mut MultiplexedConnection) -> redis::RedisResult<Role> {
    match redis::cmd("HELLO").arg(2).query_async::<HashMap<String, Value>>(connection).await {
        Ok(answer) => {
            let text = |name: &str| {
                answer
                    .get(name)
                    .and_then(|value| String::from_redis_value_ref(value).ok())
                    .unwrap_or_default()
            };
            return Ok(answer::role(&text("mode"), &text("role")));
        }
        Err(error) if is_about(&error, "unknown command") || is_about(&error, "NOPERM") => {}
        Err(error) => return Err(error),
    }
    let mut info = String::new();
    for section in ["server", "replication"] {
        match redis::cmd("INFO").arg(section).query_async::<String>(connection).await {
            Ok(text) => info += &text,
            Err(error) if answer_text(&error).is_some() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(answer::role_by_info(&info))
}

fn is_about(error: &redis::RedisError, part: &str) -> bool {
    answer_text(error).is_some_and(|text| text.contains(part))
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redis({})", self.settings.address)
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::SocketAddr;
    use std::sync::LazyLock;

    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use agent_net::Resolver;
    use agent_proto::BoxFuture;

    use super::*;

    async fn listener() -> TcpListener {
        TcpListener::bind("127.0.0.1:0").await.unwrap()
    }

    #[test]
    fn nothing_shows_a_password() {
        let redis = Redis::new("redis://me:hunter2@h").unwrap().prefix("acme:staging").unwrap();
        assert_eq!(format!("{redis:?}"), "Redis(h:6379)");
        assert_eq!(redis.key("lease", "lobby"), "acme:staging:lease:lobby");
        assert_eq!(Redis::new("redis://h").unwrap().key("topic", "t"), "livekit-agents:topic:t");
    }

    const LONG: Duration = Duration::from_secs(60);

    /// Of two operations on a server that accepts connections and is silent, the second one waits for the
    /// connection that the first one makes.
    #[tokio::test]
    async fn an_operation_ends_within_its_limit_while_another_one_connects() {
        static SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new("return 1".to_owned()));
        let listener = listener().await;
        let redis = Redis::new(&format!("redis://{}", listener.local_addr().unwrap())).unwrap().timeout(LONG);
        let first = tokio::spawn({
            let redis = redis.clone();
            async move { redis.ping().await }
        });
        let _silent = listener.accept().await.unwrap();
        let call = SCRIPT.key("k".to_owned());
        let error = redis.script_within::<i64>(Duration::from_millis(100), &call).await.unwrap_err();
        assert!(matches!(error, RedisError::Timeout { .. }), "{error}");
        assert!(!first.is_finished(), "it has taken as long as the first one");
        first.abort();
    }

    /// A host with these addresses.
    struct Host(Vec<SocketAddr>);

    impl Resolver for Host {
        fn resolve(&self, _: &str, _: u16) -> BoxFuture<'_, io::Result<Vec<SocketAddr>>> {
            Box::pin(async { Ok(self.0.clone()) })
        }
    }

    #[tokio::test]
    async fn an_address_that_answers_nothing_comes_last_next_time() {
        let (silent, other) = (listener().await, listener().await);
        let addresses = [&silent, &other].map(|listener| listener.local_addr().unwrap());
        let mut redis = Redis::new("redis://redis.test").unwrap().timeout(LONG);
        redis.settings.net = NetOptions::default().resolver(Host(addresses.into()));
        let asked = async {
            let mut connection = silent.accept().await.unwrap().0;
            assert!(connection.read(&mut [0; 4096]).await.unwrap() > 0);
            connection
        };
        let mut connection = tokio::select! {
            _ = redis.ping() => panic!("nothing was answered"),
            connection = asked => connection,
        };
        // The operation is over, and with it the connection, which a task of its own ends.
        connection.read_to_end(&mut Vec::new()).await.unwrap();
        tokio::select! {
            _ = redis.ping() => panic!("nothing was answered"),
            _ = silent.accept() => panic!("it is first again"),
            connection = other.accept() => drop(connection.unwrap()),
        }
    }
}
