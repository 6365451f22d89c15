//! Writes reports into a folder that holds an earlier report.

use std::{collections::BTreeSet, fs, os::unix::fs::symlink, path::Path};

use crate::made_up;

/// Every file of a folder, as a path relative to it.
fn files(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for within in ["", "plots"] {
        for entry in fs::read_dir(folder.join(within)).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_file() {
                found.insert(Path::new(within).join(entry.file_name()).to_str().unwrap().to_owned());
            }
        }
    }
    found
}

#[test]
fn what_an_earlier_report_wrote_is_removed_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    colearn_report::write(&made_up::regression(), &made_up::regression().table(), folder).unwrap();
    let own = ["notes.md", "plots/mine.svg", "plots/learning-mine.svg", "results-old.csv"];
    for name in own {
        fs::write(folder.join(name), "mine").unwrap();
    }
    assert!(folder.join("plots/subsets-accuracy.svg").is_file());
    // A file that a person has removed is not an error.
    fs::remove_file(folder.join("plots/subsets-loss.svg")).unwrap();
    colearn_report::write(&made_up::paper(), &made_up::paper().table(), folder).unwrap();

    let fresh = tempfile::tempdir().unwrap();
    colearn_report::write(&made_up::paper(), &made_up::paper().table(), fresh.path()).unwrap();
    let mut expected = files(fresh.path());
    expected.extend(own.map(str::to_owned));
    assert_eq!(files(folder), expected);
    for name in own {
        assert_eq!(fs::read_to_string(folder.join(name)).unwrap(), "mine", "{name}");
    }
}

#[test]
fn a_file_that_no_report_wrote_is_not_replaced() {
    for own in ["index.html", "results.csv", "plots/accuracy.svg"] {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("plots")).unwrap();
        let path = folder.path().join(own);
        fs::write(&path, "mine").unwrap();
        let error = colearn_report::write(&made_up::paper(), &made_up::paper().table(), folder.path())
            .unwrap_err()
            .to_string();
        assert!(error.contains(own) && error.contains("into another folder"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
        assert_eq!(files(folder.path()), BTreeSet::from([own.to_owned()]), "nothing was written beside it");
    }
}

#[test]
fn a_list_that_was_tampered_with_removes_nothing_outside_the_folder() {
    let outside = tempfile::tempdir().unwrap();
    let folder = outside.path().join("report");
    colearn_report::write(&made_up::paper(), &made_up::paper().table(), &folder).unwrap();
    let precious = outside.path().join("precious");
    fs::write(&precious, "mine").unwrap();
    let list = folder.join(".colearn-report");
    let text = fs::read_to_string(&list).unwrap();
    fs::write(&list, format!("{text}../precious\n{}\n./../precious\n\n", precious.display())).unwrap();
    colearn_report::write(&made_up::paper(), &made_up::paper().table(), &folder).unwrap();
    assert_eq!(fs::read_to_string(&precious).unwrap(), "mine");
    assert_eq!(fs::read_to_string(&list).unwrap(), text, "the list is made anew");

    fs::write(&list, [0xff]).unwrap();
    let error =
        colearn_report::write(&made_up::paper(), &made_up::paper().table(), &folder).unwrap_err().to_string();
    assert!(error.contains(".colearn-report") && error.contains("remove it"), "{error}");
}

#[test]
fn a_report_that_was_interrupted_is_cleaned_up_by_the_next() {
    let leftovers = |first: Option<&colearn_report::Material>, next: &colearn_report::Material| {
        let folder = tempfile::tempdir().unwrap();
        let page = folder.path().join("index.html");
        if let Some(first) = first {
            colearn_report::write(first, &first.table(), folder.path()).unwrap();
            fs::remove_file(&page).unwrap();
        }
        // The page is written last. It cannot be written if a folder has its name.
        fs::create_dir(&page).unwrap();
        colearn_report::write(&made_up::paper(), &made_up::paper().table(), folder.path()).unwrap_err();
        assert!(folder.path().join("plots/f_score.svg").is_file(), "it was interrupted after the charts");
        fs::remove_dir(&page).unwrap();
        colearn_report::write(next, &next.table(), folder.path()).unwrap();
        let fresh = tempfile::tempdir().unwrap();
        colearn_report::write(next, &next.table(), fresh.path()).unwrap();
        &files(folder.path()) - &files(fresh.path())
    };
    assert_eq!(leftovers(None, &made_up::regression()), BTreeSet::new(), "of the one that was interrupted");
    let regression = made_up::regression();
    assert_eq!(leftovers(Some(&regression), &made_up::paper()), BTreeSet::new(), "of the one before it");
}

#[test]
fn links_in_the_folder_are_not_followed() {
    let outside = tempfile::tempdir().unwrap();
    let nowhere = outside.path().join("nowhere");
    for (name, target) in
        [("results.csv", "../nowhere"), ("plots/accuracy.svg", "../../nowhere"), ("index.html", "../nowhere")]
    {
        let folder = tempfile::tempdir_in(outside.path()).unwrap();
        let link = folder.path().join(name);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(target, &link).unwrap();
        let error = colearn_report::write(&made_up::paper(), &made_up::paper().table(), folder.path())
            .unwrap_err()
            .to_string();
        assert!(error.contains(name) && error.contains("no report wrote it"), "{error}");
        assert!(!nowhere.exists(), "{name}");
    }
    // If a report wrote the file and a link replaced it since, the link is replaced.
    let folder = outside.path().join("report");
    colearn_report::write(&made_up::paper(), &made_up::paper().table(), &folder).unwrap();
    for name in ["results.csv", ".colearn-report"] {
        let moved = outside.path().join("moved");
        fs::rename(folder.join(name), &moved).unwrap();
        symlink(&moved, folder.join(name)).unwrap();
        fs::write(&moved, fs::read_to_string(&moved).unwrap() + "\n").unwrap();
        let before = fs::read(&moved).unwrap();
        colearn_report::write(&made_up::paper(), &made_up::paper().table(), &folder).unwrap();
        assert_eq!(fs::read(&moved).unwrap(), before, "{name}");
        assert!(!folder.join(name).is_symlink(), "{name}");
    }
    let plots = outside.path().join("elsewhere");
    fs::create_dir(&plots).unwrap();
    let linked = outside.path().join("linked");
    fs::create_dir(&linked).unwrap();
    symlink(&plots, linked.join("plots")).unwrap();
    colearn_report::write(&made_up::paper(), &made_up::paper().table(), &linked).unwrap_err();
    assert_eq!(fs::read_dir(&plots).unwrap().count(), 0);
}
