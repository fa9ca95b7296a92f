//! A checkpoint store in Redis or Valkey, for workers on more than one machine.
//!
//! The rules are those of [`agent_core::Slot`], in Lua, as check and change must be one atomic step on the
//! server; one test suite covers all stores. A slot is a hash: `e` the epoch, `n` the number of its last
//! write, `r` the record, `u` when the record expires.

use std::sync::LazyLock;
use std::time::Duration;

use agent_core::{CheckpointKey, CheckpointStore, Claim, Epoch, StoreError, Writer, slot_life};
use agent_proto::BoxFuture;

use crate::redis::{Redis, RedisError, Script};

/// Keeps checkpoints in a Redis or Valkey server. Cheap to clone.
///
/// Each checkpoint is one hash, `{prefix}:checkpoint:{key}` ([`Redis::prefix`]). The check of who may write
/// and the write are one script.
///
/// Redis' own replication can lose data: a checkpoint that was saved just before a failover may be an older
/// one after it (never a mixed or partial one), and so may a claim. A claim after the failover is still newer
/// than every claim before it, as its number is the server's time. Enable persistence (`appendonly yes`) if
/// checkpoints are to survive a restart of the server, and disable eviction (`maxmemory-policy noeviction`).
///
/// ```no_run
/// # fn example(builder: agent_worker::WorkerBuilder) -> Result<(), agent_worker::net::RedisError> {
/// use agent_worker::{checkpoint::RedisStore, net::Redis};
///
/// let redis = Redis::new("redis://redis.internal:6379")?.password("hunter2");
/// let builder = builder.checkpoints(RedisStore::new(redis));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct RedisStore {
    redis: Redis,
}

/// `now`: the server's time in milliseconds.
const NOW: &str = "
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function text(number) return string.format('%.0f', number) end
";

/// Keys: the slot. Arguments: the time to live of a record and of a slot, in milliseconds. As `Slot::claim`.
///
/// What needs memory is written first: a server out of memory refuses a write only while the script has
/// changed nothing.
static CLAIM: LazyLock<Script> = LazyLock::new(|| {
    Script::new(format!(
        "{NOW}
local slot = redis.call('HMGET', KEYS[1], 'e', 'r', 'u')
local epoch = now
if slot[1] and tonumber(slot[1]) + 1 > now then epoch = tonumber(slot[1]) + 1 end
local record = slot[2]
if record and now >= tonumber(slot[3]) then record = false end
redis.call('HSET', KEYS[1], 'e', text(epoch), 'n', '0', 'u', text(now + ARGV[1]))
if not record then redis.call('HDEL', KEYS[1], 'r') end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return {{text(epoch), text(now), record}}"
    ))
});

/// Keys: the slot. Arguments: as for a claim, then the writer's epoch, the number of its write, when it was
/// seen, and a record unless it is deleted. As `Slot::may_write` and `Slot::written`; returns nothing when
/// the write is refused.
static WRITE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(format!(
        "{NOW}
local stored = redis.call('HMGET', KEYS[1], 'e', 'n')
if stored[1] then
  local epoch, write = tonumber(stored[1]), tonumber(stored[2])
  if epoch > tonumber(ARGV[3]) or epoch == tonumber(ARGV[3]) and write > tonumber(ARGV[4]) then return false end
elseif now - ARGV[5] >= tonumber(ARGV[2]) then return false end
if ARGV[6] then
  redis.call('HSET', KEYS[1], 'r', ARGV[6])
else
  redis.call('HDEL', KEYS[1], 'r')
end
redis.call('HSET', KEYS[1], 'e', ARGV[3], 'n', ARGV[4], 'u', text(now + ARGV[1]))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return text(now)"
    ))
});

impl RedisStore {
    /// A store in this server. Nothing is connected yet.
    #[must_use]
    pub const fn new(redis: Redis) -> Self {
        Self { redis }
    }

    fn key(&self, key: &CheckpointKey) -> String {
        self.redis.key("checkpoint", key.as_str())
    }
}

impl CheckpointStore for RedisStore {
    fn claim(&self, key: CheckpointKey, ttl: Duration) -> BoxFuture<'_, Result<Claim, StoreError>> {
        Box::pin(async move {
            let mut script = CLAIM.key(self.key(&key));
            script.arg(millis(ttl)).arg(millis(slot_life(ttl)));
            let (epoch, seen, record): (u64, u64, Option<Vec<u8>>) =
                self.redis.script(&script).await.map_err(store_error)?;
            Ok(Claim::new(Writer::new(Epoch(epoch), 0, seen), record))
        })
    }

    fn write(
        &self,
        key: CheckpointKey,
        writer: Writer,
        record: Option<Vec<u8>>,
        ttl: Duration,
    ) -> BoxFuture<'_, Result<Writer, StoreError>> {
        Box::pin(async move {
            let mut script = WRITE.key(self.key(&key));
            script.arg(millis(ttl)).arg(millis(slot_life(ttl)));
            script.arg(writer.epoch.0).arg(writer.write).arg(writer.seen);
            if let Some(record) = record {
                script.arg(record);
            }
            let seen: Option<u64> = self.redis.script(&script).await.map_err(store_error)?;
            seen.map(|seen| writer.seen_at(seen)).ok_or(StoreError::Superseded)
        })
    }
}

/// Limited so that Lua's numbers stay exact when it is added to the server's time: to about a hundred years.
fn millis(duration: Duration) -> u64 {
    const LONGEST: u64 = 1 << 42;
    u64::try_from(duration.as_millis()).unwrap_or(LONGEST).clamp(1, LONGEST)
}

fn store_error(error: RedisError) -> StoreError {
    let temporary = error.is_temporary();
    let problem = "the checkpoints cannot be read or written".to_owned();
    let source = Some(error.into());
    if temporary {
        StoreError::Unavailable { problem, source }
    } else {
        StoreError::Unusable { problem, source }
    }
}
