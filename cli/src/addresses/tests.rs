//! Which address and which token the options, the environment and the file make together.

use std::{fs, os::unix::fs::PermissionsExt};

use tempfile::TempDir;

use super::*;

const FILE: &str = r#"
    default_fleet = "b"
    [fleets.a]
    queue = "http://queue-a"
    api_token_file = "token"
    monitors = { ci1 = "http://ci1", ci2 = "http://ci2" }
    [fleets.b]
    queue = "http://queue-b"
    monitors = { ci9 = "http://ci9" }
"#;

/// A home with this configuration file, and a file `token` beside it.
struct Home(TempDir);

impl Home {
    fn with(file: &str) -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        let folder = home.0.path().join("ci-runners");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("config.toml"), file).unwrap();
        let token = folder.join("token");
        fs::write(&token, "swordfish\n").unwrap();
        fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
        home
    }

    fn daemon(&self, fleet: Option<&str>, arg: DaemonArg, variables: &[(&str, &str)]) -> Found {
        let args = FleetArgs {
            fleet: fleet.map(str::to_owned),
            config: None,
        };
        let home = self.0.path().to_str().unwrap();
        let variables = variables.iter().copied();
        let environment = variables.chain([("XDG_CONFIG_HOME", home)]).collect();
        let daemon = Addresses::new(&args, None, &environment).daemon(&arg);
        daemon
            .map(|daemon| {
                let token = daemon.api_token();
                let token = token.map_or(String::new(), |token| token.expose().to_owned());
                (daemon.url.to_string(), token)
            })
            .map_err(|failure| failure.to_string())
    }
}

/// The URL and the token, or the error.
type Found = Result<(String, String), String>;

fn queue(url: &str) -> DaemonArg {
    DaemonArg {
        queue: Some(url.parse().unwrap()),
        monitor: None,
    }
}

fn monitor(name: &str) -> DaemonArg {
    DaemonArg {
        queue: None,
        monitor: Some(name.parse().unwrap()),
    }
}

fn none() -> DaemonArg {
    DaemonArg::default()
}

#[test]
fn the_first_source_that_has_an_address_decides() {
    let home = Home::with(FILE);
    let queue_variable = (QUEUE_VARIABLE, "http://variable");
    let monitor_variable = (MONITOR_VARIABLE, "ci9");
    let fleet_variable = (FLEET_VARIABLE, "a");
    for (fleet, arg, variables, url) in [
        (None, none(), &[][..], "http://queue-b/"),
        (Some("a"), none(), &[], "http://queue-a/"),
        (None, none(), &[fleet_variable], "http://queue-a/"),
        (Some("b"), none(), &[fleet_variable], "http://queue-b/"),
        (
            None,
            none(),
            &[queue_variable, fleet_variable],
            "http://variable/",
        ),
        (Some("a"), none(), &[queue_variable], "http://queue-a/"),
        (Some("a"), queue("http://q"), &[queue_variable], "http://q/"),
        (None, none(), &[monitor_variable], "http://ci9/"),
        (
            None,
            none(),
            &[monitor_variable, queue_variable],
            "http://variable/",
        ),
        (
            Some("a"),
            monitor("ci2"),
            &[monitor_variable],
            "http://ci2/",
        ),
        (None, monitor("http://ci5"), &[], "http://ci5/"),
        (
            None,
            monitor("http://ci5"),
            &[queue_variable, monitor_variable],
            "http://ci5/",
        ),
    ] {
        let found = home.daemon(fleet, arg.clone(), variables);
        assert_eq!(found.unwrap().0, url, "{fleet:?} {arg:?} {variables:?}");
    }
}

#[test]
fn the_token_of_a_fleet_is_sent_to_its_daemons_only() {
    let home = Home::with(FILE);
    let token = |arg, variables: &[(&str, &str)]| home.daemon(Some("a"), arg, variables).unwrap().1;
    assert_eq!(token(none(), &[]), "swordfish");
    assert_eq!(token(monitor("ci1"), &[]), "swordfish");
    assert_eq!(token(queue("http://queue-a"), &[]), "swordfish");
    assert_eq!(token(queue("http://elsewhere"), &[]), "");
    let variable = (API_TOKEN_VARIABLE, "hunter2");
    assert_eq!(token(none(), &[variable]), "hunter2");
    assert_eq!(token(queue("http://elsewhere"), &[variable]), "hunter2");
}

#[test]
fn an_error_says_what_there_is() {
    let home = Home::with(FILE);
    let undecided = Home::with("[fleets.a]\n[fleets.b]\n");
    for (home, fleet, arg, variables, part) in [
        (
            &home,
            Some("c"),
            none(),
            &[][..],
            "find the fleet c: there are a and b in /",
        ),
        (
            &home,
            Some("a"),
            monitor("ci3"),
            &[],
            "find the monitor ci3: the fleet a has ci1 and ci2",
        ),
        (
            &home,
            None,
            none(),
            &[(QUEUE_VARIABLE, "ci3")],
            "read CI_RUNNERS_QUEUE: a base URL is",
        ),
        (
            &home,
            None,
            none(),
            &[(CONFIG_VARIABLE, "/no/such/file")],
            "read /no/such/file: there is no such file",
        ),
        (
            &undecided,
            None,
            none(),
            &[],
            "choose a fleet: there are a and b in /",
        ),
        (
            &undecided,
            Some("a"),
            none(),
            &[],
            "find the queue: the fleet a has none; add queue",
        ),
    ] {
        let error = home.daemon(fleet, arg, variables).unwrap_err();
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
fn without_a_file_an_error_says_what_to_write() {
    let home = Home::with("");
    for (fleet, arg, part) in [
        (
            None,
            none(),
            "find the queue: give --queue URL, set CI_RUNNERS_QUEUE, or write [fleets.NAME]",
        ),
        (
            None,
            monitor("ci3"),
            "find the monitor ci3: it is neither a URL",
        ),
        (Some("a"), none(), "has no fleets; add a table [fleets.a]"),
    ] {
        let error = home.daemon(fleet, arg, &[]).unwrap_err();
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
fn the_only_monitor_of_a_fleet_needs_no_name() {
    let home = Home::with(FILE);
    let only = |fleet: &str| {
        let args = FleetArgs {
            fleet: Some(fleet.to_owned()),
            config: None,
        };
        let path = home.0.path().to_str().unwrap();
        let environment = [("XDG_CONFIG_HOME", path)].into_iter().collect();
        let found = Addresses::new(&args, None, &environment).monitor(&MonitorArg::default());
        found
            .map(|daemon| daemon.url.to_string())
            .map_err(|failure| failure.to_string())
    };
    assert_eq!(only("b").unwrap(), "http://ci9/");
    let error = only("a").unwrap_err();
    assert!(error.contains("the fleet a has ci1 and ci2; name one with --monitor"));
}
