//! What a key does in each mode.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use shared::{
    operator::Intervention,
    values::{ProfileKey, UniqueId},
};

use super::{Change, Effect, Mode, Order, Purpose, State, Tab, rows::short_name};

/// The longest filter and the longest note, in characters. A monitor accepts no longer note.
const TYPED_MAX: usize = 200;
/// How many rows a page has: a screen of 24 lines shows about as many.
const PAGE: isize = 10;

impl State {
    pub(super) fn handle_key(&mut self, key: KeyEvent) -> Option<Effect> {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return matches!(key.code, KeyCode::Char('c' | 'q')).then_some(Effect::Quit);
        }
        match &mut self.mode {
            Mode::List => self.handle_list_key(key.code),
            Mode::Filter => {
                match key.code {
                    KeyCode::Enter | KeyCode::Tab => self.mode = Mode::List,
                    KeyCode::Esc => {
                        self.filter.clear();
                        self.mode = Mode::List;
                    }
                    code => edit(&mut self.filter, code),
                }
                None
            }
            Mode::Help => {
                self.mode = Mode::List;
                None
            }
            Mode::Note { order, note } => match key.code {
                KeyCode::Enter => {
                    let (order, note) = (order.clone(), std::mem::take(note));
                    self.mode = Mode::List;
                    Some(Effect::Change(match order {
                        Order::Drain(server) => Change::Drain { server, note },
                        Order::Pause(profile) => Change::Pause { profile, note },
                        Order::Rebuild(server, profile) => Change::Rebuild {
                            server,
                            profile,
                            note,
                        },
                    }))
                }
                KeyCode::Esc => self.cancel(),
                code => {
                    edit(note, code);
                    None
                }
            },
            Mode::Profiles { .. } => {
                self.handle_profile_key(key.code);
                None
            }
            Mode::Confirm { change, .. } => match key.code {
                KeyCode::Char('y' | 'Y') => {
                    let change = change.clone();
                    self.mode = Mode::List;
                    Some(Effect::Change(change))
                }
                _ => self.cancel(),
            },
            Mode::Details { scroll, .. } => {
                match key.code {
                    KeyCode::Down | KeyCode::Char('j') => *scroll = scroll.saturating_add(1),
                    KeyCode::Up | KeyCode::Char('k') => *scroll = scroll.saturating_sub(1),
                    KeyCode::PageDown | KeyCode::Char(' ') => *scroll = scroll.saturating_add(10),
                    KeyCode::PageUp => *scroll = scroll.saturating_sub(10),
                    KeyCode::Home => *scroll = 0,
                    KeyCode::Char('w' | 'd' | 'u' | 'x' | 'p' | 'b') => {
                        return self.handle_list_key(key.code);
                    }
                    _ => self.mode = Mode::List,
                }
                None
            }
        }
    }

    fn handle_list_key(&mut self, code: KeyCode) -> Option<Effect> {
        match code {
            KeyCode::Char('q') => return Some(Effect::Quit),
            KeyCode::Char('?' | 'h') => self.mode = Mode::Help,
            KeyCode::Char('/') => self.mode = Mode::Filter,
            KeyCode::Esc => {
                self.filter.clear();
                self.notice = None;
            }
            KeyCode::Down | KeyCode::Char('j') => self.select(1),
            KeyCode::Up | KeyCode::Char('k') => self.select(-1),
            KeyCode::PageDown | KeyCode::Char(' ') => self.select(PAGE),
            KeyCode::PageUp => self.select(-PAGE),
            KeyCode::Home | KeyCode::Char('g') => self.select(isize::MIN),
            KeyCode::End | KeyCode::Char('G') => self.select(isize::MAX),
            KeyCode::Tab | KeyCode::Right | KeyCode::Char('l') => self.switch(1),
            KeyCode::BackTab | KeyCode::Left => self.switch(Tab::ALL.len() - 1),
            KeyCode::Char(digit @ '1'..='6') => {
                let index = digit as usize - '1' as usize;
                self.tab = Tab::ALL[index];
            }
            KeyCode::Enter => return self.show_details(),
            KeyCode::Char('w') => self.ask_to_withdraw(),
            KeyCode::Char('d') => self.ask_to_drain(),
            KeyCode::Char('u') => self.ask_to_undrain(),
            KeyCode::Char('x') => self.ask_to_destroy(),
            KeyCode::Char('p') => self.choose_profile_to_pause(),
            KeyCode::Char('b') => self.choose_image(),
            _ => {}
        }
        None
    }

    fn cancel(&mut self) -> Option<Effect> {
        self.mode = Mode::List;
        self.say("Nothing was changed");
        None
    }

    fn select(&mut self, by: isize) {
        let rows = self.rows();
        if let Some(place) = self.selected(&rows) {
            let place = place.saturating_add_signed(by).min(rows.len() - 1);
            let key = rows[place].key.clone();
            self.selected.insert(self.tab, (place, key));
        }
    }

    fn switch(&mut self, by: usize) {
        let index = Tab::ALL.iter().position(|tab| *tab == self.tab);
        let index = index.unwrap_or_default() + by;
        self.tab = Tab::ALL[index % Tab::ALL.len()];
    }

    /// The key of the selected row.
    fn selected_key(&self) -> Option<String> {
        let rows = self.rows();
        let place = self.selected(&rows)?;
        Some(rows[place].key.clone())
    }

    fn show_details(&mut self) -> Option<Effect> {
        let key = self.selected_key()?;
        // What moves meanwhile must not take the selection along.
        self.select(0);
        let effect = match self.tab {
            // Its public id, by which the queue knows it too.
            Tab::Waiting | Tab::Running | Tab::Finished => key.parse().ok().map(Effect::GetStory),
            Tab::Runners => self
                .selected_runner()
                .map(|(server, id)| Effect::GetRunner { server, id }),
            Tab::Servers | Tab::Problems => None,
        };
        self.mode = Mode::Details {
            tab: self.tab,
            key,
            story: None,
            scroll: 0,
        };
        effect.filter(|_| self.can_change)
    }

    /// Whether changes are possible; says why not.
    fn may_change(&mut self) -> bool {
        if !self.can_change {
            self.say("Changes need the API token: set SERVO_CI_MONITOR_API_TOKEN, and start again");
        }
        self.can_change
    }

    fn ask(&mut self, change: Change, question: String) {
        // What is asked about must not move away from the selection.
        self.select(0);
        self.mode = Mode::Confirm { change, question };
    }

    fn ask_to_withdraw(&mut self) {
        if !matches!(self.tab, Tab::Waiting | Tab::Running) {
            return self.say("Choose a job on the list Waiting or Running to withdraw it");
        }
        let Some(key) = self.selected_key().filter(|_| self.may_change()) else {
            return;
        };
        let rows = self.rows();
        let name = rows.iter().find(|row| row.key == key).map(job_cell);
        // The queue accepts a public id with the API token.
        let Ok(unique_id) = key.parse::<UniqueId>() else {
            return self.say("The queue shows no valid id of this job");
        };
        let question = format!("Withdraw job {key} ({})?", name.unwrap_or_default());
        self.ask(Change::Withdraw(unique_id), question);
    }

    /// The server of the selected row.
    fn selected_server(&mut self, purpose: &str) -> Option<String> {
        let server = match self.tab {
            Tab::Servers => self.selected_key(),
            Tab::Runners => self.selected_runner().map(|(server, _)| server),
            _ => {
                self.say(format!("Choose a server on the list Servers to {purpose}"));
                return None;
            }
        };
        server.filter(|_| self.may_change())
    }

    fn selected_runner(&self) -> Option<(String, u64)> {
        let key = self.selected_key()?;
        let (server, id) = key.rsplit_once(' ')?;
        Some((server.to_owned(), id.parse().ok()?))
    }

    fn ask_to_drain(&mut self) {
        if let Some(server) = self.selected_server("drain it") {
            self.select(0);
            self.mode = Mode::Note {
                order: Order::Drain(server),
                note: String::new(),
            };
        }
    }

    fn ask_to_undrain(&mut self) {
        if let Some(server) = self.selected_server("end its drain") {
            let question = format!("End the drain of {}?", short_name(&server));
            self.ask(Change::Undrain { server }, question);
        }
    }

    /// The profiles of which one is chosen for this purpose.
    pub fn profiles_for(&self, purpose: &Purpose) -> Vec<&str> {
        let dashboard = self.queue.get().into_iter();
        match purpose {
            Purpose::Pause => {
                let profiles = dashboard.flat_map(|it| &it.profiles);
                profiles.map(|it| &*it.profile_key).collect()
            }
            Purpose::Rebuild(server) => {
                let mut servers = dashboard.flat_map(|it| &it.servers);
                let server = servers.find(|it| it.name == *server).into_iter();
                let profiles = server.flat_map(|it| &it.profiles);
                profiles.map(|it| &*it.profile_key).collect()
            }
        }
    }

    /// The order for the rebuild of an image that is in force.
    pub fn rebuild_order(&self, server: &str, profile: &str) -> Option<&Intervention> {
        let mut rebuilds = self.servers.get(server)?.get()?.rebuilds.iter();
        let (_, order) = rebuilds.find(|(key, _)| key.as_str() == profile)?;
        Some(order)
    }

    fn choose_profile_to_pause(&mut self) {
        if self.may_change() {
            self.choose_profile(Purpose::Pause, "The queue has no profiles");
        }
    }

    fn choose_image(&mut self) {
        if let Some(server) = self.selected_server("rebuild one of its images") {
            self.select(0);
            self.choose_profile(Purpose::Rebuild(server), "The server has no profiles");
        }
    }

    /// Shows the profiles, of which that of the selected row is selected, or the first.
    fn choose_profile(&mut self, purpose: Purpose, none: &str) {
        let rows = self.rows();
        let row = self.selected(&rows).map(|place| &rows[place].cells);
        let is_of_row =
            |profile: &&str| row.is_some_and(|cells| cells.iter().any(|cell| cell == *profile));
        let profiles = self.profiles_for(&purpose);
        let chosen = profiles.iter().copied().find(is_of_row);
        match chosen.or(profiles.first().copied()).map(str::to_owned) {
            Some(selected) => self.mode = Mode::Profiles { purpose, selected },
            None => self.say(none),
        }
    }

    fn handle_profile_key(&mut self, code: KeyCode) {
        let Mode::Profiles { purpose, selected } = &self.mode else {
            return;
        };
        let profiles = self.profiles_for(purpose);
        let place = profiles.iter().position(|it| it == selected);
        let Some(place) = place else {
            self.mode = Mode::List;
            return self.say("There is no such profile any more");
        };
        let by = match code {
            KeyCode::Down | KeyCode::Char('j') => 1,
            KeyCode::Up | KeyCode::Char('k') => -1,
            KeyCode::Enter | KeyCode::Char('p' | 'b') => {
                let (purpose, selected) = (purpose.clone(), selected.clone());
                return self.ask_about_profile(purpose, &selected);
            }
            _ => {
                self.mode = Mode::List;
                return;
            }
        };
        let place = place.saturating_add_signed(by).min(profiles.len() - 1);
        let selected = profiles[place].to_owned();
        let purpose = purpose.clone();
        self.mode = Mode::Profiles { purpose, selected };
    }

    /// Asks for the note of what is to begin, or whether what is in force is to end.
    fn ask_about_profile(&mut self, purpose: Purpose, name: &str) {
        let Ok(profile) = name.parse::<ProfileKey>() else {
            self.mode = Mode::List;
            return self.say("The profile has no valid name");
        };
        let (order, end) = match purpose {
            Purpose::Pause => {
                let profiles = self.queue.get().into_iter().flat_map(|it| &it.profiles);
                let pause = profiles.clone().find(|it| it.profile_key == name);
                let pause = pause.and_then(|it| it.paused.as_ref());
                let question = pause.map(|it| format!("Resume {profile}, which is paused {it}?"));
                let end = Change::Resume {
                    profile: profile.clone(),
                };
                (Order::Pause(profile), question.zip(Some(end)))
            }
            Purpose::Rebuild(server) => {
                let given = self.rebuild_order(&server, name);
                let question = given.map(|it| {
                    let server = short_name(&server);
                    format!(
                        "Cancel the rebuild of the image of {profile} on {server}, ordered {it}?"
                    )
                });
                let end = Change::CancelRebuild {
                    server: server.clone(),
                    profile: profile.clone(),
                };
                (Order::Rebuild(server, profile), question.zip(Some(end)))
            }
        };
        self.mode = match end {
            None => Mode::Note {
                order,
                note: String::new(),
            },
            Some((question, change)) => Mode::Confirm { change, question },
        };
    }

    fn ask_to_destroy(&mut self) {
        if self.tab != Tab::Runners {
            return self.say("Choose a runner on the list Runners to destroy it");
        }
        if let Some((server, id)) = self.selected_runner().filter(|_| self.may_change()) {
            let name = short_name(&server);
            let question = format!(
                "Destroy runner {id} of {name}, as soon as GitHub does not show that it runs a job?"
            );
            self.ask(Change::DestroyRunner { server, id }, question);
        }
    }
}

/// The cell of a row that names its job.
fn job_cell(row: &super::Row) -> String {
    let is_job = |cell: &&String| cell.contains(" run ");
    row.cells.iter().find(is_job).cloned().unwrap_or_default()
}

/// Changes a text that is being typed.
fn edit(text: &mut String, code: KeyCode) {
    match code {
        KeyCode::Backspace => {
            text.pop();
        }
        KeyCode::Char(character)
            if text.chars().count() < TYPED_MAX && !shared::text::is_deceptive(character) =>
        {
            text.push(character);
        }
        _ => {}
    }
}
