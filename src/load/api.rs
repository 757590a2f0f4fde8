//! Docker's API: requests and answers over one connection.

use std::fs::File;
use std::io::{BufReader, Read as _, Write as _};
use std::os::fd::AsFd as _;

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::endpoint::{Channel, Endpoint};
use crate::http::{Body, Head};
use crate::sink::Output;

/// The largest answer that is read: a list of very many images.
const MAX_ANSWER: u64 = 64 << 20;

/// A connection that is kept from request to request.
#[derive(Debug)]
pub(super) struct Api {
    endpoint: Endpoint,
    connection: Option<(Channel, BufReader<File>)>,
}

/// What was answered.
#[derive(Debug)]
pub(super) struct Answer {
    status: u16,
    body: Vec<u8>,
}

impl Api {
    pub(super) fn connect(endpoint: Endpoint) -> anyhow::Result<Self> {
        let mut api = Self { endpoint, connection: None };
        api.connection()?;
        Ok(api)
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Asks for a document; nothing if there is no such thing.
    pub(super) fn get(&mut self, path: &str) -> anyhow::Result<Option<Value>> {
        let answer = self.request("GET", path)?;
        if answer.status == 404 {
            return Ok(None);
        }
        answer.check(path)?;
        let json = serde_json::from_slice(&answer.body);
        json.map(Some).with_context(|| format!("dockerd's answer to {path} is not JSON"))
    }

    /// Has something done.
    pub(super) fn call(&mut self, method: &str, path: &str) -> anyhow::Result<()> {
        self.request(method, path)?.check(path)
    }

    /// Sends a body of unknown length.
    pub(super) fn send(
        &mut self,
        path: &str,
        write: impl FnOnce(&mut Output) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let (channel, _) = self.connection()?;
        let output = channel.output.try_clone().context("sending to dockerd")?;
        put_head(
            channel,
            "POST",
            path,
            "Transfer-Encoding: chunked\r\nContent-Type: application/x-tar\r\n",
        )?;
        let written = Output::chunked(output).and_then(|mut output| write(&mut output));
        match written {
            Ok(()) => self.answer()?.check(path),
            // It stopped reading, and may have said why.
            Err(error) if crate::sink::is_closed(&error) => {
                let answer = self.answer().and_then(|answer| answer.check(path));
                self.connection = None;
                answer.and(Err(error))
            }
            // The body is not complete, so the connection is of no use any more.
            Err(error) => {
                self.connection = None;
                Err(error)
            }
        }
    }

    fn request(&mut self, method: &str, path: &str) -> anyhow::Result<Answer> {
        let (channel, _) = self.connection()?;
        put_head(channel, method, path, "Content-Length: 0\r\n")?;
        self.answer()
    }

    fn connection(&mut self) -> anyhow::Result<&mut (Channel, BufReader<File>)> {
        if self.connection.is_none() {
            let channel = self.endpoint.connect()?;
            let input = channel.input.try_clone().context("connecting to dockerd")?;
            self.connection = Some((channel, BufReader::new(input)));
        }
        self.connection.as_mut().context("there is no connection")
    }

    fn answer(&mut self) -> anyhow::Result<Answer> {
        const READING: &str = "dockerd's answer cannot be read";
        let (_, input) = self.connection()?;
        let (head, status) = loop {
            let head = Head::read(input, None).context(READING)?;
            let status = head.line.split(' ').nth(1).and_then(|status| status.parse().ok());
            let status: u16 = status.context("dockerd's answer is not HTTP")?;
            // Those below 200 announce another one.
            if status >= 200 {
                break (head, status);
            }
        };
        let mut body = Vec::new();
        let length = head.content_length().context(READING)?;
        let mut close = head.lists("connection", "close") || head.line.starts_with("HTTP/1.0");
        let reader: &mut dyn std::io::Read = if status == 204 || status == 304 {
            &mut std::io::empty()
        } else if head.lists("transfer-encoding", "chunked") {
            &mut Body::chunked(input)
        } else if let Some(length) = length {
            &mut Body::of_length(input, length)
        } else {
            close = true;
            &mut Body::to_end(input)
        };
        reader.take(MAX_ANSWER + 1).read_to_end(&mut body).context(READING)?;
        if body.len() as u64 > MAX_ANSWER {
            bail!("dockerd's answer has more than {MAX_ANSWER} bytes");
        }
        if close {
            self.connection = None;
        }
        Ok(Answer { status, body })
    }
}

fn put_head(channel: &Channel, method: &str, path: &str, fields: &str) -> anyhow::Result<()> {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: docker\r\nUser-Agent: nix-image\r\n{fields}\r\n"
    );
    let output = channel.output.as_fd().try_clone_to_owned().context("sending to dockerd")?;
    File::from(output).write_all(head.as_bytes()).context("sending to dockerd")
}

impl Answer {
    /// An error if the answer is one, or if it tells of one after a good start, as dockerd's
    /// long answers do.
    fn check(&self, path: &str) -> anyhow::Result<()> {
        let lines = self.body.split(|&byte| byte == b'\n');
        let mut values = lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
        if self.status < 300 {
            let error = values.find_map(|value| value["error"].as_str().map(str::to_owned));
            return match error {
                None => Ok(()),
                Some(error) => bail!("dockerd says: {error}"),
            };
        }
        let message = values.find_map(|value| value["message"].as_str().map(str::to_owned));
        let message = message.unwrap_or_else(|| {
            String::from_utf8_lossy(&self.body).trim().chars().take(500).collect()
        });
        bail!("dockerd answers {} to {path}: {message}", self.status)
    }
}
