//! TLS as a client: rustls with aws-lc-rs, chosen explicitly, so that no process-wide provider is needed or
//! changed.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio_rustls::TlsConnector;

use crate::error::ConnectError;
use crate::stream::Stream;

/// Wraps a plain stream in TLS.
pub(super) async fn encrypt(
    stream: Stream,
    host: &str,
    endpoint: &str,
    config: Arc<ClientConfig>,
) -> Result<Stream, ConnectError> {
    let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())
        .map_err(|error| tls_error(endpoint, io::Error::other(error)))?;
    let stream =
        TlsConnector::from(config).connect(name, stream).await.map_err(|error| tls_error(endpoint, error))?;
    Ok(Box::new(stream))
}

/// The same configuration for a server without HTTP.
pub(super) fn without_http(config: &ClientConfig) -> Arc<ClientConfig> {
    let mut config = config.clone();
    config.alpn_protocols.clear();
    Arc::new(config)
}

/// A TLS configuration that trusts the certificates of this file, or else those of the platform.
pub(super) fn config(endpoint: &str, trusted: Option<&Path>) -> Result<ClientConfig, ConnectError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| tls_error(endpoint, io::Error::other(error)))?;
    let builder = match trusted {
        Some(path) => builder.with_root_certificates(read_roots(path)?),
        None => {
            builder.with_platform_verifier().map_err(|error| tls_error(endpoint, io::Error::other(error)))?
        }
    };
    let mut config = builder.with_no_client_auth();
    // A load balancer with HTTP/2 must not choose it: a WebSocket starts as HTTP/1.1.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn read_roots(path: &Path) -> Result<RootCertStore, ConnectError> {
    let unusable = |source| ConnectError::CaFile { path: path.to_owned(), source };
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(|found| found.collect::<Result<Vec<_>, _>>())
        .map_err(|error| unusable(Box::new(error)))?;
    let mut roots = RootCertStore::empty();
    // A platform's bundle may contain old certificates that rustls rejects; they are skipped.
    let (added, _) = roots.add_parsable_certificates(certificates);
    if added == 0 {
        return Err(unusable("it holds no certificate".into()));
    }
    Ok(roots)
}

fn tls_error(endpoint: &str, error: io::Error) -> ConnectError {
    use rustls::CertificateError as Certificate;
    use rustls::Error;
    let hint = match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::InvalidCertificate(Certificate::Expired | Certificate::ExpiredContext { .. })) => {
            "its certificate has expired: renew it on the server, unless this machine's clock is wrong"
        }
        Some(Error::InvalidCertificate(
            Certificate::NotValidYet | Certificate::NotValidYetContext { .. },
        )) => {
            "its certificate is not valid yet: check this machine's clock, and then the server's certificate"
        }
        Some(Error::InvalidCertificate(
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. },
        )) => {
            "its certificate is for another name: use a host that it names in the server URL (`.url(…)` or LIVEKIT_URL)"
        }
        Some(Error::InvalidCertificate(_)) => {
            "its certificate is not trusted: give the authority's PEM file (`ca_file(…)` or SSL_CERT_FILE)"
        }
        Some(Error::InvalidMessage(_)) => {
            "it answers without TLS; check wss:// (or https://) against ws:// (or http://) in the server URL (`.url(…)` or LIVEKIT_URL)"
        }
        _ => {
            "check the server's TLS settings, and wss:// (or https://) against ws:// (or http://) in the server URL (`.url(…)` or LIVEKIT_URL)"
        }
    };
    ConnectError::Tls { endpoint: endpoint.to_owned(), hint, source: Box::new(error) }
}
