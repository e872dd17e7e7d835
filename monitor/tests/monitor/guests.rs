//! Tests of what guests fetch, of their authentication, and of profiles of virtual machines.

use std::fs;

use daemon::startup::CheckMode;
use http_client::Method;
use shared::settings::Settings;

use crate::support::{Host, bearer, expect_refusal, in_time, until_file, with_idle};

const CREDENTIAL: &str = "github-jitconfig";

#[actix_web::test]
async fn a_credential_is_handed_over_once_and_only_to_its_guest() {
    let (host, monitor) = with_idle(1).await;
    let guest_secret = until_file(&host.path("secret-0"), |it| !it.is_empty()).await;
    let own = bearer(&guest_secret);
    for (headers, status, expected) in [
        (&[][..], 401, "unauthorised"),
        (&[("authorization", "Bearer wrong")], 403, "not_yours"),
        (&[("authorization", "nonsense")], 403, "not_yours"),
        // Headers with a client address count only from a trusted proxy.
        (
            &[
                ("x-real-ip", "192.168.100.7"),
                ("x-forwarded-for", "192.168.100.7"),
            ],
            401,
            "unauthorised",
        ),
        (&[("authorization", &own)], 403, "not_yours"),
    ] {
        let answer = monitor.call_with(Method::GET, CREDENTIAL, headers).await;
        expect_refusal(&answer, status, expected, &format!("{headers:?}"));
    }
    for path in ["dashboard.json", "dashboard.html", ""] {
        let shown = monitor.get(path).await;
        assert!(!shown.text().unwrap().contains(&guest_secret), "{path}");
    }
    let state = fs::read_to_string(host.path("data/monitor.state")).unwrap();
    assert!(!state.contains(&guest_secret));
    monitor.stop().await;
}

#[actix_web::test]
async fn a_page_in_a_browser_of_a_guest_gets_nothing_that_is_for_the_guest() {
    let (host, monitor) = with_idle(1).await;
    let own = bearer(&until_file(&host.path("secret-0"), |it| !it.is_empty()).await);
    fs::create_dir_all(host.path("profiles/linux")).unwrap();
    fs::write(host.path("profiles/linux/boot-script"), "#!/bin/sh\n").unwrap();
    for (site, code) in [
        (Some("cross-site"), Some("cross_site")),
        (Some("same-site"), Some("cross_site")),
        (Some("none"), None),
        (None, None),
    ] {
        let mut headers = vec![("authorization", own.as_str())];
        headers.extend(site.map(|site| ("sec-fetch-site", site)));
        let credential = monitor.call_with(Method::GET, CREDENTIAL, &headers).await;
        let refusal = code.unwrap_or("not_yours");
        expect_refusal(&credential, 403, refusal, &format!("{site:?}"));
        let script = monitor.call_with(Method::GET, "boot", &headers).await;
        match code {
            Some(code) => expect_refusal(&script, 403, code, &format!("{site:?}")),
            None => assert_eq!(script.status, 200, "{site:?}"),
        }
    }
    monitor.stop().await;
}

