//! What a server's error answers mean, which kind of server it is, and what follows from both. Without I/O.

/// What an error answer means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The wrong server: a replica since a failover, cut off from its replicas, or still loading. It did
    /// nothing of what was requested.
    WrongServer,
    /// It cannot do this now.
    Busy,
    /// A node of a cluster, which holds only a part of the keys.
    Cluster,
    /// It refuses the credentials.
    Credentials,
    /// It accepts the credentials, but the user may not do this.
    Denied(Missing),
    /// Anything else.
    Other,
}

/// The permission that a user lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// This command, as an ACL names it.
    Command(String),
    /// A command in this line of the script that was run.
    Line(usize),
    /// The keys.
    Keys,
    /// Not known.
    Unknown,
}

/// The role of a server, as it reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It takes writes; also a server that reports no role.
    Primary,
    Replica,
    /// A node of a cluster.
    Cluster,
    /// A monitor of servers, without data.
    Sentinel,
}

/// What to do after an operation that failed on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The connection is good; the operation failed.
    Fail,
    /// The connection is unusable; the next operation makes another one.
    DropAndFail,
    /// The same, and the operation is retried once on the new connection.
    DropAndRetry,
}

/// What follows from a failure. `broken`: the connection failed. `reused`: the connection existed before, so
/// that it may have been dead, or the server's role may have changed, for long; for a new one the address was
/// just looked up. `retried`: this is the second attempt.
///
/// A retry is safe after an answer, as the server has done nothing. After a broken connection it may have:
/// operations over this link must be idempotent.
pub(super) fn next(broken: bool, meaning: &Meaning, reused: bool, retried: bool) -> Next {
    let useless = broken || matches!(meaning, Meaning::WrongServer | Meaning::Cluster);
    match (useless, reused && !retried) {
        (false, _) => Next::Fail,
        (true, false) => Next::DropAndFail,
        (true, true) => Next::DropAndRetry,
    }
}

/// What an error answer means, by its text as the server sent it.
pub(super) fn meaning(text: &str) -> Meaning {
    let text = of_script(text);
    let code = text.split(' ').next().unwrap_or_default();
    match code {
        // `UNBLOCKED`: a read that waited when its server became a replica. `REDIRECT`: a replica of Valkey
        // that names its primary.
        "READONLY" | "MASTERDOWN" | "LOADING" | "NOREPLICAS" | "UNBLOCKED" | "REDIRECT" => {
            Meaning::WrongServer
        }
        "BUSY" | "MISCONF" | "OOM" => Meaning::Busy,
        "MOVED" | "ASK" | "CROSSSLOT" | "CLUSTERDOWN" | "TRYAGAIN" => Meaning::Cluster,
        "NOAUTH" | "WRONGPASS" => Meaning::Credentials,
        _ if text.contains("max number of clients") => Meaning::Busy,
        _ if text.contains("not allowed in cluster mode") => Meaning::Cluster,
        "NOPERM" => Meaning::Denied(missing(text)),
        _ if text.contains("ACL failure in script")
            || text.contains("The user executing the script can't") =>
        {
            Meaning::Denied(missing(text))
        }
        _ => Meaning::Other,
    }
}

/// What an error answer to `AUTH` means.
pub(super) fn meaning_of_login(text: &str) -> Meaning {
    match meaning(text) {
        // Each version has another text: `invalid password`, `Client sent AUTH, but no password is set`.
        Meaning::Other if text.to_ascii_lowercase().contains("password") => Meaning::Credentials,
        meaning => meaning,
    }
}

/// The role of a server, by its answer to `INFO`. Valkey has another name for the mode.
pub(super) fn role_by_info(info: &str) -> Role {
    let mode = ["redis_mode", "server_mode"].map(|name| info_field(info, name)).concat();
    role(&mode, info_field(info, "role"))
}

/// The role of a server, by its mode and role fields.
pub(super) fn role(mode: &str, role: &str) -> Role {
    match (mode, role) {
        ("cluster", _) => Role::Cluster,
        ("sentinel", _) | (_, "sentinel") => Role::Sentinel,
        (_, "replica" | "slave") => Role::Replica,
        _ => Role::Primary,
    }
}

