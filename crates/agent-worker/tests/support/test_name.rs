//! The names of tests, for processes that run one of them.

/// The name of a test as the harness has it, from the `module_path!()` of its file.
pub(crate) fn test_name(module: &str, test: &str) -> String {
    module.split_once("::").map_or_else(|| test.to_owned(), |(_, module)| format!("{module}::{test}"))
}