#[actix_web::test]
async fn a_guest_gets_the_boot_script_of_its_profile() {
    let (host, monitor) = with_idle(1).await;
    let own = bearer(&until_file(&host.path("secret-0"), |it| !it.is_empty()).await);
    let headers = [("authorization", own.as_str())];
    let missing = monitor.call_with(Method::GET, "boot", &headers).await;
    expect_refusal(&missing, 404, "not_found", "boot");
    fs::create_dir_all(host.path("profiles/linux")).unwrap();
    fs::write(host.path("profiles/linux/boot-script"), "#!/bin/sh\ntrue\n").unwrap();
    let script = monitor.call_with(Method::GET, "boot", &headers).await;
    assert_eq!(
        (script.status.as_u16(), script.text().unwrap()),
        (200, "#!/bin/sh\ntrue\n")
    );
    assert_eq!(
        script.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    let without_secret = monitor.get("boot").await;
    assert_eq!(without_secret.status, 401);
    fs::write(
        host.path("profiles/linux/boot-script"),
        vec![b'#'; (1 << 20) + 1],
    )
    .unwrap();
    let too_long = monitor.call_with(Method::GET, "boot", &headers).await;
    assert_eq!(too_long.status, 404);
    monitor.stop().await;
}

/// Encoded slashes in a path must not lead to other files of the host.
#[actix_web::test]
async fn guests_can_read_files_below_the_folder_for_guests_and_no_others() {
    let host = Host::new();
    fs::create_dir_all(host.path("deps/windows")).unwrap();
    fs::write(host.path("deps/windows/setup.iso"), "0123456789").unwrap();
    let monitor = host.start(host.settings(1, "")).await;
    monitor.until_idle(1).await;
    let own = bearer(&until_file(&host.path("secret-0"), |it| !it.is_empty()).await);
    let path = "image-deps/windows/setup.iso";
    let without_secret = monitor.get(path).await;
    expect_refusal(&without_secret, 401, "unauthorised", path);
    for (path, headers, status, body) in [
        (path, &[][..], 200, Some("0123456789")),
        (path, &[("range", "bytes=2-4")], 206, Some("234")),
        (
            "image-deps/windows%2Fsetup.iso",
            &[],
            200,
            Some("0123456789"),
        ),
        ("image-deps/", &[], 404, None),
        ("image-deps/windows", &[], 404, None),
        ("image-deps/missing", &[], 404, None),
        ("image-deps/..%2fmonitor.toml", &[], 404, None),
        ("image-deps/windows/..%2f..%2fmonitor.toml", &[], 404, None),
        ("image-deps/%2fetc%2fpasswd", &[], 404, None),
        ("image-deps//etc/passwd", &[], 404, None),
    ] {
        let mut headers = headers.to_vec();
        headers.push(("authorization", &own));
        let answer = monitor.call_with(Method::GET, path, &headers).await;
        assert_eq!(answer.status, status, "{path}");
        if let Some(body) = body {
            assert_eq!(answer.text().unwrap(), body, "{path}");
        }
    }
    monitor.stop().await;
}

#[actix_web::test]
async fn a_profile_of_virtual_machines_needs_a_valid_template() {
    let host = Host::new();
    let profile = r#"[profiles.linux]
        github_runner_label = "linux-label"
        target_count = 1
        requires_normal_memory = "1G""#;
    let template = host.path("profiles/linux/guest.xml");
    let mut settings = host.settings_with(profile, "");
    for (xml, expected) in [
        (None, format!("read {}", template.display())),
        (
            Some("<network/>"),
            format!(
                "use {}: its root is `network`, and not `domain`",
                template.display()
            ),
        ),
    ] {
        if let Some(xml) = xml {
            fs::create_dir_all(template.parent().unwrap()).unwrap();
            fs::write(&template, xml).unwrap();
        }
        let refusal = host.try_start(settings.clone()).await.map(drop);
        assert_eq!(refusal.unwrap_err().to_string(), expected);
    }
    assert!(monitor::check(&settings, CheckMode::Start).is_err());
    settings.lib_monitor_dir = None;
    let refusal = host.try_start(settings).await.map(drop).unwrap_err();
    assert!(
        refusal
            .to_string()
            .starts_with("create guests of profile linux: virtual machines need LIB_MONITOR_DIR"),
        "{refusal}"
    );
}

#[actix_web::test]
async fn a_profile_whose_build_would_lack_a_file_is_refused() {
    let host = Host::new();
    let profile = r#"[profiles.linux]
        github_runner_label = "linux-label"
        target_count = 1
        requires_normal_memory = "1G""#;
    let mut settings = host.settings_with(profile, "");
    let folder = host.path("profiles/linux");
    fs::create_dir_all(&folder).unwrap();
    let drive = r#"<disk device="cdrom"/>"#;
    let template = |drives: &str| {
        format!("<domain><memory>1</memory><devices><disk/>{drives}</devices></domain>")
    };
    let refusal = |settings: &Settings, xml: &str, image: &str| {
        fs::write(folder.join("guest.xml"), xml).unwrap();
        fs::write(folder.join("image.toml"), image).unwrap();
        let checked = monitor::check(settings, CheckMode::Start).map(drop);
        checked.map_err(|error| error.to_string().replace(folder.to_str().unwrap(), "linux"))
    };
    let one = template(drive);
    let from_files = r#"build = { size = "1G", base = "a", config_iso = { label = "a", files = ["user-data"] } }"#;
    let refused = |text: &str| Err(text.to_owned());
    assert_eq!(
        refusal(&settings, &one, "proof = 1"),
        refused(
            "read the settings: linux/image.toml: proof: found number 1, allowed: \"fw_cfg\" or \
             \"smbios\" or \"address\""
        )
    );
    assert_eq!(
        refusal(&settings, &one, from_files),
        refused("build the image of profile linux: there is no file linux/user-data")
    );
    fs::write(folder.join("user-data"), "").unwrap();
    assert_eq!(
        refusal(&settings, &template(""), from_files),
        refused(
            "use linux/guest.xml: it has fewer than the 1 CD-ROM drives without a source that the \
             image's build needs"
        )
    );
    assert_eq!(refusal(&settings, &one, from_files), Ok(()));
    settings.image_deps_dir = None;
    assert_eq!(
        refusal(&settings, &one, from_files),
        refused(
            "build the image of profile linux: its base or its CD-ROMs need IMAGE_DEPS_DIR, which \
             is not set"
        )
    );
    // A build without a base disk needs no IMAGE_DEPS_DIR.
    let from_nothing = r#"build = { size = "1G" }"#;
    assert_eq!(refusal(&settings, &one, from_nothing), Ok(()));
}

#[actix_web::test]
async fn a_runner_that_never_fetches_its_credential_is_replaced() {
    let host = Host::new();
    let profile = r#"[profiles.linux]
        github_runner_label = "linux-label"
        target_count = 1
        requires_normal_memory = "1G"
        guest = { driver = "command", command = ["sleep", "60"] }"#;
    let more = "monitor_start_timeout = \"200ms\"";
    let monitor = host.start(host.settings_with(profile, more)).await;
    monitor
        .until(|dashboard| dashboard.runners.iter().any(|runner| runner.id == 1))
        .await;
    // A monitor without profiles destroys the remaining guest.
    monitor.stop().await;
    let monitor = host.start(host.settings_with("", more)).await;
    monitor.until_idle(0).await;
    assert_eq!(host.guest_folders(), [""; 0]);
    monitor.stop().await;
}

#[actix_web::test]
async fn raw_disks_are_refused_where_files_cannot_share_blocks() {
    let host = Host::new();
    let profile = r#"[profiles.linux]
        github_runner_label = "linux-label"
        target_count = 1
        requires_normal_memory = "1G""#;
    let mut settings = host.settings_with(profile, "");
    let folder = host.path("profiles/linux");
    fs::create_dir_all(&folder).unwrap();
    let template = "<domain><memory>1</memory><devices><disk/></devices></domain>";
    fs::write(folder.join("guest.xml"), template).unwrap();
    fs::write(folder.join("image.toml"), "disks = \"raw\"").unwrap();
    // tmpfs cannot share blocks. The directory itself need not exist yet.
    settings.data_path = "/dev/shm/no/such".into();
    let refusal = monitor::check(&settings, CheckMode::Start).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "create raw disks in /dev/shm: its file system cannot share blocks between files; use one \
         that can, such as XFS or btrfs, or disks = \"qcow2\" in image.toml"
    );
    fs::write(folder.join("image.toml"), "").unwrap();
    monitor::check(&settings, CheckMode::Start).unwrap();
}

