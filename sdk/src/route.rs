//! Route templates: from a request path to the template it belongs to, so that no raw path becomes a label.
//!
//! 1. A template is `/users/{id}/items`: `{name}` stands for exactly one segment that is not empty, a last segment `*` for
//!    all that is left (at least one segment), anything else for itself, byte by byte.
//! 2. A literal segment goes before `{name}`, and `{name}` before `*`; where the better one leads nowhere the next is
//!    tried (as OpenAPI 3 matches "concrete" paths before templated ones).
//! 3. An ambiguous path ([`RequestPath::is_ambiguous`]) matches no template.
//! 4. Templates are compiled to a trie of segments: what a match costs depends on the segments of the path, not on the
//!    number of templates. Trying alternatives ends after 512 steps; such a path matches nothing.
//! 5. Two templates that match the same paths are refused: which one a path got would be chance.

use crate::map::Map;

use crate::config::Decode;

use crate::path::RequestPath;

/// A template as configured.
#[derive(Debug, Clone, PartialEq, Eq, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(try_from = "String")]
pub struct RouteTemplate(String);

/// A segment of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Segment<'a> {
    Literal(&'a str),
    Parameter,
    Rest,
}

impl RouteTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// Says what was expected.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let Some(segments) = text.strip_prefix('/') else {
            return Err("expected a template that begins with \"/\"");
        };
        if text.contains(['?', '#']) {
            return Err("expected a path without query");
        }
        let count = segments.split('/').count();
        for (position, segment) in segments.split('/').enumerate() {
            let inner = segment
                .strip_prefix('{')
                .and_then(|rest| rest.strip_suffix('}'));
            let valid = match inner {
                Some(name) => !name.is_empty() && !name.contains(['{', '}']),
                None => !segment.contains(['{', '}']) && (segment != "*" || position + 1 == count),
            };
            if !valid {
                return Err(
                    "expected \"{name}\" as a whole segment, and \"*\" as the last one only",
                );
            }
        }
        if RequestPath::read(text.as_bytes()).is_ambiguous() {
            return Err("expected a path without \"//\", \"\\\", dot segments or escaped ones");
        }
        Ok(Self(text.to_owned()))
    }

    /// The text as configured.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn segments(&self) -> impl Iterator<Item = Segment<'_>> {
        self.0.split('/').skip(1).map(|segment| match segment {
            "*" => Segment::Rest,
            _ if segment.starts_with('{') => Segment::Parameter,
            literal => Segment::Literal(literal),
        })
    }
}

impl TryFrom<String> for RouteTemplate {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

/// A node of the trie: what may follow, and the template that ends here.
#[derive(Debug, Clone, Default)]
struct Node {
    literals: Map<Box<[u8]>, u32>,
    parameter: Option<u32>,
    rest: Option<u32>,
    ends: Option<u32>,
}

/// All templates of a configuration, compiled.
#[derive(Debug, Clone)]
pub struct Routes {
    nodes: Vec<Node>,
}

const STEPS: u32 = 512;

impl Default for Routes {
    fn default() -> Self {
        Self {
            nodes: vec![Node::default()],
        }
    }
}

impl Routes {
    /// Compiles templates.
    ///
    /// # Errors
    /// The position of each template that matches the same paths as an earlier one, and the position of that one.
    pub fn compile(templates: &[RouteTemplate]) -> Result<Self, Vec<(usize, usize)>> {
        let mut routes = Self::default();
        let mut twins = Vec::new();
        for (position, template) in templates.iter().enumerate() {
            let number = u32::try_from(position).unwrap_or(u32::MAX);
            if let Some(earlier) = routes.insert(template, number) {
                twins.push((position, earlier as usize));
            }
        }
        if twins.is_empty() {
            Ok(routes)
        } else {
            Err(twins)
        }
    }

