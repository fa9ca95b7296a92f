//! The page of reported problems names tests that exist.

/// The tests that a page names: `program path::name`.
fn named(page: &str) -> Vec<&str> {
    let is_test = |text: &&str| {
        let path = text.rsplit_once(' ').map(|(_, path)| path);
        path.is_some_and(|path| {
            !path.is_empty() && path.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
        }) && !text.starts_with("cargo ")
    };
    page.split('`').skip(1).step_by(2).filter(is_test).collect()
}

/// The tests without a function of their name.
fn missing(page: &str, sources: &str) -> Vec<String> {
    let has = |test: &&str| {
        let name = test.rsplit([':', ' ']).next().unwrap_or_default();
        !sources.contains(&format!("fn {name}("))
    };
    named(page).into_iter().filter(has).map(|test| format!("there is no test {test}")).collect()
}

#[test]
fn tests_of_reported_problems_exist() {
    let sources: String = ["crates", "examples"]
        .iter()
        .flat_map(|folder| super::files(folder, "rs"))
        .map(|file| std::fs::read_to_string(super::root().join(file)).unwrap())
        .collect();
    let page = std::fs::read_to_string(super::root().join("docs/reported-problems.md")).unwrap();
    assert!(named(&page).len() > 40, "{:?}", named(&page));
    super::none(&missing(&page, &sources));
}

#[test]
fn a_test_that_is_gone_is_found() {
    let page = "| `real jobs::one` and `it two` | `cargo xtask bench` `Bounded` |";
    assert_eq!(missing(page, "async fn one() {}\nfn other() {}"), ["there is no test it two"]);
}
