//! When channels are notified that their messages cannot be read.

/// A period without a successful read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Outage {
    #[default]
    None,
    /// It may pass without intervention, and then nothing was lost.
    Passing,
    /// It does not pass, and channels were notified.
    Lasting,
}

/// How a failed read changes the outage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The first one in a row; it may pass.
    First,
    /// The first one that does not pass.
    Lasting,
    /// Like the one before.
    Known,
}

impl Outage {
    pub(super) fn failed(&mut self, temporary: bool) -> Failure {
        match (*self, temporary) {
            (Self::None, true) => {
                *self = Self::Passing;
                Failure::First
            }
            (Self::None | Self::Passing, false) => {
                *self = Self::Lasting;
                Failure::Lasting
            }
            (Self::Passing, true) | (Self::Lasting, _) => Failure::Known,
        }
    }

    /// Records a successful read. Returns whether to notify the channels, so that all announce themselves
    /// again.
    pub(super) fn over(&mut self) -> bool {
        std::mem::take(self) == Self::Lasting
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lasting_outage_is_reported_once_and_again_when_it_is_over() {
        use Failure::{First, Known, Lasting};
        for (failures, expected, over) in [
            (&[true, true, true][..], &[First, Known, Known][..], false),
            (&[false, false], &[Lasting, Known], true),
            (&[true, false, true, false], &[First, Lasting, Known, Known], true),
            (&[], &[], false),
        ] {
            let mut outage = Outage::default();
            let reported: Vec<Failure> = failures.iter().map(|temporary| outage.failed(*temporary)).collect();
            assert_eq!((reported.as_slice(), outage.over()), (expected, over), "{failures:?}");
            assert_eq!(outage, Outage::None);
        }
    }
}
