//! An in-memory registry that counts what it receives, and misbehaves as a test wishes.

use super::sha256;
use std::collections::HashMap;
use std::fmt;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

/// A request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// The path and the query.
    pub(crate) target: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

/// What happens to a request instead of the registry's usual answer.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// This answer.
    Answer(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// The connection is closed without an answer.
    Drop,
    /// The connection is closed after this many bytes of the body, which an upload keeps.
    DropAfter(usize),
    /// An answer without a length that begins with these bytes and does not end.
    Endless(Vec<u8>),
    /// The connection is closed after this many bytes of the answer's body.
    CutAnswer(usize),
    /// The registry does what it should, but the connection is closed before the answer.
    DropAnswer,
    /// The registry's answer after this many interim responses.
    Continue(usize),
    /// The registry's answer, with a changed header.
    Header(&'static str, String),
}

type Hook = dyn Fn(&Request) -> Option<Fault> + Send + Sync;

#[derive(Default)]
struct State {
    /// Blobs by repository and digest.
    blobs: HashMap<(String, String), Vec<u8>>,
    /// Media type and bytes, by repository and tag or digest.
    manifests: HashMap<(String, String), (String, Vec<u8>)>,
    uploads: HashMap<String, Vec<u8>>,
    begun: usize,
    requests: Vec<Request>,
}

/// The first byte of a TLS connection.
const TLS_HANDSHAKE: u8 = 22;

/// The registry. Its threads end with the process.
#[derive(Clone)]
pub(crate) struct Registry {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    hook: Arc<Hook>,
}

type Answer = (u16, Vec<(&'static str, String)>, Vec<u8>);

impl Registry {
    /// A registry that works as it should.
    pub(crate) fn start() -> Self {
        Self::start_with(|_| None)
    }

    /// A registry with faults for some requests, which are chosen without their bodies.
    pub(crate) fn start_with(
        hook: impl Fn(&Request) -> Option<Fault> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let registry = Self { address, state: Arc::default(), hook: Arc::new(hook) };
        let server = registry.clone();
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let server = server.clone();
                thread::spawn(move || while server.serve(&connection).is_some() {});
            }
        });
        registry
    }

    /// A name in this registry.
    pub(crate) fn name(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }

    /// The manifest of a tag or digest.
    pub(crate) fn manifest(&self, repository: &str, name: &str) -> Option<serde_json::Value> {
        let state = self.lock();
        let (_, bytes) = state.manifests.get(&(repository.into(), name.into()))?;
        Some(serde_json::from_slice(bytes).unwrap())
    }

    /// Replaces a manifest by another.
    pub(crate) fn set_manifest(&self, repository: &str, name: &str, bytes: &[u8]) {
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        self.set_document(repository, name, media_type, bytes);
    }

    /// Stores a manifest or index under a tag and under its digest, which is returned.
    pub(crate) fn set_document(
        &self,
        repository: &str,
        name: &str,
        media_type: &str,
        bytes: &[u8],
    ) -> String {
        let digest = format!("sha256:{}", sha256(bytes));
        let mut state = self.lock();
        for name in [name, &digest] {
            let key = (repository.to_owned(), name.to_owned());
            state.manifests.insert(key, (media_type.to_owned(), bytes.to_vec()));
        }
        digest
    }

    pub(crate) fn blob(&self, repository: &str, digest: &str) -> Option<Vec<u8>> {
        self.lock().blobs.get(&(repository.into(), digest.into())).cloned()
    }

    pub(crate) fn set_blob(&self, repository: &str, blob: &[u8]) -> String {
        let digest = format!("sha256:{}", sha256(blob));
        self.lock().blobs.insert((repository.into(), digest.clone()), blob.to_vec());
        digest
    }

    /// Stores a blob under the digest of another one.
    pub(crate) fn put_in_place_of(&self, repository: &str, digest: &str, blob: &[u8]) {
        self.lock().blobs.insert((repository.into(), digest.into()), blob.to_vec()).unwrap();
    }

    pub(crate) fn remove_blob(&self, repository: &str, digest: &str) {
        self.lock().blobs.remove(&(repository.into(), digest.into())).unwrap();
    }

    /// The requests since the last call.
    pub(crate) fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.lock().requests)
    }

    /// The number of blobs, and of their bytes, sent since the last call.
    pub(crate) fn sent(&self) -> (usize, usize) {
        let requests = self.requests();
        let blobs = requests.iter().filter(|request| request.target.contains("/blobs/uploads/"));
        let sent: Vec<usize> =
            blobs.map(|request| request.body.len()).filter(|bytes| *bytes > 0).collect();
        (sent.len(), sent.iter().sum())
    }

    /// Checks that everything a manifest refers to exists and has the right content.
    pub(crate) fn check(&self, repository: &str, name: &str) {
        let manifest = self.manifest(repository, name).expect("the manifest is missing");
        let layers = manifest["layers"].as_array().unwrap();
        for descriptor in layers.iter().chain([&manifest["config"]]) {
            let digest = descriptor["digest"].as_str().unwrap();
            let blob = self.blob(repository, digest).expect("a blob is missing");
            assert_eq!(format!("sha256:{}", sha256(&blob)), digest);
            assert_eq!(descriptor["size"], blob.len());
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn serve(&self, connection: &TcpStream) -> Option<()> {
        let mut reader = BufReader::new(connection);
        if reader.fill_buf().ok()?.first() == Some(&TLS_HANDSHAKE) {
            // Like plain HTTP registries before they close the connection.
            let mut connection = connection;
            connection.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").ok()?;
            return end(connection);
        }
        let mut request = head(&mut reader)?;
        let fault = (self.hook)(&request);
        let mut body = Body::of(&request);
        match fault {
            Some(Fault::Drop) => return end(connection),
            Some(Fault::DropAfter(bytes)) => {
                request.body = body.read(&mut reader, bytes)?;
                if request.method == "PATCH" {
                    self.answer(&request);
                }
                return end(connection);
            }
            _ => request.body = body.read(&mut reader, usize::MAX)?,
        }
        assert!(reader.buffer().is_empty(), "requests do not come before answers");
        self.lock().requests.push(request.clone());
        let (status, mut headers, content) = match &fault {
            Some(Fault::Answer(status, headers, content)) => {
                (*status, headers.clone(), content.clone())
            }
            _ => self.answer(&request),
        };
        if let Some(Fault::Header(name, value)) = &fault {
            headers.retain(|(known, _)| known != name);
            headers.push((name, value.clone()));
        }
        if matches!(fault, Some(Fault::DropAnswer)) {
            return end(connection);
        }
        if let Some(Fault::Endless(bytes)) = &fault {
            return endless(connection, bytes);
        }
        let mut out = format!("HTTP/1.1 {status} X\r\n");
        if !headers.iter().any(|(name, _)| *name == "content-length") {
            headers.push(("content-length", content.len().to_string()));
        }
        for (name, value) in &headers {
            out.extend([name, ": ", value, "\r\n"]);
        }
        let mut connection = connection;
        if let Some(Fault::Continue(times)) = fault {
            let announcement = "HTTP/1.1 100 Continue\r\n\r\n";
            connection.write_all(announcement.repeat(times).as_bytes()).ok()?;
        }
        connection.write_all((out + "\r\n").as_bytes()).ok()?;
        if let Some(Fault::CutAnswer(bytes)) = fault {
            connection.write_all(&content[..bytes.min(content.len())]).ok()?;
            return end(connection);
        }
        if request.method == "HEAD" { Some(()) } else { connection.write_all(&content).ok() }
    }

    /// The behaviour of a registry.
    fn answer(&self, request: &Request) -> Answer {
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let query: HashMap<&str, String> = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name, value.replace("%3A", ":")))
            .collect();
        let Some(path) = path.strip_prefix("/v2/") else { return (404, vec![], vec![]) };
        if path.is_empty() {
            return (200, vec![], vec![]);
        }
        let mut state = self.lock();
        if let Some((repository, name)) = path.split_once("/manifests/") {
            return state.manifest(repository, name, request);
        }
        if let Some((repository, id)) = path.split_once("/blobs/uploads/") {
            return state.upload(repository, id, &query, request);
        }
        let Some((repository, digest)) = path.split_once("/blobs/") else {
            return (404, vec![], vec![]);
        };
        let Some(blob) = state.blobs.get(&(repository.into(), digest.into())) else {
            return (404, vec![], vec![]);
        };
        let start = request.headers.get("range").and_then(|range| {
            range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok()
        });
        match start {
            Some(start) => {
                let range = format!("bytes {start}-{}/{}", blob.len() - 1, blob.len());
                (206, vec![("content-range", range)], blob[start..].to_vec())
            }
            None => (200, vec![("content-length", blob.len().to_string())], blob.clone()),
        }
    }
}

