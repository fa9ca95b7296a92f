//! What a network does to packets.

use std::time::Duration;

use fastrand::Rng;

/// What a [`UdpProxy`](crate::UdpProxy) does to the packets of each direction: nothing, unless set.
///
/// ```
/// use std::time::Duration;
/// use agent_testkit::LinkConditions;
///
/// let mobile = LinkConditions::new().loss(2.0).delay(Duration::from_millis(40)).jitter(Duration::from_millis(30));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LinkConditions {
    loss: f64,
    delay: Duration,
    jitter: Duration,
    seed: u64,
}

impl LinkConditions {
    /// A perfect network.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many packets are lost, in percent, each independently of the others.
    #[must_use]
    pub fn loss(mut self, percent: f64) -> Self {
        self.loss = percent.clamp(0.0, 100.0);
        self
    }

    /// How long each packet takes at least.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// How much longer a packet takes at most: each takes an equally distributed part of it, so that packets
    /// overtake others.
    #[must_use]
    pub fn jitter(mut self, jitter: Duration) -> Self {
        self.jitter = jitter;
        self
    }

    /// Seed of the decisions. The same seed decides the same for the n-th packet of a client and direction.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }
}

/// One direction of one client's packets.
pub(super) struct Link {
    conditions: LinkConditions,
    rng: Rng,
}

impl Link {
    /// `number`: differs between the links of a proxy.
    pub(super) fn new(conditions: LinkConditions, number: u64) -> Self {
        let seed = conditions.seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self { conditions, rng: Rng::with_seed(seed) }
    }

    /// How long the next packet takes; `None`: it is lost.
    pub(super) fn next_packet(&mut self) -> Option<Duration> {
        let LinkConditions { loss, delay, jitter, .. } = self.conditions;
        // Both are drawn for each packet, so that one does not change the decisions of the other.
        let (lost, late) = (self.rng.f64() * 100.0 < loss, self.rng.f64());
        (!lost).then(|| delay + jitter.mul_f64(late))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn packets(conditions: LinkConditions, number: u64) -> Vec<Option<Duration>> {
        let mut link = Link::new(conditions, number);
        (0..10_000).map(|_| link.next_packet()).collect()
    }

    #[test]
    fn the_same_packets_are_lost_and_late_for_the_same_seed() {
        let conditions = LinkConditions::new().loss(2.0).delay(40 * MS).jitter(30 * MS).seed(7);
        let all = packets(conditions, 1);
        let lost = all.iter().filter(|packet| packet.is_none()).count();
        assert!((150..250).contains(&lost), "{lost} of 10,000");
        let times = || all.iter().flatten();
        assert!(times().all(|time| (40 * MS..70 * MS).contains(time)));
        assert!(times().any(|time| *time < 42 * MS) && times().any(|time| *time > 68 * MS));
        assert_eq!(all, packets(conditions, 1));
        assert_ne!(all, packets(conditions, 2), "another link");
        assert_ne!(all, packets(conditions.seed(8), 1));
    }

    #[test]
    fn a_perfect_network_loses_and_delays_nothing() {
        assert!(packets(LinkConditions::new(), 1).iter().all(|packet| *packet == Some(Duration::ZERO)));
        assert!(packets(LinkConditions::new().loss(1000.0), 1).iter().all(Option::is_none));
    }
}
