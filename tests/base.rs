//! Base images from archives that no library would write. The results are compared with those of
//! `reference.py`, which reads the archives with Python's `tarfile`.

use crate::bad_input::gzip;
use crate::support::{Python, TempStore, run, sha256};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;
use std::cell::RefCell;
use std::fs;

/// Writes an image with `reference.py`; false if Python cannot read it.
const REFERENCE: &str = "
import json, sys
from reference import Image

def answer(question):
    with open(question['conf']) as file:
        conf = json.load(file)
    try:
        with open(question['archive'], 'wb') as out:
            Image(conf, out, question['root']).write(None)
        return True
    except Exception as error:
        print(repr(error), file=sys.stderr)
        return False
";

/// A header's number: its field, and its value in the archive.
pub(crate) type Number = Vec<u8>;
pub(crate) type Records = Vec<(String, Vec<u8>)>;

/// A block and what follows it.
#[derive(Debug, Clone)]
pub(crate) struct Header {
    typeflag: u8,
    /// The name field and the prefix field.
    name: Vec<u8>,
    prefix: Vec<u8>,
    magic: &'static [u8],
    owner: Vec<u8>,
    mode: Number,
    pub(crate) uid: Number,
    gid: Number,
    mtime: Number,
    /// Whether the checksum treats bytes as signed.
    signed: bool,
}

#[derive(Debug, Clone)]
enum Extension {
    Global(Records),
    Own(Records),
    LongName(String),
    LongTarget(String),
}

/// A member that may be a layer.
#[derive(Debug, Clone)]
struct Layer {
    extensions: Vec<Extension>,
    header: Header,
    name: String,
    /// A number of bytes of this value.
    content: (usize, u8),
    /// The size as a record, with another value in the field.
    size: Option<(String, String)>,
}

#[derive(Debug, Clone)]
enum Part {
    Layer(Box<Layer>),
    Other(Vec<u8>),
}

impl Header {
    pub(crate) fn plain(typeflag: u8, name: &str) -> Self {
        let number = |text: &[u8]| text.to_vec();
        Self {
            typeflag,
            name: name.into(),
            prefix: Vec::new(),
            magic: b"ustar\x0000",
            owner: b"root".to_vec(),
            mode: number(b"0000644\0"),
            uid: number(b"0000000\0"),
            gid: number(b"0000000\0"),
            mtime: number(b"00000000000\0"),
            signed: false,
        }
    }

    /// The block, and the content padded to blocks.
    pub(crate) fn write(&self, size: &[u8], content: &[u8], out: &mut Vec<u8>) {
        let mut block = [0; 512];
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &self.name);
        put(100, &self.mode);
        put(108, &self.uid);
        put(116, &self.gid);
        put(124, size);
        put(136, &self.mtime);
        put(148, b"        ");
        put(156, &[self.typeflag]);
        put(257, self.magic);
        put(265, &self.owner);
        put(297, &self.owner);
        put(345, &self.prefix);
        let value = |byte: &u8| {
            if self.signed { i64::from(byte.cast_signed()) } else { i64::from(*byte) }
        };
        let sum: i64 = block.iter().map(value).sum();
        // A negative sum does not fit into the field.
        let sum = if sum < 0 { block.iter().map(|&byte| i64::from(byte)).sum() } else { sum };
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        out.extend_from_slice(&block);
        out.extend_from_slice(content);
        out.resize(out.len().next_multiple_of(512), 0);
    }
}

pub(crate) fn octal(size: usize) -> Vec<u8> {
    format!("{size:011o}\0").into_bytes()
}

pub(crate) fn write_extension(typeflag: u8, payload: &[u8], out: &mut Vec<u8>) {
    Header::plain(typeflag, "././@Extension").write(&octal(payload.len()), payload, out);
}

pub(crate) fn payload(records: &Records) -> Vec<u8> {
    let mut payload = Vec::new();
    for (keyword, value) in records {
        let rest = keyword.len() + value.len() + 3;
        let length =
            (rest..rest + 20).find(|length| length - length.to_string().len() == rest).unwrap();
        payload.extend_from_slice(format!("{length} {keyword}=").as_bytes());
        payload.extend_from_slice(value);
        payload.push(b'\n');
    }
    payload
}

impl Layer {
    fn content(&self) -> Vec<u8> {
        vec![self.content.1; self.content.0]
    }