    /// The position of the template that a path belongs to.
    pub fn find(&self, path: RequestPath<'_>) -> Option<usize> {
        let rest = path.bytes().strip_prefix(b"/")?;
        if path.is_ambiguous() {
            return None;
        }
        let mut steps = STEPS;
        self.walk(0, Some(rest), &mut steps)
            .map(|number| number as usize)
    }

    /// Inserts a template; the number of an earlier one that matches the same paths.
    fn insert(&mut self, template: &RouteTemplate, number: u32) -> Option<u32> {
        let mut at = 0;
        for segment in template.segments() {
            if segment == Segment::Rest {
                let node = self.nodes.get_mut(at)?;
                let earlier = node.rest;
                node.rest = earlier.or(Some(number));
                return earlier;
            }
            at = self.child(at, segment)?;
        }
        let node = self.nodes.get_mut(at)?;
        let earlier = node.ends;
        node.ends = earlier.or(Some(number));
        earlier
    }

    /// The node after a segment, made where it is missing.
    fn child(&mut self, at: usize, segment: Segment<'_>) -> Option<usize> {
        let fresh = u32::try_from(self.nodes.len()).ok()?;
        let node = self.nodes.get_mut(at)?;
        let child = match segment {
            Segment::Literal(text) => *node
                .literals
                .or_insert_with(text.as_bytes().into(), || fresh),
            Segment::Parameter | Segment::Rest => *node.parameter.get_or_insert(fresh),
        };
        if child == fresh {
            self.nodes.push(Node::default());
        }
        Some(child as usize)
    }

