//! The memory that QEMU takes for a guest according to its definition.
//!
//! Responsible for libvirt's units, some of which are powers of 1000 and some of 1024, and for the places
//! in which a definition gives memory: <https://libvirt.org/formatdomain.html#memory-allocation>. Memory
//! that is added as a device is refused before (`definition`).

use shared::units::Memory;
use xmltree::Element;

use crate::hypervisor::{error::TemplateError, guest::GuestMemory};

const GIBIBYTE: u64 = 1 << 30;

/// Refuses a definition whose guests take more memory than is counted for each.
pub fn check_memory(domain: &Element, counted: GuestMemory) -> Result<(), TemplateError> {
    let has = memory_of(domain).ok_or(TemplateError::NoMemory)?;
    let (counted, kind) = match uses_hugepages(domain)? {
        true => {
            let pages = counted.hugepages_1g;
            (Memory::from_bytes(GIBIBYTE) * pages, "hugepages")
        }
        false => (counted.normal, "normal memory"),
    };
    match has > counted {
        true => Err(TemplateError::TooMuchMemory { has, kind, counted }),
        false => Ok(()),
    }
}

/// The memory of a guest. None if an element is missing or malformed.
///
/// If there are NUMA cells, libvirt takes the sum of their memory and ignores `memory`.
fn memory_of(domain: &Element) -> Option<Memory> {
    let memory = domain.get_child("memory");
    let memory = memory.map(|it| in_bytes(&it.get_text()?, it.attributes.get("unit")));
    let numa = domain
        .get_child("cpu")
        .and_then(|cpu| cpu.get_child("numa"));
    let cells = numa.map(|numa| {
        let elements = numa.children.iter().filter_map(|node| node.as_element());
        let cells = elements.filter(|element| element.name == "cell");
        let mut memory = cells
            .filter_map(|cell| Some((cell.attributes.get("memory")?, cell.attributes.get("unit"))))
            .map(|(count, unit)| in_bytes(count, unit));
        memory.try_fold(0_u64, |sum, bytes| sum.checked_add(bytes?))
    });
    let bytes = match (memory, cells) {
        (None, None) => None,
        (Some(only), None) | (None, Some(only)) => only,
        (Some(memory), Some(cells)) => Some(memory?.max(cells?)),
    };
    bytes.map(Memory::from_bytes)
}

/// Whether the memory consists of hugepages of 1 GiB, the only ones that are counted. Without a size,
/// pages have the default size of the host.
fn uses_hugepages(domain: &Element) -> Result<bool, TemplateError> {
    let backing = domain.get_child("memoryBacking");
    let Some(hugepages) = backing.and_then(|it| it.get_child("hugepages")) else {
        return Ok(false);
    };
    for page in hugepages.children.iter().filter_map(|it| it.as_element()) {
        let size = page.attributes.get("size");
        let bytes = size.and_then(|size| in_bytes(size, page.attributes.get("unit")));
        if bytes != Some(GIBIBYTE) || page.attributes.contains_key("nodeset") {
            return Err(TemplateError::Refused {
                place: "memoryBacking/hugepages".to_owned(),
                problem:
                    "has pages of another size than 1 GiB, or for some NUMA cells only, which the \
                          monitor does not count; use <page size=\"1\" unit=\"GiB\"/>, or remove it"
                        .to_owned(),
            });
        }
    }
    Ok(true)
}

fn in_bytes(count: &str, unit: Option<&String>) -> Option<u64> {
    let count: u64 = count.trim().parse().ok()?;
    let unit = unit.map_or("KiB", String::as_str);
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
    count.checked_mul(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(content: &str) -> Element {
        Element::parse(format!("<domain>{content}</domain>").as_bytes()).unwrap()
    }

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
            let has = memory_of(&domain(memory)).map(Memory::bytes);
            assert_eq!(has, bytes, "{memory}");
        }
    }

    #[test]
    fn the_memory_of_numa_cells_counts() {
        let memory = "<memory unit='MiB'>512</memory>";
        for (cells, mebibytes) in [
            ("", Some(512)),
            ("<cell cpus='0' memory='8' unit='GiB'/>", Some(8192)),
            ("<cell cpus='0' memory='262144'/>", Some(512)),
            (
                "<cell cpus='0' memory='300' unit='M'/><cell cpus='1' memory='300' unit='M'/>",
                Some(600),
            ),
            ("<cell cpus='0'/>", Some(512)),
            ("<cell cpus='0' memory='much'/>", None),
            (
                "<cell memory='9999999' unit='TiB'/><cell memory='9999999' unit='TiB'/>",
                None,
            ),
        ] {
            let has = memory_of(&domain(&format!("{memory}<cpu><numa>{cells}</numa></cpu>")));
            assert_eq!(has.map(|it| it.bytes() >> 20), mebibytes, "{cells}");
        }
        let only = domain("<cpu><numa><cell cpus='0' memory='8' unit='GiB'/></numa></cpu>");
        assert_eq!(memory_of(&only), Some(Memory::from_bytes(8 << 30)));
    }

    #[test]
    fn hugepages_and_normal_memory_are_counted_apart() {
        let counted = GuestMemory {
            hugepages_1g: 2,
            normal: Memory::from_bytes(1 << 30),
        };
        let huge =
            |page: &str| format!("<memoryBacking><hugepages>{page}</hugepages></memoryBacking>");
        for (gibibytes, backing, problem) in [
            (1, String::new(), None),
            (
                2,
                String::new(),
                Some("its guests have 2G of normal memory"),
            ),
            (2, huge(""), None),
            (2, huge("<page size='1' unit='G'/>"), None),
            (2, huge("<page size='1048576'/>"), None),
            (3, huge(""), Some("its guests have 3G of hugepages")),
            (
                2,
                huge("<page size='2048' unit='KiB'/>"),
                Some("pages of another size"),
            ),
            (
                2,
                huge("<page size='1' unit='G' nodeset='0'/>"),
                Some("pages of another size"),
            ),
        ] {
            let xml = format!("<memory unit='G'>{gibibytes}</memory>{backing}");
            let checked = check_memory(&domain(&xml), counted).map_err(|it| it.to_string());
            match problem {
                None => assert_eq!(checked, Ok(()), "{xml}"),
                Some(problem) => assert!(checked.unwrap_err().contains(problem), "{xml}"),
            }
        }
    }
}
