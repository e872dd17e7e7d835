//! The programs of the host that the monitor and its guests need.
//!
//! Responsible for which are needed with which settings, and for the name of the package that contains each. A
//! service often has another PATH than a shell.

use std::{fmt, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use daemon::problems::ProblemBoard;
use shared::{
    problem::catalogue::PROGRAM_MISSING,
    settings::{GuestDriver, Settings},
};

use crate::profiles::Images;

/// The pause between two searches.
const INTERVAL: Duration = Duration::from_secs(5);

/// A program, with what needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeededProgram {
    name: String,
    /// The package of Debian and Ubuntu that contains it, if it is a known program.
    package: Option<&'static str>,
    /// A noun phrase.
    needed_by: String,
}

impl fmt::Display for NeededProgram {
    /// `virsh (package libvirt-clients), which virtual machines need`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "`{}`", self.name)?;
        if let Some(package) = self.package {
            write!(formatter, " (package {package})")?;
        }
        write!(formatter, ", needed by {}", self.needed_by)
    }
}

/// The programs that are needed with these settings.
pub fn needed(settings: &Settings, images: &Images) -> Vec<NeededProgram> {
    let known = |name: &str, package, needed_by: &str| NeededProgram {
        name: name.to_owned(),
        package: Some(package),
        needed_by: needed_by.to_owned(),
    };
    let mut programs = Vec::new();
    if !images.is_empty() {
        for (name, package) in [
            ("virsh", "libvirt-clients"),
            ("qemu-img", "qemu-utils"),
            ("setpriv", "util-linux"),
        ] {
            programs.push(known(name, package, "profiles of virtual machines"));
        }
    }
    let mut builds = images.values().filter_map(|image| image.build.as_ref());
    if builds.any(|build| build.config_iso.is_some()) {
        let needed_by = "images that are built with a configuration";
        programs.push(known("genisoimage", "genisoimage", needed_by));
    }
    let host = &settings.host;
    if host.main_repo_path.is_some() && !host.dont_update_cached_servo_repo {
        programs.push(known("git", "git", "main_repo_path"));
    } else if !settings.mirrors.is_empty() {
        programs.push(known("git", "git", "[mirrors]"));
    }
    for (profile_key, profile) in &settings.profiles {
        if let GuestDriver::Command(command) = &profile.guest {
            programs.push(NeededProgram {
                name: command[0].clone(),
                package: None,
                needed_by: format!("profile {profile_key}"),
            });
        }
    }
    programs
}

/// Those that are not in PATH, or cannot be executed. Does file operations.
pub fn missing(programs: &[NeededProgram]) -> Vec<NeededProgram> {
    let mut variables = std::env::vars_os();
    let path = variables.find_map(|(name, value)| (name == "PATH").then_some(value));
    let folders: Vec<_> = std::env::split_paths(&path.unwrap_or_default()).collect();
    let is_found = |name: &str| {
        if name.contains('/') {
            return is_executable(Path::new(name));
        }
        folders
            .iter()
            .any(|folder| is_executable(&folder.join(name)))
    };
    let missing = programs.iter().filter(|program| !is_found(&program.name));
    missing.cloned().collect()
}

fn is_executable(file: &Path) -> bool {
    let metadata = file.metadata();
    metadata.is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
}

/// Shows programs that are missing as problems until they are found. Never returns.
pub async fn watch(programs: Vec<NeededProgram>, board: ProblemBoard) {
    loop {
        let searched = programs.clone();
        let missing = tokio::task::spawn_blocking(move || missing(&searched)).await;
        report(&board, &programs, &missing.unwrap_or_default());
        tokio::time::sleep(INTERVAL).await;
    }
}

fn report(board: &ProblemBoard, programs: &[NeededProgram], missing: &[NeededProgram]) {
    for program in programs {
        let subject = format!("program {}, needed by {}", program.name, program.needed_by);
        if !missing.contains(program) {
            board.resolve(&PROGRAM_MISSING, &subject);
            continue;
        }
        let cause = "it is not in the monitor's PATH, or cannot be executed".to_owned();
        let remedy = match program.package {
            Some(package) => format!("install it (on Debian and Ubuntu: package {package})"),
            None => "install it, or correct the command in the settings".to_owned(),
        };
        board.report(&PROGRAM_MISSING, &subject, cause, remedy);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use shared::clock::Clock;

    use super::*;

    fn program(name: &str) -> NeededProgram {
        NeededProgram {
            name: name.to_owned(),
            package: Some("coreutils"),
            needed_by: "the test".to_owned(),
        }
    }

    #[test]
    fn a_program_is_found_in_path_or_where_its_path_says() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let file = file.to_str().unwrap();
        let programs = ["sh", "/bin/sh", "no-such-program", file, "/", "/no/such"].map(program);
        let missing = missing(&programs);
        let names: Vec<&str> = missing.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["no-such-program", file, "/", "/no/such"]);
        let text = "`no-such-program` (package coreutils), needed by the test";
        assert_eq!(missing[0].to_string(), text);
    }

    #[test]
    fn a_missing_program_is_a_problem_until_it_is_found() {
        let board = ProblemBoard::new(Clock::start());
        let programs = [program("a"), program("b")];
        report(&board, &programs, &programs);
        assert_eq!(board.list().len(), 2);
        assert!(board.list()[0].remedy.contains("package coreutils"));
        report(&board, &programs, &programs[1..]);
        let subjects: Vec<_> = board.list().into_iter().map(|it| it.subject).collect();
        assert_eq!(subjects, ["program b, needed by the test"]);
    }
}
