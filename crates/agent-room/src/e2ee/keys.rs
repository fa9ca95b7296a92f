//! The keys of each sender, in a ring.

use std::collections::BTreeMap;

use aws_lc_rs::aead::LessSafeKey;

use super::error::E2eeError;
use super::frame::NONCE_LEN;
use super::key::E2eeKey;
use super::nonce::Nonces;

/// The number of keys of a ring.
const RING: u8 = 16;
/// How many ratchet steps are tried by default, and at most.
const WINDOW: u8 = 16;
const MAX_WINDOW: u8 = 64;
/// Maximum number of senders: more than a room has participants.
const MAX_SENDERS: usize = 10_000;

/// End-to-end encryption of a room: which keys there are.
///
/// With a shared key all participants encrypt with the same one:
/// ```
/// use agent_room::{E2eeKey, E2eeOptions};
///
/// let options = E2eeOptions::shared(E2eeKey::new("a passphrase"));
/// ```
/// Without one, each participant has its own:
/// ```
/// use agent_room::{E2eeKey, E2eeOptions};
///
/// let options = E2eeOptions::per_participant()
///     .own_key(E2eeKey::new("the agent's passphrase"))
///     .key_of("ada", E2eeKey::new("Ada's passphrase"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct E2eeOptions {
    /// The keys that everybody uses, by index.
    pub shared: BTreeMap<u8, E2eeKey>,
    /// Our own keys, if there is no shared one.
    pub own: BTreeMap<u8, E2eeKey>,
    /// The keys of others by their identity, if there is no shared one.
    pub others: BTreeMap<String, BTreeMap<u8, E2eeKey>>,
    /// How many steps of a ratchet are tried when a frame cannot be opened. `None`: 16. At most 64 count.
    /// Each step costs the derivation of two keys once, and one lost frame.
    pub ratchet_window: Option<u8>,
    /// Whether only tracks are encrypted, and data are not: for front ends that set `e2ee` and not
    /// `encryption`.
    pub media_only: bool,
}

impl E2eeOptions {
    /// One key for all participants, as key 0.
    #[must_use]
    pub fn shared(key: E2eeKey) -> Self {
        Self { shared: BTreeMap::from([(0, key)]), ..Self::default() }
    }

    /// Each participant has keys of its own. None is known yet.
    #[must_use]
    pub fn per_participant() -> Self {
        Self::default()
    }

    /// Sets our own key, as key 0.
    #[must_use]
    pub fn own_key(mut self, key: E2eeKey) -> Self {
        self.own.insert(0, key);
        self
    }

    /// Sets the key of another participant, as key 0.
    #[must_use]
    pub fn key_of(mut self, identity: impl Into<String>, key: E2eeKey) -> Self {
        self.others.entry(identity.into()).or_default().insert(0, key);
        self
    }
}

/// The keys of a room.
pub(super) struct Keys {
    /// Ours, and with a shared key the one from which everybody begins.
    pub(super) own: KeyRing,
    /// Which of ours we encrypt with.
    pub(super) index: u8,
    pub(super) data: bool,
    shared: bool,
    others: BTreeMap<String, KeyRing>,
    /// Of participants without a key.
    none: KeyRing,
    nonces: Option<Nonces>,
}

impl Keys {
    pub(super) fn new(options: &E2eeOptions) -> Self {
        let ring = |keys| KeyRing::new(keys, options.ratchet_window);
        let shared = !options.shared.is_empty();
        let others = match shared {
            true => BTreeMap::new(),
            false => options.others.iter().map(|(identity, keys)| (identity.clone(), ring(keys))).collect(),
        };
        let own = if shared { &options.shared } else { &options.own };
        Self {
            own: ring(own),
            index: own.keys().next().copied().unwrap_or(0),
            data: !options.media_only,
            shared,
            others,
            none: ring(&BTreeMap::new()),
            nonces: Nonces::random(),
        }
    }

    /// The keys of another participant.
    pub(super) fn of(&mut self, identity: &str) -> &mut KeyRing {
        if self.shared && !self.others.contains_key(identity) && self.others.len() < MAX_SENDERS {
            // Each ratchets on its own.
            self.others.insert(identity.to_owned(), self.own.clone());
        }
        self.others.get_mut(identity).unwrap_or(&mut self.none)
    }