    fn write(&self, out: &mut Vec<u8>) {
        let mut extensions = self.extensions.clone();
        let mut field = octal(self.content.0);
        if let Some((record, stated)) = &self.size {
            let own = extensions.iter_mut().find_map(|extension| match extension {
                Extension::Own(records) => Some(records),
                _ => None,
            });
            let size = ("size".to_owned(), record.replace('N', &self.content.0.to_string()));
            if let Some(own) = own {
                own.push((size.0, size.1.into_bytes()));
                field = format!("{stated:0>11}\0").into_bytes();
            }
        }
        for extension in &extensions {
            match extension {
                Extension::Global(records) => write_extension(b'g', &payload(records), out),
                Extension::Own(records) => write_extension(b'x', &payload(records), out),
                Extension::LongName(name) => {
                    write_extension(b'L', &[name.as_bytes(), b"\0"].concat(), out);
                }
                Extension::LongTarget(name) => write_extension(b'K', name.as_bytes(), out),
            }
        }
        self.header.write(&field, &self.content(), out);
    }
}

fn number_field(width: usize) -> impl Strategy<Value = Number> {
    let octal = (0u64..0o7_777_777).prop_map(move |number| format!("{number:0$o}\0", width - 1));
    let loose = (0u64..0o77_777, "[ ]{0,2}", "[ \0]{1,1}")
        .prop_map(|(number, before, after)| format!("{before}{number:o}{after}"));
    let binary = any::<i32>().prop_map(move |number| {
        let mut field = vec![if number < 0 { 0xff } else { 0 }; width - 4];
        field.extend_from_slice(&number.to_be_bytes());
        field[0] = if number < 0 { 0xff } else { 0x80 };
        field
    });
    prop_oneof![
        4 => octal.prop_map(String::into_bytes),
        2 => loose.prop_map(String::into_bytes),
        1 => Just(Vec::new()),
        2 => binary,
        1 => Just(b"-17\0".to_vec()),
    ]
}

fn header(name: impl Strategy<Value = String>) -> impl Strategy<Value = Header> {
    let magic: Vec<&'static [u8]> = vec![b"ustar\x0000", b"ustar  \0", b""];
    let owner = prop_oneof!["[a-z]{0,31}", Just("é".to_owned())];
    (
        (select(vec![b'0', 0, b'7']), name, select(magic), owner, any::<bool>()),
        (number_field(8), number_field(8), number_field(8), number_field(12)),
        prop::option::weighted(0.2, "[a-z]{1,9}(/[a-zé]{1,9}){0,3}"),
    )
        .prop_map(
            |((typeflag, name, magic, owner, signed), (mode, uid, gid, mtime), prefix)| {
                let name = name.into_bytes();
                let (prefix, owner) = (prefix.unwrap_or_default().into_bytes(), owner.into_bytes());
                Header { typeflag, name, prefix, magic, owner, mode, uid, gid, mtime, signed }
            },
        )
}

/// The text of a number's record.
fn number() -> impl Strategy<Value = Vec<u8>> {
    let texts = [
        "0",
        "7",
        " 12 ",
        "1_000",
        "+5",
        "-5",
        "1e3",
        "12.5",
        "2.5",
        "3.5",
        "0.5",
        "-0.5",
        "007",
        "",
        "x",
        "1__0",
        "_1",
        "٣",
        "2097151",
        "2097152",
        "8589934592",
        "8589934591.6",
        "1e300",
        "99999999999999999999999999999999999999999999",
        "-1e5",
        "\u{a0}4",
        "5\x1c",
        "1e-400",
        ".",
    ];
    prop_oneof![
        12 => select(texts.to_vec()).prop_map(|text| text.as_bytes().to_vec()),
        4 => any::<i64>().prop_map(|number| number.to_string().into_bytes()),
        4 => any::<f64>().prop_filter("a number", |number| number.is_finite())
            .prop_map(|number| format!("{number:e}").into_bytes()),
        1 => Just(b"\xff".to_vec()),
        1 => select(vec!["inf", "-Infinity", "nan"]).prop_map(|text| text.as_bytes().to_vec()),
    ]
}

