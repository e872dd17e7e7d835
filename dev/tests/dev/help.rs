//! The help of `ci-runners-dev`.

use super::support::*;

const COMMANDS: [&str; 3] = ["demo", "emulator", "agent"];

#[actix_web::test]
async fn the_help_of_each_command() {
    let short = run("-h").await;
    assert_eq!((short.status, short.stderr.as_str()), (Some(0), ""));
    insta::assert_snapshot!("short_help", short.stdout);
    for command in COMMANDS {
        let help = run(&format!("{command} --help")).await;
        help.assert_status(0);
        insta::assert_snapshot!(format!("help_{command}"), help.stdout);
    }
}

#[actix_web::test]
async fn every_help_has_an_example_and_all_exit_statuses() {
    for command in COMMANDS {
        let help = run(&format!("{command} --help")).await;
        for part in [
            "Example",
            "Exit status:",
            "    0  done",
            "    1  failed",
            "    2  the command line is wrong",
            "  130  ",
            "  143  ",
        ] {
            help.assert_stdout_has(part);
        }
    }
}

#[actix_web::test]
async fn no_help_contains_the_secret_of_the_environment() {
    let mut command = ci_runners_dev("agent --help");
    command.env("CI_RUNNERS_GUEST_SECRET", "swordfish");
    let help = finish(command).await;
    help.assert_stdout_has("CI_RUNNERS_GUEST_SECRET");
    assert!(!help.stdout.contains("swordfish"), "{help:?}");
}
