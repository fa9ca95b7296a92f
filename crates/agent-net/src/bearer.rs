//! The header that authorizes a request.

use hyper::header::{HeaderValue, InvalidHeaderValue};

use agent_proto::Secret;

/// The value of `Authorization` for this token, marked as sensitive so that no library shows it.
pub(crate) fn bearer(token: &Secret) -> Result<HeaderValue, InvalidHeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose()))?;
    value.set_sensitive(true);
    Ok(value)
}
