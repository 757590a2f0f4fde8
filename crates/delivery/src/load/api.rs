//! Docker's API: requests and answers over one connection.

use std::io::{self, BufRead, BufReader, Read as _};
use std::time::Duration;

use serde_json::Value;

use super::channel::{Channel, Input};
use super::endpoint::Endpoint;
use super::{LoadError, STANDSTILL};
use crate::http::header::{CONNECTION, TRANSFER_ENCODING};
use crate::http::{Body, ChunkedOutput, HeadError, Method, ResponseHead, StatusCode, Version};
use crate::output::{Output, Writer};
use formats::peer_text;

/// The maximum size of an answer, enough for a list of very many images.
pub(super) const MAX_ANSWER: u64 = 64 << 20;

/// How many informational responses may precede an answer.
const MAX_INFORMATIONAL: usize = 8;

/// The maximum number of characters shown of dockerd's answers.
const MAX_SAID: usize = 500;

/// A connection that is reused for further requests.
#[derive(Debug)]
pub(super) struct Api {
    endpoint: Endpoint,
    /// How long an answer to a simple request may take.
    timeout: Duration,
    connection: Option<(Channel, BufReader<Input>)>,
}

/// dockerd's answer to a request.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    body: Vec<u8>,
}

impl Api {
    pub(super) fn connect(endpoint: Endpoint, timeout: Duration) -> Result<Self, LoadError> {
        let mut api = Self { endpoint, timeout, connection: None };
        api.connection()?;
        // Only an answer shows that dockerd is there: the docker command starts before it reaches
        // dockerd, and something else may listen on a port.
        match api.call(&Method::GET, "/_ping") {
            Err(error) if !error.is_stalled() => {
                let what = api.endpoint.unreachable();
                Err(LoadError::Unreachable { what, source: error.into() })
            }
            answered => answered.map(|()| api),
        }
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Gets a document, or `None` if dockerd answers 404.
    pub(super) fn get(&mut self, path: &str) -> Result<Option<Value>, LoadError> {
        let answer = self.request(&Method::GET, path, self.timeout)?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        answer.check(path)?;
        let json = serde_json::from_slice(&answer.body);
        json.map(Some).map_err(|source| {
            let what = format!("dockerd's answer to {path}");
            LoadError::NotJson { what, source }
        })
    }

    /// Makes a request that dockerd answers quickly.
    pub(super) fn call(&mut self, method: &Method, path: &str) -> Result<(), LoadError> {
        self.request(method, path, self.timeout)?.check(path)
    }

    /// Makes a request that may take any time, as long as there is progress.
    pub(super) fn work(&mut self, method: &Method, path: &str) -> Result<(), LoadError> {
        self.request(method, path, self.timeout * STANDSTILL)?.check(path)
    }

    /// Writes an answer of any size to a file; `false` if dockerd answers 404.
    pub(super) fn download(
        &mut self,
        path: &str,
        file: &mut dyn io::Write,
    ) -> Result<bool, LoadError> {
        let limit = self.timeout * STANDSTILL;
        self.put_head(&Method::GET, path, "Content-Length: 0\r\n")?;
        let answer = self.read_answer_into(limit, Some(file)).map_err(|error| {
            self.or_stalled(self.explained(error), &format!("not answered {path}"), limit)
        })?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(false);
        }
        answer.check(path).map(|()| true)
    }

    /// Sends a body of unknown length, and waits for the answer.
    pub(super) fn send<T>(
        &mut self,
        path: &str,
        write: impl FnOnce(&mut dyn Writer) -> Result<T, LoadError>,
    ) -> Result<T, LoadError> {
        let limit = self.timeout * STANDSTILL;
        let fields = "Transfer-Encoding: chunked\r\nContent-Type: application/x-tar\r\n";
        self.put_head(&Method::POST, path, fields)?;
        let output = self.output(limit)?;
        match write(&mut ChunkedOutput::new(output)) {
            Ok(written) => self.answer(path, limit)?.check(path).map(|()| written),
            // dockerd stopped reading, and may have said why.
            Err(error) if error.is_closed() => {
                let answer = self.answer(path, limit).and_then(|answer| answer.check(path));
                self.connection = None;
                Err(answer.err().unwrap_or(error))
            }
            // The body is incomplete, so the connection cannot be used again.
            Err(error) => {
                self.connection = None;
                Err(self.or_stalled(error, "taken nothing of the archive", limit))
            }
        }
    }

    fn request(
        &mut self,
        method: &Method,
        path: &str,
        limit: Duration,
    ) -> Result<Answer, LoadError> {
        self.put_head(method, path, "Content-Length: 0\r\n")?;
        self.answer(path, limit)
    }

