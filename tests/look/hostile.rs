//! Images from elsewhere, which may contain anything.

use super::{inspect, path};
use crate::export::{docker_archive, layer, put};
use crate::support::{NIX_IMAGE, command, failure_of, stdout_of};

#[test]
fn names_neither_move_the_cursor_nor_become_markup() {
    let folder = tempfile::tempdir().unwrap();
    let name = path('1', "a\u{1b}[31m\u{202e}<b>&");
    let large = vec![5; 30_000];
    let tar = layer(&[(b'0', &name, &large), (b'0', "opt/\u{1b}]0;x", &large)]);
    let image = put(folder.path(), "image.tar", &docker_archive(&[tar]));
    let run = |args: &[&str]| {
        let mut command = command(NIX_IMAGE, &args[..1]);
        String::from_utf8(stdout_of(command.arg(&image).args(&args[1..]))).unwrap()
    };
    let printed = [
        run(&["tree"]),
        run(&["why", &"1".repeat(32)]),
        run(&["diff", image.to_str().unwrap()]),
        run(&["inspect", "--json"]),
        run(&["inspect", "--svg", "-"]),
        run(&["inspect", "--html", "-"]),
    ];
    for text in &printed {
        assert!(!text.contains('\u{1b}'), "{text}");
    }
    assert!(printed[0].contains("a[31m<b>&"), "{}", printed[0]);
    assert!(printed[..2].iter().all(|text| !text.contains('\u{202e}')));
    assert!(printed[4..].iter().all(|text| !text.contains("<b>")));
}

#[test]
fn a_layer_that_is_not_the_right_one_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let tar = layer(&[(b'0', "good", &[1; 5000])]);
    let mut wrong = docker_archive(&[tar]);
    // A byte of the content, which no header covers.
    wrong[512 + 512 + 700] ^= 1;
    let image = put(folder.path(), "image.tar", &wrong);
    let page = folder.path().join("page.html");
    let said = failure_of(inspect(&image).arg("--html").arg(&page));
    assert!(said.contains("sha256:"), "{said}");
    assert!(!page.exists());
    let cut = put(folder.path(), "cut.tar", &docker_archive(&[vec![9; 2000]]));
    let said = failure_of(&mut inspect(&cut));
    assert!(said.contains("layer 1 cannot be read"), "{said}");
}

#[test]
fn paths_that_refer_to_each_other_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (path('1', "a"), path('2', "b"));
    let tar = layer(&[(b'0', &a, b.as_bytes()), (b'0', &b, a.as_bytes())]);
    let image = put(folder.path(), "image.tar", &docker_archive(&[tar]));
    let tree = stdout_of(command(NIX_IMAGE, &["tree"]).arg(&image));
    let tree = String::from_utf8(tree).unwrap();
    let names: Vec<_> = tree.lines().map(|line| line.split(" (").next().unwrap()).collect();
    assert_eq!(names, ["a", "└─ b", "   └─ a"]);
    assert!(tree.ends_with(" …\n"), "{tree}");
}
