//! The text in an artifact: its format, and the comparison with the identity that the client claims.
//!
//! The format is lines of `key=value`. Unknown keys are ignored, for clients that are newer than we
//! are; known keys must not be repeated. Pure.

use std::str::FromStr;

use super::{Rejection, UnverifiedIdentity};
use shared::{
    job_spec::JobSpec,
    sha256::Sha256,
    values::{Count, InvalidValue},
};

const UNIQUE_ID: &str = "unique_id";
const QUALIFIED_REPO: &str = "qualified_repo";
const RUN_ID: &str = "run_id";
const PROFILE_KEY: &str = "self_hosted_image_name";
const COUNT: &str = "self_hosted_runner_count";
const SECRET_SHA256: &str = "secret_sha256";

/// What an artifact states about its job, compared with what the client claims.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the types explain the fields")]
pub struct ArtifactContent {
    pub job: JobSpec,
    /// Whether it contains a count.
    pub is_array: bool,
    /// The digest of the job's secret. `None` from older clients.
    pub secret_sha256: Option<Sha256>,
}

/// The known keys, each with its value if the text contains it.
struct Content<'a>([(&'static str, Option<&'a str>); 6]);

/// Compares `text` with `identity`.
///
/// # Errors
/// The first line or value that is wrong, or differs.
pub fn check(text: &str, identity: &UnverifiedIdentity) -> Result<ArtifactContent, Rejection> {
    let content = read(text)?;
    content.compare(UNIQUE_ID, &identity.unique_id)?;
    content.compare(QUALIFIED_REPO, &identity.qualified_repo)?;
    content.compare(RUN_ID, &identity.run_id)?;
    let UnverifiedIdentity {
        unique_id,
        qualified_repo,
        run_id,
    } = identity.clone();
    let count: Option<Count> = content.find(COUNT)?;
    Ok(ArtifactContent {
        job: JobSpec {
            unique_id,
            profile_key: content.require(PROFILE_KEY)?,
            count: count.unwrap_or(Count::ONE),
            qualified_repo,
            run_id,
        },
        is_array: count.is_some(),
        secret_sha256: content.find(SECRET_SHA256)?,
    })
}

fn read(text: &str) -> Result<Content<'_>, Rejection> {
    let keys = [
        UNIQUE_ID,
        QUALIFIED_REPO,
        RUN_ID,
        PROFILE_KEY,
        COUNT,
        SECRET_SHA256,
    ];
    let mut content = Content(keys.map(|key| (key, None)));
    for (index, line) in text.lines().enumerate() {
        if line.is_empty() {
            continue;
        }
        let number = index + 1;
        let (key, value) = line
            .split_once('=')
            .ok_or(Rejection::NotKeyValue { number })?;
        let known = content.0.iter_mut().find(|(known, _)| *known == key);
        if let Some(&mut (key, ref mut known)) = known
            && known.replace(value).is_some()
        {
            return Err(Rejection::Repeated { key });
        }
    }
    Ok(content)
}

