//! The files of the page, compressed once.

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use port::words::hex;
use std::io::Write as _;

/// One of them.
pub(crate) struct Asset {
    kind: &'static str,
    etag: String,
    plain: Vec<u8>,
    packed: Vec<u8>,
}

impl Asset {
    pub(crate) fn new(kind: &'static str, text: &str) -> Asset {
        let mut packer = GzEncoder::new(Vec::new(), Compression::best());
        // Into memory, which takes all.
        let packed = packer.write_all(text.as_bytes()).and_then(|()| packer.finish()).unwrap_or_default();
        let etag = format!("\"{}\"", &hex(&codec::hash(&text.as_bytes().to_vec()))[..32]);
        Asset { kind, etag, plain: text.as_bytes().to_vec(), packed }
    }

    pub(crate) fn serve(&self, headers: &HeaderMap) -> Response {
        let has = |name, value: &str| {
            headers.get(name).and_then(|found| found.to_str().ok()).is_some_and(|found| found.contains(value))
        };
        let kept = [(header::ETAG, self.etag.clone()), (header::CACHE_CONTROL, "no-cache".to_owned())];
        if has(header::IF_NONE_MATCH, &self.etag) {
            return (StatusCode::NOT_MODIFIED, kept).into_response();
        }
        let kind = (header::CONTENT_TYPE, self.kind);
        if has(header::ACCEPT_ENCODING, "gzip") {
            let packed = [kind, (header::CONTENT_ENCODING, "gzip"), (header::VARY, "accept-encoding")];
            return (kept, packed, self.packed.clone()).into_response();
        }
        (kept, [kind], self.plain.clone()).into_response()
    }
}
