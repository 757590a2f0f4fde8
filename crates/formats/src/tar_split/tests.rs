use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::tar::{self, Member};

/// The lines for a tar file that is passed in pieces of these lengths.
fn split(bytes: &[u8], mut lengths: impl Iterator<Item = usize>) -> Result<Vec<u8>, Unusual> {
    let (mut split, mut out, mut rest) = (TarSplit::default(), Vec::new(), bytes);
    while !rest.is_empty() {
        let length = lengths.next().unwrap_or(rest.len()).clamp(1, rest.len());
        split.update(&rest[..length], &mut out)?;
        rest = &rest[length..];
    }
    split.finish(&mut out).map(|()| out)
}

/// Reassembles the tar file from its lines and its members' contents.
fn join(lines: &[u8], original: &[u8]) -> Vec<u8> {
    let mut archive = ::tar::Archive::new(original);
    let mut members = archive.entries().unwrap();
    let mut out = Vec::new();
    let decode = |text: &Value| STANDARD.decode(text.as_str().unwrap()).unwrap();
    for (position, line) in lines.split_inclusive(|&byte| byte == b'\n').enumerate() {
        let line: Value = serde_json::from_slice(line).unwrap();
        assert_eq!(line["position"].as_u64().unwrap_or_default(), position as u64);
        if line["type"] == 2 {
            out.extend(decode(&line["payload"]));
            continue;
        }
        let mut member = members.next().unwrap().unwrap();
        let name = match line["name"].as_str() {
            Some(name) => name.as_bytes().to_vec(),
            None => decode(&line["name_raw"]),
        };
        assert_eq!(name, *member.path_bytes());
        let mut content = Vec::new();
        member.read_to_end(&mut content).unwrap();
        assert_eq!(line["size"].as_u64().unwrap_or_default(), content.len() as u64);
        if !content.is_empty() {
            assert_eq!(decode(&line["payload"]), crc(&content).to_be_bytes());
        }
        out.extend(content);
    }
    assert!(members.next().is_none());
    out
}

/// CRC-64 of ISO 3309, computed bit by bit.
fn crc(bytes: &[u8]) -> u64 {
    let step = |crc, byte: &u8| {
        (0..8).fold(crc ^ u64::from(*byte), |crc, _| {
            if crc & 1 == 1 { (crc >> 1) ^ 0xd800_0000_0000_0000_u64 } else { crc >> 1 }
        })
    };
    !bytes.iter().fold(!0, step)
}

fn archive(members: &[(Vec<u8>, Vec<u8>, u8)], end: bool) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, content, typeflag) in members {
        let has_content = *typeflag == tar::REGULAR;
        let size = if has_content { content.len() as u64 } else { 0 };
        let target = if *typeflag == tar::SYMLINK { content.as_slice() } else { b"" };
        tar::encode(
            &Member { name, typeflag: *typeflag, size, target, mtime: 1, ..Member::default() },
            &mut out,
        );
        if has_content {
            out.extend_from_slice(content);
            out.extend_from_slice(tar::padding(size));
        }
    }
    if end {
        out.extend_from_slice(tar::trailer(out.len() as u64));
    }
    out
}

proptest! {
    #[test]
    fn the_tar_file_comes_out_again(
        // The other reader stops at newlines in names.
        // Some readers take a file whose name ends with a slash for a directory.
        members in vec((vec(b'0'..=255u8, 1..150), vec(11..=255u8, 0..1200), prop_oneof![
            Just(tar::REGULAR), Just(tar::SYMLINK), Just(tar::DIRECTORY), Just(tar::FIFO),
        ]), 0..8),
        lengths in vec(1..700usize, 0..50),
        end in any::<bool>(),
    ) {
        let bytes = archive(&members, end);
        let lines = split(&bytes, lengths.into_iter()).unwrap();
        prop_assert!(join(&lines, &bytes) == bytes);
        prop_assert!(split(&bytes, std::iter::empty()).unwrap() == lines);
    }

    #[test]
    fn no_bytes_make_it_panic(
        mut bytes in vec(any::<u8>(), 0..2000),
        sums in any::<bool>(),
    ) {
        if sums && bytes.len() >= 512 {
            let mut header = ::tar::Header::from_byte_slice(&bytes[..512]).clone();
            header.set_cksum();
            bytes[..512].copy_from_slice(header.as_bytes());
        }
        let _ = split(&bytes, std::iter::empty());
    }
}

#[test]
fn lines_are_those_that_podman_writes() {
    let members = [
        (b"/nix".to_vec(), vec![], tar::DIRECTORY),
        (b"f".to_vec(), b"hello".to_vec(), tar::REGULAR),
        (vec![b'\n'; 101], vec![], tar::FIFO),
        (b"\xff\xfe".to_vec(), b"q".to_vec(), tar::REGULAR),
        ("<&>\u{2028}é\"".into(), b"q".to_vec(), tar::REGULAR),
    ];
    let lines = String::from_utf8(split(&archive(&members, true), std::iter::empty()).unwrap());
    let lines = lines.unwrap();
    let found: Vec<&str> = lines.lines().filter(|line| line.contains(r#""type":1"#)).collect();
    let expected = [
        r#"{"type":1,"name":"/nix/","payload":null,"position":1}"#,
        r#"{"type":1,"name":"f","size":5,"payload":"PD7u4tgQAAA=","position":3}"#,
        &format!(r#"{{"type":1,"name":"{}","payload":null,"position":5}}"#, r"\n".repeat(101)),
        r#"{"type":1,"name_raw":"//4=","size":1,"payload":"LyAAAAAAAAA=","position":7}"#,
        r#"{"type":1,"name":"\u003c\u0026\u003e\u2028é\"","size":1,"payload":"LyAAAAAAAAA=","position":9}"#,
    ];
    assert_eq!(found, expected);
    assert!(lines.starts_with(r#"{"type":2,"payload":"L25peC8AAAA"#));
    assert!(lines.ends_with("{\"type\":2,\"payload\":\"\",\"position\":12}\n"));
}

#[test]
fn what_is_no_usual_layer_is_an_error() {
    let whole = archive(&[(b"f".to_vec(), vec![1; 600], tar::REGULAR)], true);
    let mut sparse = ::tar::Header::new_gnu();
    sparse.set_entry_type(::tar::EntryType::GNUSparse);
    sparse.set_size(0);
    sparse.set_cksum();
    let mut flipped = whole.clone();
    flipped[3] ^= 1;
    for (bytes, expected) in [
        (&whole[..700], "is cut off"),
        (&whole[..100], "is cut off"),
        (&flipped, "has an invalid header"),
        (&sparse.as_bytes()[..], "has holes"),
        (&[vec![0; 512], whole.clone()].concat(), "has no header"),
    ] {
        let error = split(bytes, std::iter::empty()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