impl Content<'_> {
    fn find<T>(&self, key: &'static str) -> Result<Option<T>, Rejection>
    where
        T: FromStr<Err = InvalidValue>,
    {
        let value = self.0.iter().find(|(known, _)| *known == key);
        let value = value.and_then(|(_, value)| *value);
        let parsed = value.map(str::parse).transpose();
        parsed.map_err(|invalid| Rejection::Invalid { key, invalid })
    }

    fn require<T>(&self, key: &'static str) -> Result<T, Rejection>
    where
        T: FromStr<Err = InvalidValue>,
    {
        self.find(key)?.ok_or(Rejection::Missing { key })
    }

    fn compare<T>(&self, key: &'static str, claimed: &T) -> Result<(), Rejection>
    where
        T: FromStr<Err = InvalidValue> + PartialEq,
    {
        let found: T = self.require(key)?;
        if found == *claimed {
            Ok(())
        } else {
            Err(Rejection::Mismatch { key })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::values::RunId;

    const TEXT: &str = "unique_id=a\nqualified_repo=o/r\nrun_id=5\nself_hosted_image_name=linux\n";

    fn identity() -> UnverifiedIdentity {
        UnverifiedIdentity {
            unique_id: "a".parse().unwrap(),
            qualified_repo: "o/r".parse().unwrap(),
            run_id: RunId(5),
        }
    }

    fn rejection(text: &str) -> String {
        check(text, &identity()).unwrap_err().to_string()
    }

    #[test]
    fn matching_content_yields_the_identity() {
        let expected = |count: Option<Count>| ArtifactContent {
            job: JobSpec {
                unique_id: "a".parse().unwrap(),
                profile_key: "linux".parse().unwrap(),
                count: count.unwrap_or(Count::ONE),
                qualified_repo: "o/r".parse().unwrap(),
                run_id: RunId(5),
            },
            is_array: count.is_some(),
            secret_sha256: None,
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
            // Unknown keys may be repeated and have any value.
            (
                format!("new=\n=\n{TEXT}new=a=b\nnew=c\nUnique_id=b\n"),
                None,
            ),
        ] {
            assert_eq!(check(&text, &identity()), Ok(expected(count)), "{text}");
        }
    }

    #[test]
    fn the_digest_of_a_secret_is_read_in_one_form_only() {
        let digest = Sha256::of(b"hunter2");
        let read = |line: &str| check(&format!("{TEXT}{line}\n"), &identity());
        let content = read(&format!("secret_sha256={digest}")).unwrap();
        assert_eq!(content.secret_sha256, Some(digest));
        for value in ["", "hunter2", &digest.to_string().to_uppercase()] {
            let rejection = read(&format!("secret_sha256={value}")).unwrap_err();
            let expected = "secret_sha256 in the artifact must be 64 lower-case hexadecimal digits";
            assert_eq!(rejection.to_string(), expected, "{value}");
        }
    }

    #[test]
    fn every_value_must_be_the_one_in_the_request() {
        for (from, to, key) in [
            ("unique_id=a", "unique_id=b", "unique_id"),
            ("unique_id=a", "unique_id=A", "unique_id"),
            ("o/r", "o/r2", "qualified_repo"),
            ("run_id=5", "run_id=6", "run_id"),
        ] {
            let rejection = rejection(&TEXT.replace(from, to));
            let expected = format!("{key} in the artifact differs from the one in this request");
            assert_eq!(rejection, expected, "{to}");
        }
    }

    #[test]
    fn every_key_except_the_count_is_required() {
        for line in TEXT.lines() {
            let key = line.split('=').next().unwrap();
            let rejection = rejection(&TEXT.replace(line, ""));
            assert_eq!(rejection, format!("{key} is not in the artifact"));
        }
        assert_eq!(rejection(""), "unique_id is not in the artifact");
    }

    #[test]
    fn no_known_key_may_be_repeated_even_with_the_same_value() {
        let secret = format!("secret_sha256={}", Sha256::of(b""));
        for line in TEXT.lines().chain(["self_hosted_runner_count=1", &secret]) {
            let key = line.split('=').next().unwrap();
            let twice = format!("{TEXT}self_hosted_runner_count=1\n{secret}\n{line}\n");
            assert_eq!(
                rejection(&twice),
                format!("{key} is in the artifact more than once")
            );
        }
    }

    #[test]
    fn every_value_must_have_a_valid_form() {
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
            assert_eq!(rejection(&TEXT.replace(from, to)), expected);
        }
        for count in ["", "0", "65", "-1", "1.0", "18446744073709551615"] {
            let rejection = rejection(&format!("{TEXT}self_hosted_runner_count={count}\n"));
            assert_eq!(
                rejection,
                "self_hosted_runner_count in the artifact must be a decimal number from 1 to 64",
                "{count}"
            );
        }
    }

    #[test]
    fn a_line_that_is_no_assignment_is_reported_by_its_number() {
        let rejection = rejection(&format!("{TEXT}hunter2\n"));
        let expected = "line 5 of the artifact's file is not of the form key=value";
        assert_eq!(rejection, expected);
    }
}
