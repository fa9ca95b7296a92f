//! Which of the names that a worker was given it registers with.

/// The names from each place.
#[derive(Default)]
pub(super) struct AgentNames {
    /// Of the environment, wins over everything.
    pub(super) override_name: Option<String>,
    /// Of the program.
    pub(super) given: Option<String>,
    /// Of the environment.
    pub(super) environment: Option<String>,
    /// Of the program, if there is no other.
    pub(super) default: Option<String>,
}

impl AgentNames {
    /// The name to register with, and whether it is from the environment; empty: none.
    pub(super) fn resolve(&self) -> (String, bool) {
        let names = [
            (&self.override_name, true),
            (&self.given, false),
            (&self.environment, true),
            (&self.default, false),
        ];
        let chosen = |(name, is_env): (&Option<String>, bool)| Some((name.clone()?, is_env));
        names.into_iter().find_map(chosen).unwrap_or_default()
    }
}
