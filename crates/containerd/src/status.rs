//! The status of a call, which gRPC puts into the last headers of an answer.

use formats::peer_text;
use http::HeaderMap;
use percent_encoding::percent_decode_str;

use crate::error::{Error, Reason};

/// How many characters of the daemon's message are shown.
const MAX_SAID: usize = 400;

/// How the call ended; `None` if these headers do not tell.
pub(crate) fn of_headers(headers: &HeaderMap, action: &str) -> Option<Result<(), Error>> {
    let code = headers.get("grpc-status")?;
    let code = code.to_str().ok().and_then(|code| code.parse().ok());
    let Some(code) = code else {
        let found = headers.get("grpc-status").map_or(&[][..], |code| code.as_bytes());
        return Some(Err(Error::Unexpected {
            action: action.to_owned(),
            expected: "a number as the gRPC status".into(),
            found: format!("`{}`", shown(&String::from_utf8_lossy(found))),
        }));
    };
    if code == 0 {
        return Some(Ok(()));
    }
    let said = headers.get("grpc-message").map_or(&[][..], |message| message.as_bytes());
    let said = String::from_utf8_lossy(said);
    let said = shown(&percent_decode_str(&said).decode_utf8_lossy());
    let said = if said.is_empty() { "no reason given".into() } else { said };
    Some(Err(Error::Refused { action: action.to_owned(), reason: Reason::of_code(code), said }))
}

/// A peer's text, made safe to show.
pub(crate) fn shown(text: &str) -> String {
    peer_text::start(text, MAX_SAID)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(code: &str, message: &str) -> Option<Result<(), Error>> {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-status", code.parse().unwrap());
        headers.insert("grpc-message", message.parse().unwrap());
        of_headers(&headers, "report its version")
    }

    #[test]
    fn what_the_daemon_says_is_plain_and_short() {
        assert!(of_headers(&HeaderMap::new(), "").is_none());
        assert!(matches!(ended("0", ""), Some(Ok(()))));
        for (code, message, shown) in [
            ("5", "no%20such%20thing", "report its version (not found): no such thing"),
            (
                "2",
                "a%0aerror: b%1b[31m%zz",
                "report its version (gRPC status 2): a error: b[31m%zz",
            ),
            ("14", "", "report its version (unavailable): no reason given"),
            ("7", "%ff", "report its version (permission denied): \u{fffd}"),
        ] {
            let error = ended(code, message).unwrap().unwrap_err().to_string();
            assert_eq!(error, format!("containerd cannot {shown}"));
        }
        let long = ended("6", &"x".repeat(5000)).unwrap().unwrap_err();
        assert!(long.is_already_there() && long.to_string().len() < 500);
        let odd = ended("x", "").unwrap().unwrap_err().to_string();
        assert!(odd.contains("expected a number as the gRPC status, found `x`"), "{odd}");
    }
}