impl State {
    fn manifest(&mut self, repository: &str, name: &str, request: &Request) -> Answer {
        if request.method != "PUT" {
            return match self.manifests.get(&(repository.into(), name.into())) {
                Some((kind, bytes)) => (200, vec![("content-type", kind.clone())], bytes.clone()),
                None => (404, vec![], vec![]),
            };
        }
        let digest = format!("sha256:{}", sha256(&request.body));
        let entry = (request.headers["content-type"].clone(), request.body.clone());
        self.manifests.insert((repository.into(), digest.clone()), entry.clone());
        self.manifests.insert((repository.into(), name.into()), entry);
        (201, vec![("docker-content-digest", digest)], vec![])
    }

    fn upload(
        &mut self,
        repository: &str,
        id: &str,
        query: &HashMap<&str, String>,
        request: &Request,
    ) -> Answer {
        if let (Some(digest), Some(from)) = (query.get("mount"), query.get("from"))
            && let Some(blob) = self.blobs.get(&(from.clone(), digest.clone())).cloned()
        {
            self.blobs.insert((repository.into(), digest.clone()), blob);
            return (201, vec![], vec![]);
        }
        let place =
            |id: &str| ("location", format!("/v2/{repository}/blobs/uploads/{id}?_state=s"));
        match request.method.as_str() {
            "POST" => {
                let id = self.begun.to_string();
                self.begun += 1;
                self.uploads.insert(id.clone(), Vec::new());
                (202, vec![place(&id)], vec![])
            }
            "GET" => {
                let Some(upload) = self.uploads.get(id) else { return (404, vec![], vec![]) };
                let range = format!("0-{}", upload.len().saturating_sub(1));
                (204, vec![place(id), ("range", range)], vec![])
            }
            "PATCH" => {
                let Some(upload) = self.uploads.get_mut(id) else { return (404, vec![], vec![]) };
                if let Some(range) = request.headers.get("content-range") {
                    let expected =
                        format!("{}-{}", upload.len(), upload.len() + request.body.len() - 1);
                    if *range != expected {
                        return (416, vec![], vec![]);
                    }
                }
                upload.extend_from_slice(&request.body);
                (202, vec![place(id)], vec![])
            }
            "PUT" => {
                let Some(mut blob) = self.uploads.remove(id) else { return (404, vec![], vec![]) };
                blob.extend_from_slice(&request.body);
                let digest = format!("sha256:{}", sha256(&blob));
                if query.get("digest") != Some(&digest) {
                    return (400, vec![], vec![]);
                }
                self.blobs.insert((repository.into(), digest.clone()), blob);
                (201, vec![("docker-content-digest", digest)], vec![])
            }
            _ => (204, vec![], vec![]),
        }
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Registry").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Reads a request up to its body.
fn head(reader: &mut BufReader<&TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split(' ').map(str::to_owned);
    let (method, target) = (words.next()?, words.next()?);
    let mut request = Request { method, target, ..Request::default() };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { return Some(request) };
        request.headers.insert(name.to_lowercase(), value.to_owned());
    }
}

/// The encoding of a request's body.
enum Body {
    Length(usize),
    Chunked,
}

impl Body {
    fn of(request: &Request) -> Self {
        if request.headers.contains_key("transfer-encoding") {
            return Self::Chunked;
        }
        let length = request.headers.get("content-length");
        Self::Length(length.map_or(0, |length| length.parse().unwrap()))
    }

