//! Which elements and attributes of a template are copied into the definition of each guest.
//!
//! Responsible for the list. A template is often the definition of a machine that exists, and contains
//! that machine's identity, its state and its devices; so only what is listed here is copied, and
//! everything else is refused. What depends on a value (such as the type of an interface) is in
//! `devices`, `firmware` and `command_line`. Pure.

use xmltree::{Element, XMLNode};

use crate::hypervisor::error::TemplateError;

/// What becomes of an element.
enum Fate {
    /// It is copied with these attributes and children. An attribute with a hyphen in front is left out.
    Keep {
        attributes: &'static str,
        children: &'static [Rule],
    },
    /// It is copied with everything in it.
    KeepWhole,
    /// It is left out: libvirt chooses it for each guest, or no guest needs it.
    LeaveOut,
    /// The template is refused. The text completes "its `…` ".
    Refuse(&'static str),
}

struct Rule {
    name: &'static str,
    fate: Fate,
}

const fn keep(name: &'static str, attributes: &'static str, children: &'static [Rule]) -> Rule {
    let fate = Fate::Keep {
        attributes,
        children,
    };
    Rule { name, fate }
}

const fn text(name: &'static str) -> Rule {
    keep(name, "", &[])
}

const fn whole(name: &'static str) -> Rule {
    let fate = Fate::KeepWhole;
    Rule { name, fate }
}

const fn leave_out(name: &'static str) -> Rule {
    let fate = Fate::LeaveOut;
    Rule { name, fate }
}

const fn refuse(name: &'static str, problem: &'static str) -> Rule {
    let fate = Fate::Refuse(problem);
    Rule { name, fate }
}

/// Elements that any device may have.
const OF_EVERY_DEVICE: &[Rule] = &[
    leave_out("alias"),
    whole("address"),
    whole("acpi"),
    keep("boot", "order loadparm", &[]),
    whole("driver"),
];

const DOMAIN: Rule = keep("domain", "type -id", DOMAIN_CHILDREN);

const DOMAIN_CHILDREN: &[Rule] = &[
    text("name"),
    text("uuid"),
    text("genid"),
    leave_out("hwuuid"),
    leave_out("title"),
    leave_out("description"),
    leave_out("metadata"),
    keep("memory", "unit dumpCore", &[]),
    keep("currentMemory", "unit", &[]),
    leave_out("maxMemory"),
    keep(
        "memoryBacking",
        "",
        &[
            keep("hugepages", "", &[keep("page", "size unit nodeset", &[])]),
            text("nosharepages"),
            text("locked"),
            keep("source", "type", &[]),
            keep("access", "mode", &[]),
            keep("allocation", "mode threads", &[]),
            text("discard"),
        ],
    ),
    keep("vcpu", "placement cpuset current", &[]),
    keep(
        "vcpus",
        "",
        &[keep("vcpu", "id enabled hotpluggable order", &[])],
    ),
    text("iothreads"),
    whole("iothreadids"),
    whole("defaultiothread"),
    whole("throttlegroups"),
    keep("blkiotune", "", &[text("weight"), whole("device")]),
    keep(
        "memtune",
        "",
        &[
            whole("hard_limit"),
            whole("soft_limit"),
            whole("swap_hard_limit"),
            whole("min_guarantee"),
        ],
    ),
    keep("cputune", "", CPU_TUNING),
    whole("numatune"),
    keep("resource", "", &[text("partition")]),
    keep("sysinfo", "type", SYSINFO),
    keep("os", "firmware", OS),
    whole("features"),
    keep(
        "cpu",
        "mode match check migratable deprecated_features",
        CPU,
    ),
    keep(
        "clock",
        "offset basis timezone start adjustment",
        &[whole("timer")],
    ),
    text("on_poweroff"),
    text("on_reboot"),
    text("on_crash"),
    text("on_lockfailure"),
    keep(
        "pm",
        "",
        &[
            keep("suspend-to-mem", "enabled", &[]),
            keep("suspend-to-disk", "enabled", &[]),
        ],
    ),
    whole("perf"),
    keep(
        "seclabel",
        "type model relabel",
        &[text("label"), leave_out("imagelabel"), text("baselabel")],
    ),
    keep("devices", "", DEVICES),
    refuse(
        "launchSecurity",
        "belongs to the machine that it was made for; remove it",
    ),
    refuse(
        "bootloader",
        "starts a program on this host for each guest; use `os` instead",
    ),
];

const CPU_TUNING: &[Rule] = &[
    text("shares"),
    text("period"),
    text("quota"),
    text("global_period"),
    text("global_quota"),
    text("emulator_period"),
    text("emulator_quota"),
    text("iothread_period"),
    text("iothread_quota"),
    whole("vcpupin"),
    whole("emulatorpin"),
    whole("iothreadpin"),
    whole("vcpusched"),
    whole("iothreadsched"),
    whole("emulatorsched"),
    refuse(
        "cachetune",
        "reserves a part of the processor's cache, which only one guest can have; remove it",
    ),
    refuse(
        "memorytune",
        "reserves a part of the memory bandwidth, which only one guest can have; remove it",
    ),
];

const SYSINFO: &[Rule] = &[
    keep("bios", "", SYSINFO_ENTRY),
    keep("system", "", SYSINFO_ENTRY),
    keep("baseBoard", "", SYSINFO_ENTRY),
    keep("chassis", "", SYSINFO_ENTRY),
    keep("oemStrings", "", SYSINFO_ENTRY),
    keep("entry", "name file", &[]),
];

const SYSINFO_ENTRY: &[Rule] = &[keep("entry", "name", &[])];

const OS: &[Rule] = &[
    keep("type", "arch machine", &[]),
    keep("firmware", "", &[keep("feature", "enabled name", &[])]),
    keep("loader", "readonly secure type stateless format", &[]),
    keep(
        "nvram",
        "template type format templateFormat",
        &[whole("source")],
    ),
    keep("boot", "dev", &[]),
    keep("bootmenu", "enable timeout", &[]),
    keep("smbios", "mode", &[]),
    keep("bios", "useserial rebootTimeout", &[]),
    text("kernel"),
    text("initrd"),
    text("cmdline"),
    text("dtb"),
    refuse(
        "acpi",
        "may contain the licence of another machine; remove it",
    ),
];

const CPU: &[Rule] = &[
    keep("model", "fallback vendor_id", &[]),
    text("vendor"),
    whole("topology"),
    whole("feature"),
    whole("cache"),
    whole("maxphysaddr"),
    keep(
        "numa",
        "",
        &[
            keep(
                "cell",
                "id cpus memory unit memAccess discard",
                &[whole("distances"), whole("cache")],
            ),
            whole("interconnects"),
        ],
    ),
];

const ONE_GUEST_ONLY: &str = "can belong to one guest only; remove it";

const DEVICES: &[Rule] = &[
    text("emulator"),
    keep("disk", "type device model -snapshot -sgio -rawio", DISK),
    keep(
        "controller",
        "type index model ports vectors queues maxEventChannels maxGrantFrames",
        &[
            keep("model", "name", &[]),
            whole("target"),
            keep("master", "startport", &[]),
            whole("pcihole64"),
        ],
    ),
    keep(
        "filesystem",
        "type accessmode model fmode dmode multidevs",
        FILESYSTEM,
    ),
    keep("interface", "type managed trustGuestRxFilters", INTERFACE),
    keep("serial", "type -tty", CHARACTER_DEVICE),
    keep("parallel", "type -tty", CHARACTER_DEVICE),
    keep("console", "type -tty", CHARACTER_DEVICE),
    keep("channel", "type -tty", CHARACTER_DEVICE),
    keep("redirdev", "bus type", &[leave_out("source")]),
    whole("redirfilter"),
    keep("input", "type bus model", &[]),
    whole("hub"),
    keep(
        "graphics",
        "type -port -tlsPort autoport -websocket listen -socket passwd passwdValidTo -connected \
         keymap sharePolicy powerControl defaultMode multiUser replaceUser username",
        GRAPHICS,
    ),
    keep(
        "sound",
        "model multichannel streams",
        &[whole("codec"), keep("audio", "id", &[])],
    ),
    whole("audio"),
    keep("video", "", &[whole("model")]),
    keep("watchdog", "model action", &[]),
    keep(
        "memballoon",
        "model autodeflate freePageReporting",
        &[keep("stats", "period", &[])],
    ),
    keep(
        "rng",
        "model",
        &[whole("backend"), keep("rate", "bytes period", &[])],
    ),
    keep(
        "tpm",
        "model",
        &[keep(
            "backend",
            "type version -persistent_state debug",
            &[
                keep("encryption", "secret", &[]),
                whole("active_pcr_banks"),
                whole("profile"),
                leave_out("source"),
            ],
        )],
    ),
    whole("nvram"),
    keep("panic", "model", &[]),
    whole("iommu"),
    keep("vsock", "model", &[leave_out("cid")]),
    keep("crypto", "model type", &[whole("backend")]),
    leave_out("pstore"),
    refuse(
        "memory",
        "adds memory to that in `memory`, which the monitor does not count; remove it, and give guests \
         all their memory by `memory`",
    ),
    refuse("hostdev", ONE_GUEST_ONLY),
    refuse("lease", ONE_GUEST_ONLY),
    refuse("smartcard", ONE_GUEST_ONLY),
    refuse("shmem", "would be shared by all guests; remove it"),
];

const DISK: &[Rule] = &[
    whole("source"),
    leave_out("backingStore"),
    leave_out("mirror"),
    keep("target", "dev bus -tray removable rotation_rate", &[]),
    whole("iotune"),
    whole("throttlefilters"),
    text("readonly"),
    leave_out("shareable"),
    leave_out("transient"),
    text("serial"),
    text("wwn"),
    text("vendor"),
    text("product"),
    whole("geometry"),
    whole("blockio"),
    refuse(
        "encryption",
        "is that of another disk; remove it, and use an image without encryption",
    ),
    refuse(
        "auth",
        "gives access to a disk that all guests would share; remove it",
    ),
];

const FILESYSTEM: &[Rule] = &[
    whole("binary"),
    whole("source"),
    whole("target"),
    text("readonly"),
    whole("idmap"),
];

const INTERFACE: &[Rule] = &[
    keep("mac", "address -type -check", &[]),
    keep("source", "network bridge portgroup dev mode -portid", &[]),
    // Its name belongs to the machine that it was made for.
    leave_out("target"),
    leave_out("guest"),
    keep("model", "type", &[]),
    keep("backend", "type tap vhost -logFile", &[]),
    keep("link", "state", &[]),
    keep("mtu", "size", &[]),
    whole("bandwidth"),
    whole("coalesce"),
    whole("vlan"),
    keep("port", "isolated", &[]),
    whole("tune"),
    keep("rom", "bar enabled file", &[]),
    keep(
        "filterref",
        "filter",
        &[keep("parameter", "name value", &[])],
    ),
    keep(
        "virtualport",
        "type",
        &[keep(
            "parameters",
            "profileid managerid typeid typeidversion -interfaceid -instanceid",
            &[],
        )],
    ),
    whole("ip"),
    whole("route"),
    refuse(
        "script",
        "runs a program on this host for each guest; remove it",
    ),
    refuse(
        "downscript",
        "runs a program on this host for each guest; remove it",
    ),
    refuse("teaming", ONE_GUEST_ONLY),
    refuse(
        "portForward",
        "takes ports of this host, which only one guest can have; remove it",
    ),
];

const CHARACTER_DEVICE: &[Rule] = &[
    whole("source"),
    keep("protocol", "type", &[]),
    keep(
        "target",
        "type port name -state",
        &[keep("model", "name", &[])],
    ),
    // A file to which all guests would write.
    leave_out("log"),
    leave_out("seclabel"),
];

const GRAPHICS: &[Rule] = &[
    keep("listen", "type address network -socket", &[]),
    keep("channel", "name mode", &[]),
    keep("image", "compression", &[]),
    keep("jpeg", "compression", &[]),
    keep("zlib", "compression", &[]),
    keep("playback", "compression", &[]),
    keep("streaming", "mode", &[]),
    keep("clipboard", "copypaste", &[]),
    keep("mouse", "mode", &[]),
    keep("filetransfer", "enable", &[]),
    keep("gl", "enable rendernode", &[]),
    keep("audio", "id", &[]),
];

/// Removes from a template what libvirt chooses for each guest, and refuses what is not listed.
pub fn apply(domain: &mut Element) -> Result<(), TemplateError> {
    visit(domain, &DOMAIN, "", &[])
}

/// Applies a rule to the element at the path `place`. `common` are rules for its children in addition to
/// its own.
fn visit(
    element: &mut Element,
    rule: &Rule,
    place: &str,
    common: &'static [Rule],
) -> Result<(), TemplateError> {
    let Fate::Keep {
        attributes,
        children,
    } = &rule.fate
    else {
        return Ok(());
    };
    let mut is_known = true;
    let mut unknown = String::new();
    element.attributes.retain(|name, _| {
        let mut words = attributes.split_ascii_whitespace();
        let Some(word) = words.find(|word| word.trim_start_matches('-') == name) else {
            is_known = false;
            unknown.clone_from(name);
            return true;
        };
        !word.starts_with('-')
    });
    if !is_known {
        return Err(TemplateError::Unknown {
            kind: "attribute",
            name: unknown,
            place: place_of(place, rule.name),
        });
    }
    let is_root = place.is_empty() && rule.name == DOMAIN.name;
    let own_place = match is_root {
        true => String::new(),
        false => place_of(place, rule.name),
    };
    let below = match own_place == "devices" {
        true => OF_EVERY_DEVICE,
        false => &[],
    };
    let mut kept = Vec::new();
    for node in element.children.drain(..) {
        let XMLNode::Element(mut child) = node else {
            kept.push(node);
            continue;
        };
        if child.prefix.is_some() {
            // `command_line` judges these.
            if !is_root {
                return Err(unknown_element(&child, &own_place));
            }
            kept.push(XMLNode::Element(child));
            continue;
        }
        let mut rules = children.iter().chain(common);
        let Some(found) = rules.find(|it| it.name == child.name) else {
            return Err(unknown_element(&child, &own_place));
        };
        match found.fate {
            Fate::LeaveOut => continue,
            Fate::Refuse(problem) => {
                return Err(TemplateError::Refused {
                    place: place_of(&own_place, &child.name),
                    problem: problem.to_owned(),
                });
            }
            Fate::Keep { .. } | Fate::KeepWhole => {
                visit(&mut child, found, &own_place, below)?;
            }
        }
        kept.push(XMLNode::Element(child));
    }
    element.children = kept;
    Ok(())
}

fn unknown_element(element: &Element, place: &str) -> TemplateError {
    TemplateError::Unknown {
        kind: "element",
        name: element.name.clone(),
        place: match place.is_empty() {
            true => DOMAIN.name.to_owned(),
            false => place.to_owned(),
        },
    }
}

fn place_of(place: &str, name: &str) -> String {
    match place.is_empty() {
        true => name.to_owned(),
        false => format!("{place}/{name}"),
    }
}
