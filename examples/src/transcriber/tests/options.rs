//! The options of the program.

use clap::Parser;

use crate::transcriber::EngineOptions;

#[derive(Parser)]
struct Options {
    #[command(flatten)]
    engine: EngineOptions,
}

const API_KEY: &str = "a very secret key";

fn error(args: &[&str]) -> String {
    error_with(args, API_KEY)
}

fn error_with(args: &[&str], api_key: &str) -> String {
    match Options::try_parse_from([&["transcriber"], args].concat()) {
        Err(error) => error.to_string(),
        Ok(options) => options
            .engine
            .engine(Some(api_key.to_owned()))
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default(),
    }
}

#[test]
fn an_engine_is_required_and_one_is_enough() {
    for args in [
        &["--command", "true"][..],
        &["--url", "http://[::1]:9000/inference"],
        &["--url", "https://api.example.com/v1/audio/transcriptions", "--multipart", "--time-limit", "5"],
    ] {
        assert_eq!(error(args), "", "{args:?}");
    }
    let missing = "no engine: give a command that prints the text of a WAV file (--command or SPEECH_COMMAND), or an address that \
                   returns it (--url or SPEECH_URL)";
    assert_eq!(error(&[]), missing);
    assert_eq!(error(&["--command", " "]), missing);
}

#[test]
fn wrong_options_are_named() {
    for (args, expected) in [
        (&["--command", "true", "--url", "http://localhost"][..], "cannot be used with"),
        (&["--command", "true", "--multipart"], "cannot be used with"),
        (&["--multipart"], "--url <URL>"),
        (&["--url", "localhost:9000"], "the URL of the engine has the scheme localhost: use http or https"),
        (&["--url", "/recognize"], "the URL of the engine cannot be read: relative URL without a base"),
        (&["--url", "https://me:secret@localhost/"], "has a user or password: use SPEECH_API_KEY"),
        (&["--command", "true", "--time-limit", "0"], "0 is not in 1..=600"),
        (&["--command", "true", "--at-once", "0"], "--at-once"),
        (&["speech.wav"], "unexpected argument"),
    ] {
        let error = error(args);
        assert!(error.contains(expected) && !error.contains("secret"), "{args:?}: {error}");
    }
    let error = error_with(&["--url", "http://localhost"], "secret\nkey");
    assert_eq!(error, "the API key of the engine is no text for a header");
}
