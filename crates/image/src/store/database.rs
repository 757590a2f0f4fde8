//! Nix's database, which has the NAR hash of every path in a store.
//!
//! The schema is Nix's own: `ValidPaths` has a row for each path, with `path` and `hash` (`sha256:`
//! and hexadecimal digits), and `Refs` has one for each reference between two of them. See
//! `src/libstore/schema.sql` in Nix.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _};

use super::Store;

/// The only store whose database has a known location.
const STORE_DIR: &str = "/nix/store";
const DATABASE: &str = "nix/var/nix/db/db.sqlite";

/// NAR hashes by store path.
pub type NarHashes = HashMap<String, String>;

/// The NAR hashes that Nix has for these paths, in its own format. Paths that it does not have are
/// left out, as are all paths if the database cannot be read: that only costs time.
pub fn nar_hashes<'a>(store: &Store, paths: impl Iterator<Item = &'a str>) -> NarHashes {
    let hashes = connect(store).and_then(|connection| look_up(&connection, paths).ok());
    hashes.unwrap_or_default()
}

/// References by store path.
pub type References = HashMap<String, Vec<String>>;

/// The references that Nix has for these paths; `None` if it does not have all of the paths, or its
/// database cannot be read.
pub fn references<'a>(store: &Store, paths: impl Iterator<Item = &'a str>) -> Option<References> {
    look_up_references(&connect(store)?, paths).ok().flatten()
}

/// Opens the store's database; `None` if it has no readable one.
fn connect(store: &Store) -> Option<Connection> {
    let database = store.root().unwrap_or(Path::new("/")).join(DATABASE);
    // Opening a pipe in its place would wait for a writer.
    let is_there = store.dir() == Path::new(STORE_DIR) && database.is_file();
    is_there.then(|| open(&database).ok()).flatten()
}

fn look_up_references<'a>(
    connection: &Connection,
    paths: impl Iterator<Item = &'a str>,
) -> rusqlite::Result<Option<References>> {
    let mut known = connection.prepare("SELECT id FROM ValidPaths WHERE path = ?1")?;
    let mut targets = connection.prepare(
        "SELECT target.path FROM Refs JOIN ValidPaths target ON target.id = Refs.reference \
         WHERE Refs.referrer = ?1",
    )?;
    let mut references = HashMap::new();
    for path in paths {
        let id: Option<i64> = known.query_row([path], |row| row.get(0)).optional()?;
        let Some(id) = id else { return Ok(None) };
        let targets = targets.query_map([id], |row| row.get(0))?.collect::<Result<_, _>>()?;
        references.insert(path.to_owned(), targets);
    }
    Ok(Some(references))
}

fn look_up<'a>(
    connection: &Connection,
    paths: impl Iterator<Item = &'a str>,
) -> rusqlite::Result<HashMap<String, String>> {
    // The path is read from the row too, so that a hash is never taken for another path's, even if
    // a page was read while it was being written.
    let mut query = connection.prepare("SELECT path, hash FROM ValidPaths WHERE path = ?1")?;
    let mut hashes = HashMap::new();
    for path in paths {
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let found: Option<(String, String)> = query.query_row([path], row).optional()?;
        hashes.extend(found.filter(|(known, _)| known == path));
    }
    Ok(hashes)
}

/// Opens the database without writing any files next to it.
fn open(database: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    // Without a write-ahead log, the file is complete and no other process has it open. With one,
    // SQLite needs the log's index, which it would otherwise create.
    let mut log = database.as_os_str().to_owned();
    log.push("-wal");
    let how = if PathBuf::from(log).exists() { "mode=ro&readonly_shm=1" } else { "immutable=1" };
    let connection =
        Connection::open_with_flags(format!("file:{}?{how}", escape(database)), flags)?;
    // The database is made by whoever made the store named with `--store-root`.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    Ok(connection)
}

/// The path, escaped for a URI.
fn escape(path: &Path) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte);
    let escape = |&byte: &u8| {
        if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02x}") }
    };
    path.as_os_str().as_encoded_bytes().iter().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A database with some of Nix's columns, left open so that its log stays.
    fn database(root: &Path) -> Connection {
        let location = root.join(DATABASE);
        std::fs::create_dir_all(location.parent().unwrap()).unwrap();
        let connection = Connection::open(location).unwrap();
        connection.pragma_update(None, "journal_mode", "wal").unwrap();
        connection
            .execute_batch(
                "CREATE TABLE ValidPaths (id INTEGER PRIMARY KEY, path TEXT UNIQUE, hash TEXT);
                 INSERT INTO ValidPaths VALUES (1, '/nix/store/a-b', 'sha256:00');
                 INSERT INTO ValidPaths VALUES (2, '/nix/store/e-f', 'sha256:01');
                 CREATE TABLE Refs (referrer INTEGER, reference INTEGER);
                 INSERT INTO Refs VALUES (1, 1), (1, 2);",
            )
            .unwrap();
        connection
    }

    fn look(root: &Path) -> Vec<(String, String)> {
        let store = Store::new(STORE_DIR, Some(root)).unwrap();
        let paths = ["/nix/store/a-b", "/nix/store/c-d"];
        nar_hashes(&store, paths.into_iter()).into_iter().collect()
    }

    fn files(root: &Path) -> Vec<PathBuf> {
        let directory = root.join(DATABASE);
        let files = std::fs::read_dir(directory.parent().unwrap()).unwrap();
        let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        files.sort();
        files
    }

    #[test]
    fn hashes_are_read_with_and_without_a_writer_and_nothing_is_written() {
        let directory = tempfile::tempdir().unwrap();
        // Characters with a meaning in URIs.
        let root = directory.path().join("a ?#%&=é");
        let expected = [("/nix/store/a-b".to_owned(), "sha256:00".to_owned())];
        let writer = database(&root);
        let before = files(&root);
        assert_eq!(before.len(), 3, "{before:?}");
        assert_eq!(look(&root), expected);
        assert_eq!(files(&root), before);
        drop(writer);
        let before = files(&root);
        assert_eq!(before.len(), 1, "{before:?}");
        assert_eq!(look(&root), expected);
        assert_eq!(files(&root), before);
    }

    #[test]
    fn references_are_those_of_paths_that_are_all_known() {
        let root = tempfile::tempdir().unwrap();
        drop(database(root.path()));
        let store = Store::new(STORE_DIR, Some(root.path())).unwrap();
        let [a, e] = ["/nix/store/a-b", "/nix/store/e-f"].map(str::to_owned);
        let both = HashMap::from([(a.clone(), vec![a.clone(), e.clone()]), (e.clone(), vec![])]);
        assert_eq!(references(&store, [&*a, &e].into_iter()), Some(both));
        assert_eq!(references(&store, [&*a, "/nix/store/c-d"].into_iter()), None);
    }

    #[test]
    fn what_is_not_a_database_has_no_hashes() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(look(root.path()), []);
        drop(database(root.path()));
        let location = root.path().join(DATABASE);
        let good = std::fs::read(&location).unwrap();
        for length in [0, 10, 100, 4096, good.len() - 1] {
            std::fs::write(&location, &good[..length]).unwrap();
            look(root.path());
        }
        std::fs::write(&location, "no database").unwrap();
        assert_eq!(look(root.path()), []);
    }
}
