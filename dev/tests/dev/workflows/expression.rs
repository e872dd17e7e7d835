//! Evaluates the part of GitHub's expression language that this repository uses.
//!
//! An undefined name is null, as at GitHub. Unsupported syntax panics, so that no expression is left
//! untested.
//!
//! Source: <https://docs.github.com/actions/reference/workflows-and-actions/expressions>

use serde_json::Value;

/// Evaluates expressions in some contexts.
pub struct Evaluator<'a> {
    /// `inputs`, `steps`, `needs` and the like, as one object.
    pub contexts: &'a Value,
    /// The status of the job: `success`, `failure` or `cancelled`.
    pub status: &'a str,
}

impl Evaluator<'_> {
    /// `text` with each `${{ … }}` in it replaced by its value.
    pub fn fill(&self, text: &str) -> String {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${{") {
            let (expression, after) = after.split_once("}}").expect("it is closed");
            filled.push_str(before);
            filled.push_str(&as_text(&self.value(expression)));
            rest = after;
        }
        filled + rest
    }

    /// The value of a text that is a single expression. For any other text, the filled text.
    pub fn value_of(&self, text: &str) -> Value {
        match bare(text) {
            Some(expression) => self.value(expression),
            None => Value::String(self.fill(text)),
        }
    }

    /// Whether a step or job with this `if` is executed.
    pub fn allows(&self, condition: Option<&str>) -> bool {
        let condition = condition.unwrap_or("success()");
        let expression = bare(condition).unwrap_or(condition);
        let has_status_function = ["always()", "cancelled()", "success()", "failure()"]
            .iter()
            .any(|function| expression.contains(function));
        // GitHub adds `success() &&` to a condition without a status function.
        (has_status_function || self.status == "success") && is_true(&self.value(expression))
    }

    fn value(&self, expression: &str) -> Value {
        let mut parser = Parser {
            evaluator: self,
            rest: expression,
        };
        let value = parser.either();
        assert_eq!(parser.next(), None, "unsupported syntax in {expression}");
        value
    }
}

/// The expression, if the whole text is `${{ <expression> }}`.
fn bare(text: &str) -> Option<&str> {
    let inner = text.trim().strip_prefix("${{")?.strip_suffix("}}")?;
    (!inner.contains("${{")).then_some(inner)
}

struct Parser<'a> {
    evaluator: &'a Evaluator<'a>,
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn either(&mut self) -> Value {
        let mut value = self.both();
        while self.takes("||") {
            let other = self.both();
            value = if is_true(&value) { value } else { other };
        }
        value
    }

    fn both(&mut self) -> Value {
        let mut value = self.comparison();
        while self.takes("&&") {
            let other = self.comparison();
            value = if is_true(&value) { other } else { value };
        }
        value
    }

    fn comparison(&mut self) -> Value {
        let value = self.single();
        for (operator, expected) in [("==", true), ("!=", false)] {
            if self.takes(operator) {
                let (left, right) = (as_text(&value), as_text(&self.single()));
                return Value::Bool(left.eq_ignore_ascii_case(&right) == expected);
            }
        }
        value
    }

    fn single(&mut self) -> Value {
        let mut value = self.primary();
        while self.takes("[") {
            let index = self.either();
            assert!(
                self.takes("]"),
                "expected a closing bracket at {:?}",
                self.rest
            );
            let index = index.as_u64().expect("lists have numbers") as usize;
            value = value.get(index).cloned().unwrap_or_default();
        }
        value
    }

    fn primary(&mut self) -> Value {
        if self.takes("!") {
            return Value::Bool(!is_true(&self.single()));
        }
        if self.takes("(") {
            let value = self.either();
            assert!(
                self.takes(")"),
                "expected a closing bracket at {:?}",
                self.rest
            );
            return value;
        }
        if self.takes("'") {
            let (text, rest) = self.rest.split_once('\'').expect("a text is closed");
            self.rest = rest;
            return text.into();
        }
        let is_name =
            |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
        let rest = self.rest.trim_start();
        let end = rest
            .find(|character| !is_name(character))
            .unwrap_or(rest.len());
        let name = &rest[..end];
        self.rest = &rest[end..];
        if self.takes("(") {
            return self.call(name);
        }
        match name {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            _ => self.look_up(name),
        }
    }

    fn call(&mut self, function: &str) -> Value {
        if self.takes(")") {
            return Value::Bool(match function {
                "always" => true,
                status => self.evaluator.status == status.trim_end_matches("()"),
            });
        }
        let argument = self.either();
        assert!(
            self.takes(")"),
            "expected a closing bracket at {:?}",
            self.rest
        );
        match function {
            "fromJSON" => serde_json::from_str(&as_text(&argument)).expect("it is JSON"),
            "toJSON" => argument.to_string().into(),
            unknown => panic!("the tests do not implement the function {unknown}"),
        }
    }

    fn look_up(&self, path: &str) -> Value {
        assert!(!path.is_empty(), "expected a name at {:?}", self.rest);
        let part = |value: &'a Value, key: &str| {
            // Evaluator of inputs and outputs are case-insensitive.
            let object = value.as_object()?;
            let found = object
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(key));
            found.map(|(_, value)| value)
        };
        let mut value = Some(self.evaluator.contexts);
        for key in path.split('.') {
            value = value.and_then(|value| part(value, key));
        }
        value.cloned().unwrap_or_default()
    }

    fn takes(&mut self, token: &str) -> bool {
        let found = self.rest.trim_start().strip_prefix(token);
        if let Some(rest) = found {
            self.rest = rest;
        }
        found.is_some()
    }

    fn next(&self) -> Option<char> {
        self.rest.trim_start().chars().next()
    }
}

fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(is_true) => *is_true,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(_) | Value::Object(_) => true,
    }
}

/// A value as text.
pub fn as_text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[test]
fn expressions_have_the_values_that_github_documents() {
    let contexts = serde_json::json!({
        "strategy": {"job-index": 1},
        "inputs": {"NO_RUNNERS": "", "count": "2", "flag": "false"},
        "steps": {"a-b": {"outputs": {"x": "y", "list": "[1,2]"}}},
    });
    let evaluator = Evaluator {
        contexts: &contexts,
        status: "cancelled",
    };
    for (text, expected) in [
        ("a${{ inputs.count }}b${{steps.a-b.outputs.x}}", "a2by"),
        ("${{ inputs.nothing }}", ""),
        ("${{ inputs.no_runners || 'z' }}", "z"),
        ("${{ inputs.count == '2' && !inputs.nothing }}", "true"),
        (
            "${{ (inputs.count != '2') || fromJSON(inputs.flag) }}",
            "false",
        ),
        ("${{ fromJSON(steps.a-b.outputs.list) }}", "[1,2]"),
        (
            "${{ fromJSON(steps.a-b.outputs.list)[strategy.job-index] }}",
            "2",
        ),
    ] {
        assert_eq!(evaluator.fill(text), expected, "{text}");
    }
    assert!(evaluator.allows(Some("${{ cancelled() && inputs.count }}")));
    assert!(evaluator.allows(Some("always()")));
    assert!(!evaluator.allows(Some("${{ inputs.count == '2' }}")));
    assert!(!evaluator.allows(None));
}
