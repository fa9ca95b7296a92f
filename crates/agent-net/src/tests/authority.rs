//! A certificate authority of a test's own, and a TLS server with a certificate of it. Tests of agent-worker
//! use this file, too.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio_rustls::TlsAcceptor;

pub(crate) struct Authority {
    pub(crate) acceptor: TlsAcceptor,
    /// Its own certificate, to be trusted.
    pub(crate) file: PathBuf,
    _dir: tempfile::TempDir,
}

/// One that has certified a server of this name.
pub(crate) fn authority(name: &str) -> Authority {
    authority_with(name, |_| {})
}

/// The same; `change` changes what the server's certificate says.
pub(crate) fn authority_with(name: &str, change: impl FnOnce(&mut rcgen::CertificateParams)) -> Authority {
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca = params.self_signed(&ca_key).unwrap();
    let issuer = rcgen::Issuer::new(params, ca_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let mut says = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
    change(&mut says);
    let certificate = says.signed_by(&key, &issuer).unwrap();

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ca.pem");
    std::fs::write(&file, ca.pem()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    Authority { acceptor: TlsAcceptor::from(Arc::new(config)), file, _dir: dir }
}