/// Records for an extended header, local or global.
fn records() -> impl Strategy<Value = Records> {
    let name = prop_oneof!["[a-zé]{0,40}", "[a-z]{1,3}/?"].prop_map(String::into_bytes);
    let any_value = prop_oneof![
        "[ -~é\n=]{0,30}".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..6),
    ];
    let record = prop_oneof![
        4 => (select(vec!["uid", "gid", "mtime", "atime"]), number()),
        2 => (select(vec!["uname", "gname"]), name),
        2 => (select(vec!["comment", "SCHILY.xattr.user.é", "a", "b", "linkpath"]), any_value),
    ];
    let record = record.prop_map(|(keyword, value)| (keyword.to_owned(), value));
    (
        prop::option::weighted(0.1, Just(("hdrcharset".to_owned(), b"BINARY".to_vec()))),
        prop::collection::vec(record, 0..6),
    )
        .prop_map(|(charset, records)| charset.into_iter().chain(records).collect())
}

/// The extensions in front of a member, and the name that they give it.
fn extensions() -> impl Strategy<Value = (Vec<Extension>, Option<String>)> {
    let globals = prop::collection::vec(records().prop_map(Extension::Global), 0..2);
    let long = prop_oneof!["[a-z]{1,150}", "é{1,60}", "[a-z]{1,9}/"];
    let own = (records(), prop::option::weighted(0.5, long.clone()));
    let long_name = prop::option::weighted(0.2, "[a-z]{101,150}");
    let target = prop::option::weighted(0.1, "[a-z]{101,150}");
    (globals, prop::option::weighted(0.7, own), long_name, target, any::<bool>()).prop_map(
        |(mut extensions, own, long_name, target, name_first)| {
            let mut path = None;
            let own = own.map(|(mut records, name)| {
                if let Some(name) = name {
                    path = Some(name.trim_end_matches('/').to_owned());
                    records.push(("path".into(), name.into_bytes()));
                }
                Extension::Own(records)
            });
            let name = match (&path, &long_name) {
                (Some(path), Some(_)) if !name_first => Some(path.clone()),
                (_, Some(long)) => Some(long.clone()),
                (path, None) => path.clone(),
            };
            // The first one takes effect last.
            let long_name = long_name.map(Extension::LongName);
            let both = if name_first { [long_name, own] } else { [own, long_name] };
            extensions.extend(target.map(Extension::LongTarget));
            extensions.extend(both.into_iter().flatten());
            (extensions, name)
        },
    )
}

fn layer() -> impl Strategy<Value = Part> {
    let size = (select(vec!["N", " N ", "+N", "0N"]), "[0-7]{1,5}")
        .prop_map(|(record, field)| (record.to_owned(), field));
    let content = (0usize..1200, any::<u8>());
    let name = "[a-f0-9]{1,20}(/layer\\.tar)?";
    (extensions(), header(name), content, prop::option::weighted(0.3, size)).prop_map(
        |((extensions, name), header, content, size)| {
            let own_name = String::from_utf8(header.name.clone()).unwrap();
            let own_name = match str::from_utf8(&header.prefix).unwrap() {
                "" => own_name,
                prefix => format!("{prefix}/{own_name}"),
            };
            let name = name.unwrap_or(own_name);
            Part::Layer(Box::new(Layer { extensions, header, name, content, size }))
        },
    )
}

/// Members that are not layers. Some state a size, but have no content.
fn other() -> impl Strategy<Value = Part> {
    let bodiless = (select(b"123456".to_vec()), 0usize..5000).prop_map(|(typeflag, size)| {
        let mut out = Vec::new();
        Header::plain(typeflag, "other").write(&octal(size), b"", &mut out);
        out
    });
    let unknown = select(b"DVZ".to_vec()).prop_map(|typeflag| {
        let mut out = Vec::new();
        Header::plain(typeflag, "other").write(&octal(700), &[1; 700], &mut out);
        out
    });
    let old_directory = Just(()).prop_map(|()| {
        let mut out = Vec::new();
        Header::plain(0, "directory/").write(&octal(900), b"", &mut out);
        out
    });
    let holes = any::<bool>().prop_map(|old| {
        let mut out = Vec::new();
        if old {
            write_old_sparse(&mut out);
        } else {
            write_new_sparse(&mut out);
        }
        out
    });
    prop_oneof![3 => bodiless, 1 => unknown, 1 => old_directory, 2 => holes].prop_map(Part::Other)
}

