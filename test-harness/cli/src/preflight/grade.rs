//! The grade that a page's headers would get: the rules of Mozilla's HTTP Observatory (tests and modifiers of its version 5), for one
//! response. Left out are the redirect of plain HTTP, which has a rule of its own, and what needs the page's markup (scripts with integrity), so
//! the Observatory's own may differ.
//!
//! 1. 100 points, minus what each header costs; extra points count only from 90 on.
//! 2. 100 is A+, then A from 90, A- 85, B+ 80, B 70, B- 65, C+ 60, C 50, C- 45, D+ 40, D 30, D- 25, else F.

use std::fmt;

use super::{facts::Reply, tls::max_age};

const GRADES: &[(i32, &str)] = &[
    (100, "A+"),
    (90, "A"),
    (85, "A-"),
    (80, "B+"),
    (70, "B"),
    (65, "B-"),
    (60, "C+"),
    (50, "C"),
    (45, "C-"),
    (40, "D+"),
    (30, "D"),
    (25, "D-"),
];

/// Points, and what cost some.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Grade {
    pub(super) points: i32,
    pub(super) lost: Vec<(i32, &'static str)>,
}

impl Grade {
    pub(super) fn of(page: &Reply) -> Self {
        let csp = page
            .header("content-security-policy")
            .unwrap_or_default()
            .to_ascii_lowercase();
        let lost: Vec<_> = [
            policy(&csp),
            cookies(page),
            cross_origin(page),
            referrer(page),
            transport(page),
            sniffing(page),
            framing(page, &csp),
        ]
        .into_iter()
        .flatten()
        .collect();
        let points = 100 - lost.iter().map(|(points, _)| points).sum::<i32>();
        let extra = if points >= 90 { extra(page, &csp) } else { 0 };
        Self {
            points: (points + extra).max(0),
            lost,
        }
    }

    pub(super) fn is_good(&self) -> bool {
        self.points >= 90
    }

    fn letter(&self) -> &'static str {
        GRADES
            .iter()
            .find(|(least, _)| self.points >= *least)
            .map_or("F", |(_, letter)| letter)
    }
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} points)", self.letter(), self.points)?;
        for (points, why) in &self.lost {
            write!(f, "; -{points} {why}")?;
        }
        Ok(())
    }
}

type Loss = Option<(i32, &'static str)>;

fn directive<'a>(csp: &'a str, name: &str) -> Option<&'a str> {
    csp.split(';').map(str::trim).find_map(|d| {
        d.strip_prefix(name)
            .filter(|rest| rest.is_empty() || rest.starts_with(' '))
    })
}

fn policy(csp: &str) -> Loss {
    if csp.is_empty() {
        return Some((25, "no content-security-policy"));
    }
    let of = |name| directive(csp, name).or_else(|| directive(csp, "default-src"));
    let scripts = of("script-src");
    let nonce = scripts.is_some_and(|s| s.contains("'nonce-") || s.contains("'sha"));
    match scripts {
        None => Some((20, "content-security-policy without script-src")),
        Some(s) if s.contains("'unsafe-inline'") && !nonce => {
            Some((20, "content-security-policy allows inline scripts"))
        }
        Some(s)
            if s.split(' ')
                .any(|word| matches!(word, "*" | "http:" | "https:" | "data:")) =>
        {
            Some((20, "content-security-policy allows scripts from anywhere"))
        }
        Some(s) if s.contains("'unsafe-eval'") => Some((10, "content-security-policy allows eval")),
        Some(_) => None,
    }
}

fn cookies(page: &Reply) -> Loss {
    let weak = |cookie: &str, attribute: &str| {
        !cookie.split(';').skip(1).any(|part| {
            part.trim()
                .split('=')
                .next()
                .is_some_and(|n| n.eq_ignore_ascii_case(attribute))
        })
    };
    let session = |cookie: &str| {
        let name = cookie
            .split('=')
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase();
        name.contains("sess") || name.contains("login") || name.contains("token")
    };
    let worst = page.all("set-cookie").map(|cookie| match session(cookie) {
        true if weak(cookie, "secure") => (40, "a session cookie without Secure"),
        true if weak(cookie, "httponly") => (30, "a session cookie without HttpOnly"),
        _ if weak(cookie, "secure") => (20, "a cookie without Secure"),
        _ => (0, ""),
    });
    worst.filter(|(points, _)| *points > 0).max()
}

fn cross_origin(page: &Reply) -> Loss {
    let anyone = page.header("access-control-allow-origin") == Some("*");
    let with_credentials = page.header("access-control-allow-credentials") == Some("true");
    (anyone && with_credentials).then_some((50, "CORS lets every site in, with credentials"))
}

fn referrer(page: &Reply) -> Loss {
    let value = page.header("referrer-policy")?.to_ascii_lowercase();
    let last = value.rsplit(',').next().unwrap_or_default().trim();
    matches!(
        last,
        "unsafe-url" | "origin" | "origin-when-cross-origin" | "no-referrer-when-downgrade"
    )
    .then_some((5, "referrer-policy tells other sites the address"))
}

fn transport(page: &Reply) -> Loss {
    match page.header("strict-transport-security").map(max_age) {
        None | Some(None) => Some((20, "no strict-transport-security")),
        Some(Some(seconds)) if seconds < 15_552_000 => {
            Some((10, "strict-transport-security below half a year"))
        }
        Some(Some(_)) => None,
    }
}

fn sniffing(page: &Reply) -> Loss {
    let good = page
        .header("x-content-type-options")
        .is_some_and(|v| v.eq_ignore_ascii_case("nosniff"));
    (!good).then_some((5, "no x-content-type-options: nosniff"))
}

fn framing(page: &Reply, csp: &str) -> Loss {
    let by_policy = directive(csp, "frame-ancestors").is_some_and(|v| !v.contains('*'));
    let by_header = page
        .header("x-frame-options")
        .is_some_and(|v| ["deny", "sameorigin"].contains(&v.to_ascii_lowercase().as_str()));
    (!by_policy && !by_header).then_some((20, "may be framed by any site"))
}

fn extra(page: &Reply, csp: &str) -> i32 {
    let mut points = 0;
    if directive(csp, "default-src").is_some_and(|v| v.trim() == "'none'") {
        points += 10;
    } else if !csp.is_empty() && !csp.contains("'unsafe-inline'") {
        points += 5;
    }
    if directive(csp, "frame-ancestors").is_some() {
        points += 5;
    }
    if page.header("referrer-policy").is_some_and(|v| {
        matches!(
            v,
            "no-referrer" | "same-origin" | "strict-origin" | "strict-origin-when-cross-origin"
        )
    }) {
        points += 5;
    }
    if page.header("cross-origin-resource-policy").is_some() {
        points += 10;
    }
    points
}
