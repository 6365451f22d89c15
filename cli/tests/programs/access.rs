//! A coordinator that others can reach, secured without configuration.

use std::{fs, os::unix::fs::PermissionsExt as _};

use crate::lab::{Lab, Running, text};

/// A coordinator with TLS on loopback, and the port that its URL names.
fn secured(lab: &Lab) -> (Running, String) {
    let (coordinator, url) = lab.coordinator_with("127.0.0.1:0", &["--secure"]);
    assert!(url.starts_with("https://"), "{url}");
    (coordinator, url)
}

fn failed(lab: &Lab, arguments: &[&str]) -> (i32, String) {
    let output = lab.colearn(arguments);
    (output.status.code().unwrap(), text(&output.stderr))
}

fn log_says(lab: &Lab, line: &str) {
    let log = lab.path().join("coordinator.log");
    lab.wait_for(line, || fs::read_to_string(&log).unwrap().contains(line));
}

#[test]
fn nothing_is_to_be_configured_where_the_home_is_shared() {
    let lab = Lab::new();
    let (_coordinator, url) = secured(&lab);
    // Commands and workers find the files in the configuration folder, by address alone.
    let _worker = lab.worker(&url, "one");
    let submitted = lab.colearn(&["submit", "small.yaml", "--coordinator", &url]);
    assert!(submitted.status.success(), "{}", text(&submitted.stderr));
    lab.wait_until(&["--coordinator", &url], |status| status["state"] == "complete");
    let listed = text(&lab.colearn(&["list", "--by", "people", "--coordinator", &url]).stdout);
    assert!(
        listed.contains("small") && listed.lines().next().unwrap().trim_end().ends_with("by"),
        "{listed}"
    );
    let listed = text(&lab.colearn(&["list", "--by", "anna", "--coordinator", &url]).stdout);
    assert_eq!(listed, "no sweeps were submitted by anna\n");
    // And by the state folder.
    let results = lab.colearn(&["results", "small", "--state", "state"]);
    assert!(results.status.success(), "{}", text(&results.stderr));

    for name in ["authority.pem", "worker.access", "people.access", "look.access", "issued"] {
        let mode = lab.path().join("state/access").join(name).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let folder = lab.path().join("state/access").metadata().unwrap().permissions().mode();
    assert_eq!(folder & 0o777, 0o700);
}

#[test]
fn who_has_no_access_is_told_what_to_do() {
    let lab = Lab::new();
    let (_coordinator, url) = secured(&lab);
    let address = url.strip_prefix("https://").unwrap();
    let state = |name: &str| lab.path().join("state/access").join(name).display().to_string();
    // Nothing is found by itself from here on.
    fs::remove_dir_all(lab.path().join("config")).unwrap();
    let list = |extra: &[&str]| failed(&lab, &[&["list"], extra].concat());

    let (code, told) = list(&["--coordinator", &url]);
    assert_eq!(code, 11);
    assert!(told.contains("needs an access file: name it with --access FILE or COLEARN_ACCESS"), "{told}");

    let (code, told) = list(&["--coordinator", &format!("http://{address}")]);
    assert_eq!(code, 11, "{told}");
    assert!(told.contains("speaks TLS: use https://"), "{told}");
    log_says(&lab, "a client was not let in: it speaks no TLS: plain text is refused");

    // A worker in plain text gives up as well, and says why.
    let worker = lab.worker(&format!("http://{address}"), "one");
    assert_eq!(worker.code(), 3);
    let log = fs::read_to_string(lab.path().join("one.log")).unwrap();
    assert!(log.contains("speaks TLS: use https://"), "{log}");

    // A worker's file does not look, and a looking file does not change anything or work.
    let (code, told) = list(&["--coordinator", &url, "--access", &state("worker.access")]);
    assert_eq!(code, 11);
    assert!(
        told.contains(
            "the access file of worker (work) does not allow this (ListSweeps needs the role `look`)"
        ),
        "{told}"
    );
    log_says(&lab, "a call was refused");
    let looking = ["--coordinator", &url, "--access", &state("look.access")];
    assert_eq!(list(&looking).0, 0);
    let (code, told) = failed(&lab, &[&["submit", "small.yaml"][..], &looking].concat());
    assert_eq!(code, 11);
    assert!(told.contains("SubmitSweep needs the role `operate`"), "{told}");
    let worker = lab.worker_in(&url, "two", &[("COLEARN_ACCESS", &state("look.access"))]);
    assert_eq!(worker.code(), 2);
    let log = fs::read_to_string(lab.path().join("two.log")).unwrap();
    assert!(log.contains("a worker needs one with the role `work`"), "{log}");

    // A file that others can read.
    let copy = lab.path().join("copy.access");
    fs::copy(state("people.access"), &copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o644)).unwrap();
    let (code, told) = list(&["--coordinator", &url, "--access", "copy.access"]);
    assert_eq!(code, 11);
    assert!(
        told.contains("can be read or changed by others (mode 644)") && told.contains("chmod 600"),
        "{told}"
    );
    // A file that is none.
    lab.write("none.access", "nothing");
    fs::set_permissions(lab.path().join("none.access"), fs::Permissions::from_mode(0o600)).unwrap();
    let (code, told) = list(&["--coordinator", &url, "--access", "none.access"]);
    assert_eq!(code, 11);
    assert!(told.contains("none.access: it is not an access file"), "{told}");
}