/// The value of a field in the answer to `INFO`.
pub(crate) fn info_field<'a>(info: &'a str, name: &str) -> &'a str {
    let value = |line: &'a str| line.strip_prefix(name)?.strip_prefix(':');
    info.lines().find_map(value).unwrap_or_default().trim()
}

/// Removes what servers before version 7 put around the error of a command in a script:
/// `ERR Error running script (call to f_1b2c): @user_script:9: @user_script: 9: -READONLY You can't …`.
fn of_script(text: &str) -> &str {
    match text.rsplit_once(": -") {
        Some((before, inner)) if before.contains("@user_script") => inner,
        _ => text,
    }
}

fn missing(text: &str) -> Missing {
    let line = || {
        let (_, after) = text.split_once("@user_script:")?;
        let digits: String = after.trim_start().chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    };
    // `… to run the 'script|load' command`.
    let command = || text.split_once('\'')?.1.split_once("' command").map(|(command, _)| command.to_owned());
    if text.contains(" key") && !text.contains("' command") {
        Missing::Keys
    } else if let Some(command) = command() {
        Missing::Command(command)
    } else {
        line().map_or(Missing::Unknown, Missing::Line)
    }
}

/// The command that a script calls in a line, counted from 1.
pub(super) fn command_in_script(source: &str, line: usize) -> Option<String> {
    let (_, after) = source.lines().nth(line.checked_sub(1)?)?.split_once("redis.call('")?;
    Some(after.split_once('\'')?.0.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts of Redis 5 to 7 and Valkey 9.
    #[test]
    fn the_meaning_of_answers() {
        use Meaning::{Busy, Cluster, Credentials, Other, WrongServer};
        let denied = |name: &str| Meaning::Denied(Missing::Command(name.to_owned()));
        let table = [
            ("READONLY You can't write against a read only replica.", WrongServer),
            (
                "READONLY You can't write against a read only replica. script: 02173d4a, on @user_script:1.",
                WrongServer,
            ),
            (
                "ERR Error running script (call to f_02173d4a): @user_script:9: @user_script: 9: -READONLY You can't write against a read only slave.",
                WrongServer,
            ),
            ("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", WrongServer),
            ("LOADING Redis is loading the dataset in memory", WrongServer),
            ("NOREPLICAS Not enough good replicas to write.", WrongServer),
            (
                "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
                WrongServer,
            ),
            ("REDIRECT 10.0.0.2:6379", WrongServer),
            ("BUSY Redis is busy running a script.", Busy),
            (
                "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
                Busy,
            ),
            ("OOM command not allowed when used memory > 'maxmemory'.", Busy),
            (
                "ERR Error running script (call to f_02): @user_script:9: @user_script: 9: -OOM command not allowed when used memory > 'maxmemory'.",
                Busy,
            ),
            ("ERR max number of clients reached", Busy),
            ("MOVED 3999 127.0.0.1:6381", Cluster),
            ("ASK 3999 127.0.0.1:6381", Cluster),
            ("CROSSSLOT Keys in request don't hash to the same slot", Cluster),
            ("CLUSTERDOWN Hash slot not served", Cluster),
            ("TRYAGAIN Multiple keys request during rehashing of slot", Cluster),
            ("ERR SELECT is not allowed in cluster mode", Cluster),
            ("NOAUTH Authentication required.", Credentials),
            ("WRONGPASS invalid username-password pair or user is disabled.", Credentials),
            ("NOPERM this user has no permissions to run the 'xadd' command", denied("xadd")),
            ("NOPERM User t has no permissions to run the 'xadd' command", denied("xadd")),
            ("NOPERM this user has no permissions to run the 'script|load' command", denied("script|load")),
            (
                "NOPERM this user has no permissions to run the 'script' command or its subcommand",
                denied("script"),
            ),
            (
                "NOPERM this user has no permissions to access one of the keys used as arguments",
                Meaning::Denied(Missing::Keys),
            ),
            ("NOPERM No permissions to access a key", Meaning::Denied(Missing::Keys)),
            (
                "ERR ACL failure in script: User t has no permissions to run the 'hdel' command script: on @user_script:1.",
                denied("hdel"),
            ),
            (
                "ERR ACL failure in script: No permissions to access a key script: on @user_script:1.",
                Meaning::Denied(Missing::Keys),
            ),
            (
                "ERR The user executing the script can't run this command or subcommand script: a6460ca6, on @user_script:12.",
                Meaning::Denied(Missing::Line(12)),
            ),
            (
                "ERR Error running script (call to f_a6): @user_script:12: @user_script: 12: The user executing the script can't run this command or subcommand",
                Meaning::Denied(Missing::Line(12)),
            ),
            (
                "ERR The user executing the script can't access at least one of the keys mentioned in the command arguments script: 4b44, on @user_script:1.",
                Meaning::Denied(Missing::Keys),
            ),
            ("NOPERM no more than that", Meaning::Denied(Missing::Unknown)),
            ("ERR unknown command 'EVALSHA', with args beginning with: ", Other),
            ("WRONGTYPE Operation against a key holding the wrong kind of value", Other),
            ("", Other),
        ];
        for (text, expected) in table {
            assert_eq!(meaning(text), expected, "{text}");
        }
        for text in [
            "WRONGPASS invalid username-password pair or user is disabled.",
            "ERR invalid password",
            "ERR Client sent AUTH, but no password is set",
            "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?",
        ] {
            assert_eq!(meaning_of_login(text), Credentials, "{text}");
        }
        assert_eq!(meaning_of_login("ERR max number of clients reached"), Busy);
    }

    #[test]
    fn only_a_connection_of_no_use_is_dropped_and_one_that_was_there_is_retried_once() {
        for meaning in [Meaning::Busy, Meaning::Credentials, Meaning::Denied(Missing::Keys), Meaning::Other] {
            for (reused, retried) in [(false, false), (false, true), (true, false), (true, true)] {
                assert_eq!(next(false, &meaning, reused, retried), Next::Fail, "{meaning:?}");
            }
        }
        for (broken, meaning) in
            [(true, Meaning::Other), (false, Meaning::WrongServer), (false, Meaning::Cluster)]
        {
            assert_eq!(next(broken, &meaning, true, false), Next::DropAndRetry, "{meaning:?}");
            assert_eq!(next(broken, &meaning, true, true), Next::DropAndFail, "once: {meaning:?}");
            assert_eq!(
                next(broken, &meaning, false, false),
                Next::DropAndFail,
                "it is a new one: {meaning:?}"
            );
            assert_eq!(next(broken, &meaning, false, true), Next::DropAndFail, "{meaning:?}");
        }
    }

    #[test]
    fn the_role_of_a_server_is_recognized() {
        for (mode, given, expected) in [
            ("standalone", "master", Role::Primary),
            ("standalone", "replica", Role::Replica),
            ("standalone", "slave", Role::Replica),
            ("standalone", "active-replica", Role::Primary),
            ("cluster", "master", Role::Cluster),
            ("cluster", "replica", Role::Cluster),
            ("sentinel", "", Role::Sentinel),
            ("", "", Role::Primary),
        ] {
            assert_eq!(role(mode, given), expected, "{mode} {given}");
        }
        let info = "# Server\r\nredis_version:7.0.15\r\nredis_mode:cluster\r\nrun_id:3654ca\r\n";
        assert_eq!(role_by_info(info), Role::Cluster);
        assert_eq!(role_by_info("server_name:valkey\r\nserver_mode:sentinel\r\n"), Role::Sentinel);
        assert_eq!(role_by_info("redis_mode:standalone\r\n# Replication\r\nrole:slave\r\n"), Role::Replica);
        assert_eq!(role_by_info(""), Role::Primary);
        assert_eq!(info_field(info, "run_id"), "3654ca");
        assert_eq!(info_field(info, "role"), "");
    }

    #[test]
    fn the_command_in_a_line_of_a_script() {
        let source =
            "\nlocal time = redis.call('TIME')\nif x then\n  redis.call('HDEL', KEYS[1], 'r')\nend\n";
        assert_eq!(command_in_script(source, 2).as_deref(), Some("time"));
        assert_eq!(command_in_script(source, 4).as_deref(), Some("hdel"));
        for line in [0, 1, 3, 99] {
            assert_eq!(command_in_script(source, line), None, "{line}");
        }
    }
}
