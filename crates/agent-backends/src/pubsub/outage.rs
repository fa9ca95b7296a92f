//! When channels are told that what carries them cannot be read.

/// A time in which nothing could be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Outage {
    #[default]
    None,
    /// It may pass by itself, and then nothing was lost.
    Passing,
    /// It does not, and channels were told.
    Lasting,
}

/// What a failed read is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The first one in a row, which may pass.
    First,
    /// The first one that does not pass by itself.
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

    /// A read has worked: whether channels are to be told, so that all announce themselves again.
    pub(super) fn over(&mut self) -> bool {
        std::mem::take(self) == Self::Lasting
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_that_does_not_pass_is_told_once_and_again_when_it_is_over() {
        use Failure::{First, Known, Lasting};
        for (failures, told, over) in [
            (&[true, true, true][..], &[First, Known, Known][..], false),
            (&[false, false], &[Lasting, Known], true),
            (&[true, false, true, false], &[First, Lasting, Known, Known], true),
            (&[], &[], false),
        ] {
            let mut outage = Outage::default();
            let failed: Vec<Failure> = failures.iter().map(|temporary| outage.failed(*temporary)).collect();
            assert_eq!((failed.as_slice(), outage.over()), (told, over), "{failures:?}");
            assert_eq!(outage, Outage::None);
        }
    }
}
