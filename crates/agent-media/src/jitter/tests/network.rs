//! Simulated networks on virtual time.

use super::*;

/// What happens to packets of 20 ms.
#[derive(Clone, Copy, Debug)]
struct Network {
    /// Percent.
    loss: f64,
    jitter: Jitter,
    /// Percent of packets that are 25 ms later than the others.
    reorder: f64,
    /// By how much the sender's clock is slow, in parts per million.
    drift: f64,
    payload: &'static [u8],
}

#[derive(Clone, Copy, Debug)]
enum Jitter {
    /// Up to this many milliseconds.
    Uniform(f64),
    /// All that comes within some 200 ms waits for their end, every few seconds.
    Bursts(f64),
}

const CLEAN: Network =
    Network { loss: 0.0, jitter: Jitter::Uniform(0.3), reorder: 0.0, drift: 0.0, payload: SILENCE };

/// As the sound of a voice of 200 Hz is stretched.
fn one_period(wanted: i64) -> i64 {
    if wanted.abs() >= 240 { wanted.signum() * 240 } else { 0 }
}

struct Heard {
    /// Time of each played packet from its sending, without what all packets take, in milliseconds, in order.
    delays: Vec<f64>,
    /// Share of the sound that was made up or rebuilt, in percent.
    filled: f64,
    stats: JitterStats,
}

impl Heard {
    fn delay(&self, percentile: usize) -> f64 {
        percentile_of(&self.delays, percentile)
    }
}

fn percentile_of(values: &[f64], percentile: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[(sorted.len() - 1) * percentile / 100]
}

impl Network {
    /// Packets with the times of their arrival, in this order, and when each was sent.
    fn arrivals(&self, count: u32) -> (Vec<EncodedPacket>, Vec<f64>) {
        let mut random = fastrand::Rng::with_seed(7);
        let (mut packets, mut sent) = (Vec::new(), Vec::new());
        let mut burst_end = 0.0;
        for number in 0..count {
            let time = f64::from(number) * 20.0 * (1.0 + self.drift / 1e6);
            sent.push(time);
            let jitter = match self.jitter {
                Jitter::Uniform(most) => random.f64() * most,
                Jitter::Bursts(length) => {
                    if time > burst_end && random.f64() < 0.01 {
                        burst_end = time + length;
                    }
                    f64::max(burst_end - time, 0.0) + random.f64()
                }
            };
            let reorder = if random.f64() * 100.0 < self.reorder { 25.0 } else { 0.0 };
            if random.f64() * 100.0 >= self.loss {
                let arrival = Duration::from_secs_f64((time + 40.0 + jitter + reorder) / 1_000.0);
                let packet = EncodedPacket::new(self.payload, number.into(), number * 960);
                packets.push(EncodedPacket { received: Time::ZERO + arrival, ..packet });
            }
        }
        packets.sort_by_key(|packet| packet.received);
        (packets, sent)
    }

    fn heard(&self, seconds: u32) -> Heard {
        let (packets, sent) = self.arrivals(seconds * 50);
        let mut player = Player::new(options());
        player.stretch = one_period;
        let (mut delays, mut filled, mut all) = (Vec::new(), 0.0, 0.0);
        let end = packets.last().unwrap().received;
        player.play(packets);
        for playout in player.played.iter().filter(|playout| playout.due < end) {
            all += f64::from(playout.samples);
            match playout.sound {
                PlayoutSound::Packet { sequence, .. } => {
                    delays.push(millis(playout.due) - 40.0 - sent[usize::try_from(sequence).unwrap()]);
                }
                PlayoutSound::Fec { .. } | PlayoutSound::Conceal => filled += f64::from(playout.samples),
                PlayoutSound::Silence { .. } => {}
            }
        }
        Heard { delays, filled: filled / all * 100.0, stats: player.buffer.stats() }
    }
}

