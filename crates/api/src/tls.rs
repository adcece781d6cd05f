//! A certificate and its key, for readers from elsewhere.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// What stands between readers and whoever listens on the way.
#[derive(Clone, Debug)]
pub struct Tls {
    pub(crate) config: Arc<ServerConfig>,
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum BadTls {
    /// A file that can't be read, or holds nothing of what it should.
    #[error("{}: {why}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// They do not belong together, or are not what this library can use.
    #[error("the certificate and its key can't be used: {0}")]
    Unusable(String),
}

impl Tls {
    /// Reads a chain of certificates and a private key, both as PEM.
    ///
    /// # Errors
    /// [`BadTls`]; nothing of the key is in it.
    pub fn read(certificate: &Path, key: &Path) -> Result<Tls, BadTls> {
        let bytes = |path: &Path| {
            let file = |error: io::Error| BadTls::File { path: path.to_owned(), why: error.to_string() };
            std::fs::read(path).map_err(file)
        };
        let none = |path: &Path, what: &str| BadTls::File { path: path.to_owned(), why: format!("it holds no {what}") };
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes(certificate)?).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or_else(|| none(certificate, "PEM certificate"))?;
        let secret = PrivateKeyDer::from_pem_slice(&bytes(key)?).map_err(|_| none(key, "PEM private key"))?;
        let unusable = |error: tokio_rustls::rustls::Error| BadTls::Unusable(error.to_string());
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_safe_default_protocol_versions().map_err(unusable)?;
        let config = config.with_no_client_auth().with_single_cert(chain, secret).map_err(unusable)?;
        Ok(Tls { config: Arc::new(config) })
    }
}
