//! What a method may return.

use agent_room::MethodError;

/// What a method may return: nothing, a text, or a [`Result`] of these, whose error is any that converts into
/// [`MethodError`]: an [`RpcError`](agent_room::RpcError), which the caller receives, or another error, of
/// which the caller only learns that the method failed.
pub trait IntoRpcResponse {
    /// The payload of the response.
    ///
    /// # Errors
    /// The error of the method.
    fn into_response(self) -> Result<String, MethodError>;
}

impl IntoRpcResponse for () {
    fn into_response(self) -> Result<String, MethodError> {
        Ok(String::new())
    }
}

impl IntoRpcResponse for String {
    fn into_response(self) -> Result<String, MethodError> {
        Ok(self)
    }
}

impl IntoRpcResponse for &str {
    fn into_response(self) -> Result<String, MethodError> {
        Ok(self.to_owned())
    }
}

impl<T: IntoRpcResponse, E: Into<MethodError>> IntoRpcResponse for Result<T, E> {
    fn into_response(self) -> Result<String, MethodError> {
        self.map_err(Into::into)?.into_response()
    }
}
