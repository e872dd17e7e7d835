//! A host with a profile of tiny guests, and its emulated GitHub.
//!
//! Responsible for the files and settings of a monitor, and for the removal of its guests at the end.

use std::{
    fs::{self, Permissions},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use emulator::{
    Emulator, EmulatorSettings,
    model::{JobId, JobPhase, NewJob},
};
use shared::{secret::Secret, values::RunId};
use tempfile::TempDir;

use super::{in_time, libvirt::end, until, virsh};

/// The host's address in the network of the guests.
pub const BRIDGE: &str = "192.168.100.1";
pub const GITHUB_TOKEN: &str = "github-token-of-the-tests";
/// The folder in which the guest was built.
const TINY: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/tiny");

/// A host without a monitor.
pub struct Host {
    pub folder: TempDir,
    pub prefix: String,
    /// The account of its monitors; none for root.
    pub account: Option<&'static str>,
    /// The memory for all guests in the settings.
    pub memory: &'static str,
    /// The memory for each guest in the settings.
    guest_memory: &'static str,
    emulator: Emulator,
    _serving: emulator::Running,
    github_url: String,
}

/// Parameters of the profile `tiny`.
#[derive(Clone, Copy)]
pub struct Profile<'a> {
    pub target_count: usize,
    /// Content of its `image.toml`, or [`Profile::NO_FILE`].
    pub image: &'a str,
    /// More settings, inserted before the profiles.
    pub more: &'a str,
}

impl Profile<'_> {
    /// In place of the content of `image.toml`: there is no such file.
    pub const NO_FILE: &'static str = "no file";
}

impl Default for Profile<'_> {
    fn default() -> Self {
        Self {
            target_count: 1,
            image: "",
            more: "",
        }
    }
}

/// A folder with the guest's kernel and initrd that is readable for QEMU's user. The target directory may
/// not be.
fn tiny() -> &'static str {
    let readable = Path::new("/run/tiny");
    if !readable.exists() {
        fs::create_dir(readable).unwrap();
        for name in ["vmlinuz", "initrd"] {
            fs::copy(Path::new(TINY).join(name), readable.join(name)).unwrap();
        }
    }
    "/run/tiny"
}

impl Host {
    /// A host whose profile has an image, and whose guests emulate GitHub's runner software.
    pub fn new() -> Self {
        Self::with_prefix("ci-runner")
    }

    pub fn with_prefix(prefix: &str) -> Self {
        let host = Self::bare(prefix);
        host.put_image("2026-01-01");
        host
    }

    /// A host whose profile has no image yet.
    pub fn without_image() -> Self {
        Self::bare("ci-runner")
    }

