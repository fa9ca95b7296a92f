//! What a layer is, and how an agent gets one.

use crate::agent::Agent;

/// Makes one agent of another.
pub trait Layer<A: Agent> {
    /// The agent in its new coat.
    type Agent: Agent;

    /// Puts the coat on.
    fn layer(self, inner: A) -> Self::Agent;
}

/// Adds layers to an agent.
pub trait Layered: Agent + Sized {
    /// This agent within that layer.
    #[must_use]
    fn layer<L: Layer<Self>>(self, layer: L) -> L::Agent {
        layer.layer(self)
    }
}

impl<A: Agent> Layered for A {}
