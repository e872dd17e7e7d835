//! The upper part of the screen: whether it is live, what is wrong, and the profiles.

use ratatui::{
    layout::Rect,
    style::Style,
    text::{Line, Span},
};

use super::theme::{Cell, Theme};
use crate::{
    client::QueueProfile,
    format,
    output::printable,
    terminal::width,
    top::state::{State, clock, estimate_of, short_name, tone_of},
};

/// The most runners in a bar; of more runners each character means several.
const BAR_MAX: usize = 24;
/// The longest name of a profile that is shown.
const NAME_MAX: usize = 16;
/// A dashboard of this age is shown as current.
const CURRENT_SECONDS: u64 = 3;

/// The first line: which queue, how current, and how much there is.
pub fn head(state: &State, theme: Theme, screen_width: u16) -> Line<'static> {
    let name = printable(&short_name(&state.name), 60);
    let mut spans = vec![Span::styled(format!(" CI queue {name}  "), theme.head())];
    match (&state.queue.failure, &state.queue.value) {
        (Some((since, cause)), _) => {
            let time = since.date_and_time();
            let time = time.get(11..).unwrap_or_default();
            let for_long = clock(state.now.since(*since).as_secs());
            let text = format!("DOWN since {time} ({for_long}): {}", printable(cause, 200));
            let room = usize::from(screen_width).saturating_sub(width(&spans[0].content));
            spans.push(Span::styled(state.look.cut(&text, room), theme.error()));
            return Line::from(spans);
        }
        (None, None) => spans.push(Span::styled("connecting", theme.dim())),
        (None, Some((dashboard, at))) => {
            let age = state.now.since(*at).as_secs();
            spans.push(match (age < CURRENT_SECONDS, state.is_live) {
                (true, true) => Span::styled("live", theme.good()),
                (true, false) => Span::styled("polling", theme.warning()),
                (false, _) => Span::styled(format!("{} old", clock(age)), theme.error()),
            });
            let counts = format!(
                "  {} waiting  {} running  {}",
                dashboard.waiting_count,
                dashboard.assigned_count,
                format::count(dashboard.servers.len(), "server", "servers")
            );
            spans.push(Span::raw(counts));
            if !dashboard.is_dispatching {
                spans.push(Span::styled(
                    "  just started: assigns nothing yet",
                    theme.warning(),
                ));
            }
        }
    }
    if !state.filter.is_empty() {
        let filter = format!("  filter: {}", state.filter);
        spans.push(Span::styled(filter, theme.warning()));
    }
    Line::from(spans)
}

/// The worst problems, one line each, and how many more there are.
pub fn problems(state: &State, theme: Theme, area: Rect) -> Vec<Line<'static>> {
    let problems = state
        .queue
        .get()
        .map_or_else(Vec::new, |it| it.all_problems());
    let room = usize::from(area.height / 8).max(2);
    let shown = match problems.len() > room {
        true => room - 1,
        false => problems.len(),
    };
    let mut lines: Vec<Line<'static>> = problems
        .iter()
        .take(shown)
        .map(|problem| {
            let lasts = clock(state.now.since(problem.since).as_secs());
            let subject = short_name(&problem.subject);
            let text = format!("{subject}: {} ({lasts})", problem.cause);
            let text = state
                .look
                .cut(&printable(&text, 500), usize::from(area.width) - 3);
            Line::styled(format!("! {text}"), theme.tone(tone_of(problem.severity)))
        })
        .collect();
    if problems.len() > shown {
        let text = format!("! and {} more (6)", problems.len() - shown);
        lines.push(Line::styled(text, theme.warning()));
    }
    lines
}