    /// Walks on from a node; `rest` is `None` where the path is at its end.
    fn walk(&self, at: u32, rest: Option<&[u8]>, steps: &mut u32) -> Option<u32> {
        *steps = steps.checked_sub(1)?;
        let node = self.nodes.get(at as usize)?;
        let Some(rest) = rest else { return node.ends };
        let end = rest
            .iter()
            .position(|byte| *byte == b'/')
            .unwrap_or(rest.len());
        let (segment, after) = rest.split_at_checked(end)?;
        let after = after.strip_prefix(b"/");
        let literal = node
            .literals
            .get(segment)
            .and_then(|child| self.walk(*child, after, steps));
        literal
            .or_else(|| {
                node.parameter
                    .filter(|_| !segment.is_empty())
                    .and_then(|child| self.walk(child, after, steps))
            })
            .or_else(|| node.rest.filter(|_| !rest.is_empty()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_bindgen_test::wasm_bindgen_test;

    fn templates(texts: &[&str]) -> Vec<RouteTemplate> {
        texts
            .iter()
            .map(|text| RouteTemplate::parse(text).unwrap())
            .collect()
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn a_path_belongs_to_the_most_concrete_template() {
        let texts = [
            "/users/{id}",
            "/users/me",
            "/users/{id}/items",
            "/users/me/x",
            "/orders/{id}/items",
            "/",
            "/static/*",
            "/users/",
            "/{a}/{b}/{c}",
        ];
        let routes = Routes::compile(&templates(&texts)).unwrap();
        for (path, expected) in [
            ("/users/7", Some("/users/{id}")),
            ("/users/7?x=/users/me", Some("/users/{id}")),
            ("/users/me", Some("/users/me")),
            ("/users/me/items", Some("/users/{id}/items")),
            ("/users/me/x", Some("/users/me/x")),
            ("/users/me/y", Some("/{a}/{b}/{c}")),
            ("/users/", Some("/users/")),
            ("/users", None),
            ("/users/7/", None),
            ("/orders/7/items", Some("/orders/{id}/items")),
            ("/", Some("/")),
            ("/static/a/b", Some("/static/*")),
            ("/static/a", Some("/static/*")),
            ("/static/", None),
            ("/static", None),
            ("/users/..", None),
            ("/users/%2e%2e", None),
            ("/users//items", None),
            ("*", None),
            ("", None),
            ("users/7", None),
        ] {
            let found = routes
                .find(RequestPath::read(path.as_bytes()))
                .map(|number| texts[number]);
            assert_eq!(found, expected, "{path}");
        }
        assert_eq!(
            routes
                .find(RequestPath::read(b"/users/\xff\xfe"))
                .map(|number| texts[number]),
            Some("/users/{id}")
        );
        assert_eq!(Routes::default().find(RequestPath::read(b"/")), None);
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn templates_are_read_strictly() {
        for text in ["/", "/a", "/{a}", "/a/*", "/*", "/a.b/{x-y}", "/a/"] {
            assert!(RouteTemplate::parse(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "a",
            "/{}",
            "/a{id}",
            "/{id}.json",
            "/*/a",
            "/{a",
            "/a?b",
            "/a//b",
            "/a/../b",
            "/{a{b}}",
            "/a\\b",
        ] {
            assert!(RouteTemplate::parse(text).is_err(), "{text}");
        }
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn twins_are_refused_with_both_positions() {
        assert_eq!(
            Routes::compile(&templates(&["/a/{x}", "/a/*", "/a/{y}", "/a/*"])).unwrap_err(),
            [(2, 0), (3, 1)]
        );
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn ten_thousand_templates_take_as_many_steps_as_one() {
        let many: Vec<RouteTemplate> = (0..10_000)
            .map(|n| RouteTemplate::parse(&format!("/service{n}/{{id}}/items")).unwrap())
            .collect();
        let routes = Routes::compile(&many).unwrap();
        let mut steps = STEPS;
        assert_eq!(
            routes.walk(0, Some(b"service9999/7/items"), &mut steps),
            Some(9999)
        );
        assert_eq!(STEPS - steps, 4);
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn alternatives_without_end_are_given_up() {
        let texts: Vec<String> = (0..4096_u32)
            .map(|n| {
                (0..12)
                    .map(|bit| {
                        if n >> bit & 1 == 0 {
                            "/a".to_owned()
                        } else {
                            format!("/{{p{bit}}}")
                        }
                    })
                    .collect()
            })
            .collect();
        let routes = Routes::compile(
            &texts
                .iter()
                .map(|text| RouteTemplate::parse(text).unwrap())
                .collect::<Vec<_>>(),
        )
        .unwrap();
        assert_eq!(
            routes.find(RequestPath::read("/a".repeat(12).as_bytes())),
            Some(0)
        );
        let mut steps = STEPS;
        assert_eq!(
            routes.walk(0, Some("a/".repeat(12).as_bytes()), &mut steps),
            None
        );
        assert_eq!(steps, 0);
    }

    #[cfg(not(target_family = "wasm"))]
    proptest::proptest! {
        #[test]
        fn any_bytes_match_what_the_plain_reading_of_the_templates_says(path in "(/(a|b|cc|\\{x\\}|%20)?){1,5}") {
            let texts = ["/a", "/{x}", "/a/{y}", "/a/b/cc", "/{x}/b/{z}", "/b/*"];
            let routes = Routes::compile(&templates(&texts)).unwrap();
            let read = RequestPath::read(path.as_bytes());
            let fits = |template: &str| {
                let (own, given): (Vec<&str>, Vec<&str>) = (template.split('/').collect(), path.split('/').collect());
                let fits = |(own, given): (&&str, &&str)| own == given || (own.starts_with('{') && !given.is_empty());
                let all = own.last() == Some(&"*");
                let head = own.len() - usize::from(all);
                (if all { given.len() > head && given[head..] != [""] } else { given.len() == head }) && own[..head].iter().zip(&given).all(fits)
            };
            let expected = !read.is_ambiguous() && texts.iter().any(|text| fits(text));
            let found = routes.find(read);
            proptest::prop_assert_eq!(found.is_some(), expected, "{}", path);
            proptest::prop_assert!(found.is_none_or(|number| fits(texts[number])));
        }
    }
}
