//! What the executable that people install does not link.

use std::process::Command;

/// Crates that only run on servers or at developers.
const NOT_LINKED: [&str; 8] = [
    "daemon",
    "dev",
    "emulator",
    "github",
    "monitor",
    "monitor-core",
    "queue",
    "queue-core",
];

#[test]
fn the_installed_command_links_no_daemon_and_no_emulator() {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--package", "cli", "--edges", "normal,build"])
        .args(["--prefix", "none", "--format", "{p}", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&tree.stderr);
    assert!(tree.status.success(), "{error}");
    let tree = String::from_utf8(tree.stdout).unwrap();
    let linked: Vec<&str> = tree
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert!(linked.contains(&"shared"), "{tree}");
    for name in NOT_LINKED {
        assert!(!linked.contains(&name), "cli links {name}:\n{tree}");
    }
}