/// A table of the profiles, each with a bar of its runners.
pub fn profiles(state: &State, theme: Theme, area: Rect) -> Vec<Line<'static>> {
    let Some(dashboard) = state.queue.get() else {
        return Vec::new();
    };
    let room = usize::from(area.height / 4).max(2);
    let all = &dashboard.profiles;
    let shown = match all.len() > room {
        true => room - 1,
        false => all.len(),
    };
    let names = all.iter().take(shown).map(|it| width(&name(it)));
    let name_width = names.max().unwrap_or(0).max("PROFILE".len());
    let bar_width = all.iter().take(shown).map(bar_length).max().unwrap_or(0);
    let numbers = " BUSY RSVD IDLE STRT MISS ";
    let head = format!(
        " {:<name_width$} {numbers} {:<bar_width$}  WAITING  NEXT    EMPTY",
        "PROFILE", ""
    );
    let mut lines = vec![Line::styled(head, theme.head())];
    let rows = all.iter().take(shown);
    lines.extend(rows.map(|profile| row(state, theme, profile, name_width, bar_width)));
    if all.len() > shown {
        let text = format!(
            " and {} more",
            format::count(all.len() - shown, "profile", "profiles")
        );
        lines.push(Line::styled(text, theme.dim()));
    }
    lines
}

fn row(
    state: &State,
    theme: Theme,
    profile: &QueueProfile,
    name_width: usize,
    bar_width: usize,
) -> Line<'static> {
    let name = name(profile);
    let mut spans = vec![
        Span::raw(format!(" {name}")),
        Span::raw(" ".repeat(name_width - width(&name) + 2)),
    ];
    for (cell, count) in cells(profile) {
        let style = if count > 0 {
            theme.cell(cell)
        } else {
            theme.dim()
        };
        spans.push(Span::styled(format!("{count:>4} "), style));
    }
    spans.push(Span::raw("  "));
    let bar = bar(profile);
    spans.extend(
        bar.iter()
            .map(|cell| Span::styled(theme.bar(*cell), theme.cell(*cell))),
    );
    let (next, empty) = match &profile.paused {
        Some(_) => ("paused".to_owned(), String::new()),
        None => waits(state, profile),
    };
    let waiting = profile.waiting_count;
    let style = if waiting > 0 {
        theme.head()
    } else {
        theme.dim()
    };
    spans.push(Span::raw(" ".repeat(bar_width - bar.len() + 2)));
    spans.push(Span::styled(format!("{waiting:>7}"), style));
    let style = match &profile.paused {
        Some(_) => theme.warning(),
        None => Style::new(),
    };
    spans.push(Span::styled(format!("  {next:<7} {empty}"), style));
    Line::from(spans)
}

/// How many runners are in each state.
fn cells(profile: &QueueProfile) -> [(Cell, usize); 5] {
    let counts = [
        profile.busy,
        profile.reserved,
        profile.idle,
        profile.starting,
        profile.missing,
    ];
    std::array::from_fn(|index| (Cell::ALL[index], counts[index]))
}

fn total(profile: &QueueProfile) -> usize {
    cells(profile).iter().map(|(_, count)| count).sum()
}

fn bar_length(profile: &QueueProfile) -> usize {
    total(profile).min(BAR_MAX)
}

/// One cell for each runner. If there are too many, each state has its share, and at least one cell.
fn bar(profile: &QueueProfile) -> Vec<Cell> {
    let total = total(profile);
    let mut bar = Vec::new();
    for (cell, count) in cells(profile) {
        let length = match total > BAR_MAX && count > 0 {
            true => (count * BAR_MAX / total).max(1),
            false => count,
        };
        bar.extend(std::iter::repeat_n(cell, length));
    }
    bar.truncate(BAR_MAX);
    bar
}

/// When the next job is expected to get runners, and when the last one that waits now.
fn waits(state: &State, profile: &QueueProfile) -> (String, String) {
    let Some(first) = profile.jobs.first() else {
        let next = if profile.idle > 0 { "now" } else { "-" };
        return (next.to_owned(), "-".to_owned());
    };
    let is_unicode = state.look.is_unicode;
    let likely = |text: String| match text.split_once(" (") {
        Some((likely, _)) => likely.to_owned(),
        None => text,
    };
    let all_shown = profile.jobs.len() >= profile.waiting_count;
    let last = profile.jobs.last().filter(|_| all_shown);
    let last = last.map_or_else(|| "-".to_owned(), |job| estimate_of(job, is_unicode));
    (likely(estimate_of(first, is_unicode)), likely(last))
}

fn name(profile: &QueueProfile) -> String {
    printable(&profile.profile_key, NAME_MAX)
}
