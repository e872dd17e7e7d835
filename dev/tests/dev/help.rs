//! The help of `ci-runners-dev`.

use super::support::*;

#[actix_web::test]
async fn every_help_has_an_example_and_the_meaning_of_every_exit_status() {
    for command in ["demo", "emulator", "agent"] {
        let help = run(&format!("{command} --help")).await;
        assert_eq!((help.status, help.stderr.as_str()), (Some(0), ""));
        for part in [
            "Example",
            "Exit status:",
            "  0  done",
            "1  failed",
            "2  the command",
            "130  ",
            "143  ",
        ] {
            assert!(help.stdout.contains(part), "{part:?} is not in {help:?}");
        }
    }
}

#[actix_web::test]
async fn the_short_help_lists_every_command() {
    let ended = run("-h").await;
    assert_eq!(ended.status, Some(0));
    for command in ["demo", "emulator", "agent"] {
        let line = format!("\n  {command} ");
        assert!(
            ended.stdout.contains(&line),
            "{command} is not in {ended:?}"
        );
    }
}

#[actix_web::test]
async fn no_secret_of_the_environment_is_in_a_help() {
    let mut command = ci_runners_dev("agent --help");
    command.env("CI_RUNNERS_GUEST_SECRET", "swordfish");
    let ended = end_of(command).await;
    assert!(
        ended.stdout.contains("CI_RUNNERS_GUEST_SECRET"),
        "{ended:?}"
    );
    assert!(!ended.stdout.contains("swordfish"), "{ended:?}");
}
