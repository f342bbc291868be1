use std::fs;

use super::*;

fn fault(file: &Path) -> String {
    let error = certificates(file).unwrap_err();
    assert_eq!(error.kind, EngineErrorKind::Io);
    assert!(error.help.is_some_and(|help| help.contains("--ca-file")));
    error.message
}

#[test]
fn a_file_of_authorities_holds_certificates() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    assert!(fault(&file).ends_with("cannot be read"));
    fs::write(&file, "hello\n").unwrap();
    assert!(fault(&file).ends_with("holds no certificate"));
    fs::write(&file, "-----BEGIN CERTIFICATE-----\n%%%\n-----END CERTIFICATE-----\n").unwrap();
    assert!(fault(&file).ends_with("is not PEM"));
    fs::write(&file, "# ours\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    assert!(certificates(&file).is_ok());
}
