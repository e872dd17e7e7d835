//! The memory of a guest according to its definition.
//!
//! Responsible for libvirt's units, some of which are powers of 1000 and some of 1024:
//! <https://libvirt.org/formatdomain.html#memory-allocation>.

use shared::units::Memory;
use xmltree::Element;

/// The memory of a guest. None if the element is missing or malformed.
pub fn memory_of(domain: &Element) -> Option<Memory> {
    let memory = domain.get_child("memory")?;
    let count: u64 = memory.get_text()?.trim().parse().ok()?;
    let unit = memory.attributes.get("unit").map_or("KiB", String::as_str);
    let bytes: u64 = match unit {
        "b" | "bytes" => 1,
        "KB" => 1000,
        "k" | "KiB" => 1 << 10,
        "MB" => 1000 * 1000,
        "M" | "MiB" => 1 << 20,
        "GB" => 1000 * 1000 * 1000,
        "G" | "GiB" => 1 << 30,
        "TB" => 1000 * 1000 * 1000 * 1000,
        "T" | "TiB" => 1 << 40,
        _ => return None,
    };
    count.checked_mul(bytes).map(Memory::from_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_those_of_libvirt() {
        for (memory, bytes) in [
            ("<memory>4</memory>", Some(4096)),
            ("<memory unit='KiB'> 4 </memory>", Some(4096)),
            ("<memory unit='KB'>4</memory>", Some(4000)),
            ("<memory unit='MiB'>128</memory>", Some(128 << 20)),
            ("<memory unit='G'>2</memory>", Some(2 << 30)),
            ("<memory unit='bytes'>5</memory>", Some(5)),
            ("<memory unit='pages'>5</memory>", None),
            ("<memory unit='TiB'>99999999999</memory>", None),
            ("<memory>much</memory>", None),
            ("<vcpu>4</vcpu>", None),
        ] {
            let domain = format!("<domain>{memory}</domain>");
            let domain = Element::parse(domain.as_bytes()).unwrap();
            assert_eq!(memory_of(&domain).map(Memory::bytes), bytes, "{memory}");
        }
    }
}
