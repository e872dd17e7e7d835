//! What a guest is started from: its program, its environment and its bounded log.
//!
//! Responsible for everything that the guest's process inherits. It runs untrusted code and the
//! monitor's environment holds tokens, so it inherits only the variables that are listed here.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::{
    process::{Child, Command},
    task::JoinHandle,
};

use super::{folder::Folder, leader_record::RECORD_AND_EXEC, process_marker::ProcessMarker};
use crate::hypervisor::guest::GuestSpec;

/// How much of a guest's output is kept, in bytes. The rest is read and discarded, so that a guest
/// with much output neither fills the disk nor blocks.
pub const LOG_SIZE_MAX: u64 = 1 << 20;

/// Maximum number of words of a command, and of bytes in all of them together.
const COMMAND_WORD_COUNT_MAX: usize = 256;
const COMMAND_SIZE_MAX: usize = 64 << 10;

/// The variables of the monitor that a guest inherits.
const INHERITED_VARIABLES: [&str; 4] = ["PATH", "HOME", "LANG", "TZ"];
/// The `PATH` if the monitor has none.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Copies as much as is kept, then reads on: a pipe without a reader would stop the guest. With `stdbuf` the log has
/// each line at once, so that operators can read it while the guest runs; without, the last 4 KiB may be missing.
const COPIER_SCRIPT: &str = r#"
if command -v stdbuf > /dev/null; then stdbuf -o0 head -c "$0"; else head -c "$0"; fi
exec cat > /dev/null"#;

/// The variables that every guest inherits, read once.
#[derive(Clone, Debug)]
pub struct Inherited(Vec<(OsString, OsString)>);

impl Inherited {
    /// Selects the allowed ones from the monitor's `variables`.
    pub fn from_variables(variables: impl Iterator<Item = (OsString, OsString)>) -> Self {
        let is_allowed = |name: &OsString| INHERITED_VARIABLES.iter().any(|known| name == known);
        let mut inherited: Vec<_> = variables.filter(|(name, _)| is_allowed(name)).collect();
        if !inherited.iter().any(|(name, _)| name == "PATH") {
            inherited.push(("PATH".into(), DEFAULT_PATH.into()));
        }
        Self(inherited)
    }

    fn path(&self) -> &OsStr {
        self.0
            .iter()
            .find(|(name, _)| name == "PATH")
            .map(|(_, value)| value.as_os_str())
            .expect("there is always a PATH")
    }
}

/// A command that can be run: the absolute path of the program, then its arguments.
#[derive(Debug)]
pub struct Runnable(Vec<OsString>);

impl Runnable {
    /// Finds the program, so that a mistake in a profile is an error with a reason rather than a guest
    /// that ends at once. The error is a clause about the command.
    pub fn find(command: &[String], inherited: &Inherited) -> Result<Self, &'static str> {
        let (program, arguments) = command.split_first().ok_or("is empty")?;
        if command.len() > COMMAND_WORD_COUNT_MAX {
            return Err("has more than 256 words");
        }
        if command.iter().map(String::len).sum::<usize>() > COMMAND_SIZE_MAX {
            return Err("is longer than 64 KiB");
        }
        if command.iter().any(|word| word.contains('\0')) {
            return Err("has a NUL character in it");
        }
        let program = find_program(program, inherited.path())
            .ok_or("names a program that does not exist or is not executable")?;
        let arguments = arguments.iter().map(OsString::from);
        Ok(Self(
            [program.into_os_string()]
                .into_iter()
                .chain(arguments)
                .collect(),
        ))
    }
}

fn find_program(program: &str, path: &OsStr) -> Option<PathBuf> {
    let is_executable = |file: &Path| {
        file.metadata()
            .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    };
    let candidates: Vec<_> = if program.contains('/') {
        vec![PathBuf::from(program)]
    } else {
        std::env::split_paths(path)
            .map(|folder| folder.join(program))
            .collect()
    };
    let found = candidates.into_iter().find(|file| is_executable(file))?;
    // Relative paths are relative to the monitor's working directory; the guest has another one.
    std::path::absolute(found).ok()
}

/// A guest that was started.
pub struct Started {
    /// The leader process.
    pub child: Child,
    /// Ends when all output of the guest is in its log.
    pub copier: JoinHandle<()>,
}

