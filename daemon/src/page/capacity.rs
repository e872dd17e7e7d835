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
    /// The parts that are not empty, in the order in which they are shown: number and name.
    fn parts(&self) -> impl Iterator<Item = (usize, &'static str)> + Clone {
        // Those that are still to be created leave the bar empty.
        let parts = [
            (self.busy, "busy"),
            (self.reserved, "reserved"),
            (self.idle, "idle"),
            (self.starting, "starting"),
            (self.absent, "to create"),
            (self.missing, "missing"),
        ];
        parts.into_iter().filter(|(count, _)| *count > 0)
    }

    /// How many runners these are in total.
    pub fn total(&self) -> usize {
        self.parts()
            .fold(0, |total, (count, _)| total.saturating_add(count))
    }

    /// `7 busy, 1 starting of 8 runners`.
    fn label(&self) -> String {
        let parts: Vec<String> = self
            .parts()
            .map(|(count, name)| format!("{count} {name}"))
            .collect();
        format!("{} of {} runners", parts.join(", "), self.total())
    }
}

/// A bar with a part for each state, and the numbers below it. Nothing if there are no runners.
pub fn bar(capacity: &Capacity) -> Markup {
    let total = capacity.total();
    let percent = |count: usize| count as f64 * 100.0 / total as f64;
    let starts = capacity.parts().scan(0, |sum, (count, name)| {
        let start = *sum;
        *sum += count;
        Some((start, count, name))
    });
    html! {
        @if total > 0 {
            svg class="bar" role="img" aria-label=(capacity.label()) {
                @for (start, count, name) in starts {
                    @let (x, width) = (percent(start), percent(count));
                    @let (x, width) = (format!("{x:.2}%"), format!("{width:.2}%"));
                    @match name {
                        "to create" => {},
                        "starting" | "missing" => rect x=(x) width=(width) height="100%" fill={ "url(#" (name) ")" } {},
                        _ => rect class=(name) x=(x) width=(width) height="100%" {},
                    }
                    @if start > 0 { rect class="gap" x=(x) width="2" height="100%" {} }
                }
            }
            ul class="key" {
                @for (count, name) in capacity.parts() { li class=(name) { (count) " " (name) } }
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
