//! Why a TURN server relays nothing for us.

/// Each text fits behind the server's URL and a colon.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TurnError {
    #[error(
        "it does not answer as a TURN server: check host, port and transport, and that it is reachable from here"
    )]
    NoAnswer,
    #[error(
        "it refuses the user name and credential (401{}): check those in the LiveKit server's configuration",
        quoted(reason)
    )]
    WrongCredentials { reason: String },
    #[error(
        "it demands credentials, and the LiveKit server named none: give it `username` and `credential`, or `secret`"
    )]
    NoCredentials,
    #[error("it has no allocation for us (error {code}{}){}", quoted(reason), hint(*code))]
    Refused { code: u16, reason: String },
    #[error("it ended our allocation (error {code}{})", quoted(reason))]
    Lost { code: u16, reason: String },
    #[error("it stopped answering")]
    Silent,
    #[error("its answer is incomplete")]
    Incomplete,
}

/// What to do about a refusal of an allocation.
fn hint(code: u16) -> &'static str {
    match code {
        300 => ": it names another server instead; name that one in the LiveKit server's configuration",
        403 => ": its configuration forbids it",
        440 => ": it has no address of the family that is needed, IPv4 or IPv6",
        486 => ": its quota for this user is used up",
        508 => ": it has no port left",
        _ => "",
    }
}

fn quoted(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(", {reason}") }
}
