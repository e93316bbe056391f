//! An expression in CEL, and the expressions of a root context.
//!
//! 1. The syntax is CEL's with its macros, without optional values.
//! 2. It compiles if each function that it calls is one of Envoy's, with as many arguments; identifiers are looked up only when it is
//!    evaluated. What takes text can be called both ways, `size(x)` and `x.size()`.
//! 3. Messages (`google.protobuf.Duration{seconds: 1}`) are Envoy's, and not here.
//! 4. An identifier that is not there is an error where it is needed, so `true || nope` is true.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, LazyLock};

use cel::common::ast::{EntryExpr, Expr, IdedExpr};
use cel::{Context, Env, Value};

use super::cel_value;
use super::datum::Datum;
use super::status::Status;

static ENV: LazyLock<Arc<Env>> =
    LazyLock::new(|| Arc::new(Env::stdlib().with_optional_support(false)));

/// Functions that can be called on their first argument, and how many arguments they can have with it.
const METHODS: &[(&str, &[usize])] = &[
    ("contains", &[2]),
    ("endsWith", &[2]),
    ("getDate", &[1, 2]),
    ("getDayOfMonth", &[1, 2]),
    ("getDayOfWeek", &[1, 2]),
    ("getDayOfYear", &[1, 2]),
    ("getFullYear", &[1, 2]),
    ("getHours", &[1, 2]),
    ("getMilliseconds", &[1, 2]),
    ("getMinutes", &[1, 2]),
    ("getMonth", &[1, 2]),
    ("getSeconds", &[1, 2]),
    ("matches", &[2]),
    ("size", &[1]),
    ("startsWith", &[2]),
];

/// Methods that can also be called as plain functions.
const BOTH: &[&str] = &["contains", "endsWith", "matches", "size", "startsWith"];

/// Plain functions of one argument.
const FUNCTIONS: &[&str] = &[
    "bool",
    "bytes",
    "double",
    "duration",
    "dyn",
    "int",
    "string",
    "timestamp",
    "type",
    "uint",
];

/// Why an expression is none.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It does not parse.
    Syntax,
    /// It calls what is not there.
    Function,
    /// It makes a message, which the emulator cannot.
    Message(String),
}

/// An expression.
#[derive(Debug)]
pub struct Expression {
    tree: IdedExpr,
}

impl Expression {
    /// Compiles it.
    pub fn compile(text: &[u8]) -> Result<Self, Refusal> {
        let text = str::from_utf8(text).map_err(|_| Refusal::Syntax)?;
        let mut tree = ENV.parser().parse(text).map_err(|_| Refusal::Syntax)?;
        resolve(&mut tree)?;
        Ok(Expression { tree })
    }

    /// Evaluates it, with the values of its identifiers.
    pub fn evaluate(&self, find: impl Fn(&str) -> Option<Datum>) -> Result<Datum, Status> {
        let mut context = Context::with_env(Arc::clone(&ENV));
        for name in self.tree.references().variables() {
            let name = name.trim_start_matches('.');
            if let Some(value) = find(name) {
                context.add_variable_as_val(name, cel_value::of(value));
            }
        }
        let value =
            Value::resolve_val(&self.tree, &context).map_err(|_| Status::InternalFailure)?;
        cel_value::read(value.as_ref())
    }
}

/// Checks the functions of an expression, and makes plain calls of methods calls on their first argument.
fn resolve(node: &mut IdedExpr) -> Result<(), Refusal> {
    match &mut node.expr {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => Ok(()),
        Expr::Select(select) => resolve(&mut select.operand),
        Expr::List(list) => list.elements.iter_mut().try_for_each(resolve),
        Expr::Map(map) => map
            .entries
            .iter_mut()
            .try_for_each(|entry| match &mut entry.expr {
                EntryExpr::MapEntry(entry) => {
                    resolve(&mut entry.key).and_then(|()| resolve(&mut entry.value))
                }
                EntryExpr::StructField(field) => resolve(&mut field.value),
            }),
        Expr::Struct(message) => Err(Refusal::Message(message.type_name.clone())),
        Expr::Comprehension(loops) => [
            &mut loops.iter_range,
            &mut loops.accu_init,
            &mut loops.loop_cond,
            &mut loops.loop_step,
            &mut loops.result,
        ]
        .into_iter()
        .try_for_each(resolve),
        Expr::Call(call) => {
            let name = call.func_name.as_str();
            if name.starts_with(|first: char| first.is_ascii_alphabetic()) {
                let count = call.args.len() + usize::from(call.target.is_some());
                let method = METHODS
                    .iter()
                    .any(|(known, counts)| *known == name && counts.contains(&count));
                let known = match call.target {
                    Some(_) => method,
                    None if BOTH.contains(&name) => method,
                    None => count == 1 && FUNCTIONS.contains(&name),
                };
                if !known {
                    return Err(Refusal::Function);
                }
                if method && call.target.is_none() {
                    call.target = Some(Box::new(call.args.remove(0)));
                }
            }
            call.target
                .iter_mut()
                .try_for_each(|target| resolve(target))?;
            call.args.iter_mut().try_for_each(resolve)
        }
    }
}

/// The expressions of a root context, by token.
#[derive(Debug, Default)]
pub struct Expressions {
    next: u32,
    known: BTreeMap<u32, Rc<Expression>>,
}