    pub(super) fn set(&mut self, of: Option<&str>, index: u8, key: E2eeKey) {
        match of {
            Some(identity) if !self.shared => {
                let ring = self.others.entry(identity.to_owned());
                ring.or_insert_with(|| self.none.clone()).set(index, key);
            }
            _ => {
                self.own.set(index, key.clone());
                if self.shared {
                    self.others.values_mut().for_each(|ring| ring.set(index, key.clone()));
                }
            }
        }
    }

    /// A participant has left: if it returns, it starts with the shared key again, if there is one.
    pub(super) fn left(&mut self, identity: &str) {
        if self.shared {
            self.others.remove(identity);
        }
    }

    /// Encrypts with our key and a nonce of its own.
    pub(super) fn seal<T>(
        &mut self,
        seal: impl FnOnce(&LessSafeKey, u8, [u8; NONCE_LEN]) -> Result<T, E2eeError>,
    ) -> Result<T, E2eeError> {
        let nonce = self.nonces.as_mut().and_then(Nonces::next).ok_or(E2eeError::NoRandomness)?;
        seal(self.own.cipher(self.index)?, self.index, nonce)
    }
}

/// The keys of one sender.
#[derive(Clone, Debug, Default)]
pub(super) struct KeyRing {
    keys: BTreeMap<u8, Chain>,
    window: u8,
}

/// A key, and those that follow it by ratchets.
#[derive(Clone, Debug)]
struct Chain {
    current: Link,
    /// Steps that were computed and not used yet.
    ahead: Vec<Link>,
}

#[derive(Clone, Debug)]
struct Link {
    key: E2eeKey,
    cipher: Cipher,
}

/// A cipher with a key: cheap to clone, and without `Debug` output of the key.
#[derive(Clone)]
pub(super) struct Cipher(std::sync::Arc<LessSafeKey>);

impl std::fmt::Debug for Cipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cipher")
    }
}

impl std::ops::Deref for Cipher {
    type Target = LessSafeKey;

    fn deref(&self) -> &LessSafeKey {
        &self.0
    }
}

impl Link {
    fn new(key: E2eeKey) -> Option<Self> {
        let cipher = Cipher(std::sync::Arc::new(key.cipher()?));
        Some(Self { key, cipher })
    }
}

/// The decrypted value, and whether the sender had ratcheted its key.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Opened<T> {
    pub(super) value: T,
    pub(super) ratcheted: bool,
}

impl KeyRing {
    pub(super) fn new(keys: &BTreeMap<u8, E2eeKey>, window: Option<u8>) -> Self {
        let mut ring = Self { keys: BTreeMap::new(), window: window.unwrap_or(WINDOW).min(MAX_WINDOW) };
        for (index, key) in keys {
            ring.set(*index, key.clone());
        }
        ring
    }

    /// Sets a key. Indexes count modulo 16, as in the other SDKs.
    pub(super) fn set(&mut self, index: u8, key: E2eeKey) {
        if let Some(current) = Link::new(key) {
            self.keys.insert(index % RING, Chain { current, ahead: Vec::new() });
        }
    }

    /// Moves a key one step; returns whether there is such a key.
    pub(super) fn ratchet(&mut self, index: u8) -> bool {
        let Some(chain) = self.keys.get_mut(&(index % RING)) else { return false };
        if chain.ahead.is_empty() {
            chain.ahead.extend(Link::new(chain.current.key.ratcheted()));
        }
        chain.advance(0);
        true
    }

    pub(super) fn cipher(&self, index: u8) -> Result<&Cipher, E2eeError> {
        let chain = self.keys.get(&(index % RING)).ok_or(E2eeError::MissingKey { index })?;
        Ok(&chain.current.cipher)
    }

