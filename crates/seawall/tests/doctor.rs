//! What a venue begins with, and what is looked at before it runs.

mod common;

use common::{Ended, end, seawall};
use serde_json::Value;
use std::path::Path;

fn doctor(data: &Path, more: &[&str]) -> (i32, Value) {
    let Ended { code, out, .. } =
        end(seawall().args(["doctor", "--json", "--listen", "127.0.0.1:0", "--data"]).arg(data).args(more));
    (code, serde_json::from_str(&out).unwrap())
}

fn wrong(found: &Value) -> Vec<(&str, &str)> {
    let findings = found["findings"].as_array().unwrap().iter().filter(|finding| finding["well"] == false);
    findings.map(|finding| (finding["what"].as_str().unwrap(), finding["text"].as_str().unwrap())).collect()
}

#[test]
fn a_venue_is_made_once_and_what_is_wrong_with_it_is_found() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("venue");
    let (code, found) = doctor(&data, &[]);
    assert_eq!(code, 4);
    assert!(wrong(&found)[0].1.contains("`seawall init"), "{found}");

    let made = end(seawall().args(["init", "--data"]).arg(&data));
    assert!(
        made.code == 0 && made.out.contains("6 keys") && made.out.contains("guardian-1.key: a guardian's secret"),
        "{}",
        made.out
    );
    let again = end(seawall().args(["init", "--data"]).arg(&data));
    assert!(again.code == 2 && again.err.contains("a venue is there already"), "{}", again.err);
    let (code, found) = doctor(&data, &[]);
    assert_eq!((code, wrong(&found)), (0, vec![]), "{found}");

    let ran =
        end(seawall().args(["run", "I-17", "--speed", "max", "--draw", "20", "--no-listen", "--data"]).arg(&data));
    assert_eq!(ran.code, 0, "{}", ran.err);
    let (code, found) = doctor(&data, &[]);
    assert_eq!(code, 0, "{found}");
    assert!(found.to_string().contains("whole, to height "), "{found}");

    // Each in turn: a secret that others read, an address that is none of ours, alerts that name nobody, a governance file with a mistake, none, and a journal that is damaged.
    let guardian = data.join("keys/guardian-1.key");
    std::fs::set_permissions(&guardian, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    assert!(matches!(wrong(&doctor(&data, &[]).1)[..], [("secrets", text)] if text.contains("chmod 600")));
    std::fs::set_permissions(&guardian, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let nowhere = end(seawall().args(["doctor", "--json", "--listen", "192.0.2.1:1", "--data"]).arg(&data));
    assert!(nowhere.code == 4 && nowhere.out.contains("choose another with --listen"), "{}", nowhere.out);
    let path = home.path().join("alerts.toml");
    std::fs::write(&path, "runbook = \"https://wiki.example\"\nto = []\n").unwrap();
    assert!(
        matches!(wrong(&doctor(&data, &["--alerts", path.to_str().unwrap()]).1)[..], [("alerts", text)] if text.contains("nobody is told"))
    );
    let governance = data.join("governance.toml");
    let good = std::fs::read_to_string(&governance).unwrap();
    for (text, said) in [
        (good.replace("guardian\"\nkey", "observer\"\nkey"), "no guardian"),
        (good.replace("threshold = 2", "threshold = 1"), "at least 2"),
    ] {
        std::fs::write(&governance, text).unwrap();
        let (_, found) = doctor(&data, &[]);
        assert!(matches!(wrong(&found)[..], [("governance", text)] if text.contains(said)), "{found}");
    }
    std::fs::remove_file(&governance).unwrap();
    assert!(matches!(wrong(&doctor(&data, &[]).1)[..], [("governance", text)] if text.contains("put it back")));
    std::fs::write(&governance, good).unwrap();
    let segment = data.join("journal/00000000000000000000.segment");
    let mut bytes = std::fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let (code, found) = doctor(&data, &[]);
    assert_eq!(code, 4);
    assert!(matches!(wrong(&found)[..], [("journal", text)] if text.contains("`seawall journal repair`")), "{found}");
}
