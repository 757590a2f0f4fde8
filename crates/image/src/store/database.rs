//! Nix's database, which knows the NAR hash of every path in a store.
//!
//! Its schema is Nix's own: `ValidPaths` has a row for each path, with `path` and `hash`
//! (`sha256:` and hexadecimal digits). See `src/libstore/schema.sql` of Nix.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _};

use super::Store;

/// The one store's directory whose database has a known place.
const STORE_DIR: &str = "/nix/store";
const DATABASE: &str = "nix/var/nix/db/db.sqlite";

/// The NAR hash of each of some store paths.
pub type NarHashes = HashMap<String, String>;

/// The NAR hashes that Nix has for these paths, in its own spelling. A path that it does not know,
/// and every path where its database cannot be read, has none: that costs time alone.
pub fn nar_hashes<'a>(store: &Store, paths: impl Iterator<Item = &'a str>) -> NarHashes {
    let database = store.root().unwrap_or(Path::new("/")).join(DATABASE);
    // Opening a pipe that stands in its place would wait for a writer.
    if store.dir() != Path::new(STORE_DIR) || !database.is_file() {
        return HashMap::new();
    }
    open(&database).and_then(|connection| look_up(&connection, paths)).unwrap_or_default()
}

fn look_up<'a>(
    connection: &Connection,
    paths: impl Iterator<Item = &'a str>,
) -> rusqlite::Result<HashMap<String, String>> {
    // The path is read from the row as well: so a hash never is another path's, even if a page
    // was read while it was being written.
    let mut query = connection.prepare("SELECT path, hash FROM ValidPaths WHERE path = ?1")?;
    let mut hashes = HashMap::new();
    for path in paths {
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let found: Option<(String, String)> = query.query_row([path], row).optional()?;
        hashes.extend(found.filter(|(known, _)| known == path));
    }
    Ok(hashes)
}

/// Opens the database in such a way that nothing is written beside it either.
fn open(database: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    // Without a log of writes the file holds everything, and nobody else has it open. With one,
    // SQLite needs the log's index, which it would otherwise create.
    let mut log = database.as_os_str().to_owned();
    log.push("-wal");
    let how = if PathBuf::from(log).exists() { "mode=ro&readonly_shm=1" } else { "immutable=1" };
    let connection =
        Connection::open_with_flags(format!("file:{}?{how}", escape(database)), flags)?;
    // Whoever made the store that `--store-root` names made its database too.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    Ok(connection)
}

/// The path as it stands in a URI.
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

    /// A database with some of Nix's columns, kept open so that its log stays.
    fn database(root: &Path) -> Connection {
        let location = root.join(DATABASE);
        std::fs::create_dir_all(location.parent().unwrap()).unwrap();
        let connection = Connection::open(location).unwrap();
        connection.pragma_update(None, "journal_mode", "wal").unwrap();
        connection
            .execute_batch(
                "CREATE TABLE ValidPaths (id INTEGER PRIMARY KEY, path TEXT UNIQUE, hash TEXT);
                 INSERT INTO ValidPaths VALUES (1, '/nix/store/a-b', 'sha256:00');",
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
        // What a URI takes for something else.
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