#[test]
fn tls_to_a_coordinator_in_plain_text_is_told_on_both_sides() {
    let lab = Lab::new();
    let (coordinator, _) = secured(&lab);
    coordinator.kill();
    let (_plain, url) = lab.coordinator("127.0.0.1:0");
    let protected = url.replace("http://", "https://");
    let (code, told) = failed(&lab, &["list", "--coordinator", &protected]);
    assert_eq!(code, 11);
    assert!(told.contains("speaks no TLS") && told.contains("is reached as http://"), "{told}");
    log_says(&lab, "a client was refused: it speaks TLS, and this coordinator does not");
    let worker = lab.worker(&protected, "one");
    assert_eq!(worker.code(), 3);
    let log = fs::read_to_string(lab.path().join("one.log")).unwrap();
    assert!(log.contains("speaks no TLS"), "{log}");
}

#[test]
fn plain_text_on_a_network_is_spelt_out_and_warned_of() {
    let lab = Lab::new();
    // Without --insecure an address that others can reach is protected.
    let (coordinator, url) = lab.coordinator_with("0.0.0.0:0", &[]);
    assert!(url.starts_with("https://127.0.0.1:"), "{url}");
    coordinator.kill();
    let (_coordinator, url) = lab.coordinator_with("0.0.0.0:0", &["--insecure"]);
    assert!(url.starts_with("http://127.0.0.1:"), "{url}");
    log_says(&lab, "WARN --insecure: 0.0.0.0:");
    assert_eq!(failed(&lab, &["list", "--coordinator", &url]).0, 0);
    // 0.0.0.0 reaches this machine, and is not loopback.
    let port = url.rsplit_once(':').unwrap().1;
    let (code, told) = failed(&lab, &["list", "--coordinator", &format!("http://0.0.0.0:{port}")]);
    assert_eq!(code, 0);
    assert!(
        told.contains("warning: the connection to 0.0.0.0:") && told.contains("neither encrypted"),
        "{told}"
    );
    let output = lab.colearn(&["coordinator", "--secure", "--insecure"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn access_is_given_listed_and_taken_back() {
    let lab = Lab::new();
    let here = ["--state", "state"];
    let access = |arguments: &[&str]| {
        let output = lab.colearn(&[&["access"], arguments, &here].concat());
        (output.status.code().unwrap(), text(&output.stdout) + &text(&output.stderr))
    };
    let (code, told) = access(&["new", "--role", "operate", "--name", "anna"]);
    assert_eq!(code, 8);
    assert!(told.contains("there is no authority in state/access"), "{told}");
    let (_coordinator, url) = secured(&lab);

    assert_eq!(access(&["new", "--role", "operate", "--name", "anna", "--valid", "20days"]).0, 0);
    let (code, told) = access(&["new", "--role", "operate", "--name", "anna"]);
    assert!(code == 8 && told.contains("anna.access exists already"), "{told}");
    assert_eq!(access(&["new", "--role", "work", "--name", "gpu1", "--out", "gpu1.access"]).0, 0);
    let (code, told) = access(&["new", "--role", "admin", "--name", "x"]);
    assert!(code == 2 && told.contains("look, operate or work"), "{told}");

    let anna = ["--coordinator", &url, "--access", "state/access/anna.access"];
    let (code, told) = failed(&lab, &[&["list"][..], &anna].concat());
    assert_eq!(code, 0);
    assert!(told.contains("warning: the access file state/access/anna.access expires on"), "{told}");
    let _worker =
        lab.worker_with(&url, "gpu1", &["--access", "gpu1.access", "--slots", "1", "--device", "cpu"]);
    let listed = || lab.json(&[&["workers", "--json"][..], &anna].concat())["workers"].clone();
    lab.wait_for("the worker", || listed()[0]["id"].as_str().is_some_and(|id| id.starts_with("gpu1-")));
    let wrong = lab.worker_with(&url, "gpu2", &["--access", "gpu1.access"]);
    assert_eq!(wrong.code(), 2);

    let all = lab.json(&[&["access", "list", "--json"][..], &here].concat());
    let names: Vec<_> =
        all["access"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["worker", "people", "look", "anna", "gpu1"]);
    let (code, table) = access(&["list"]);
    assert!(code == 0 && table.contains("anna"), "{table}");

    assert_eq!(access(&["revoke", "anna"]).0, 0);
    lab.wait_for("the revocation", || failed(&lab, &[&["list"][..], &anna].concat()).0 == 11);
    let (_, told) = failed(&lab, &[&["list"][..], &anna].concat());
    assert!(told.contains("it was revoked"), "{told}");
    log_says(&lab, "its credential was revoked");
    assert_eq!(access(&["revoke", "nobody"]).0, 8);
    // The worker's connection ends too; its leases go to others.
    assert_eq!(access(&["revoke", "gpu1"]).0, 0);
    log_says(&lab, "the credential was revoked; its connection is closed");

    // Keys are in no log and no output.
    let key = fs::read_to_string(lab.path().join("state/access/anna.access")).unwrap();
    let (_, key) = key.split_once("BEGIN PRIVATE KEY-----").unwrap();
    let line = key.lines().find(|line| line.len() == 64).unwrap();
    assert!(!lab.logs().contains(line) && !table.contains(line) && !all.to_string().contains(line));
}
