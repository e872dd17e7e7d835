//! What the text of an artifact states, and whether that is what was claimed.
//!
//! Owns its form: lines of `key=value`. Keys that we do not know may stand there, for clients
//! newer than we are; those we know may not stand there twice. Pure.

use std::str::FromStr;

use super::{Claim, Proof, ProofRefusal};
use shared::values::InvalidValue;

const UNIQUE_ID: &str = "unique_id";
const QUALIFIED_REPO: &str = "qualified_repo";
const RUN_ID: &str = "run_id";
const PROFILE_KEY: &str = "self_hosted_image_name";
const COUNT: &str = "self_hosted_runner_count";

/// The keys we know, each with its value once it was met.
struct Statement<'a>([(&'static str, Option<&'a str>); 5]);

/// Compares `text` with `claim`.
///
/// # Errors
/// The first line or value that is wrong.
pub fn check(text: &str, claim: &Claim) -> Result<Proof, ProofRefusal> {
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
        if let Some(&mut (key, ref mut known)) = known
            && known.replace(value).is_some()
        {
            return Err(ProofRefusal::Repeated { key });
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

#[cfg(test)]
mod tests {
    use super::*;
    use shared::values::{Count, RunId};

    const TEXT: &str = "unique_id=a\nqualified_repo=o/r\nrun_id=5\nself_hosted_image_name=linux\n";

    fn claim() -> Claim {
        Claim {
            unique_id: "a".parse().unwrap(),
            qualified_repo: "o/r".parse().unwrap(),
            run_id: RunId(5),
        }
    }

    fn refused(text: &str) -> String {
        check(text, &claim()).unwrap_err().to_string()
    }

    #[test]
    fn a_statement_that_agrees_is_a_proof() {
        let expected = |count| Proof {
            unique_id: "a".parse().unwrap(),
            qualified_repo: "o/r".parse().unwrap(),
            run_id: RunId(5),
            profile_key: "linux".parse().unwrap(),
            count,
        };
        let one = Some(Count::ONE);
        for (text, count) in [
            (TEXT.to_owned(), None),
            (format!("{TEXT}self_hosted_runner_count=1\n"), one),
            (
                format!("{TEXT}self_hosted_runner_count=64"),
                Some(Count::new(64).unwrap()),
            ),
            (TEXT.replace('\n', "\r\n"), None),
            (TEXT.replace('\n', "\n\n"), None),
            (TEXT.trim_end().to_owned(), None),
            // Keys of clients newer than we are, which may stand there twice and hold anything.
            (
                format!("new=\n=\n{TEXT}new=a=b\nnew=c\nUnique_id=b\n"),
                None,
            ),
        ] {
            assert_eq!(check(&text, &claim()), Ok(expected(count)), "{text}");
        }
    }

    #[test]
    fn every_value_must_be_the_one_of_the_claim() {
        for (from, to, key) in [
            ("unique_id=a", "unique_id=b", "unique_id"),
            ("unique_id=a", "unique_id=A", "unique_id"),
            ("o/r", "o/r2", "qualified_repo"),
            ("run_id=5", "run_id=6", "run_id"),
        ] {
            let refusal = refused(&TEXT.replace(from, to));
            let expected = format!("{key} in the artifact is not the one of this request");
            assert_eq!(refusal, expected, "{to}");
        }
    }

    #[test]
    fn every_key_but_the_count_must_be_there() {
        for line in TEXT.lines() {
            let key = line.split('=').next().unwrap();
            let refusal = refused(&TEXT.replace(line, ""));
            assert_eq!(refusal, format!("{key} is not in the artifact"));
        }
        assert_eq!(refused(""), "unique_id is not in the artifact");
    }

    #[test]
    fn no_key_may_be_there_twice_even_if_its_values_agree() {
        for line in TEXT.lines().chain(["self_hosted_runner_count=1"]) {
            let key = line.split('=').next().unwrap();
            let twice = format!("{TEXT}self_hosted_runner_count=1\n{line}\n");
            assert_eq!(
                refused(&twice),
                format!("{key} is in the artifact more than once")
            );
        }
    }

    #[test]
    fn every_value_must_be_of_its_form() {
        for (from, to, expected) in [
            (
                "linux",
                "../../etc",
                "self_hosted_image_name in the artifact must be 1 to 64 characters of \
                 A-Z a-z 0-9 . _ -, and neither . nor ..",
            ),
            (
                "run_id=5",
                "run_id=+5",
                "run_id in the artifact must be a decimal number that fits 64 bits",
            ),
            (
                "run_id=5",
                "run_id=5 ",
                "run_id in the artifact must be a decimal number that fits 64 bits",
            ),
        ] {
            assert_eq!(refused(&TEXT.replace(from, to)), expected);
        }
        for count in ["", "0", "65", "-1", "1.0", "18446744073709551615"] {
            let refusal = refused(&format!("{TEXT}self_hosted_runner_count={count}\n"));
            assert_eq!(
                refusal,
                "self_hosted_runner_count in the artifact must be a decimal number from 1 to 64",
                "{count}"
            );
        }
    }

    #[test]
    fn a_line_that_says_nothing_is_pointed_at() {
        let refusal = refused(&format!("{TEXT}hunter2\n"));
        let expected = "line 5 of the artifact's file is not of the form key=value";
        assert_eq!(refusal, expected);
    }
}