    /// Reads all of it, or a little more than `limit` bytes.
    fn read(&mut self, reader: &mut BufReader<&TcpStream>, limit: usize) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        match self {
            Self::Length(length) => {
                reader.take((*length).min(limit) as u64).read_to_end(&mut body).ok()?;
                (body.len() == (*length).min(limit)).then_some(body)
            }
            Self::Chunked => {
                while body.len() <= limit {
                    let mut line = String::new();
                    reader.read_line(&mut line).ok()?;
                    let length = usize::from_str_radix(line.trim_end(), 16).ok()?;
                    let mut chunk = vec![0; length + 2];
                    reader.read_exact(&mut chunk).ok()?;
                    body.extend_from_slice(&chunk[..length]);
                    if length == 0 {
                        break;
                    }
                }
                Some(body)
            }
        }
    }
}

/// Sends an endless answer until the client stops reading.
fn endless(mut connection: &TcpStream, bytes: &[u8]) -> Option<()> {
    connection.write_all(b"HTTP/1.1 200 X\r\nconnection: close\r\n\r\n").ok()?;
    connection.write_all(bytes).ok()?;
    while connection.write_all(&[0; 4096]).is_ok() {}
    None
}

/// Closes a connection at once.
fn end(connection: &TcpStream) -> Option<()> {
    connection.shutdown(std::net::Shutdown::Both).ok();
    None
}