#[actix_web::test]
async fn a_monitor_continues_without_a_profile_that_is_unusable() {
    let host = Host::new();
    let broken = "\n[profiles.broken]\ngithub_runner_label = \"l\"\ntarget_count = 2\n\
                  requires_normal_memory = \"1G\"\n";
    let agent = host.path("agent.sh");
    let working = format!(
        "[profiles.linux]\ngithub_runner_label = \"l\"\ntarget_count = 1\n\
         requires_normal_memory = \"1G\"\n\
         guest = {{ driver = \"command\", command = [\"bash\", {agent:?}, {:?}] }}\n",
        host.folder.path(),
    );
    let mut settings = host.settings_with(&(working + broken), "");
    let sentence = "monitor.toml: profiles.other: found a string, allowed: a table".to_owned();
    settings.unusable_profiles.insert("other".into(), sentence);
    // A check reports it; a start does not fail, because the other profile is left.
    assert!(monitor::check(&settings, CheckMode::Everything).is_err());
    assert!(monitor::check(&settings, CheckMode::Start).is_ok());
    let monitor = host.start(settings).await;
    let dashboard = monitor.until_idle(1).await;
    let mut problems = dashboard
        .problems
        .iter()
        .filter(|it| it.code == "profile_unusable");
    let (broken, other) = (problems.next().unwrap(), problems.next().unwrap());
    assert_eq!(broken.subject, "profile broken");
    assert!(broken.cause.contains("failed to read "), "{broken}");
    assert_eq!(other.subject, "profile other");
    assert!(other.cause.contains("allowed: a table"), "{other}");
    assert_eq!(problems.next(), None);
    monitor.stop().await;
}

