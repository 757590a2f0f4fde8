//! Docker's API: requests and answers over one connection.

use std::io::{self, BufReader, Read as _};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::channel::{Channel, Input};
use super::endpoint::Endpoint;
use super::{STANDSTILL, Stalled, has_timed_out};
use crate::http::header::{CONNECTION, TRANSFER_ENCODING};
use crate::http::{Body, ChunkedOutput, HeadError, Method, ResponseHead, StatusCode, Version};
use crate::output::{Output, Writer};
use formats::peer_text;

/// The largest answer that is read: a list of very many images.
const MAX_ANSWER: u64 = 64 << 20;

/// Characters that are shown of what dockerd says.
const MAX_SAID: usize = 500;

/// A connection that is kept from request to request.
#[derive(Debug)]
pub(super) struct Api {
    endpoint: Endpoint,
    /// How long the answer to a question may take.
    timeout: Duration,
    connection: Option<(Channel, BufReader<Input>)>,
}

/// What was answered.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    body: Vec<u8>,
}

impl Api {
    pub(super) fn connect(endpoint: Endpoint, timeout: Duration) -> anyhow::Result<Self> {
        let mut api = Self { endpoint, timeout, connection: None };
        api.connection()?;
        // Only an answer shows that dockerd is there: the docker command starts before it gets
        // to dockerd, and at a port something else may listen.
        match api.call(&Method::GET, "/_ping") {
            Err(error) if !error.is::<Stalled>() => Err(error.context(api.endpoint.unreachable())),
            answered => answered.map(|()| api),
        }
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Asks for a document; nothing if there is no such thing.
    pub(super) fn get(&mut self, path: &str) -> anyhow::Result<Option<Value>> {
        let answer = self.request(&Method::GET, path, self.timeout)?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        answer.check(path)?;
        let json = serde_json::from_slice(&answer.body);
        json.map(Some).with_context(|| format!("dockerd's answer to {path} is not JSON"))
    }

    /// Has a small thing done.
    pub(super) fn call(&mut self, method: &Method, path: &str) -> anyhow::Result<()> {
        self.request(method, path, self.timeout)?.check(path)
    }

    /// Has something done that takes as long as it takes, as long as it goes on.
    pub(super) fn work(&mut self, method: &Method, path: &str) -> anyhow::Result<()> {
        self.request(method, path, self.timeout * STANDSTILL)?.check(path)
    }

    /// Sends a body of unknown length, and waits for what is made of it.
    pub(super) fn send(
        &mut self,
        path: &str,
        write: impl FnOnce(&mut dyn Writer) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let limit = self.timeout * STANDSTILL;
        let fields = "Transfer-Encoding: chunked\r\nContent-Type: application/x-tar\r\n";
        self.put_head(&Method::POST, path, fields)?;
        let (channel, _) = self.connection()?;
        let output = channel.output().context("sending to dockerd")?;
        let output = Output::new(output).map(|output| output.with_patience(limit));
        match output
            .map_err(anyhow::Error::from)
            .and_then(|output| write(&mut ChunkedOutput::new(output)))
        {
            Ok(()) => self.answer(path, limit)?.check(path),
            // It stopped reading, and may have said why.
            Err(error) if crate::error::is_closed(error.as_ref()) => {
                let answer = self.answer(path, limit).and_then(|answer| answer.check(path));
                self.connection = None;
                answer.and(Err(error))
            }
            // The body is not complete, so the connection is of no use any more.
            Err(error) => {
                self.connection = None;
                Err(self.or_stalled(error, "taken nothing of the archive", limit))
            }
        }
    }

    fn request(&mut self, method: &Method, path: &str, limit: Duration) -> anyhow::Result<Answer> {
        self.put_head(method, path, "Content-Length: 0\r\n")?;
        self.answer(path, limit)
    }

    fn connection(&mut self) -> anyhow::Result<&mut (Channel, BufReader<Input>)> {
        if self.connection.is_none() {
            let channel = self.endpoint.connect()?;
            let input = channel.input().context("connecting to dockerd")?;
            self.connection = Some((channel, BufReader::new(input)));
        }
        self.connection.as_mut().context("there is no connection")
    }

    fn put_head(&mut self, method: &Method, path: &str, fields: &str) -> anyhow::Result<()> {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: docker\r\nUser-Agent: nix-image\r\n{fields}\r\n"
        );
        let limit = self.timeout;
        let (channel, _) = self.connection()?;
        let mut output = Output::new(channel.output()?)?.of("the request").with_patience(limit);
        let sent = output.put(head.as_bytes()).and_then(|()| output.flush());
        sent.map_err(|error| {
            self.or_stalled(self.explained(error.into()), "taken no request", limit)
        })
    }

    fn answer(&mut self, path: &str, limit: Duration) -> anyhow::Result<Answer> {
        let answer = self.read_answer(limit).context("dockerd's answer cannot be read");
        answer.map_err(|error| {
            self.or_stalled(self.explained(error), &format!("not answered {path}"), limit)
        })
    }

    fn read_answer(&mut self, limit: Duration) -> anyhow::Result<Answer> {
        let (_, input) = self.connection()?;
        input.get_mut().limit = limit;
        let ResponseHead { status, version, fields } = loop {
            let head = ResponseHead::read(input, None)?;
            // Those announce another one.
            if !head.status.is_informational() {
                break head;
            }
        };
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
        reader.take(MAX_ANSWER + 1).read_to_end(&mut body)?;
        if body.len() as u64 > MAX_ANSWER {
            bail!("it has more than {MAX_ANSWER} bytes");
        }
        if close {
            self.connection = None;
        }
        Ok(Answer { status, body })
    }

    /// An error, and what the docker command says of it if the connection led through that and
    /// broke.
    fn explained(&self, error: anyhow::Error) -> anyhow::Error {
        let is_closed = matches!(error.downcast_ref(), Some(HeadError::Closed));
        let broke = is_closed || crate::error::is_closed(error.as_ref());
        match self.connection.as_ref().filter(|_| broke).and_then(|(to, _)| to.complaint()) {
            None => error,
            Some(complaint) => error.context(format!("docker says: {complaint}")),
        }
    }

    /// An error, or what it means if it is that a limit has passed.
    fn or_stalled(&self, error: anyhow::Error, failed: &str, waited: Duration) -> anyhow::Error {
        if !has_timed_out(&error) {
            return error;
        }
        let what = format!("dockerd at {} has {failed}", self.endpoint);
        let remedy = "restart it, name another one with DOCKER_HOST";
        Stalled { what, remedy, waited }.into()
    }
}

impl Answer {
    /// An error if the answer is one, or if it tells of one after a good start, as dockerd's
    /// long answers do.
    fn check(&self, path: &str) -> anyhow::Result<()> {
        let lines = self.body.split(|&byte| byte == b'\n');
        let mut values = lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
        if self.status.is_success() {
            let error = values.find_map(|value| value["error"].as_str().map(str::to_owned));
            return match error {
                None => Ok(()),
                Some(error) => bail!("dockerd says: {}", peer_text::start(&error, MAX_SAID)),
            };
        }
        let message = values.find_map(|value| value["message"].as_str().map(str::to_owned));
        let message = message.unwrap_or_else(|| String::from_utf8_lossy(&self.body).into_owned());
        let message = peer_text::start(&message, MAX_SAID);
        bail!("dockerd answers {} to {path}: {message}", self.status.as_u16())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
