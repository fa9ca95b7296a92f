//! Handlers in documentation are copied: one that waits for what comes in a room, or for somebody to come,
//! and not for its cancellation, is aborted, and its job is recorded as failed.

use std::fs;

use super::{files, none, root};

/// The code blocks of a text: the number of the first line of each, and its code.
fn blocks(text: &str, in_comments: bool) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_start();
        let line = match (in_comments, line.strip_prefix("///").or_else(|| line.strip_prefix("//!"))) {
            (true, Some(comment)) => comment.trim_start(),
            (true, None) => {
                open = None;
                continue;
            }
            (false, _) => line,
        };
        if line.starts_with("```") {
            match open.take() {
                Some(block) => found.push(block),
                None => open = Some((number + 1, String::new())),
            }
        } else if let Some((_, code)) = &mut open {
            code.push_str(line);
            code.push('\n');
        }
    }
    found
}

/// Whether the code of a handler waits again and again, or for a participant without a limit, whatever
/// happens to its job.
fn ignores_its_cancellation(code: &str) -> bool {
    // What follows is the test of the handler.
    let code = code.split("JobSpec::room").next().unwrap_or_default();
    let loops = code.contains(".next().await") && (code.contains("while let") || code.contains("loop {"));
    let waits = code.contains("room().wait_for_participant(") && !code.contains(".within(");
    // `ctx.cancelled().await` after the wait does not end it.
    let ends =
        code.contains("run_until_cancelled") || code.contains("select!") && code.contains("cancelled()");
    code.contains("JobContext") && (loops && !code.contains("cancelled") || waits && !ends)
}

#[test]
fn handlers_in_documentation_end_when_their_job_is_cancelled() {
    let sources = ["rs", "md"].into_iter().flat_map(|extension| files("crates", extension));
    let mut violations = Vec::new();
    let mut handlers = 0;
    for file in sources.chain(["README.md".into()]) {
        let text = fs::read_to_string(root().join(&file)).unwrap();
        for (line, code) in blocks(&text, file.extension().is_some_and(|extension| extension == "rs")) {
            handlers += usize::from(code.contains("JobContext"));
            if ignores_its_cancellation(&code) {
                violations.push(format!("{}:{line}: it does not wait for its cancellation", file.display()));
            }
        }
    }
    assert!(handlers > 80, "{handlers} handlers were found");
    none(&violations);
}

#[test]
fn a_wait_without_the_cancellation_is_found() {
    let block = |code: &str| format!("/// ```\n/// async fn a(ctx: JobContext) {{ {code} }}\n/// ```\n");
    for (code, ignores) in [
        ("while let Some(event) = events.next().await {}", true),
        ("loop { events.next().await }", true),
        ("while let Some(event) = ctx.run_until_cancelled(events.next()).await.flatten() {}", false),
        ("loop { select! { _ = ctx.cancelled() => {} event = events.next().await => {} } }", false),
        ("let first = events.next().await;", false),
        ("ctx.room().wait_for_participant(filter).await?; ctx.cancelled().await;", true),
        ("ctx.room().wait_for_participant(filter.within(MINUTE)).await?;", false),
        ("ctx.run_until_cancelled(ctx.room().wait_for_participant(filter)).await;", false),
        ("select! { _ = ctx.cancelled() => {} _ = ctx.room().wait_for_participant(filter) => {} }", false),
    ] {
        let found = blocks(&block(code), true);
        assert_eq!(found.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [1]);
        assert_eq!(found.iter().any(|(_, code)| ignores_its_cancellation(code)), ignores, "{code}");
        assert!(blocks(&block(code).replace("/// ", ""), true).is_empty(), "it is no comment");
        assert_eq!(blocks(&block(code).replace("/// ", ""), false).len(), 1);
    }
}