#[actix_web::test]
async fn a_program_that_is_missing_is_found_by_a_check_and_shown_as_a_problem() {
    let host = Host::new();
    let profile = "[profiles.linux]\ngithub_runner_label = \"l\"\ntarget_count = 0\n\
                   requires_normal_memory = \"1G\"\n\
                   guest = { driver = \"command\", command = [\"no-such-program\"] }\n";
    let settings = host.settings_with(profile, "");
    let refusal = monitor::check(&settings, CheckMode::Everything).unwrap_err();
    let expected = "find in PATH: `no-such-program`, needed by profile linux";
    assert_eq!(refusal.to_string(), expected);
    let monitor = host.start(settings).await;
    let shown = monitor
        .until(|dashboard| {
            dashboard
                .problems
                .iter()
                .any(|it| it.code == "program_missing")
        })
        .await;
    assert_eq!(
        shown.problems[0].subject,
        "program no-such-program, needed by profile linux"
    );
    monitor.stop().await;
}

/// As in the profiles of the system in production.
#[actix_web::test]
async fn a_profile_without_an_image_and_a_way_to_get_one_is_refused_by_the_check_alone() {
    let host = Host::new();
    let profile = |target_count: usize| {
        format!(
            r#"[profiles.linux]
            github_runner_label = "linux-label"
            target_count = {target_count}
            requires_normal_memory = "1G""#
        )
    };
    let settings = host.settings_with(&profile(1), "");
    let folder = host.path("profiles/linux");
    fs::create_dir_all(&folder).unwrap();
    let template = "<domain><memory>1</memory><devices><disk/></devices></domain>";
    fs::write(folder.join("guest.xml"), template).unwrap();
    let refusal = monitor::check_profiles(&settings, CheckMode::Everything)
        .unwrap_err()
        .to_string();
    assert!(
        refusal.contains("`ci-runners import linux <disk>`"),
        "{refusal}"
    );
    monitor::check_profiles(&settings, CheckMode::Start).unwrap();
    monitor::check_profiles(&host.settings_with(&profile(0), ""), CheckMode::Everything).unwrap();
    let image = settings.data_path.join("images/linux/2026-11-28");
    fs::create_dir_all(&image).unwrap();
    fs::write(image.join("disk.qcow2"), "").unwrap();
    monitor::check_profiles(&settings, CheckMode::Everything).unwrap();
}

#[actix_web::test]
async fn a_target_that_the_settings_cannot_reach_is_a_warning_of_the_check() {
    let host = Host::new();
    for (target, expected) in [(8, 0), (9, 1)] {
        let settings = host.settings(target, "");
        let warnings = monitor::check(&settings, CheckMode::Everything).unwrap();
        assert_eq!(warnings.len(), expected, "{warnings:?}");
        let names = |it: &String| it.contains("linux is 9, but there is room for 8");
        assert!(warnings.iter().all(names), "{warnings:?}");
    }
}

#[actix_web::test]
async fn an_operator_reads_what_a_guest_has_printed() {
    let host = Host::new();
    let (agent, folder) = (host.path("agent.sh"), host.folder.path());
    let script = format!(
        "echo ready; echo {}; exec bash {} {}",
        "s".repeat(40),
        agent.display(),
        folder.display()
    );
    let linux = format!(
        "[profiles.linux]\ngithub_runner_label = \"l\"\ntarget_count = 1\n\
         requires_normal_memory = \"1G\"\n\
         guest = {{ driver = \"command\", command = [\"sh\", \"-c\", {script:?}] }}\n",
    );
    let monitor = host.start(host.settings_with(&linux, "")).await;
    monitor.until_idle(1).await;
    let path = "runner/0/console.log";
    // What may be a secret is left out.
    let expected = "ready\n[left out]\n";
    in_time("the output is in the log", async {
        loop {
            let console = monitor.call(Method::GET, path).await;
            assert_eq!(console.status, 200);
            if console.text().unwrap().starts_with(expected) {
                break;
            }
        }
    })
    .await;
    let without_token = monitor.get(path).await;
    expect_refusal(&without_token, 401, "unauthorised", path);
    for unknown in ["runner/7/console.log", "runner/x/console.log"] {
        let refused = monitor.call(Method::GET, unknown).await;
        expect_refusal(&refused, 404, "not_found", unknown);
    }
    monitor.stop().await;
}