/// A file in GNU tar's old sparse format, whose map continues in two blocks.
fn write_old_sparse(out: &mut Vec<u8>) {
    let start = out.len();
    let mut header = Header::plain(b'S', "holes");
    header.magic = b"ustar  \0";
    header.write(&octal(600), b"", out);
    out[start + 482] = 1;
    out[start + 483..start + 495].copy_from_slice(b"00000010000\0");
    let block = &mut out[start..start + 512];
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    for goes_on in [1, 0] {
        let mut block = [0; 512];
        block[..24].copy_from_slice(b"00000001000\x0000000000010\0");
        block[504] = goes_on;
        out.extend_from_slice(&block);
    }
    out.extend_from_slice(&[7; 1024]);
}

/// A file in GNU tar's sparse format 1.0, whose map is part of its content.
fn write_new_sparse(out: &mut Vec<u8>) {
    let record = |keyword: &str, value: &str| (keyword.to_owned(), value.as_bytes().to_vec());
    let records = vec![
        record("GNU.sparse.major", "1"),
        record("GNU.sparse.minor", "0"),
        record("GNU.sparse.name", "holes"),
        record("GNU.sparse.realsize", "100000"),
    ];
    write_extension(b'x', &payload(&records), out);
    let mut content = b"1\n90000\n5\n".to_vec();
    content.resize(512, 0);
    content.extend_from_slice(b"holes");
    Header::plain(b'0', "GNUSparseFile.0/holes").write(&octal(content.len()), &content, out);
}

type Compression = fn(&[u8]) -> Vec<u8>;

fn archive(parts: &[Part]) -> Vec<u8> {
    let mut out = Vec::new();
    let (mut names, mut diff_ids) = (Vec::new(), Vec::new());
    // Of two with the same name, the last one counts.
    let last = |name: &str| {
        let mut layers = parts.iter().rev().filter_map(|part| match part {
            Part::Layer(layer) if layer.name == name => Some(layer),
            _ => None,
        });
        layers.next().unwrap()
    };
    for part in parts {
        match part {
            Part::Layer(layer) => {
                layer.write(&mut out);
                names.push(layer.name.clone());
                diff_ids.push(format!("sha256:{}", sha256(&last(&layer.name).content())));
            }
            Part::Other(bytes) => out.extend_from_slice(bytes),
        }
    }
    let image = json!({"config": {}, "rootfs": {"diff_ids": diff_ids}}).to_string();
    let manifest = json!([{"Config": "config.json", "Layers": names}]).to_string();
    for (name, document) in [("config.json", image), ("manifest.json", manifest)] {
        Header::plain(b'0', name).write(&octal(document.len()), document.as_bytes(), &mut out);
    }
    out.resize(out.len() + 1024, 0);
    out
}

#[test]
fn archives_are_read_as_python_reads_them() {
    let python = RefCell::new(Python::start_with_reference(REFERENCE));
    let taken = RefCell::new([0; 2]);
    let parts = prop::collection::vec(prop_oneof![3 => layer(), 1 => other()], 1..5);
    let config = Config { max_shrink_iters: 400, failure_persistence: None, ..Config::default() };
    let compressions: Vec<Compression> =
        vec![<[u8]>::to_vec, gzip, |data| zstd::encode_all(data, 1).unwrap()];
    let result =
        TestRunner::new(config).run(&(parts, select(compressions)), |(parts, compress)| {
            let store = TempStore::new();
            let archive = archive(&parts);
            let base = format!("/nix/store/{}-base", "b".repeat(32));
            store.write(&base, &archive);
            store.write(&format!("{base}-compressed"), compress(&archive));
            let customisation = store.write_customisation_layer(b"");
            let mut conf = TempStore::conf(&json!([]), &customisation);
            conf["from_image"] = json!(base);
            let plain = store.write_conf("plain", &conf);
            conf["from_image"] = json!(format!("{base}-compressed"));
            let conf = store.write_conf("conf", &conf);
            let written = store.root().join("archive");
            let question = json!({"root": store.root(), "conf": plain, "archive": written});
            let expected = python.borrow_mut().ask(&question) == true;
            taken.borrow_mut()[usize::from(expected)] += 1;
            let ours = run(&mut store.nix_image("stream", &conf));
            prop_assert_eq!(ours.is_ok(), expected, "{:?}", ours);
            if let Ok(ours) = ours {
                prop_assert!(ours == fs::read(&written).unwrap(), "the archives differ");
            }
            Ok(())
        });
    if let Err(error) = result {
        panic!("{error}");
    }
    let [refused, taken] = taken.into_inner();
    assert!(taken > 5 * refused, "{taken} taken, {refused} refused");
}