    fn bare(prefix: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o711)).unwrap();
        let listener = TcpListener::bind((BRIDGE, 0)).unwrap();
        let github_url = format!("http://{}", listener.local_addr().unwrap());
        let emulator = Emulator::new(EmulatorSettings::new(Secret::new(GITHUB_TOKEN)));
        let serving = emulator::serve(emulator.clone(), listener).unwrap();
        let host = Self {
            folder,
            prefix: prefix.to_owned(),
            account: None,
            memory: "8G",
            guest_memory: "128M",
            emulator,
            _serving: serving,
            github_url,
        };
        let domain_type = match Path::new("/sys/module/kvm_intel").exists()
            || Path::new("/sys/module/kvm_amd").exists()
        {
            true => "kvm",
            false => "qemu",
        };
        let template = include_str!("../tiny/guest.xml")
            .replace("DOMAIN_TYPE", domain_type)
            .replace("TINY", tiny());
        host.write("lib/profiles/tiny/guest.xml", &template);
        host.set_boot_script(include_str!("../tiny/runner-boot-script"));
        host
    }

    /// Gives new guests a firmware with variables, and the memory that it needs.
    pub fn use_uefi(&mut self) {
        self.guest_memory = "256M";
        let path = self.path("lib/profiles/tiny/guest.xml");
        // The files' names in Debian and in Ubuntu.
        let firmware = format!(
            "<loader readonly=\"yes\" type=\"pflash\">/usr/share/OVMF/OVMF_CODE_4M.fd</loader>\
             <nvram>{}</nvram><kernel>",
            Self::UEFI_VARIABLES
        );
        let template = fs::read_to_string(&path).unwrap();
        let template = template.replace("<kernel>", &firmware);
        fs::write(&path, template.replace(">128<", ">256<")).unwrap();
    }

    /// Changes the definition of guests.
    pub fn change_template(&self, from: &str, to: &str) {
        let path = self.path("lib/profiles/tiny/guest.xml");
        let template = fs::read_to_string(&path).unwrap();
        assert!(template.contains(from), "{template}");
        fs::write(path, template.replace(from, to)).unwrap();
    }

    /// The variables of a firmware that has not run yet.
    pub const UEFI_VARIABLES: &str = "/usr/share/OVMF/OVMF_VARS_4M.fd";

    /// Adds an empty image, as an administrator would.
    pub fn put_image(&self, name: &str) {
        self.put_disk(&format!("data/images/tiny/{name}/disk.qcow2"));
    }

    /// Adds an empty base disk for builds.
    pub fn put_base(&self, name: &str) {
        self.put_disk(&format!("deps/{name}"));
    }

    fn put_disk(&self, name: &str) {
        self.write(name, "");
        fs::copy(format!("{TINY}/disk.qcow2"), self.path(name)).unwrap();
    }

    /// Sets the script of guests that build an image.
    pub fn set_build_script(&self, script: &str) {
        self.write("lib/profiles/tiny/build-script", script);
    }

    /// Sets the script that new guests run.
    pub fn set_boot_script(&self, script: &str) {
        self.write("lib/profiles/tiny/boot-script", script);
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file, and creates its folders.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Writes the settings of a monitor that listens on `port`, and returns their file.
    pub fn write_settings(&self, port: u16, profile: Profile<'_>) -> PathBuf {
        let Profile {
            target_count,
            image,
            more,
        } = profile;
        let text = format!(
            r#"listen_on = ["{BRIDGE}"]
            port = {port}
            external_base_url = "http://{BRIDGE}:{port}/"
            github_api_url = "{}"
            github_api_scope = "/orgs/acme"
            github_api_suffix = "host"
            allowed_qualified_repo_prefix = "acme/"
            available_normal_memory = "{memory}"
            monitor_poll_interval = "500ms"
            api_cache_timeout = "100ms"
            libvirt_runner_guest_prefix = "{prefix}"
            libvirt_rebuild_guest_prefix = "build-{prefix}"
            {more}
            [profiles.tiny]
            github_runner_label = "tiny-label"
            target_count = {target_count}
            requires_normal_memory = "{guest_memory}""#,
            self.github_url,
            memory = self.memory,
            prefix = self.prefix,
            guest_memory = self.guest_memory,
        );
        self.write("monitor.toml", &text);
        if image != Profile::NO_FILE {
            self.write("lib/profiles/tiny/image.toml", image);
        }
        self.path("monitor.toml")
    }

    /// Queues a job for the runner with this label.
    pub fn queue_job(&self, label: &str, command: &str) -> JobId {
        let new = NewJob {
            repo: "acme/app".parse().unwrap(),
            run_id: RunId(7),
            labels: vec![label.to_owned()],
            command: command.to_owned(),
        };
        self.emulator
            .model(|model, now| model.queue_job(now, new))
            .unwrap()
    }

    pub async fn until_phase(&self, job: JobId, phase: JobPhase) {
        let reached = self.emulator.until(|emulator| {
            let shown = emulator.model(|model, now| model.job(now, job)).unwrap();
            shown.phase == phase
        });
        in_time("the job reaches the phase", reached).await;
    }

    /// The name of a runner's guest.
    pub fn guest(&self, id: u64) -> String {
        format!("{}-tiny.{id}", self.prefix)
    }

    /// The secret of a guest.
    pub fn secret(&self, id: u64) -> String {
        let path = format!("data/virtual/{}/secret", self.guest(id));
        fs::read_to_string(self.path(&path)).unwrap()
    }

    /// The names of complete images.
    pub fn images(&self) -> Vec<String> {
        let names = self.names_in("data/images/tiny");
        let complete = names.into_iter().filter(|name| !name.starts_with('.'));
        complete.collect()
    }

    /// The names of runners' machines in libvirt.
    pub fn machines(&self) -> Vec<String> {
        Self::machines_like(&format!("{}-", self.prefix))
    }

    /// The names of machines that build images.
    pub fn builders(&self) -> Vec<String> {
        Self::machines_like(&format!("build-{}-", self.prefix))
    }

    fn machines_like(prefix: &str) -> Vec<String> {
        let names = virsh(&["list", "--all", "--name"]);
        let own = names.lines().filter(|name| name.starts_with(prefix));
        let mut own: Vec<_> = own.map(str::to_owned).collect();
        own.sort();
        own
    }

    /// The names in the folder for guests.
    pub fn folders(&self) -> Vec<String> {
        self.names_in("data/virtual")
    }

    /// Waits until the folder for guests contains only that of one guest: others are removed a moment
    /// after their guests.
    pub async fn until_only_folder(&self, name: &str) {
        until("only one guest has a folder", || self.folders() == [name]).await;
    }

    fn names_in(&self, folder: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path(folder)) else {
            return Vec::new();
        };
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// The output of a runner's guest so far.
    pub fn console(&self, id: u64) -> String {
        self.console_of(&self.guest(id))
    }

    /// The output of a guest so far.
    pub fn console_of(&self, guest: &str) -> String {
        let path = format!("data/virtual/{guest}/console.log");
        fs::read(self.path(&path)).map_or_else(
            |_| String::new(),
            |console| String::from_utf8_lossy(&console).into_owned(),
        )
    }
}

impl Host {
    /// Ends all guests after their monitor.
    pub fn end_machines(&self) {
        for guest in self.machines().into_iter().chain(self.builders()) {
            if std::thread::panicking() {
                let console = fs::read(self.path(&format!("data/virtual/{guest}/console.log")));
                let console = console.unwrap_or_default();
                eprintln!(
                    "-- console of {guest}:\n{}",
                    String::from_utf8_lossy(&console)
                );
            }
            // It may be ending already, because its monitor destroyed it.
            while !Self::machines_like(&guest).is_empty() {
                end(&guest);
            }
        }
    }
}

impl Drop for Host {
    /// Guests outlive their monitor, but not their test.
    fn drop(&mut self) {
        self.end_machines();
    }
}