/// How long 95 % of the packets wait at most, in milliseconds, and how much of the sound is made up or
/// rebuilt, in percent.
#[test]
fn delay_and_loss() {
    let jitter = Jitter::Uniform(30.0);
    for (network, most, filled) in [
        (CLEAN, 5.0, 0.0..0.001),
        (Network { loss: 2.0, ..CLEAN }, 5.0, 1.5..2.5),
        (Network { jitter, ..CLEAN }, 40.0, 0.0..0.2),
        (Network { jitter, loss: 2.0, ..CLEAN }, 40.0, 1.5..2.5),
        (Network { jitter, loss: 20.0, ..CLEAN }, 50.0, 17.0..23.0),
        (Network { reorder: 5.0, ..CLEAN }, 33.0, 0.0..0.5),
        (Network { jitter: Jitter::Bursts(60.0), ..CLEAN }, 75.0, 0.0..1.0),
        (Network { jitter: Jitter::Bursts(60.0), loss: 2.0, reorder: 5.0, ..CLEAN }, 75.0, 1.5..3.5),
        (Network { drift: 500.0, ..CLEAN }, 10.0, 0.0..0.1),
        (Network { drift: -500.0, ..CLEAN }, 10.0, 0.0..0.1),
        (Network { drift: 500.0, jitter, loss: 2.0, ..CLEAN }, 40.0, 1.5..2.5),
        (Network { drift: -500.0, jitter, loss: 2.0, ..CLEAN }, 40.0, 1.5..2.5),
        // More than the bound.
        (Network { jitter: Jitter::Bursts(400.0), ..CLEAN }, 200.0, 2.0..8.0),
    ] {
        let heard = network.heard(60);
        let (delay, share) = (heard.delay(95), heard.filled);
        assert!(delay <= most, "{network:?}: {delay} ms");
        assert!(filled.contains(&share), "{network:?}: {share} %, {:?}", heard.stats);
        assert!(heard.delay(100) <= 200.5, "{network:?}: {} ms", heard.delay(100));
    }
}

/// In ten minutes the clocks are 300 ms apart.
#[test]
fn the_delay_does_not_grow() {
    for drift in [-500.0, 0.0, 500.0] {
        let network = Network { drift, jitter: Jitter::Uniform(30.0), loss: 2.0, reorder: 5.0, ..CLEAN };
        let heard = network.heard(600);
        let minute = |at: usize| percentile_of(&heard.delays[at * 2_800..(at + 1) * 2_800], 95);
        assert!(minute(9) < minute(1) + 5.0, "{drift}: {} ms, then {} ms", minute(1), minute(9));
    }
}

/// A network that becomes calm is noticed within some ten seconds, and one that becomes slower does not count
/// as jitter for longer than a few.
#[test]
fn networks_change() {
    let jitter = Network { jitter: Jitter::Uniform(60.0), ..CLEAN };
    let (mut packets, sent) = jitter.arrivals(3_000);
    let slower = Duration::from_millis(100);
    for (packet, sent) in packets.iter_mut().filter(|packet| packet.sequence >= 500).map(|packet| {
        let sent = sent[usize::try_from(packet.sequence).unwrap()];
        (packet, sent)
    }) {
        packet.received = Time::ZERO + Duration::from_secs_f64(sent / 1_000.0) + slower;
    }
    packets.sort_by_key(|packet| packet.received);
    let mut player = Player { stretch: one_period, ..Player::new(options()) };
    player.play(packets);
    let delay = |second: usize| {
        let of = |playout: &Playout| match playout.sound {
            PlayoutSound::Packet { sequence, .. } => {
                let sequence = usize::try_from(sequence).unwrap();
                Some((sequence, millis(playout.due) - 100.0 - sent[sequence]))
            }
            _ => None,
        };
        player.played.iter().filter_map(of).find(|(sequence, _)| *sequence >= second * 50).unwrap().1
    };
    assert!(delay(12) < 70.0, "{}", delay(12));
    assert!(delay(55) < 9.0, "{}", delay(55));
}

/// Where many packets are lost, the delay becomes long enough to have the copy in the next one.
#[test]
fn copies_replace_lost_packets() {
    for (jitter, loss, least, most) in
        [(0.3, 1.0, 0.0, 5.0), (0.3, 5.0, 85.0, 26.0), (0.3, 10.0, 80.0, 26.0), (30.0, 10.0, 60.0, 50.0)]
    {
        let network = Network { jitter: Jitter::Uniform(jitter), loss, payload: WITH_COPY, ..CLEAN };
        let heard = network.heard(60);
        let recovered = heard.stats.recovered as f64 / heard.stats.lost as f64 * 100.0;
        assert!(recovered >= least, "{loss} %, {jitter} ms: {recovered} %");
        assert!(heard.delay(95) <= most, "{loss} %, {jitter} ms: {} ms", heard.delay(95));
    }
}