    /// Decrypts with the key of this index, or with a key that follows it.
    ///
    /// Each failure computes only one more step of the ratchet, so that undecryptable input costs little.
    pub(super) fn open<T>(
        &mut self,
        index: u8,
        open: impl Fn(&LessSafeKey) -> Option<T>,
    ) -> Result<Opened<T>, E2eeError> {
        let chain = self.keys.get_mut(&(index % RING)).ok_or(E2eeError::MissingKey { index })?;
        if let Some(value) = open(&chain.current.cipher) {
            return Ok(Opened { value, ratcheted: false });
        }
        if chain.ahead.len() < usize::from(self.window) {
            let last = chain.ahead.last().unwrap_or(&chain.current);
            chain.ahead.extend(Link::new(last.key.ratcheted()));
        }
        let opened = chain.ahead.iter().enumerate().find_map(|(at, link)| Some((at, open(&link.cipher)?)));
        let (at, value) = opened.ok_or(E2eeError::WrongKey { index })?;
        chain.advance(at);
        Ok(Opened { value, ratcheted: true })
    }
}

impl Chain {
    /// Makes one of the keys ahead the current one.
    fn advance(&mut self, at: usize) {
        if at < self.ahead.len()
            && let Some(link) = self.ahead.drain(..=at).next_back()
        {
            self.current = link;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::key::KeyDerivation;
    use super::*;

    fn key(secret: &str) -> E2eeKey {
        E2eeKey::derive(secret, KeyDerivation::Hkdf, "")
    }

    fn ring(secret: &str, window: u8) -> KeyRing {
        KeyRing::new(&BTreeMap::from([(0, key(secret))]), Some(window))
    }

    /// Opens what was encrypted with this key.
    fn opens(ring: &mut KeyRing, with: &E2eeKey) -> Result<bool, E2eeError> {
        use aws_lc_rs::aead::{Aad, Nonce};
        let nonce = || Nonce::assume_unique_for_key([1; 12]);
        let mut sealed = b"text".to_vec();
        let cipher = with.cipher().unwrap();
        cipher.seal_in_place_append_tag(nonce(), Aad::empty(), &mut sealed).unwrap();
        let open = |cipher: &LessSafeKey| {
            Some(cipher.open_in_place(nonce(), Aad::empty(), &mut sealed.clone()).ok()?.to_vec())
        };
        ring.open(0, open).map(|opened| opened.ratcheted)
    }

    #[test]
    fn a_key_that_moved_is_found_within_the_window() {
        let mut ring = ring("secret", 3);
        let mut moved = key("secret");
        assert_eq!(opens(&mut ring, &moved), Ok(false));
        moved = moved.ratcheted();
        assert_eq!(opens(&mut ring, &moved), Ok(true));
        assert_eq!(opens(&mut ring, &moved), Ok(false));
        // Three steps at once: a step is computed for each failure.
        moved = moved.ratcheted().ratcheted().ratcheted();
        let results: Vec<_> = (0..3).map(|_| opens(&mut ring, &moved)).collect();
        assert_eq!(
            results,
            [Err(E2eeError::WrongKey { index: 0 }), Err(E2eeError::WrongKey { index: 0 }), Ok(true)]
        );
        // Four are too many, however often it is tried.
        moved = moved.ratcheted().ratcheted().ratcheted().ratcheted();
        assert!((0..20).all(|_| opens(&mut ring, &moved).is_err()));
        assert_eq!(ring.keys.get(&0).unwrap().ahead.len(), 3);
    }

    #[test]
    fn no_step_is_tried_without_a_window() {
        let mut ring = ring("secret", 0);
        assert_eq!(opens(&mut ring, &key("secret").ratcheted()), Err(E2eeError::WrongKey { index: 0 }));
        assert!(ring.ratchet(0));
        assert_eq!(opens(&mut ring, &key("secret").ratcheted()), Ok(false));
    }

    #[test]
    fn a_missing_key_is_named() {
        let mut ring = KeyRing::new(&BTreeMap::new(), None);
        assert_eq!(opens(&mut ring, &key("secret")), Err(E2eeError::MissingKey { index: 0 }));
        assert!(!ring.ratchet(0));
        ring.set(16, key("secret"));
        assert_eq!(opens(&mut ring, &key("secret")), Ok(false));
    }
}
