//! Invalid settings with their error messages.

use super::{DEPLOYED, SHORTEST, load, refusal};

/// The cases of `refusals.txt`, or of `refused_variables.txt`.
fn cases(text: &str) -> impl Iterator<Item = Vec<&str>> {
    let blocks = text.trim().split("\n\n");
    blocks
        .map(|block| {
            block
                .lines()
                .filter(|line| !line.starts_with("# "))
                .collect()
        })
        .filter(|case: &Vec<&str>| !case.is_empty())
}

/// The deployed file with `lines` instead of its one line that begins with `start`.
fn deployed_with(start: &str, lines: &[&str]) -> String {
    let before = DEPLOYED.matches(&format!("\n{start}")).count();
    assert_eq!(before, 1, "lines that begin with {start}");
    let new = lines.join("\n");
    let lines = DEPLOYED
        .lines()
        .map(|line| if line.starts_with(start) { &new } else { line });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn an_invalid_file_is_explained_in_one_sentence() {
    let mut count = 0;
    for case in cases(include_str!("refusals.txt")) {
        let start = case[0].strip_prefix("- ").unwrap();
        let new: Vec<&str> = case
            .iter()
            .filter_map(|line| line.strip_prefix("+ "))
            .collect();
        let sentence = case.last().unwrap();
        let text = deployed_with(start, &new);
        assert_eq!(
            refusal(&text, &[]),
            format!("monitor.toml: {sentence}"),
            "{new:?}"
        );
        count += 1;
    }
    assert!(count > 70, "only {count} cases were found");
}

#[test]
fn an_invalid_variable_is_explained_with_its_name() {
    let mut count = 0;
    for case in cases(include_str!("refused_variables.txt")) {
        let [assignment, sentence] = case[..] else {
            panic!("a variable and a sentence: {case:?}");
        };
        let (name, value) = assignment.split_once('=').unwrap();
        assert_eq!(
            refusal(DEPLOYED, &[(name, value)]),
            format!("{name}: {sentence}")
        );
        count += 1;
    }
    assert!(count > 15, "only {count} cases were found");
}

#[test]
fn a_long_invalid_value_is_shortened() {
    let line = format!("github_api_scope = \"{}\"", "é".repeat(10_000));
    assert_eq!(
        refusal(&deployed_with("github_api_scope", &[&line]), &[]),
        format!(
            "monitor.toml: github_api_scope: found string \"{}…\", allowed: \
             \"/repos/<owner>/<repo>\" or \"/orgs/<owner>\"",
            "é".repeat(60)
        )
    );
}

#[test]
fn a_server_has_at_most_200_profiles() {
    let profile = |number| {
        format!(
            "[profiles.p{number}]\ngithub_runner_label = \"l\"\ntarget_count = 1\n\
             requires_normal_memory = \"1G\"\n"
        )
    };
    let with = |count: usize| SHORTEST.to_owned() + &(0..count).map(profile).collect::<String>();
    assert_eq!(load(&with(200), &[]).unwrap().profiles.len(), 200);
    assert_eq!(
        refusal(&with(201), &[]),
        "monitor.toml: profiles: found 201 tables, allowed: at most 200 profiles"
    );
}

#[test]
fn a_file_that_is_not_toml_is_explained_by_position_without_showing_it() {
    for (text, sentence) in [
        (
            "port = \n",
            "line 1, column 8: not TOML: invalid string, expected `\"`, `'`",
        ),
        (
            "port = 1\nport = 2",
            "line 2, column 1: not TOML: duplicate key `port` in document root",
        ),
        (
            "[queue]\nticket_key = \"hunter2\n",
            "line 2, column 22: not TOML: invalid basic string",
        ),
        (
            "a = 1\n\n  ñ = hunter2",
            "line 3, column 3: not TOML: invalid key",
        ),
        (
            "[queue]\nticket_key = hunter2",
            "line 2, column 14: not TOML: invalid string, expected `\"`, `'`",
        ),
    ] {
        assert_eq!(refusal(text, &[]), format!("monitor.toml: {sentence}"));
    }
}
