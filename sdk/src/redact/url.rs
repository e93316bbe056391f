//! Secrets in a URL, or in a path with its query.

use crate::map::Map;

use super::denylist::{assigns_sensitive, is_sensitive};
use super::marks::Marks;
use super::path::segments;
use super::{MASK, Redaction, Redactor};
use crate::percent_encoding::{decode_form, decode_fully};

impl Redactor {
    /// Redacts a URL or a path with query and fragment: user info, path segments, `;` parameters, query keys and values.
    pub fn url(&self, url: &[u8]) -> Vec<u8> {
        let end = url
            .iter()
            .position(|byte| matches!(byte, b'?' | b'#'))
            .unwrap_or(url.len());
        let (front, mut rest) = url.split_at_checked(end).unwrap_or((url, b""));
        let mut out = self.front(front);
        while let Some((mark, tail)) = rest.split_first() {
            let end = tail
                .iter()
                .position(|byte| *byte == b'#')
                .unwrap_or(tail.len());
            let (pairs, after) = tail.split_at_checked(end).unwrap_or((tail, b""));
            out.push(*mark);
            out.extend(self.query(pairs));
            rest = after;
        }
        out
    }

    /// Scheme, authority without its user info, and path.
    fn front(&self, front: &[u8]) -> Vec<u8> {
        if matches!(front, [b'/'] | [b'/', 0..=b'.' | b'0'.., ..]) {
            return self.path(front);
        }
        let scheme_end = front.windows(3).position(|part| part == b"://");
        let authority_at = match scheme_end {
            // A path may hold `://` too, but begins with `/`.
            Some(at) if !front.starts_with(b"/") => at + 3,
            _ if front.starts_with(b"//") => 2,
            _ => return self.path(front),
        };
        let (scheme, rest) = front.split_at_checked(authority_at).unwrap_or((b"", front));
        let path_at = rest
            .iter()
            .position(|byte| *byte == b'/')
            .unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(path_at).unwrap_or((rest, b""));
        let mut out = scheme.to_vec();
        match authority.iter().rposition(|byte| *byte == b'@') {
            Some(at) => {
                out.extend_from_slice(MASK.as_bytes());
                out.extend_from_slice(authority.get(at..).unwrap_or_default());
            }
            // `//x/y` may as well be a path.
            None if scheme == b"//" => return self.path(front),
            None => out.extend_from_slice(authority),
        }
        out.extend(self.path(path));
        out
    }

    /// Redacts a path without query.
    pub fn path(&self, path: &[u8]) -> Vec<u8> {
        if self.path.is_empty() && Marks::of(path).is_plain() {
            return path.to_vec();
        }
        let mut secrets: Map<usize, Redaction> = Map::new();
        for (pattern, mode) in &self.path {
            for range in pattern.secrets(path) {
                // Of two patterns the one that redacts wins.
                let known = secrets.or_insert_with(range.start, || *mode);
                if *known == Redaction::Keep {
                    *known = *mode;
                }
            }
        }
        let mut out = Vec::with_capacity(path.len());
        let mut copied = 0;
        for range in segments(path) {
            out.extend_from_slice(path.get(copied..range.start).unwrap_or_default());
            let segment = path.get(range.clone()).unwrap_or_default();
            let mode = secrets.get(&range.start).copied();
            match mode {
                Some(mode) if mode != Redaction::Keep => {
                    out.extend(mode.apply(segment, self.key.as_ref()).unwrap_or_default())
                }
                _ => out.extend(self.segment(segment)),
            }
            copied = range.end;
        }
        out.extend_from_slice(path.get(copied..).unwrap_or_default());
        // What stands across segments, such as a bearer token with `/`.
        self.text(&out).into_owned()
    }

    /// A segment with its `;name=value` parameters.
    fn segment(&self, segment: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(segment.len());
        for (position, part) in segment.split(|byte| *byte == b';').enumerate() {
            if position > 0 {
                out.push(b';');
            }
            out.extend(match part.contains(&b'=') {
                true => self.pair(part).unwrap_or_default(),
                false => self.value(part),
            });
        }
        out
    }

