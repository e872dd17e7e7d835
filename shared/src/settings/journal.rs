//! Settings of the journal and of the log.
//!
//! Responsible for their defaults and limits. The crate `daemon` keeps the journal and writes the log.

use std::time::Duration;

use super::{error::SettingsError, kind, table::Table};
use crate::units::{DAY, DURATION_MAX, HOUR, Memory};

/// Limits of the journal that each daemon keeps.
#[derive(Clone, Debug)]
pub struct JournalSettings {
    /// How long events are kept, about: files are removed by the day.
    pub age_max: Duration,
    /// How much space its files take at most, about.
    pub size_max: Memory,
}

impl Default for JournalSettings {
    fn default() -> Self {
        Self {
            age_max: DAY * 30,
            size_max: Memory::from_bytes(256 << 20),
        }
    }
}

/// The form of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people; events as `key=value`.
    #[default]
    Text,
    /// One JSON object on each line.
    Json,
}

const LOG_FORMATS: &[(&str, LogFormat)] = &[("text", LogFormat::Text), ("json", LogFormat::Json)];

pub(super) fn read_journal(top: &mut Table<'_>) -> Result<JournalSettings, SettingsError> {
    let defaults = JournalSettings::default();
    let size = kind::memory_between(Memory::from_bytes(1 << 20), Memory::from_bytes(1 << 40));
    Ok(JournalSettings {
        age_max: top.or(
            "journal_max_age",
            defaults.age_max,
            &kind::duration(HOUR..=DURATION_MAX),
        )?,
        size_max: top.or("journal_max_size", defaults.size_max, &size)?,
    })
}

pub(super) fn read_log_format(top: &mut Table<'_>) -> Result<LogFormat, SettingsError> {
    let default = LogFormat::default();
    top.or("log_format", default, &kind::one_of(LOG_FORMATS))
}
