//! Reads one table of settings key by key. A key that was not read is an error.
//!
//! Responsible for the errors with the origin of each value. Not responsible for which keys there are:
//! the functions that read the tables define them.

use std::collections::BTreeMap;

use figment::value::{Dict, Tag, Value};

use super::{
    error::SettingsError,
    kind::{self, Kind},
    source::Source,
};

/// A table that is being read.
pub(super) struct Table<'s> {
    source: &'s Source,
    /// The keys of this table and of those that contain it; empty for the outermost one.
    path: Vec<String>,
    /// Entries that have not been read yet.
    unread: Dict,
    /// Keys that have been read, with the origin of their values.
    read: BTreeMap<&'static str, Option<Tag>>,
    /// The keys that only one daemon uses.
    users: BTreeMap<&'static str, User>,
}

/// One of the two daemons, as far as it uses settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User {
    /// The monitor of a host.
    Monitor,
    /// The queue.
    Queue,
}

impl<'s> Table<'s> {
    /// The outermost table.
    pub(super) fn root(source: &'s Source) -> Self {
        Self::new(source, Vec::new(), source.entries())
    }

    fn new(source: &'s Source, path: Vec<String>, unread: Dict) -> Self {
        Self {
            source,
            path,
            unread,
            read: BTreeMap::new(),
            users: BTreeMap::new(),
        }
    }

    /// Reads keys that only this daemon uses. All others are of both.
    pub(super) fn only_for<T>(&mut self, user: User, read: impl FnOnce(&mut Self) -> T) -> T {
        let before: Vec<&'static str> = self.read.keys().copied().collect();
        let value = read(self);
        let new = self.read.keys().filter(|key| !before.contains(key));
        self.users.extend(new.map(|key| (*key, user)));
        value
    }

    /// The keys that only one daemon uses.
    pub(super) fn users(&self) -> BTreeMap<&'static str, User> {
        self.users.clone()
    }

    /// The value at `key`, if there is one.
    pub(super) fn optional<T: 'static>(
        &mut self,
        key: &'static str,
        kind: &Kind<T>,
    ) -> Result<Option<T>, SettingsError> {
        let Some(value) = self.take(key) else {
            return Ok(None);
        };
        let value = kind
            .read(&value)
            .map_err(|found| self.wrong(key, found, &kind.allowed))?;
        Ok(Some(value))
    }

    /// The value at `key`, or `default`.
    pub(super) fn or<T: 'static>(
        &mut self,
        key: &'static str,
        default: T,
        kind: &Kind<T>,
    ) -> Result<T, SettingsError> {
        Ok(self.optional(key, kind)?.unwrap_or(default))
    }

    /// The value at `key`, which is required.
    pub(super) fn required<T: 'static>(
        &mut self,
        key: &'static str,
        kind: &Kind<T>,
    ) -> Result<T, SettingsError> {
        self.optional(key, kind)?
            .ok_or_else(|| SettingsError::Missing {
                place: self.source.place(None, self.key(key)),
                allowed: kind.allowed.clone(),
                explained_in: self.source.explained_in,
            })
    }

    /// The table at `key`, if there is one.
    pub(super) fn table(&mut self, key: &'static str) -> Result<Option<Self>, SettingsError> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Dict(_, entries)) => {
                Ok(Some(Self::new(self.source, self.key(key), entries)))
            }
            // The value is not shown: it may be a secret that belongs into the table.
            Some(other) => Err(self.wrong(key, kind::shape(&other).to_owned(), "a table")),
        }
    }

    /// The tables in this one, with any keys.
    pub(super) fn tables(mut self) -> Result<Vec<(String, Self)>, SettingsError> {
        let entries = std::mem::take(&mut self.unread).into_iter();
        let tables = entries.map(|(key, value)| {
            let mut path = self.path.clone();
            path.push(key.clone());
            match value {
                Value::Dict(_, entries) => Ok((key, Self::new(self.source, path, entries))),
                other => Err(SettingsError::Wrong {
                    place: self.source.place(Some(other.tag()), path),
                    found: kind::shape(&other).to_owned(),
                    allowed: "a table".to_owned(),
                }),
            }
        });
        tables.collect()
    }

    /// The tables in the list at `key`, at most `count_max`; none if there is no list. Each is named by its
    /// number, counted from 1.
    pub(super) fn list_of_tables(
        &mut self,
        key: &'static str,
        count_max: usize,
    ) -> Result<Vec<Self>, SettingsError> {
        let allowed = format!("a list of at most {count_max} tables");
        let entries = match self.take(key) {
            None => return Ok(Vec::new()),
            Some(Value::Array(_, entries)) if entries.len() <= count_max => entries,
            Some(Value::Array(_, entries)) => {
                return Err(self.wrong(key, kind::shape_of_list(entries.len()), allowed));
            }
            Some(other) => return Err(self.wrong(key, kind::shape(&other).to_owned(), allowed)),
        };
        let tables = entries.into_iter().enumerate().map(|(index, entry)| {
            let mut path = self.key(key);
            path.push((index + 1).to_string());
            match entry {
                Value::Dict(_, entries) => Ok(Self::new(self.source, path, entries)),
                other => Err(SettingsError::Wrong {
                    place: self.source.place(Some(other.tag()), path),
                    found: kind::shape(&other).to_owned(),
                    allowed: "a table".to_owned(),
                }),
            }
        });
        tables.collect()
    }

    /// Ends the reading of this table.
    ///
    /// # Errors
    /// When a key has not been read: there is no such setting.
    pub(super) fn finish(self) -> Result<(), SettingsError> {
        let Some((key, value)) = self.unread.iter().next() else {
            return Ok(());
        };
        Err(SettingsError::Unknown {
            place: self.source.place(Some(value.tag()), self.key(key)),
            allowed: self.read.keys().map(|&key| key.to_owned()).collect(),
        })
    }

    /// The error for a value at `key` that has been read, but is invalid.
    pub(super) fn wrong(
        &self,
        key: &'static str,
        found: String,
        allowed: impl Into<String>,
    ) -> SettingsError {
        let tag = self.read.get(key).copied().flatten();
        SettingsError::Wrong {
            place: self.source.place(tag, self.key(key)),
            found,
            allowed: allowed.into(),
        }
    }

    /// The error for this table as a whole.
    pub(super) fn wrong_as_a_whole(
        &self,
        found: String,
        allowed: impl Into<String>,
    ) -> SettingsError {
        SettingsError::Wrong {
            place: self.source.place(None, self.path.clone()),
            found,
            allowed: allowed.into(),
        }
    }

    fn take(&mut self, key: &'static str) -> Option<Value> {
        let value = self.unread.remove(key);
        self.read.insert(key, value.as_ref().map(Value::tag));
        value
    }

    fn key(&self, key: &str) -> Vec<String> {
        self.path
            .iter()
            .map(String::as_str)
            .chain([key])
            .map(str::to_owned)
            .collect()
    }
}
