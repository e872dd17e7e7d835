//! What the text of an artifact states, and whether that is what was claimed.
//!
//! Owns its form: lines of `key=value`. Keys that we do not know may stand there, for clients
//! newer than we are; those we know may not stand there twice. Pure.

use std::str::FromStr;

use super::{Claim, Proof, ProofRefusal};
use crate::values::InvalidValue;

const UNIQUE_ID: &str = "unique_id";
const QUALIFIED_REPO: &str = "qualified_repo";
const RUN_ID: &str = "run_id";
const PROFILE_KEY: &str = "self_hosted_image_name";
const COUNT: &str = "self_hosted_runner_count";

/// The keys we know, each with its value once it was met.
struct Statement<'a>([(&'static str, Option<&'a str>); 5]);

/// Compares `text` with `claim`.
pub(super) fn check(text: &str, claim: &Claim) -> Result<Proof, ProofRefusal> {
    let statement = read(text)?;
    statement.agree(UNIQUE_ID, &claim.unique_id)?;
    statement.agree(QUALIFIED_REPO, &claim.qualified_repo)?;
    statement.agree(RUN_ID, &claim.run_id)?;
    let Claim {
        unique_id,
        qualified_repo,
        run_id,
    } = claim.clone();
    Ok(Proof {
        unique_id,
        qualified_repo,
        run_id,
        profile_key: statement.need(PROFILE_KEY)?,
        count: statement.find(COUNT)?,
    })
}

fn read(text: &str) -> Result<Statement<'_>, ProofRefusal> {
    let keys = [UNIQUE_ID, QUALIFIED_REPO, RUN_ID, PROFILE_KEY, COUNT];
    let mut statement = Statement(keys.map(|key| (key, None)));
    for (index, line) in text.lines().enumerate() {
        if line.is_empty() {
            continue;
        }
        let number = index + 1;
        let (key, value) = line
            .split_once('=')
            .ok_or(ProofRefusal::NotKeyValue { number })?;
        let known = statement.0.iter_mut().find(|(known, _)| *known == key);
        if let Some((key, known)) = known
            && known.replace(value).is_some()
        {
            return Err(ProofRefusal::Repeated { key: *key });
        }
    }
    Ok(statement)
}

impl Statement<'_> {
    fn find<T>(&self, key: &'static str) -> Result<Option<T>, ProofRefusal>
    where
        T: FromStr<Err = InvalidValue>,
    {
        let value = self.0.iter().find(|(known, _)| *known == key);
        let value = value.and_then(|(_, value)| *value);
        let parsed = value.map(str::parse).transpose();
        parsed.map_err(|invalid| ProofRefusal::Invalid { key, invalid })
    }

    fn need<T>(&self, key: &'static str) -> Result<T, ProofRefusal>
    where
        T: FromStr<Err = InvalidValue>,
    {
        self.find(key)?.ok_or(ProofRefusal::Missing { key })
    }

    fn agree<T>(&self, key: &'static str, claimed: &T) -> Result<(), ProofRefusal>
    where
        T: FromStr<Err = InvalidValue> + PartialEq,
    {
        let stated: T = self.need(key)?;
        if stated == *claimed {
            Ok(())
        } else {
            Err(ProofRefusal::Mismatch { key })
        }
    }
}
