use std::ffi::OsString;
use std::time::Duration;

use agent_core::{CoordinationError, JobResult};

use super::*;

async fn agent(_: crate::JobContext) -> JobResult {
    Ok(())
}

fn problem(builder: WorkerBuilder) -> String {
    builder.build().err().map_or_else(|| "none".to_owned(), |e| e.to_string())
}

fn complete() -> WorkerBuilder {
    WorkerBuilder::new(agent).url("ws://localhost:7880").credentials("key", "secret")
}

#[test]
fn problems_name_the_setting_and_the_variable() {
    let check = |builder: WorkerBuilder, expected: &str| {
        let shown = problem(builder);
        assert!(shown.contains(expected), "{shown}");
        assert!(!shown.contains("s3cret"), "{shown}");
    };
    check(WorkerBuilder::new(agent), "LIVEKIT_URL");
    check(WorkerBuilder::new(agent).url("localhost:7880"), "LIVEKIT_URL");
    check(WorkerBuilder::new(agent).url("ws://localhost:7880"), "LIVEKIT_API_KEY");
    check(complete().url("ws://localhost:port"), "LIVEKIT_URL");
    check(complete().credentials("", "secret"), "LIVEKIT_API_KEY");
    check(complete().credentials("key", ""), "LIVEKIT_API_SECRET");
    check(complete().credentials(" key", "secret"), "LIVEKIT_API_KEY");
    check(complete().credentials("key", "s3cret\n"), "LIVEKIT_API_SECRET");
    check(complete().max_jobs(0), "`max_jobs`");
    check(complete().deployment("a b"), "`deployment`");
    check(complete().deployment("a b"), "LIVEKIT_AGENT_DEPLOYMENT");
    check(complete().agent_name("n".repeat(257)), "LIVEKIT_AGENT_NAME");
    check(complete().checkpoint_interval(Duration::ZERO), "`checkpoint_interval` is 0ns");
    check(complete().checkpoint_expiry(Duration::from_secs(30)), "`checkpoint_expiry` 30s");
    check(complete().lease(Duration::from_millis(499)), "`lease` is 499ms: set it to 500ms to 3600s");
    check(complete().join_timeout(Duration::ZERO), "`join_timeout` is 0");
    check(complete().room_reconnect_timeout(Duration::ZERO), "`room_reconnect_timeout` is 0");
    check(complete().blocked_after(Duration::ZERO), "`blocked_after` is 0");
    check(complete().max_connect_attempts(0), "`max_connect_attempts` is 0");
    check(complete(), "none");
}

/// It is no wrong setting.
#[test]
fn a_store_of_leases_that_does_not_answer_has_another_exit_code() {
    let away = CoordinationError::Store("connection refused".into());
    assert_eq!(ConfigError::Coordinator(away).exit_code(), 1);
    assert_eq!(ConfigError::Coordinator(CoordinationError::NoCoordinator).exit_code(), 2);
}

#[test]
fn unreadable_certificates_are_an_error_if_they_are_needed() {
    let with = |url: &str| complete().url(url).net(NetOptions::default().ca_file("/no/such/file.pem"));
    assert_eq!(problem(with("ws://localhost")), "none");
    let shown = problem(with("wss://localhost"));
    assert!(shown.contains("/no/such/file.pem") && shown.contains("SSL_CERT_FILE"), "{shown}");
}

#[test]
fn network_options_override_the_environment_also_before_it() {
    let unreadable = || NetOptions::default().ca_file("/no/such/file.pem");
    let secure = || complete().url("wss://localhost");
    for builder in [secure().from_env().net(unreadable()), secure().net(unreadable()).from_env()] {
        assert!(problem(builder).contains("/no/such/file.pem"));
    }
}

/// What Rust prints if `main` returns the error.
#[test]
fn debug_is_the_message_and_its_sources() {
    let error = complete().url("localhost").build().err().unwrap();
    assert_eq!(format!("{error:?}"), error.to_string());
    let unreadable = NetOptions::default().ca_file("/no/such/file.pem");
    let error = complete().url("wss://localhost").net(unreadable).build().err().unwrap();
    let shown = format!("{error:?}");
    assert!(shown.starts_with(&error.to_string()) && shown.contains("No such file"), "{shown}");
}

/// As the environment has them.
fn os(vars: impl Fn(&str) -> Option<String>) -> impl Fn(&str) -> Option<OsString> {
    move |name| vars(name).map(OsString::from)
}

/// Not as if it were not set.
#[cfg(unix)]
#[test]
fn a_needed_variable_that_is_no_text_is_an_error() {
    use std::os::unix::ffi::OsStringExt;

    for name in ["LIVEKIT_URL", "LIVEKIT_API_SECRET", "LIVEKIT_AGENT_NAME", "LIVEKIT_AGENT_NAME_OVERRIDE"] {
        let vars = |of: &str| (of == name).then(|| OsString::from_vec(b"hidden\xff".to_vec()));
        let error = WorkerBuilder::new(agent).fill_from(vars).build().err().unwrap();
        assert_eq!(
            (error.exit_code(), error.to_string()),
            (2, format!("{name} is not UTF-8: set it again, as text"))
        );
    }
    let vars = |of: &str| (of == "LIVEKIT_URL").then(|| OsString::from_vec(b"hidden\xff".to_vec()));
    assert!(complete().fill_from(vars).build().is_ok(), "the program has one");
}

#[test]
fn the_environment_sets_missing_settings() {
    let vars = |name: &str| {
        Some(match name {
            "LIVEKIT_URL" => "ws://env".to_owned(),
            "LIVEKIT_AGENT_NAME" => "from-env".to_owned(),
            "LIVEKIT_API_SECRET" => String::new(),
            _ => return None,
        })
    };
    let filled = WorkerBuilder::new(agent).fill_from(os(vars));
    assert_eq!(filled.server.url.as_deref(), Some("ws://env"));
    assert_eq!(filled.names.resolve().0, "from-env");
    assert!(filled.server.api_secret.is_none(), "an empty variable is no value");
    let named = WorkerBuilder::new(agent).agent_name("mine").url("ws://mine").fill_from(os(vars));
    assert_eq!((named.names.resolve().0.as_str(), named.server.url.as_deref()), ("mine", Some("ws://mine")));
    let over = |name: &str| (name == "LIVEKIT_AGENT_NAME_OVERRIDE").then(|| "override".to_owned());
    assert_eq!(complete().agent_name("mine").fill_from(os(over)).names.resolve().0, "override");
}

#[test]
fn the_agent_name_does_not_depend_on_the_order_of_the_calls() {
    let env = |name: &str| (name == "LIVEKIT_AGENT_NAME").then(|| "from-env".to_owned());
    let over = |name: &str| (name == "LIVEKIT_AGENT_NAME_OVERRIDE").then(|| "override".to_owned());
    let none = |_: &str| None;
    for (vars, given, default, expected) in [
        (&over as &dyn Fn(&str) -> Option<String>, Some("mine"), Some("usual"), "override"),
        (&env, Some("mine"), Some("usual"), "mine"),
        (&env, None, Some("usual"), "from-env"),
        (&none, None, Some("usual"), "usual"),
        (&none, None, None, ""),
    ] {
        let named = |builder: WorkerBuilder| {
            let builder = given.into_iter().fold(builder, WorkerBuilder::agent_name);
            default.into_iter().fold(builder, WorkerBuilder::default_agent_name)
        };
        assert_eq!(named(complete()).fill_from(os(vars)).names.resolve().0, expected);
        assert_eq!(named(complete().fill_from(os(vars))).names.resolve().0, expected);
    }
}