    fn connection(&mut self) -> Result<&mut (Channel, BufReader<Input>), LoadError> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => Self::open(&self.endpoint)?,
        };
        Ok(self.connection.insert(connection))
    }

    fn open(endpoint: &Endpoint) -> Result<(Channel, BufReader<Input>), LoadError> {
        let channel = endpoint.connect()?;
        let connecting = |source| LoadError::Connection { action: "connecting to", source };
        let input = channel.input().map_err(connecting)?;
        Ok((channel, BufReader::new(input)))
    }

    fn output(&mut self, limit: Duration) -> Result<Output, LoadError> {
        let (channel, _) = self.connection()?;
        let sending = |source| LoadError::Connection { action: "sending to", source };
        Ok(Output::new(channel.output().map_err(sending)?)?.with_patience(limit))
    }

    fn put_head(&mut self, method: &Method, path: &str, fields: &str) -> Result<(), LoadError> {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: docker\r\nUser-Agent: nix-image\r\n{fields}\r\n"
        );
        let limit = self.timeout;
        let mut output = self.output(limit)?.of("the request");
        let sent = output.put(head.as_bytes()).and_then(|()| output.flush());
        sent.map_err(|error| {
            self.or_stalled(self.explained(error.into()), "taken no request", limit)
        })
    }

    fn answer(&mut self, path: &str, limit: Duration) -> Result<Answer, LoadError> {
        self.read_answer(limit).map_err(|error| {
            self.or_stalled(self.explained(error), &format!("not answered {path}"), limit)
        })
    }

    fn read_answer(&mut self, limit: Duration) -> Result<Answer, LoadError> {
        self.read_answer_into(limit, None)
    }

    /// Reads an answer. If it is a success and a file is given, the body goes into the file.
    fn read_answer_into(
        &mut self,
        limit: Duration,
        file: Option<&mut dyn io::Write>,
    ) -> Result<Answer, LoadError> {
        let (_, input) = self.connection()?;
        input.get_mut().limit = limit;
        let ResponseHead { status, version, fields } = final_head(input)?;
        let mut body = Vec::new();
        let length = fields.content_length()?;
        let mut close = fields.lists(CONNECTION, "close") || version == Version::HTTP_10;
        let has_none = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let reader: &mut dyn io::Read = if has_none {
            &mut io::empty()
        } else if fields.lists(TRANSFER_ENCODING, "chunked") {
            &mut Body::chunked(input)
        } else if let Some(length) = length {
            &mut Body::of_length(input, length)
        } else {
            close = true;
            &mut Body::to_end(input)
        };
        let read = match file.filter(|_| status.is_success()) {
            Some(file) => io::copy(reader, file).map(drop),
            None => reader.take(MAX_ANSWER + 1).read_to_end(&mut body).map(drop),
        };
        read.map_err(LoadError::Body)?;
        if body.len() as u64 > MAX_ANSWER {
            return Err(LoadError::TooLarge);
        }
        if close {
            self.connection = None;
        }
        Ok(Answer { status, body })
    }

    /// Adds to an error what the docker command reported, if the connection went through it and
    /// broke.
    fn explained(&self, error: LoadError) -> LoadError {
        let connection = self.connection.as_ref().filter(|_| error.is_closed());
        match connection.and_then(|(channel, _)| channel.complaint()) {
            None => error,
            Some(said) => LoadError::Tunnel { said, source: Box::new(error) },
        }
    }

    /// Turns a timeout into [`LoadError::Stalled`]; returns other errors unchanged.
    fn or_stalled(&self, error: LoadError, failed: &str, waited: Duration) -> LoadError {
        if !error.has_timed_out() {
            return error;
        }
        let what = format!("dockerd at {} has {failed}", self.endpoint);
        let remedy = "restart it, name another one with DOCKER_HOST";
        LoadError::Stalled { what, remedy, waited }
    }
}

impl Answer {
    /// Fails if the answer is an error, or reports one after a successful start, as dockerd's long
    /// answers do.
    fn check(&self, path: &str) -> Result<(), LoadError> {
        let lines = self.body.split(|&byte| byte == b'\n');
        let mut values = lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
        if self.status.is_success() {
            let error = values.find_map(|value| value["error"].as_str().map(str::to_owned));
            return match error {
                None => Ok(()),
                Some(error) => Err(LoadError::Failed(peer_text::start(&error, MAX_SAID))),
            };
        }
        let message = values.find_map(|value| value["message"].as_str().map(str::to_owned));
        let message = message.unwrap_or_else(|| String::from_utf8_lossy(&self.body).into_owned());
        let message = peer_text::start(&message, MAX_SAID);
        Err(LoadError::Refused { status: self.status.as_u16(), path: path.to_owned(), message })
    }
}

/// The head of the final answer, after informational ones.
fn final_head(input: &mut impl BufRead) -> Result<ResponseHead, HeadError> {
    for _ in 0..=MAX_INFORMATIONAL {
        let head = ResponseHead::read(input, None)?;
        if !head.status.is_informational() {
            return Ok(head);
        }
    }
    Err(HeadError::NotFinal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_answers_may_come_before_the_last_one() {
        let read = |count| {
            let text = "HTTP/1.1 103 Early\r\n\r\n".repeat(count) + "HTTP/1.1 200 OK\r\n\r\n";
            final_head(&mut text.as_bytes()).map(|head| head.status)
        };
        assert_eq!(read(0).unwrap(), StatusCode::OK);
        assert_eq!(read(MAX_INFORMATIONAL).unwrap(), StatusCode::OK);
        assert!(matches!(read(MAX_INFORMATIONAL + 1), Err(HeadError::NotFinal)));
    }

    #[test]
    fn what_dockerd_says_is_shown_plain_and_short() {
        let said = r"\u001b[31mno\r\nerror: \u202e\u2066way";
        let long = "x".repeat(2000);
        for (status, body) in [
            (StatusCode::INTERNAL_SERVER_ERROR, format!(r#"{{"message": "{said}{long}"}}"#)),
            (
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("\u{1b}[31mno\r\nerror: \u{202e}\u{2066}way{long}"),
            ),
            (StatusCode::OK, format!("{{\"status\": \"x\"}}\n{{\"error\": \"{said}{long}\"}}\n")),
        ] {
            let error = Answer { status, body: body.into_bytes() }.check("/x").unwrap_err();
            let error = error.to_string();
            assert!(error.contains(": [31mno  error: wayxxx") && error.len() < 600, "{error:?}");
        }
    }
}