/// Starts a guest in its new folder.
///
/// # Errors
/// If the system refuses; nothing runs then.
pub fn start(
    spec: &GuestSpec,
    runnable: &Runnable,
    inherited: &Inherited,
    marker: &ProcessMarker,
    folder: &Folder,
    log: File,
) -> io::Result<Started> {
    let (output, copier) = start_copier(inherited, log)?;
    let child = Command::new("/bin/sh")
        .args(["-c", RECORD_AND_EXEC])
        .arg(folder.record_path())
        .args(&runnable.0)
        .current_dir(folder.work_path())
        .env_clear()
        .envs(inherited.0.iter().map(|(name, value)| (name, value)))
        .envs(marker.variables())
        .env("CI_RUNNERS_RUNNER_ID", spec.runner_id.to_string())
        .env("CI_RUNNERS_PROFILE", spec.profile_key.as_str())
        .env("CI_RUNNERS_MONITOR_URL", &spec.monitor_url)
        .env("CI_RUNNERS_GUEST_SECRET", spec.secret.expose())
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .process_group(0)
        .spawn()?;
    Ok(Started { child, copier })
}

/// Starts the process that writes the first part of the guest's output to the log, and returns the
/// pipe for that output, and the task that waits for the end of the process.
///
/// A process rather than a task, because the guest outlives the monitor, and would be killed by its
/// next output if the reader of its pipe were gone. In a group of its own, because it has to outlive
/// the guest until the end of the output is written. It ends when the last writer closes the pipe.
fn start_copier(inherited: &Inherited, log: File) -> io::Result<(io::PipeWriter, JoinHandle<()>)> {
    let (reader, writer) = io::pipe()?;
    let mut copier = Command::new("/bin/sh")
        .args(["-c", COPIER_SCRIPT])
        .arg(LOG_SIZE_MAX.to_string())
        .current_dir("/")
        .env_clear()
        .env("PATH", inherited.path())
        .stdin(reader)
        .stdout(log)
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()?;
    // Without a wait for its exit status it would stay as a zombie.
    let copier = tokio::spawn(async move {
        if let Err(error) = copier.wait().await {
            log::debug!("failed to wait for the end of a guest's output: {error}");
        }
    });
    Ok((writer, copier))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inherited(variables: &[(&str, &str)]) -> Inherited {
        let own = |(name, value): &(&str, &str)| (name.into(), value.into());
        Inherited::from_variables(variables.iter().map(own))
    }

    fn find(command: &[&str]) -> Result<Runnable, &'static str> {
        let command: Vec<_> = command.iter().map(ToString::to_string).collect();
        Runnable::find(&command, &inherited(&[]))
    }

    #[test]
    fn only_listed_variables_are_inherited() {
        let inherited = inherited(&[
            ("GITHUB_TOKEN", "hunter2"),
            ("SERVO_CI_MONITOR_API_TOKEN", "hunter2"),
            ("LD_PRELOAD", "/tmp/x"),
            ("PATH", "/bin"),
            ("HOME", "/root"),
            ("LANG", "C"),
            ("TZ", "UTC"),
        ]);
        let mut names: Vec<_> = inherited.0.iter().map(|(name, _)| name).collect();
        names.sort();
        assert_eq!(names, ["HOME", "LANG", "PATH", "TZ"]);
        assert_eq!(inherited.path(), "/bin");
    }

    #[test]
    fn without_a_path_the_default_is_used() {
        assert_eq!(inherited(&[]).path(), DEFAULT_PATH);
    }

    #[test]
    fn a_program_is_found_in_the_path_or_by_its_own_path() {
        for program in ["sh", "/bin/sh"] {
            let runnable = find(&[program, "-c", "exit 0"]).unwrap();
            assert!(Path::new(&runnable.0[0]).is_absolute());
            assert_eq!(runnable.0[1..], ["-c", "exit 0"]);
        }
        let sources = find_program("src/../src", OsStr::new(""));
        assert_eq!(sources, None, "a folder is not a program");
    }

    #[test]
    fn a_command_that_cannot_be_run_is_refused_with_the_reason() {
        let many = vec!["sh"; COMMAND_WORD_COUNT_MAX + 1];
        let long = "x".repeat(COMMAND_SIZE_MAX);
        let cases: [(&[&str], &str); 7] = [
            (&[], "is empty"),
            (&many, "has more than 256 words"),
            (&["sh", &long], "is longer than 64 KiB"),
            (&["sh", "a\0b"], "has a NUL character in it"),
            (
                &["no-such-program"],
                "names a program that does not exist or is not executable",
            ),
            (
                &["/etc/passwd"],
                "names a program that does not exist or is not executable",
            ),
            (
                &[""],
                "names a program that does not exist or is not executable",
            ),
        ];
        for (command, reason) in cases {
            assert_eq!(find(command).unwrap_err(), reason);
        }
    }
}
