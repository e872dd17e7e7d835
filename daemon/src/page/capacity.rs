//! What runners do, as a bar and as text.
//!
//! The bar is an image in the page, because its parts have widths, and the content security policy allows no
//! styles in the text of a page.

use maud::{Markup, html};

/// How many runners do what.
#[derive(Clone, Copy, Debug, Default)]
pub struct Capacity {
    /// A job runs on them.
    pub busy: usize,
    /// They are held for a job.
    pub reserved: usize,
    /// They can be requested.
    pub idle: usize,
    /// They are not ready yet.
    pub starting: usize,
    /// They are still to be created.
    pub absent: usize,
    /// They could be there and are not.
    pub missing: usize,
}

impl Capacity {
    /// The parts in the order in which they are shown. Runners that are still to be created leave the bar empty.
    fn parts(&self) -> Vec<Part> {
        let parts = [
            (self.busy, "busy", "busy"),
            (self.reserved, "reserved", "reserved"),
            (self.idle, "idle", "idle"),
            (self.starting, "starting", "starting"),
            (self.absent, "to create", ""),
            (self.missing, "missing", "missing"),
        ];
        let parts = parts.into_iter().filter(|(count, ..)| *count > 0);
        let parts = parts.map(|(count, name, class)| Part {
            amount: count as u64,
            text: format!("{count} {name}"),
            class,
        });
        parts.collect()
    }

    /// How many runners these are in total.
    pub fn total(&self) -> usize {
        let counts = [
            self.busy,
            self.reserved,
            self.idle,
            self.starting,
            self.absent,
            self.missing,
        ];
        counts.into_iter().fold(0, usize::saturating_add)
    }
}

/// A part of a bar.
#[derive(Clone, Debug)]
pub struct Part {
    /// Its length.
    pub amount: u64,
    /// What it is: `7 busy`.
    pub text: String,
    /// How it is drawn: one of the names of the style, such as `busy`. Empty for a part that is left empty.
    pub class: &'static str,
}

/// A bar with a part for each state, and the numbers below it. Nothing if there are no runners.
pub fn bar(capacity: &Capacity) -> Markup {
    bar_of_parts(
        "",
        &capacity.parts(),
        &format!("{} runners", capacity.total()),
    )
}

/// A bar with these parts, and their texts below it; those without a length are left out. `name` is what it
/// shows, and `total` what the parts are together. Nothing if all are without a length.
pub fn bar_of_parts(name: &str, parts: &[Part], total: &str) -> Markup {
    let parts = parts.iter().filter(|part| part.amount > 0);
    let length: f64 = parts.clone().map(|part| part.amount as f64).sum();
    let percent = |amount: u64| amount as f64 * 100.0 / length;
    let texts: Vec<&str> = parts.clone().map(|part| part.text.as_str()).collect();
    let label = format!("{name}{} of {total}", texts.join(", "));
    let placed = parts.clone().scan(0_u64, |sum, part| {
        let start = *sum;
        *sum = sum.saturating_add(part.amount);
        Some((start, part))
    });
    html! {
        @if length > 0.0 {
            svg class="bar" role="img" aria-label=(label) {
                @for (start, part) in placed {
                    @let (x, width) = (percent(start), percent(part.amount));
                    @let (x, width) = (format!("{x:.2}%"), format!("{width:.2}%"));
                    @match part.class {
                        "" => {},
                        "starting" | "missing" => rect x=(x) width=(width) height="100%" fill={ "url(#" (part.class) ")" } {},
                        class => rect class=(class) x=(x) width=(width) height="100%" {},
                    }
                    @if start > 0 { rect class="gap" x=(x) width="2" height="100%" {} }
                }
            }
            ul class="key" {
                @for part in parts { li class=(part.class) { (part.text) } }
            }
        }
    }
}

/// The stripes of runners that cannot be used; once in each page.
pub(super) fn patterns() -> Markup {
    html! {
        svg class="unseen" width="0" height="0" aria-hidden="true" {
            defs {
                @for (id, path) in [("starting", "M-2 2 2-2M0 8 8 0M6 10 10 6"), ("missing", "M-2 6 2 10M0 0 8 8M6-2 10 2")] {
                    pattern id=(id) width="8" height="8" patternUnits="userSpaceOnUse" {
                        path class=(id) d=(path) stroke-width="3" {}
                    }
                }
            }
        }
    }
}