impl Expressions {
    /// Keeps an expression; one that does not compile uses a token that nobody gets.
    pub fn add(&mut self, expression: Option<Expression>) -> Option<u32> {
        let token = self.next;
        self.next = token.wrapping_add(1);
        self.known.insert(token, Rc::new(expression?));
        Some(token)
    }

    /// The expression of a token.
    pub fn get(&self, token: u32) -> Option<&Rc<Expression>> {
        self.known.get(&token)
    }

    /// Forgets an expression.
    pub fn remove(&mut self, token: u32) {
        self.known.remove(&token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(name: &str) -> Option<Datum> {
        let headers = vec![
            (b"x-b".to_vec(), b"2".to_vec()),
            (b"x-a".to_vec(), vec![0xff]),
        ];
        let fields = vec![
            ("headers".to_owned(), Datum::Headers(headers)),
            ("size".to_owned(), Datum::Int(5)),
            ("time".to_owned(), Datum::Time(1_000_000_001)),
            ("spent".to_owned(), Datum::Duration(1_500_000_000)),
            (
                "tags".to_owned(),
                Datum::from_json(&serde_json::json!({"b": [1, 2.5], "a": null, "c": {"d": true}}))?,
            ),
        ];
        (name == "request").then_some(Datum::Message {
            fields,
            bytes: None,
        })
    }

    #[track_caller]
    fn value(text: &str) -> Result<Vec<u8>, Status> {
        let expression = Expression::compile(text.as_bytes()).unwrap();
        expression
            .evaluate(request)
            .and_then(|value| value.encode())
    }

    #[test]
    fn attributes_have_their_types() {
        assert_eq!(value("string(request.size + 1)"), Ok(b"6".to_vec()));
        assert_eq!(
            value("string(request.time.getSeconds())"),
            Ok(b"1".to_vec())
        );
        assert_eq!(
            value("request.time"),
            Ok(1_000_000_001_i64.to_le_bytes().to_vec())
        );
        assert_eq!(value("request.spent > duration('1s')"), Ok(vec![1]));
        assert_eq!(
            value("request.tags.c.d && request.tags.b[1] == 2.5"),
            Ok(vec![1])
        );
        assert_eq!(
            value("has(request.tags.a) || has(request.nope)"),
            Ok(vec![0])
        );
        assert_eq!(value("request.headers['X-B']"), Ok(b"2".to_vec()));
        assert_eq!(value("request.headers['x-a']"), Ok(vec![0xff]));
    }

    #[test]
    fn maps_and_lists_are_pairs_in_a_fixed_order() {
        let pairs = |pairs: &[(&str, &str)]| {
            let pair = |(a, b): &(&str, &str)| (a.as_bytes().to_vec(), b.as_bytes().to_vec());
            crate::emulator::header_map::serialize(&pairs.iter().map(pair).collect::<Vec<_>>())
        };
        assert_eq!(
            value("{'b': 'x', 'c': 'y', 'a': 'z'}"),
            Ok(pairs(&[("a", "z"), ("b", "x"), ("c", "y")]))
        );
        assert_eq!(value("['b', 'a']"), Ok(pairs(&[("b", ""), ("a", "")])));
        assert_eq!(
            value("request.headers.map(name, name)"),
            Ok(pairs(&[("x-b", ""), ("x-a", "")]))
        );
    }

    #[test]
    fn errors_and_values_without_bytes_have_their_own_status() {
        let internal = Err(Status::InternalFailure);
        assert_eq!(value("nope"), internal);
        assert_eq!(value("request.nope"), internal);
        assert_eq!(value("request.headers['nope']"), internal);
        assert_eq!(value("1 / 0"), internal);
        let unserialisable = Err(Status::SerializationFailure);
        assert_eq!(value("request"), unserialisable);
        assert_eq!(value("[null]"), unserialisable);
        assert_eq!(value("type(1)"), unserialisable);
    }

    #[test]
    fn an_expression_that_does_not_compile_uses_a_token_that_nobody_gets() {
        let mut all = Expressions::default();
        assert_eq!(all.add(Expression::compile(b"1").ok()), Some(0));
        assert_eq!(
            Expression::compile(b"'a'.lowerAscii()").unwrap_err(),
            Refusal::Function
        );
        assert_eq!(all.add(None), None);
        assert_eq!(all.add(Expression::compile(b"2").ok()), Some(2));
        all.remove(2);
        assert_eq!(all.add(Expression::compile(b"3").ok()), Some(3));
        assert!(all.get(1).is_none() && all.get(2).is_none());
    }

    #[test]
    fn what_is_not_in_envoy_or_not_here_is_told_apart() {
        let flaw = |text: &[u8]| Expression::compile(text).unwrap_err();
        for text in [&b"1 +"[..], b"", b"has(request)", b"a.?b", b"\xff"] {
            assert_eq!(flaw(text), Refusal::Syntax);
        }
        for text in [
            &b"size('a', 'b')"[..],
            b"true || nope(1)",
            b"optional.of(1)",
            b"'a'.int()",
        ] {
            assert_eq!(flaw(text), Refusal::Function);
        }
        let name = "google.protobuf.Duration".to_owned();
        let message = b"[google.protobuf.Duration{seconds: 1}]";
        assert_eq!(flaw(message), Refusal::Message(name));
    }
}
