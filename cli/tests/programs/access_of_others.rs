//! An authority that somebody else keeps: certificates made with openssl.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Command};

use crate::lab::{Lab, text};

/// Makes certificates as an administrator would; `None` if openssl is not installed.
fn certificates(lab: &Lab) -> Option<()> {
    let script = r#"
set -eu
mkdir pki && cd pki
new() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "$@" 2>/dev/null; }
new -x509 -days 30 -subj '/CN=our authority' -keyout ca.key -out ca.pem
sign() { # name, alternative name, usage
  new -subj "/CN=$1" -keyout "$1.key" -out "$1.csr"
  printf 'subjectAltName=%s\nextendedKeyUsage=%s\nbasicConstraints=CA:FALSE\n' "$2" "$3" > "$1.ext"
  openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile "$1.ext" -out "$1.pem" 2>/dev/null
}
sign server 'DNS:localhost,IP:127.0.0.1' serverAuth
sign anna 'URI:colearn:operate/anna' clientAuth
sign gpu1 'URI:colearn:work/gpu1' clientAuth
sign nobody 'URI:https://example.org/nobody' clientAuth
for name in anna gpu1 nobody; do cat "$name.pem" "$name.key" ca.pem > "$name.access"; done
chmod 600 *.key *.access server.pem
"#;
    let ran = Command::new("sh").args(["-c", script]).current_dir(lab.path()).output().unwrap();
    if Command::new("openssl").arg("version").output().is_err() {
        eprintln!("openssl is not installed: this test is skipped");
        return None;
    }
    assert!(ran.status.success(), "{}", text(&ran.stderr));
    Some(())
}

const TLS: [&str; 6] =
    ["--tls-cert", "pki/server.pem", "--tls-key", "pki/server.key", "--tls-ca", "pki/ca.pem"];

#[test]
fn certificates_of_another_authority_are_used_and_followed() {
    let lab = Lab::new();
    if certificates(&lab).is_none() {
        return;
    }
    let (_coordinator, url) = lab.coordinator_with("127.0.0.1:0", &TLS);
    assert!(url.starts_with("https://"), "{url}");
    assert!(!lab.path().join("state/access/authority.pem").exists(), "it makes none of its own");
    let list = |file: &str| {
        let output = lab.colearn(&["list", "--coordinator", &url, "--access", file]);
        (output.status.code().unwrap(), text(&output.stderr))
    };
    let (code, told) = list("pki/anna.access");
    assert_eq!(code, 0, "{told}");
    let (code, told) = list("pki/nobody.access");
    assert_eq!(code, 11);
    assert!(told.contains("its certificate says no role"), "{told}");
    let options = ["--access", "pki/gpu1.access", "--slots", "1", "--threads", "1", "--device", "cpu"];
    let _worker = lab.worker_with(&url, "gpu1", &options);
    let submitted =
        lab.colearn(&["submit", "small.yaml", "--coordinator", &url, "--access", "pki/anna.access"]);
    assert!(submitted.status.success(), "{}", text(&submitted.stderr));
    lab.wait_until(&["--coordinator", &url, "--access", "pki/anna.access"], |status| {
        status["state"] == "complete"
    });

    // Renewed certificates are taken while it runs: here by an authority that knows nobody of before.
    fs::rename(lab.path().join("pki"), lab.path().join("old")).unwrap();
    certificates(&lab).unwrap();
    lab.wait_for("the new authority", || list("pki/anna.access").0 == 0);
    let (code, told) = list("old/anna.access");
    assert_eq!(code, 11, "{told}");
}

#[test]
fn wrong_files_are_refused_at_the_start() {
    let lab = Lab::new();
    if certificates(&lab).is_none() {
        return;
    }
    let start = |changes: &[(usize, &str)]| {
        let mut tls = TLS;
        for (at, value) in changes {
            tls[*at] = value;
        }
        let output = lab.colearn(&[&["coordinator", "--listen", "127.0.0.1:0"][..], &tls].concat());
        (output.status.code().unwrap(), text(&output.stderr))
    };
    for (changes, why) in [
        (&[(1, "pki/no.pem")][..], "pki/no.pem cannot be read"),
        (&[(1, "pki/server.key")], "there is no certificate in it"),
        (&[(3, "pki/server.pem")], "there is no key in it"),
        (&[(3, "pki/anna.key")], "pki/anna.key: the certificates cannot be used"),
    ] {
        let (code, told) = start(changes);
        assert!(code == 6 && told.contains(why), "{code}: {told}");
    }
    fs::set_permissions(lab.path().join("pki/server.key"), fs::Permissions::from_mode(0o644)).unwrap();
    let (code, told) = start(&[]);
    assert!(code == 6 && told.contains("chmod 600 pki/server.key"), "{code}: {told}");
    let output = lab.colearn(&["coordinator", "--tls-cert", "pki/server.pem"]);
    assert_eq!(output.status.code(), Some(2));
}
