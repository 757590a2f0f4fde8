//! Answers to clients.

use serde_json::json;

use super::range::Wanted;
use super::repository::{Blob, Repository};
use super::route::{Page, Route};
use crate::http::header::RANGE;
use crate::http::{Fields, RequestHead, StatusCode};
use formats::digest::Digest;
use image::Blobs;
use oci::{Documents, Flavor, Index};

const JSON: &str = "application/json";
const BYTES: &str = "application/octet-stream";

/// An answer's head and its body.
#[derive(Debug)]
pub(super) struct Answer<'a> {
    status: StatusCode,
    media_type: &'a str,
    /// Further header lines.
    fields: String,
    pub(super) body: Body<'a>,
}

#[derive(Debug)]
pub(super) enum Body<'a> {
    Text(String),
    Layer(&'a Blobs<'a>, usize, Wanted),
}

impl<'a> Answer<'a> {
    /// The answer to a request.
    pub(super) fn to(repository: &'a Repository<'a>, head: &RequestHead) -> Self {
        let is_shown = |route: &Route| !(repository.is_secret() && route.lists_names());
        let Some((route, page)) = Route::parse(&head.target).filter(|(route, _)| is_shown(route))
        else {
            return Self::not_found("UNSUPPORTED", "no such resource");
        };
        match route {
            Route::Base => Self::text(JSON, "{}".into()),
            Route::Catalog => Self::list(&page, "/v2/_catalog", &repository.names(), |names| {
                json!({"repositories": names}).to_string()
            }),
            Route::Tags(name) => match repository.tags(&name) {
                None => Self::not_found("NAME_UNKNOWN", "no such repository"),
                Some(tags) => Self::list(&page, &format!("/v2/{name}/tags/list"), &tags, |tags| {
                    json!({"name": name, "tags": tags}).to_string()
                }),
            },
            Route::Manifest(name, target) => {
                Self::manifest(&repository.manifests(&name, &target), &head.fields)
            }
            Route::Blob(name, digest) => match repository.blob(&name, digest) {
                None => Self::not_found("BLOB_UNKNOWN", "no such blob"),
                Some(Blob::Document(text)) => Self::text(BYTES, text.into()).with_digest(digest),
                Some(Blob::Layer(blobs, layer)) => {
                    Self::layer(blobs, layer, head.fields.get(RANGE))
                }
            },
            // There are none. An empty list tells clients not to try a tag instead.
            Route::Referrers(name, _) => match repository.tags(&name) {
                None => Self::not_found("NAME_UNKNOWN", "no such repository"),
                Some(_) => Self::text(Flavor::Oci.index(), Index::new(Flavor::Oci).to_json()),
            },
        }
    }

    /// The first of these manifests that the client accepts.
    fn manifest(all: &[&'a Documents], fields: &Fields) -> Self {
        let types = all.iter().map(|documents| documents.descriptor.media_type.as_str());
        let accepted = types.clone().position(|media_type| fields.accepts(media_type));
        match accepted.map(|index| all[index]) {
            Some(Documents { manifest, descriptor, .. }) => {
                Self::text(&descriptor.media_type, manifest.clone()).with_digest(descriptor.digest)
            }
            None if all.is_empty() => Self::not_found("MANIFEST_UNKNOWN", "no such manifest"),
            // Other registries answer this too.
            None => {
                let types = types.collect::<Vec<_>>().join(" or ");
                let says = format!("the header Accept must include {types}");
                Self::not_found("MANIFEST_UNKNOWN", &says)
            }
        }
    }

    fn layer(blobs: &'a Blobs<'a>, layer: usize, range: Option<&str>) -> Self {
        let blob = &blobs.all()[layer];
        let (size, wanted) = (blob.size, Wanted::parse(range, blob.size));
        let mut answer = match &wanted {
            Wanted::Whole => Self::text(BYTES, String::new()),
            Wanted::Part(range) => Self {
                status: StatusCode::PARTIAL_CONTENT,
                fields: format!(
                    "Content-Range: bytes {}-{}/{size}\r\n",
                    range.start,
                    range.end - 1
                ),
                ..Self::text(BYTES, String::new())
            },
            Wanted::Nothing => {
                let says = "the blob does not have this range of bytes";
                let mut answer =
                    Self::error(StatusCode::RANGE_NOT_SATISFIABLE, "UNSUPPORTED", says);
                answer.fields = format!("Content-Range: bytes */{size}\r\n");
                return answer;
            }
        };
        answer.fields.push_str("Accept-Ranges: bytes\r\n");
        answer.body = Body::Layer(blobs, layer, wanted);
        answer.with_digest(blob.digest)
    }

    /// A list, or the requested page of it.
    fn list(page: &Page, path: &str, all: &[&str], show: impl FnOnce(&[&str]) -> String) -> Self {
        let (names, more) = page.of(all);
        let mut answer = Self::text(JSON, show(&names));
        if let (true, Some(last), Some(limit)) = (more, names.last(), page.limit) {
            answer.fields = format!("Link: <{path}?n={limit}&last={last}>; rel=\"next\"\r\n");
        }
        answer
    }

    fn text(media_type: &'a str, text: String) -> Self {
        Self { status: StatusCode::OK, media_type, fields: String::new(), body: Body::Text(text) }
    }

    pub(super) fn error(status: StatusCode, code: &str, message: &str) -> Self {
        let body = json!({"errors": [{"code": code, "message": message}]});
        Self { status, ..Self::text(JSON, body.to_string()) }
    }

    fn not_found(code: &str, message: &str) -> Self {
        Self::error(StatusCode::NOT_FOUND, code, message)
    }

    fn with_digest(mut self, digest: Digest) -> Self {
        let fields = format!("Docker-Content-Digest: {digest}\r\nEtag: \"{digest}\"\r\n");
        self.fields.push_str(&fields);
        self
    }

    fn length(&self) -> u64 {
        match &self.body {
            Body::Text(text) => text.len() as u64,
            Body::Layer(_, _, Wanted::Part(range)) => range.end - range.start,
            Body::Layer(blobs, layer, _) => blobs.all()[*layer].size,
        }
    }

    /// The head as it is sent; with `keep`, the connection stays open for further requests.
    pub(super) fn head(&self, keep: bool) -> String {
        format!(
            "HTTP/1.1 {}\r\nDocker-Distribution-Api-Version: registry/2.0\r\nContent-Type: \
             {}\r\nContent-Length: {}\r\n{}Connection: {}\r\n\r\n",
            self.status,
            self.media_type,
            self.length(),
            self.fields,
            if keep { "keep-alive" } else { "close" },
        )
    }
}
