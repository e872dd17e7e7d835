//! The memory of the host, as libvirt reports it.
//!
//! Pure parsers for the output of two commands: `capabilities` has the hugepages of each NUMA node, as
//! XML (<https://libvirt.org/formatcaps.html>); `nodememstats` has the total memory. Output that does
//! not have the expected form counts as unknown.

use shared::units::Memory;
use xmltree::Element;

/// Memory of a host. None if unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostMemory {
    /// Number of hugepages of 1 GiB, including those in use.
    pub hugepages_1g: Option<u64>,
    /// Memory outside hugepages of any size, in whole MiB.
    pub normal: Option<Memory>,
}

/// A number of pages of the same size.
struct Pages {
    size: Memory,
    count: u64,
}

/// Parses the output of `capabilities` and of `nodememstats`.
pub fn host_memory(capabilities: &str, statistics: &str) -> HostMemory {
    let Some(pages) = pages(capabilities) else {
        return HostMemory::default();
    };
    let gibibyte = Memory::from_bytes(1 << 30);
    let of_1g = pages.iter().filter(|pages| pages.size == gibibyte);
    // The smallest pages are the normal ones.
    let smallest = pages.iter().map(|pages| pages.size).min();
    let huge = pages.iter().filter(|pages| Some(pages.size) != smallest);
    let in_hugepages: u64 = huge
        .map(|pages| pages.size.bytes().saturating_mul(pages.count))
        .fold(0, u64::saturating_add);
    let normal = total(statistics).map(|total| total.bytes().saturating_sub(in_hugepages));
    HostMemory {
        hugepages_1g: Some(of_1g.map(|pages| pages.count).sum()),
        normal: normal.map(|bytes| Memory::from_bytes(bytes >> 20 << 20)),
    }
}

/// The pages of all nodes. None if there are none, or the output is malformed.
fn pages(capabilities: &str) -> Option<Vec<Pages>> {
    let capabilities = Element::parse(capabilities.as_bytes()).ok()?;
    let mut element = &capabilities;
    for name in ["host", "topology", "cells"] {
        element = element.get_child(name)?;
    }
    let mut all = Vec::new();
    for cell in children(element) {
        for pages in children(cell).filter(|child| child.name == "pages") {
            all.push(Pages {
                size: in_kibibytes(pages.attributes.get("size")?)?,
                count: pages.get_text()?.trim().parse().ok()?,
            });
        }
    }
    (!all.is_empty()).then_some(all)
}

fn children(of: &Element) -> impl Iterator<Item = &Element> {
    of.children.iter().filter_map(|child| child.as_element())
}

/// The memory of the host, from lines such as `total  :             24684096 KiB`.
fn total(statistics: &str) -> Option<Memory> {
    statistics.lines().find_map(|line| {
        let (name, amount) = line.split_once(':')?;
        let count = amount.trim().strip_suffix("KiB")?;
        (name.trim() == "total").then(|| in_kibibytes(count.trim()))?
    })
}

fn in_kibibytes(count: &str) -> Option<Memory> {
    let count: u64 = count.parse().ok()?;
    count.checked_mul(1 << 10).map(Memory::from_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATISTICS: &str = "total  :             24684096 KiB\n\
                              free   :             17129548 KiB\n\n";

    fn capabilities(cells: &str) -> String {
        format!(
            "<capabilities><host><cpu><pages unit='KiB' size='4'/></cpu>\
             <topology><cells>{cells}</cells></topology></host></capabilities>"
        )
    }

    fn cell(hugepages_2m: u64, hugepages_1g: u64) -> String {
        format!(
            "<cell id='0'><memory unit='KiB'>12342048</memory>\n\
             <pages unit='KiB' size='4'>3085512</pages>\n\
             <pages unit='KiB' size='2048'>{hugepages_2m}</pages>\n\
             <pages unit='KiB' size='1048576'>{hugepages_1g}</pages></cell>"
        )
    }

    fn mebibytes(count: u64) -> Option<Memory> {
        Some(Memory::from_bytes(count << 20))
    }

    #[test]
    fn hugepages_of_any_size_are_not_normal_memory() {
        for (cells, hugepages_1g, normal) in [
            (cell(0, 0), 0, 24105),
            (cell(0, 4), 4, 24105 - 4 * 1024),
            (cell(0, 4) + &cell(100, 2), 6, 24105 - 6 * 1024 - 200),
            (cell(0, 999), 999, 0),
        ] {
            let host = host_memory(&capabilities(&cells), STATISTICS);
            assert_eq!(host.hugepages_1g, Some(hugepages_1g), "{cells}");
            assert_eq!(host.normal, mebibytes(normal), "{cells}");
        }
    }

    #[test]
    fn malformed_output_counts_as_unknown() {
        let odd = "<cell><pages size='4'>many</pages></cell>";
        let endless = "<cell><pages size='18446744073709551615'>1</pages></cell>";
        for answer in [
            "",
            "error: no",
            "<capabilities/>",
            &capabilities(""),
            &capabilities("<cell id='0'/>"),
            &capabilities(odd),
            &capabilities(endless),
        ] {
            let host = host_memory(answer, STATISTICS);
            assert_eq!(host, HostMemory::default(), "{answer}");
        }
        for statistics in ["", "total: much", "total: 5 MiB", "free: 5 KiB"] {
            let host = host_memory(&capabilities(&cell(0, 1)), statistics);
            assert_eq!((host.hugepages_1g, host.normal), (Some(1), None));
        }
    }
}
