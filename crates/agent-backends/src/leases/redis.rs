//! Leases in Redis or Valkey: for workers on any number of machines.

use std::sync::LazyLock;
use std::time::Duration;

use ::redis::FromRedisValue;
use bytes::Bytes;

use agent_core::{AcquireResult, CoordinationError, Coordinator, Election, FencedValue};
use agent_proto::BoxFuture;

use crate::redis::{Redis, Script, ScriptCall};

/// Leases in Redis (5 or later) or Valkey: for workers on any number of machines.
///
/// Each election is one hash, `{prefix}:lease:{key}` ([`Redis::prefix`]); each step is one script, which
/// reads Redis' clock, checks and writes. A token is one more than the last, and at least the time in
/// microseconds, so it grows even when Redis has lost everything. A hash expires a week after the last write.
///
/// What a failover to a replica can lose: Redis confirms a write before its replicas have it. If the primary
/// fails then, a confirmed lease, token or value may be lost: a second leader can be elected while the first
/// one still considers itself leader, until its lease ends. Tokens grow all the same, unless the replica's
/// clock is behind, and only the later leader can write. Where a confirmed value must never be lost,
/// configure `min-replicas-to-write` and `WAIT` semantics, or a single Redis with `appendfsync always`.
///
/// ```
/// use agent_worker::{JobContext, JobResult, Worker, coordination::RedisCoordinator, net::Redis};
///
/// # async fn agent(_: JobContext) -> JobResult { Ok(()) }
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let redis = Redis::new("redis://localhost")?;
/// let worker = Worker::builder(agent).coordinator(RedisCoordinator::new(redis));
/// # let _ = worker; Ok(()) }
/// # example().unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct RedisCoordinator {
    redis: Redis,
}

impl RedisCoordinator {
    /// Leases in this server. Nothing is connected yet.
    #[must_use]
    pub const fn new(redis: Redis) -> Self {
        Self { redis }
    }

    fn key(&self, key: &str) -> String {
        self.redis.key("lease", key)
    }

    /// Runs a script to its end, or to the time limit of [`Redis`], even when the caller is dropped:
    /// otherwise a connection that hangs is not detected and replaced.
    async fn run<T: FromRedisValue + Send + 'static>(
        &self,
        script: ScriptCall,
    ) -> Result<T, CoordinationError> {
        self.run_within(Duration::MAX, script).await
    }

    /// Like [`run`](Self::run), within the time of a lease: a connection that hangs must be detected while
    /// the lease lasts.
    async fn run_within<T: FromRedisValue + Send + 'static>(
        &self,
        limit: Duration,
        script: ScriptCall,
    ) -> Result<T, CoordinationError> {
        let redis = self.redis.clone();
        let result = tokio::spawn(async move { redis.script_within::<T>(limit, &script).await }).await;
        result.map_err(CoordinationError::store)?.map_err(CoordinationError::store)
    }
}

/// The rules of `agent_core::LeaseRecord`, in Redis' own language. Numbers stay below 2^53, so Lua's are
/// exact.
const RULES: &str = r"
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local s = redis.call('HMGET', KEYS[1], 'token', 'holder', 'until')
local token, holder, till = tonumber(s[1]) or 0, s[2], tonumber(s[3]) or 0
local held = holder and till > now
local function number(n) return string.format('%.0f', n) end
local function hold(lease)
  redis.call('HSET', KEYS[1], 'token', number(token), 'holder', ARGV[1], 'until', number(now + lease))
  redis.call('PEXPIRE', KEYS[1], 604800000)
end
";

fn script(body: &str) -> Script {
    Script::new(format!("{RULES}{body}"))
}

static ACQUIRE: LazyLock<Script> = LazyLock::new(|| {
    script(
        r"
if held and holder ~= ARGV[1] then return {'held', holder, number(till - now)} end
if not held then token = math.max(token + 1, now) end
hold(tonumber(ARGV[2]))
return {'granted', '', number(token)}
",
    )
});

static RENEW: LazyLock<Script> = LazyLock::new(|| {
    script(
        r"
if not held or holder ~= ARGV[1] or number(token) ~= ARGV[3] then return 0 end
hold(tonumber(ARGV[2]))
return 1
",
    )
});

static RELEASE: LazyLock<Script> = LazyLock::new(|| {
    script(
        r"
if holder == ARGV[1] then redis.call('HDEL', KEYS[1], 'holder', 'until') end
return 1
",
    )
});

static WRITE: LazyLock<Script> = LazyLock::new(|| {
    script(
        r"
if token == 0 or number(token) ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'value', ARGV[2], 'by', ARGV[1])
redis.call('PEXPIRE', KEYS[1], 604800000)
return 1
",
    )
});

/// The write changes nothing, but a replica, which may not have the last value, refuses it.
static READ: LazyLock<Script> = LazyLock::new(|| {
    let source = r"
redis.call('HDEL', KEYS[1], '')
return redis.call('HMGET', KEYS[1], 'by', 'value')
";
    Script::new(source.to_owned())
});

impl Coordinator for RedisCoordinator {
    fn acquire<'a>(
        &'a self,
        name: &'a str,
        holder: &'a str,
        lease: Duration,
    ) -> BoxFuture<'a, Result<AcquireResult, CoordinationError>> {
        Box::pin(async move {
            let mut call = ACQUIRE.key(self.key(name));
            call.arg(holder).arg(micros(lease));
            let (answer, by, number): (String, String, u64) = self.run_within(limit(lease), call).await?;
            Ok(match answer.as_str() {
                "granted" => AcquireResult::Granted { token: number },
                _ => AcquireResult::Held { by, remaining: Duration::from_micros(number) },
            })
        })
    }

    fn renew<'a>(
        &'a self,
        name: &'a str,
        holder: &'a str,
        token: u64,
        lease: Duration,
    ) -> BoxFuture<'a, Result<bool, CoordinationError>> {
        Box::pin(async move {
            let mut call = RENEW.key(self.key(name));
            call.arg(holder).arg(micros(lease)).arg(token);
            self.run_within(limit(lease), call).await
        })
    }

    fn release<'a>(&'a self, name: &'a str, holder: &'a str) -> BoxFuture<'a, Result<(), CoordinationError>> {
        Box::pin(async move {
            let mut call = RELEASE.key(self.key(name));
            call.arg(holder);
            self.run::<bool>(call).await.map(|_| ())
        })
    }

    fn write<'a>(
        &'a self,
        name: &'a str,
        token: u64,
        value: Bytes,
    ) -> BoxFuture<'a, Result<bool, CoordinationError>> {
        Box::pin(async move {
            let mut call = WRITE.key(self.key(name));
            call.arg(token).arg(value.as_ref());
            self.run(call).await
        })
    }

    fn read<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<FencedValue>, CoordinationError>> {
        Box::pin(async move {
            let (by, value): (Option<u64>, Option<Vec<u8>>) = self.run(READ.key(self.key(name))).await?;
            Ok(by.zip(value).map(|(token, value)| FencedValue::new(token, value)))
        })
    }
}

/// At least 250 ms: a shorter delay should not drop the connection, which is shared.
fn limit(lease: Duration) -> Duration {
    Election::answer_limit(lease).max(Duration::from_millis(250))
}

fn micros(lease: Duration) -> u64 {
    u64::try_from(lease.as_micros()).unwrap_or(u64::MAX)
}
