//! Lists a tree of many small files.

use std::fs;
use std::path::Path;

use criterion::{Criterion, Throughput};
use image::budget::Budget;
use image::store::{self, Listing, Walk};

const DIRECTORIES: usize = 400;
const FILES_PER_DIRECTORY: usize = 50;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    walk(&mut criterion);
    criterion.final_summary();
}

fn walk(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a temporary directory can be created");
    let root = directory.path().join("tree");
    grow(&root).expect("the tree can be created");
    let mut walk = Walk::new(&root).expect("the tree exists");
    let mut entries = 0;
    while walk.next_entry().expect("the tree can be walked").is_some() {
        entries += 1;
    }

    let mut group = criterion.benchmark_group("walk");
    group.throughput(Throughput::Elements(entries));
    group.sample_size(20);
    let budget = Budget::new(8 << 20);
    group.bench_function("scan", |bencher| {
        bencher.iter(|| {
            store::scan(&root, Some(Listing::new(&budget))).expect("the tree can be listed")
        });
    });
    group.finish();
}

/// Makes files like those of a package's documentation, with a symbolic link in each directory.
fn grow(root: &Path) -> std::io::Result<()> {
    for number in 0..DIRECTORIES {
        let parent = root.join(format!("share/doc/part-{:02}/chapter-{number:03}", number % 20));
        fs::create_dir_all(&parent)?;
        for file in 0..FILES_PER_DIRECTORY {
            fs::write(parent.join(format!("section-{file:03}.html")), b"")?;
        }
        std::os::unix::fs::symlink("section-000.html", parent.join("index.html"))?;
    }
    Ok(())
}
