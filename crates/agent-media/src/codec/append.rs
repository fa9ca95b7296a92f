//! How an implementation of a codec appends to the buffer of its caller.

use super::CodecError;

/// For implementations of [`AudioEncoder`](super::AudioEncoder) and [`AudioDecoder`](super::AudioDecoder):
/// lends `space` new elements at the end of a buffer, and keeps as many as were written; none after an error.
///
/// ```
/// let mut samples = vec![7_i16];
/// let written = agent_media::append(&mut samples, 3, |space| {
///     space[0] = 8;
///     Ok(1)
/// });
/// assert_eq!((written, samples), (Ok(1), vec![7, 8]));
/// ```
///
/// # Errors
/// That of `write`.
pub fn append<T: Copy + Default>(
    buffer: &mut Vec<T>,
    space: usize,
    write: impl FnOnce(&mut [T]) -> Result<usize, CodecError>,
) -> Result<usize, CodecError> {
    let before = buffer.len();
    buffer.resize(before + space, T::default());
    let written = write(buffer.get_mut(before..).unwrap_or_default());
    buffer.truncate(before + written.map_or(0, |written| written.min(space)));
    written
}
