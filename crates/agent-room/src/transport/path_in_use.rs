//! The path over which media and data are sent, as str0m has chosen it.

use std::net::SocketAddr;

use str0m::{Candidate, CandidateKind};

use crate::{AddressKind, Protocol};

/// Where packets are sent, and from where.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct PathInUse {
    pub(super) protocol: Protocol,
    /// Our address, or that of a relay.
    pub(super) source: SocketAddr,
    pub(super) destination: SocketAddr,
}

impl PathInUse {
    pub(super) const fn new(protocol: Protocol, source: SocketAddr, destination: SocketAddr) -> Self {
        Self { protocol, source, destination }
    }

    /// Whether it leads to this address, and packets from there came over it.
    pub(super) fn leads_to(self, protocol: Protocol, remote: SocketAddr) -> bool {
        self.protocol == protocol && self.destination == remote
    }
}

/// What the address of a candidate is.
pub(super) fn kind_of(candidate: &Candidate) -> AddressKind {
    match candidate.kind() {
        CandidateKind::Host => AddressKind::Host,
        CandidateKind::ServerReflexive => AddressKind::ServerReflexive,
        CandidateKind::PeerReflexive => AddressKind::PeerReflexive,
        CandidateKind::Relayed => AddressKind::Relayed,
    }
}