    /// Redacts a query without its `?`. Pairs are separated by `&` and `;`.
    pub fn query(&self, query: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(query.len());
        let (mut rest, mut separator) = (query, None);
        loop {
            let end = rest
                .iter()
                .position(|byte| matches!(byte, b'&' | b';'))
                .unwrap_or(rest.len());
            let (pair, tail) = rest.split_at_checked(end).unwrap_or((rest, b""));
            if let Some(pair) = self.pair(pair) {
                out.extend(separator);
                out.extend(pair);
            }
            let Some((mark, after)) = tail.split_first() else {
                return out;
            };
            // A pair that was left out takes the separator in front of it along.
            separator = (!out.is_empty() || pair.is_empty()).then_some(*mark);
            rest = after;
        }
    }

    /// `key=value`, redacted; `None` where it is left out.
    fn pair(&self, pair: &[u8]) -> Option<Vec<u8>> {
        let Some(at) = pair.iter().position(|byte| *byte == b'=') else {
            return Some(self.value(pair));
        };
        let (key, value) = pair.split_at_checked(at).unwrap_or((pair, b""));
        let value = value.get(1..).unwrap_or_default();
        let mut out = self.value(key);
        out.push(b'=');
        match self.mode_of(&self.query, &decode_fully(key)) {
            None | Some(Redaction::Keep) => out.extend(self.value(value)),
            Some(mode) => out.extend(mode.apply(&decode_form(value), self.key.as_ref())?),
        }
        Some(out)
    }

    /// A percent-encoded value: masked as a whole where its decoded form holds a secret that its raw form does not show.
    fn value(&self, value: &[u8]) -> Vec<u8> {
        if Marks::of(value).is_plain() {
            return value.to_vec();
        }
        let shown = self.text(value);
        let decoded = decode_fully(&shown);
        let hidden = *decoded != *shown && self.has_secret(&decoded);
        let nested =
            self.denylist && (assigns_sensitive(&decoded) || self.assigns_configured(&decoded));
        if hidden || nested || has_user_info(&decoded) {
            MASK.into()
        } else {
            shown.into_owned()
        }
    }

    /// Whether a decoded value is itself a query with a key that is configured.
    fn assigns_configured(&self, decoded: &[u8]) -> bool {
        let is_mark = |byte: &u8| matches!(byte, b'?' | b'&' | b';' | b'#');
        !self.query.is_empty()
            && decoded.split(is_mark).any(|pair| {
                let key = pair
                    .split(|byte| *byte == b'=')
                    .next()
                    .filter(|key| key.len() < pair.len());
                key.is_some_and(|key| {
                    self.mode_of(&self.query, key)
                        .is_some_and(|mode| mode != Redaction::Keep)
                })
            })
    }
}

/// Whether a text holds a URL with user info.
pub(super) fn has_user_info(text: &[u8]) -> bool {
    if !text.contains(&b'@') {
        return false;
    }
    let is_end = |byte: &u8| matches!(byte, b'/' | b'?' | b'#' | b'"' | b' ');
    text.windows(3).enumerate().any(|(at, mark)| {
        let authority = text.get(at + 3..).unwrap_or_default();
        mark == b"://"
            && authority
                .split(is_end)
                .next()
                .is_some_and(|own| own.contains(&b'@'))
    })
}

/// The names under which a query key is known: the whole, and the parts of `a[b][c]`.
pub(super) fn key_names(key: &[u8]) -> impl Iterator<Item = &[u8]> {
    let parts = key
        .split(|byte| matches!(byte, b'[' | b']'))
        .filter(|part| !part.is_empty());
    std::iter::once(key).chain(parts)
}

/// Whether any name of a key is on the denylist.
pub(super) fn is_sensitive_key(key: &[u8]) -> bool {
    key_names(key).any(is_sensitive)
}
