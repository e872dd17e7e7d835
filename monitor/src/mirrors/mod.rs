//! Git repositories that the monitor keeps up to date and serves to guests, so that they clone from their own
//! host: the mirrors of the settings, and the repository at `main_repo_path`.
//!
//! Responsible for when each is updated: a mirror at its interval, the main repository before an image is
//! rebuilt. `git` runs the program; guests read the files through `api::cache`, where no program runs.

mod git;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use daemon::problems::ProblemBoard;
use futures_util::future::join_all;
use shared::{
    clock::{Clock, Timestamp},
    problem::catalogue::REPOSITORY_NOT_UPDATED,
    settings::{MAIN_REPO_NAME, MirrorSettings, Settings},
};
use tokio::sync::{Mutex, Semaphore};

use git::GitError;

/// How many mirrors are updated at a time.
const UPDATES_AT_A_TIME: usize = 2;
/// The longest pause after an update that failed.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(300);
/// Rebuilds that begin that soon after an update of the main repository use it without another one.
const RECENT: Duration = Duration::from_secs(60);

/// The folders of the repositories, by the name under which guests find them. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Repositories(Arc<BTreeMap<String, PathBuf>>);

impl Repositories {
    /// Those of the settings. None of them need exist yet.
    pub fn of(settings: &Settings) -> Self {
        let names = settings.mirrors.keys();
        let mirrors = names.map(|name| (name.clone(), mirror_path(settings, name)));
        let main = settings.host.main_repo_path.clone();
        let main = main.map(|path| (MAIN_REPO_NAME.to_owned(), path));
        Self(Arc::new(mirrors.chain(main).collect()))
    }

    /// The folder of git's own files in the repository with that name: the repository itself if it has no
    /// working tree. Does file operations.
    pub fn git_dir(&self, name: &str) -> Option<PathBuf> {
        let path = self.0.get(name)?;
        let inner = path.join(".git");
        Some(if inner.is_dir() { inner } else { path.clone() })
    }
}

fn mirror_path(settings: &Settings, name: &str) -> PathBuf {
    settings
        .data_path
        .join("mirrors")
        .join(format!("{name}.git"))
}

/// Keeps the mirrors up to date. Never returns.
pub async fn run(settings: &Settings, board: ProblemBoard) {
    let permits = Semaphore::new(UPDATES_AT_A_TIME);
    let mirrors = settings.mirrors.iter();
    let loops = mirrors.map(|(name, mirror)| {
        let path = mirror_path(settings, name);
        keep_up_to_date(name, mirror, path, &board, &permits)
    });
    join_all(loops).await;
    std::future::pending::<()>().await;
}

async fn keep_up_to_date(
    name: &str,
    mirror: &MirrorSettings,
    path: PathBuf,
    board: &ProblemBoard,
    permits: &Semaphore,
) {
    loop {
        let permit = permits.acquire().await;
        let updated = git::update_mirror(mirror, &path).await;
        drop(permit);
        let pause = match &updated {
            Ok(()) => mirror.interval,
            Err(_) => mirror.interval.min(RETRY_PAUSE_MAX),
        };
        report(board, &format!("mirror {name}"), &path, updated);
        tokio::time::sleep(pause).await;
    }
}

/// Updates the repository at `main_repo_path` before an image is rebuilt. Guests that build an image clone
/// it, so an outdated one costs the jobs in that image time, and nothing else: a failure is shown, and does not
/// prevent the rebuild.
#[derive(Debug)]
pub struct MainRepo {
    /// None if there is none, or if it is not to be updated.
    path: Option<PathBuf>,
    board: ProblemBoard,
    clock: Clock,
    /// When the last update ended. Locked during an update, so that rebuilds that begin together wait for
    /// the same one.
    updated_at: Mutex<Option<Timestamp>>,
}

impl MainRepo {
    pub fn of(settings: &Settings, board: ProblemBoard, clock: Clock) -> Self {
        let path = settings.host.main_repo_path.clone();
        Self {
            path: path.filter(|_| !settings.host.dont_update_cached_servo_repo),
            board,
            clock,
            updated_at: Mutex::default(),
        }
    }

    pub async fn update(&self) {
        let Some(path) = &self.path else { return };
        let mut updated_at = self.updated_at.lock().await;
        let is_recent = |at: Timestamp| self.clock.now().since(at) < RECENT;
        if updated_at.is_some_and(is_recent) {
            return;
        }
        log::info!(
            "updating the repository {} before an image is rebuilt",
            path.display()
        );
        let updated = git::update_main_repo(path).await;
        report(&self.board, "main_repo_path", path, updated);
        *updated_at = Some(self.clock.now());
    }
}

fn report(board: &ProblemBoard, subject: &str, path: &Path, updated: Result<(), GitError>) {
    match updated {
        Ok(()) => {
            log::debug!("{subject} is up to date");
            board.resolve(&REPOSITORY_NOT_UPDATED, subject);
        }
        Err(error) => {
            let cause = format!("guests get it as it was, because {error}");
            let remedy = format!(
                "run the command in {}, and mend what it reports",
                path.display()
            );
            board.report(&REPOSITORY_NOT_UPDATED, subject, cause, remedy);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[tokio::test]
    async fn an_update_that_fails_is_a_problem_until_one_succeeds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("servo");
        let clock = Clock::start();
        let board = ProblemBoard::new(clock);
        let main_repo = MainRepo {
            path: Some(path.clone()),
            board: board.clone(),
            clock,
            updated_at: Mutex::default(),
        };
        main_repo.update().await;
        let problem = board.list().pop().unwrap();
        assert_eq!(problem.subject, "main_repo_path");
        assert!(problem.cause.contains("is no git repository"), "{problem}");

        let script = "git init -q -b main o && cd o && git -c user.name=a -c user.email=a@b \
                      commit -q --allow-empty -m a && cd .. && git clone -q o servo";
        let mut shell = Command::new("sh");
        let status = shell
            .args(["-c", script])
            .current_dir(folder.path())
            .status();
        assert!(status.unwrap().success());
        // A rebuild that begins right after the last update would use it.
        main_repo.update().await;
        assert_eq!(board.list().len(), 1);
        *main_repo.updated_at.lock().await = None;
        main_repo.update().await;
        assert_eq!(board.list(), []);
        assert!(path.join(".git/info/refs").exists());
    }
}
